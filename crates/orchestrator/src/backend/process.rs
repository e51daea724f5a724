//! Services as local processes on loopback addresses.
//!
//! A supervisor, detached from the terminal, owns the children of one lab: it starts them, brings
//! a crashed one back, keeps their logs bounded and stops them in order. Children carry a marker
//! in their environment, so that they are found and ended even when the supervisor was killed.

pub mod supervisor;

mod child;
mod leftovers;
mod logfile;
mod wire;

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Backend, Lines, LogRange, Removed, ServiceStatus, State};
use crate::fault::Fault;
use crate::port;
use crate::programs::Programs;
use crate::progress::{Event, Progress};
use crate::service::{Origin, ServiceSpec, Volume};
use crate::state::{StateDir, create_private_dir, write_private};
use wire::{Launch, Reply, Request};

/// Environment variable with the state directory of the lab a process belongs to.
pub(crate) const STATE_MARKER: &str = "SV2_LAB_STATE";
/// Environment variable with the service a process is.
pub(crate) const SERVICE_MARKER: &str = "SV2_LAB_SERVICE";
/// The supervisor's own name among the lab's processes.
const SUPERVISOR: &str = "supervisor";
/// A supervisor listens within milliseconds; this is for a machine in trouble.
const SUPERVISOR_DEADLINE: Duration = Duration::from_secs(10);

/// The process backend of one lab.
#[derive(Debug)]
pub struct Process {
    state: StateDir,
    programs: Programs,
}

impl Process {
    /// The backend of the lab in `state`, with programs found through `programs`.
    pub fn new(state: StateDir, programs: Programs) -> Self {
        Self { state, programs }
    }

    fn launch(&self, spec: &ServiceSpec) -> Result<Launch> {
        Ok(Launch {
            service: spec.name.clone(),
            program: self.program(spec)?,
            args: spec.args.clone(),
            env: spec.env.clone(),
            needs: spec.needs.clone(),
            log: self.state.log_file(&spec.name),
            restart: spec.restart,
            stop_grace: Duration::from_secs(spec.stop_grace_secs.into()),
        })
    }

    fn program(&self, spec: &ServiceSpec) -> Result<PathBuf, Fault> {
        match &spec.origin {
            Origin::Ours => self.programs.find(&spec.program),
            Origin::Binary(path) => Ok(path.clone()),
            Origin::Image(image) => Err(Fault::usage(
                format!(
                    "{} is to run the image {image}, and this lab has no containers",
                    spec.name
                ),
                "name a program with --bin, or bring the lab up on Docker",
            )),
        }
    }

    /// Looks at everything that could go wrong before anything is started.
    async fn check(&self, specs: &[ServiceSpec]) -> Result<()> {
        let ours = specs.iter().filter(|spec| spec.origin == Origin::Ours);
        self.programs
            .check(ours.map(|spec| spec.program.as_str()))?;
        for spec in specs {
            self.program(spec)?;
        }
        for spec in specs {
            if self.status(&spec.name).await?.state == State::Absent {
                check_ports(spec)?;
            }
        }
        Ok(())
    }

