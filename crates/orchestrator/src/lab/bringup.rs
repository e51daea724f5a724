//! Bringing a lab up: from options to running services and a first block.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::claim::Claim;
use super::decision::{self, Decision};
use super::first_block::{self, Since};
use super::{FirstBlock, Lab};
use crate::backend::{Backend, BackendKind, Removed};
use crate::probe::Readiness;
use crate::programs::Programs;
use crate::progress::{Event, Progress};
use crate::secrets::Secrets;
use crate::service::{Probe, ServiceSpec, btc_node};
use crate::startup::{SERVICE_DEADLINE, Started, Startup};
use crate::state::{Lock, StateDir, write_private};
use crate::subnet::Subnet;
use crate::topology;

/// What a lab is asked to be. `None` leaves the choice to the lab.
#[derive(Debug, Clone)]
pub struct UpOptions {
    /// Directory of all labs.
    pub home: PathBuf,
    /// The lab's name.
    pub name: String,
    /// The topology's text; the lab's own, or else the minimal one, when there is none.
    pub topology: Option<String>,
    /// What runs the services.
    pub backend: Option<BackendKind>,
    /// The lab's network.
    pub subnet: Option<Subnet>,
    /// Host address on which containers publish their ports.
    pub bind: Option<Ipv4Addr>,
    /// Whether missing and outdated images are packed.
    pub build: bool,
    /// Whether to wait for the first block of the lab's own miner.
    pub wait_block: bool,
    /// Where programs are.
    pub programs: Programs,
    /// When the command began; all times are counted from here.
    pub began: Instant,
}

/// How bringing a lab up went.
#[derive(Debug, Clone, PartialEq)]
pub struct UpReport {
    /// When every service was ready.
    pub ready: Duration,
    /// The first block of each of the lab's miners, if they were waited for.
    pub first_blocks: Vec<FirstBlock>,
    /// When each service was started and ready.
    pub services: Vec<Started>,
}

/// A lab on its way up. While it lives, no other command changes the lab.
#[derive(Debug)]
pub struct Bringup {
    lab: Lab,
    lock: Lock,
    /// Nobody else chooses the lab's addresses before its services listen on them.
    _claims: Vec<Claim>,
    is_new: bool,
    why: String,
    wait_block: bool,
    began: Instant,
}

impl Bringup {
    /// Decides everything and starts nothing: topology, backend, secrets.
    ///
    /// # Errors
    /// When the options make no sense, contradict the lab that is there, or another command is
    /// changing it.
    pub async fn begin(options: &UpOptions, progress: Progress<'_>) -> Result<Self> {
        let topology = options.topology.as_deref().map(topology::parse);
        let topology = topology.transpose()?;
        let state = StateDir::new(&options.home, &options.name)?;
        let lock = state.lock().await?;
        let existing = state.record()?;
        let is_new = existing.is_none();
        if let Some(record) = &existing {
            decision::check_same(record, options, topology.as_ref())?;
        }
        let decided = decision::decide(options, &state, existing, progress).await;
        let Decision {
            record,
            backend,
            why,
            claims,
        } = match decided {
            Ok(decision) => decision,
            Err(error) => {
                // Nothing was started; an empty directory would look like a lab.
                if is_new {
                    state.remove()?;
                }
                return Err(error);
            }
        };
        let secrets = Secrets::load(&state.secrets_file())?;
        Ok(Self {
            lab: Lab::assemble(state, record, secrets, backend, options.programs.clone())?,
            lock,
            _claims: claims,
            is_new,
            why,
            wait_block: options.wait_block,
            began: options.began,
        })
    }

    /// Whether there was no such lab before; only then may failure or Ctrl-C remove it.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Which backend, and why that one.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Starts what does not run yet and waits until everything is ready, and for a block.
    ///
    /// To end it early, cancel `stop` and wait for its error; do not drop it.
    ///
    /// # Errors
    /// The first failure, with cause and remedy. What was started goes on; see [`Self::undo`].
    pub async fn run(&self, progress: Progress<'_>, stop: &CancellationToken) -> Result<UpReport> {
        self.write_cli_conf()?;
        let lab = &self.lab;
        lab.backend.prepare(&lab.specs, progress, stop).await?;
        tokio::select! {
            biased;
            () = stop.cancelled() => anyhow::bail!("interrupted"),
            report = self.start(progress) => report,
        }
    }

    async fn start(&self, progress: Progress<'_>) -> Result<UpReport> {
        let lab = &self.lab;
        let height_before = Mutex::new(None);
        let ready = async |spec: &ServiceSpec| {
            let answer = lab.prober.help(spec).await;
            if answer == Readiness::Ready && matches!(spec.probe, Probe::BitcoinNode(_)) {
                // Blocks above this one are the miner's: it starts after the node is ready.
                let height = match lab.rpc() {
                    Ok(rpc) => rpc.block_count().await.ok(),
                    Err(_) => None,
                };
                *height_before.lock().expect("no holder panics") = height;
            }
            answer
        };
        let services = Startup {
            backend: &lab.backend,
            ready,
            deadline: SERVICE_DEADLINE,
            began: self.began,
            progress,
        }
        .run(&lab.specs)
        .await?;
        let ready = self.began.elapsed();
        let above = height_before.into_inner().expect("no holder panics");
        let above = above.unwrap_or_default();
        Ok(UpReport {
            ready,
            first_blocks: self.first_blocks(above, progress).await?,
            services,
        })
    }

    async fn first_blocks(&self, above: u64, progress: Progress<'_>) -> Result<Vec<FirstBlock>> {
        let paths = self.lab.topology.mining_paths();
        if paths.is_empty() || !self.wait_block {
            return Ok(Vec::new());
        }
        progress(Event::Step(
            "waiting for the first block of our own miners".to_owned(),
        ));
        let rpc = self.lab.rpc()?;
        let hurry = async |miner: &str| self.lab.hurry(miner).await;
        let began = self.began;
        let since = Since {
            above,
            began,
            network: self.lab.network(),
        };
        first_block::wait(&rpc, paths, since, progress, hurry).await
    }

    /// `bitcoin-cli` reads this; the password is on no command line that way.
    fn write_cli_conf(&self) -> Result<()> {
        let lab = &self.lab;
        let Ok(address) = lab.rpc_address() else {
            return Ok(());
        };
        let text = format!(
            "{}rpcconnect={}\nrpcport={}\nrpcuser={}\nrpcpassword={}\n",
            btc_node::chain_text(lab.topology.network()),
            address.ip(),
            address.port(),
            lab.secrets.rpc_user,
            lab.secrets.rpc_password
        );
        write_private(&lab.state.cli_conf(), text.as_bytes())
    }

    /// Removes a lab that this command made; leaves one alone that was there before.
    ///
    /// # Errors
    /// When something cannot be removed; names it.
    pub async fn undo(self, progress: Progress<'_>) -> Result<Removed> {
        if !self.is_new {
            return Ok(Removed::default());
        }
        let mut removed = self.lab.backend.remove(progress).await?;
        self.lab.state.remove()?;
        let directory = self.lab.state.path().display().to_string();
        removed.directories.push(directory);
        Ok(removed)
    }

    /// The lab, while no other command may change it.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Lets other commands at the lab.
    pub fn into_lab(self) -> Lab {
        drop(self.lock);
        self.lab
    }
}
