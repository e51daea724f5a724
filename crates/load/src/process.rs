//! A running program under test, and what it uses.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use nix::time::ClockId;
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::Child;

/// A running program; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    id: u32,
    /// Where it runs and logs.
    directory: TempDir,
}

impl Process {
    pub(crate) fn new(child: Child, directory: TempDir) -> anyhow::Result<Self> {
        let id = child.id().context("the program ended at once")?;
        Ok(Self {
            child,
            id,
            directory,
        })
    }

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
        let kilobytes: u64 = kilobytes.context("the program has ended")?.parse()?;
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
