//! What runs services: containers, local processes, or a fake for tests.
//!
//! Everything above this module is the same for all of them.

pub mod docker;
#[cfg(test)]
pub(crate) mod fake;
pub mod process;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use futures_util::stream::BoxStream;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::progress::Progress;
use crate::service::{ServiceSpec, Volume};

/// Which backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// Containers.
    Docker,
    /// Children on loopback addresses.
    Process,
}

impl BackendKind {
    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Process => "process",
        }
    }
}

/// How a service is doing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// What it does.
    pub state: State,
    /// Its process, as the host sees it.
    pub pid: Option<u32>,
    /// Times it came back after it had ended by itself.
    pub restarts: u64,
    /// How it ended last, when that is known.
    pub exit: Option<Exit>,
    /// Since it was started last.
    pub uptime: Option<Duration>,
}

/// What a service does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It was never started, or was removed.
    #[default]
    Absent,
    /// It runs.
    Running,
    /// It runs, but nothing is there to bring it back when it ends.
    Unsupervised,
    /// It ended by itself and will be started again.
    Restarting,
    /// It ended and stays so.
    Stopped,
}

impl State {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Running => "running",
            Self::Unsupervised => "unsupervised",
            Self::Restarting => "restarting",
            Self::Stopped => "stopped",
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// As a shell and Docker count: 128 and more stands for a signal.
    pub fn from_shell_code(code: i32) -> Self {
        if code > 128 {
            Self::Signal(code - 128)
        } else {
            Self::Code(code)
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "signal {number}, {}", signal.as_str()),
                Err(_) => write!(f, "signal {number}"),
            },
        }
    }
}

/// Which part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRange {
    /// Lines before now.
    pub tail: usize,
    /// Whether to go on with what comes.
    pub follow: bool,
}

/// Lines of a log, without their line ends.
pub type Lines = BoxStream<'static, Result<String>>;

/// What was removed with a lab, by kind and name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Processes of the lab, also those left over by a killed supervisor.
    pub processes: Vec<String>,
    /// Containers.
    pub containers: Vec<String>,
    /// Networks.
    pub networks: Vec<String>,
    /// Volumes.
    pub volumes: Vec<String>,
    /// The lab's own directory.
    pub directories: Vec<String>,
}

impl Removed {
    /// Whether there was nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.processes.extend(other.processes);
        self.containers.extend(other.containers);
        self.networks.extend(other.networks);
        self.volumes.extend(other.volumes);
        self.directories.extend(other.directories);
    }
}

/// Runs the services of one lab.
#[expect(
    async_fn_in_trait,
    reason = "only this crate implements and calls it, always in one task"
)]
pub trait Backend {
    /// Makes what services stand on: images, network, volumes, a supervisor. Keeps what is there.
    ///
    /// Must not be dropped half-way: a daemon goes on with a request whose sender is gone, and what
    /// comes of it would be missed by [`Self::remove`]. After `stop` it returns as soon as nothing
    /// is under way, without having made everything.
    async fn prepare(
        &self,
        specs: &[ServiceSpec],
        progress: Progress<'_>,
        stop: &CancellationToken,
    ) -> Result<()>;

    /// Starts a service; one that runs already as its spec says is left alone.
    async fn start(&self, spec: &ServiceSpec) -> Result<()>;

    /// Stops a service for good: SIGTERM, and SIGKILL after its grace.
    async fn stop(&self, spec: &ServiceSpec) -> Result<()>;

    /// Stops a service that the lab no longer has, and removes what is its own.
    async fn discard(&self, spec: &ServiceSpec) -> Result<()>;

    /// Whether a service that is there is of the newest build of its program.
    async fn is_current(&self, spec: &ServiceSpec) -> Result<bool>;

    /// Ends what tends the services, which are all stopped; [`Self::prepare`] brings it back.
    async fn rest(&self) -> Result<()>;

    /// Ends a service at once, as a power cut would. Whether it comes back by itself is the
    /// backend's business; [`Self::start`] brings it back in any case.
    async fn kill(&self, spec: &ServiceSpec) -> Result<()>;

    /// Makes a service stand still, with all it holds.
    async fn pause(&self, spec: &ServiceSpec) -> Result<()>;

    /// Lets a service go on that stands still.
    async fn resume(&self, spec: &ServiceSpec) -> Result<()>;

