//! A pool under test: its configuration, its process, what that process uses.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::time::ClockId;
use nix::unistd::Pid;
use protocol::keys::{AuthorityKey, AuthorityPublicKey};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::provider::Listener;

/// High enough for any declared hash rate of ours to give a target that every hash meets, and for
/// the reference to let a channel send a million shares on one tip; at its default of 6 it closes
/// the connection after 7,200.
const SHARES_PER_MINUTE: u32 = 1000;
const SHARE_BATCH_SIZE: u32 = 10;
/// Together with this the coinbase has 180 bytes.
const SIGNATURE: &str = "a pool under load test";
const REWARD: &str = "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)";

/// Whose pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    /// The reference implementation's, with that `RUST_LOG`.
    Reference {
        log: String,
    },
}

/// A pool to be measured.
#[derive(Debug)]
pub(crate) struct Contender {
    kind: Kind,
    program: PathBuf,
}

impl Contender {
    pub(crate) fn new(kind: Kind, program: PathBuf) -> anyhow::Result<Self> {
        ensure!(
            program.is_file(),
            "there is no pool at {}; build it with `cargo build --release`, or name one",
            program.display()
        );
        Ok(Self { kind, program })
    }

    /// What its column is called.
    pub(crate) fn name(&self) -> String {
        let program = self.program.display();
        match &self.kind {
            Kind::Ours => program.to_string(),
            Kind::Reference { log } => format!("{program} (RUST_LOG={log})"),
        }
    }

    /// Starts it in a directory of its own; it serves miners once it has a template.
    pub(crate) fn start(&self, provider: &Listener) -> anyhow::Result<Pool> {
        let directory = tempfile::tempdir()?;
        let authority = AuthorityKey::generate(&mut rand::thread_rng());
        let address = free_address()?;
        let config = directory.path().join("pool.toml");
        fs::write(&config, self.config(&authority, address, provider)?)?;
        let log = File::create(directory.path().join("log"))?;
        let mut command = Command::new(&self.program);
        if let Kind::Reference { log } = &self.kind {
            command.env("RUST_LOG", log);
        }
        let child = command
            .arg("--config")
            .arg(&config)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let id = child.id().context("the pool ended at once")?;
        Ok(Pool {
            child,
            id,
            directory,
            address,
            authority: authority.public(),
        })
    }

    fn config(
        &self,
        authority: &AuthorityKey,
        address: SocketAddr,
        provider: &Listener,
    ) -> anyhow::Result<String> {
        let both = format!(
            "listen_address = \"{address}\"\n\
             authority_public_key = \"{}\"\n\
             authority_secret_key = \"{}\"\n\
             cert_validity_sec = 3600\n\
             coinbase_reward_script = \"{REWARD}\"\n\
             pool_signature = \"{SIGNATURE}\"\n\
             shares_per_minute = {SHARES_PER_MINUTE}.0\n\
             share_batch_size = {SHARE_BATCH_SIZE}\n\
             monitoring_address = \"{}\"\n",
            authority.public_text(),
            authority.secret_text(),
            free_address()?,
        );
        let provider_address = provider.address()?;
        let provider_key = provider.public_key();
        let own = match self.kind {
            Kind::Ours => format!(
                "max_messages_per_second = 0\n\
                 enable_vardiff = false\n\
                 [template_provider]\n\
                 address = \"{provider_address}\"\n\
                 public_key = \"{provider_key}\"\n"
            ),
            Kind::Reference { .. } => format!(
                "server_id = 1\n\
                 [template_provider_type.Sv2Tp]\n\
                 address = \"{provider_address}\"\n\
                 public_key = \"{provider_key}\"\n"
            ),
        };
        Ok(both + &own)
    }
}

/// A running pool; killed when dropped.
#[derive(Debug)]
pub(crate) struct Pool {
    child: Child,
    id: u32,
    directory: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) authority: AuthorityPublicKey,
}

impl Pool {
    /// Processor time it has used, in user and kernel mode.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(self.id as i32))?;
        Ok(clock.now()?.into())
    }

    /// Bytes of memory that are resident.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        let kilobytes: u64 = kilobytes.context("the pool has ended")?.parse()?;
        Ok(kilobytes * 1024)
    }

    /// The last lines it has logged, for when something went wrong.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read(self.directory.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Ends it; its directory is gone afterwards.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        Ok(())
    }
}

/// An address that was free a moment ago. The reference cannot bind to port 0 and tell.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