    fn write_files(&self, specs: &[ServiceSpec]) -> Result<()> {
        create_private_dir(&self.state.path().join("logs"))?;
        for spec in specs {
            for volume in &spec.volumes {
                create_private_dir(&volume.path)?;
            }
            for file in &spec.files {
                if let Some(directory) = file.path.parent() {
                    create_private_dir(directory)?;
                }
                write_private(&file.path, file.text.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Starts the supervisor and waits until it takes requests.
    async fn start_supervisor(&self) -> Result<()> {
        let log = logfile::open(&self.state.supervisor_log())?;
        let home = self.state.path().parent().context("a lab lies in a home")?;
        let mut supervisor = std::process::Command::new(self.programs.own()?)
            .args(["supervise", "--name", self.state.name(), "--home"])
            .arg(home)
            .env(STATE_MARKER, self.state.path())
            .env(SERVICE_MARKER, SUPERVISOR)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting the supervisor")?;
        let deadline = Instant::now() + SUPERVISOR_DEADLINE;
        while !self.is_supervised().await {
            if let Some(status) = supervisor.try_wait()? {
                let said = std::fs::read_to_string(self.state.supervisor_log());
                anyhow::bail!(
                    "the supervisor ended with {status}: {}",
                    said.unwrap_or_default().trim()
                );
            }
            if Instant::now() > deadline {
                anyhow::bail!("the supervisor does not answer");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    async fn is_supervised(&self) -> bool {
        let request = Request::Status(SUPERVISOR.to_owned());
        wire::ask(&self.state, &request).await.is_ok()
    }

    async fn signal(&self, spec: &ServiceSpec, signal: Signal) -> Result<()> {
        // One that ended meanwhile needs no signal.
        match self.status(&spec.name).await?.pid {
            Some(pid) => leftovers::signal(pid, signal),
            None => Ok(()),
        }
    }

    /// Asks the supervisor to do something.
    async fn order(&self, request: Request) -> Result<()> {
        match wire::ask(&self.state, &request).await? {
            Reply::Done | Reply::Status(_) => Ok(()),
            Reply::Failed(reason) => anyhow::bail!(reason),
        }
    }
}

impl Backend for Process {
    async fn prepare(
        &self,
        specs: &[ServiceSpec],
        progress: Progress<'_>,
        _stop: &CancellationToken,
    ) -> Result<()> {
        let supervised = self.is_supervised().await;
        if !supervised {
            let ended = leftovers::end(self.state.path()).await?;
            if !ended.is_empty() {
                progress(Event::Warning(format!(
                    "ended what an earlier supervisor had left behind: {}",
                    ended.join(", ")
                )));
            }
        }
        self.check(specs).await?;
        self.write_files(specs)?;
        if !supervised {
            self.start_supervisor().await?;
        }
        Ok(())
    }

    async fn start(&self, spec: &ServiceSpec) -> Result<()> {
        self.order(Request::Start(self.launch(spec)?)).await
    }

    async fn stop(&self, spec: &ServiceSpec) -> Result<()> {
        self.order(Request::Stop(spec.name.clone())).await
    }

    async fn discard(&self, spec: &ServiceSpec) -> Result<()> {
        match self.status(&spec.name).await?.state {
            State::Absent => Ok(()),
            _ => self.stop(spec).await,
        }
    }

    async fn is_current(&self, spec: &ServiceSpec) -> Result<bool> {
        let Some(pid) = self.status(&spec.name).await?.pid else {
            // What does not run is read from disk when it is started.
            return Ok(true);
        };
        // A build puts a new file in the place of the old one, which the process keeps.
        let running = std::fs::metadata(format!("/proc/{pid}/exe"));
        let built = std::fs::metadata(self.program(spec)?);
        let same =
            |a: std::fs::Metadata, b: std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        Ok(running
            .and_then(|running| Ok(same(running, built?)))
            .unwrap_or(true))
    }

    async fn save_volume(&self, _: &ServiceSpec, volume: &Volume, file: &Path) -> Result<()> {
        let save = || -> std::io::Result<()> {
            let mut archive = tar::Builder::new(File::create(file)?);
            archive.append_dir_all(".", &volume.path)?;
            archive.into_inner()?.sync_all()
        };
        save().with_context(|| format!("copying {} to {}", volume.path.display(), file.display()))
    }

    async fn restore_volume(&self, _: &ServiceSpec, volume: &Volume, file: &Path) -> Result<()> {
        let restore = || tar::Archive::new(File::open(file)?).unpack(&volume.path);
        restore()
            .with_context(|| format!("copying {} to {}", file.display(), volume.path.display()))
    }

    async fn kill(&self, spec: &ServiceSpec) -> Result<()> {
        self.signal(spec, Signal::SIGKILL).await
    }

    async fn pause(&self, spec: &ServiceSpec) -> Result<()> {
        match self.status(&spec.name).await?.pid {
            Some(pid) => leftovers::pause(pid).await,
            None => Ok(()),
        }
    }

    async fn resume(&self, spec: &ServiceSpec) -> Result<()> {
        self.signal(spec, Signal::SIGCONT).await
    }

    async fn rest(&self) -> Result<()> {
        let silent = &crate::progress::silent;
        leftovers::end_supervisor(self.state.path(), silent).await?;
        Ok(())
    }

    async fn status(&self, service: &str) -> Result<ServiceStatus> {
        if let Ok(Reply::Status(status)) =
            wire::ask(&self.state, &Request::Status(service.to_owned())).await
        {
            return Ok(status);
        }
        // The supervisor is gone; its children may well go on.
        let found = leftovers::find(self.state.path())
            .into_iter()
            .find(|process| process.service == service);
        Ok(
            found.map_or_else(ServiceStatus::default, |process| ServiceStatus {
                state: State::Unsupervised,
                pid: Some(process.pid),
                ..ServiceStatus::default()
            }),
        )
    }

    async fn logs(&self, service: &str, range: LogRange) -> Result<Lines> {
        logfile::read(self.state.log_file(service), range)
    }

    async fn remove(&self, progress: Progress<'_>) -> Result<Removed> {
        let mut processes = leftovers::end_supervisor(self.state.path(), progress).await?;
        processes.extend(leftovers::end(self.state.path()).await?);
        processes.sort();
        processes.dedup();
        Ok(Removed {
            processes,
            ..Removed::default()
        })
    }
}

fn check_ports(spec: &ServiceSpec) -> Result<()> {
    for port in &spec.ports {
        if port::is_free(spec.address, port.number)? {
            continue;
        }
        let holder = port::holder(spec.address, port.number).map_or_else(
            || "something that ended meanwhile".to_owned(),
            |holder| holder.to_string(),
        );
        return Err(Fault::unavailable(
            format!(
                "port {} of {}, which {} needs, is held by {holder}",
                port.number, spec.address, spec.name
            ),
            "end that program, or give the lab other addresses: lab up --subnet 127.11.0.0/24",
        )
        .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