    /// Writes a volume of a service that is stopped to a tar file.
    async fn save_volume(&self, spec: &ServiceSpec, volume: &Volume, file: &Path) -> Result<()>;

    /// Puts what [`Self::save_volume`] wrote into a volume of a service that was prepared and never
    /// started.
    async fn restore_volume(&self, spec: &ServiceSpec, volume: &Volume, file: &Path) -> Result<()>;

    /// How a service is doing.
    async fn status(&self, service: &str) -> Result<ServiceStatus>;

    /// What a service wrote.
    async fn logs(&self, service: &str, range: LogRange) -> Result<Lines>;

    /// Stops and removes everything of the lab, whatever is left of it.
    async fn remove(&self, progress: Progress<'_>) -> Result<Removed>;
}

/// The backend of a lab.
#[derive(Debug)]
pub enum AnyBackend {
    /// Containers.
    Docker(docker::Docker),
    /// Children on loopback addresses.
    Process(process::Process),
}

impl Backend for AnyBackend {
    async fn prepare(
        &self,
        specs: &[ServiceSpec],
        progress: Progress<'_>,
        stop: &CancellationToken,
    ) -> Result<()> {
        match self {
            Self::Docker(docker) => docker.prepare(specs, progress, stop).await,
            Self::Process(process) => process.prepare(specs, progress, stop).await,
        }
    }

    async fn start(&self, spec: &ServiceSpec) -> Result<()> {
        match self {
            Self::Docker(docker) => docker.start(spec).await,
            Self::Process(process) => process.start(spec).await,
        }
    }

    async fn stop(&self, spec: &ServiceSpec) -> Result<()> {
        match self {
            Self::Docker(docker) => docker.stop(spec).await,
            Self::Process(process) => process.stop(spec).await,
        }
    }

    async fn discard(&self, spec: &ServiceSpec) -> Result<()> {
        match self {
            Self::Docker(docker) => docker.discard(spec).await,
            Self::Process(process) => process.discard(spec).await,
        }
    }

    async fn is_current(&self, spec: &ServiceSpec) -> Result<bool> {
        match self {
            Self::Docker(docker) => docker.is_current(spec).await,
            Self::Process(process) => process.is_current(spec).await,
        }
    }

    async fn rest(&self) -> Result<()> {
        match self {
            Self::Docker(docker) => docker.rest().await,
            Self::Process(process) => process.rest().await,
        }
    }

    async fn save_volume(&self, spec: &ServiceSpec, volume: &Volume, file: &Path) -> Result<()> {
        match self {
            Self::Docker(docker) => docker.save_volume(spec, volume, file).await,
            Self::Process(process) => process.save_volume(spec, volume, file).await,
        }
    }

    async fn restore_volume(&self, spec: &ServiceSpec, volume: &Volume, file: &Path) -> Result<()> {
        match self {
            Self::Docker(docker) => docker.restore_volume(spec, volume, file).await,
            Self::Process(process) => process.restore_volume(spec, volume, file).await,
        }
    }

    async fn kill(&self, spec: &ServiceSpec) -> Result<()> {
        match self {
            Self::Docker(docker) => docker.kill(spec).await,
            Self::Process(process) => process.kill(spec).await,
        }
    }

    async fn pause(&self, spec: &ServiceSpec) -> Result<()> {
        match self {
            Self::Docker(docker) => docker.pause(spec).await,
            Self::Process(process) => process.pause(spec).await,
        }
    }

    async fn resume(&self, spec: &ServiceSpec) -> Result<()> {
        match self {
            Self::Docker(docker) => docker.resume(spec).await,
            Self::Process(process) => process.resume(spec).await,
        }
    }

    async fn status(&self, service: &str) -> Result<ServiceStatus> {
        match self {
            Self::Docker(docker) => docker.status(service).await,
            Self::Process(process) => process.status(service).await,
        }
    }

    async fn logs(&self, service: &str, range: LogRange) -> Result<Lines> {
        match self {
            Self::Docker(docker) => docker.logs(service, range).await,
            Self::Process(process) => process.logs(service, range).await,
        }
    }

    async fn remove(&self, progress: Progress<'_>) -> Result<Removed> {
        match self {
            Self::Docker(docker) => docker.remove(progress).await,
            Self::Process(process) => process.remove(progress).await,
        }
    }
}
