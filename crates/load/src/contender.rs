//! A program to be measured.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, ensure};
use tokio::process::Command;

use crate::process::Process;

/// Whose program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    /// The reference implementation's, with that `RUST_LOG`.
    Reference {
        log: String,
    },
}

/// A program to be measured.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) kind: Kind,
    program: PathBuf,
}

impl Contender {
    pub(crate) fn new(kind: Kind, program: PathBuf) -> anyhow::Result<Self> {
        ensure!(
            program.is_file(),
            "there is no program at {}; build it with `cargo build --release`, or name one",
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

    /// Starts it in a directory of its own.
    pub(crate) fn start(&self, config: &str) -> anyhow::Result<Process> {
        let directory = tempfile::tempdir()?;
        let config_file = directory.path().join("config.toml");
        fs::write(&config_file, config)?;
        let log = File::create(directory.path().join("log"))?;
        let mut command = Command::new(&self.program);
        if let Kind::Reference { log } = &self.kind {
            command.env("RUST_LOG", log);
        }
        let child = command
            .arg("--config")
            .arg(&config_file)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        Process::new(child, directory)
    }
}

/// An address that was free a moment ago. The reference cannot bind to port 0 and tell.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
