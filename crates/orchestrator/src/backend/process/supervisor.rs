//! The process that owns the children of one lab.
//!
//! It does what it is asked and decides nothing: the start-up graph is the command's. It ends when
//! it is told to, or when somebody removes its state directory from under it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::child::Child;
use super::wire::{self, Launch, Reply, Request};
use super::{SUPERVISOR, logfile};
use crate::backend::ServiceStatus;
use crate::plan;
use crate::state::StateDir;

/// How often logs are measured and the state directory is looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// A command that says nothing for so long has died in the middle.
const REQUEST_DEADLINE: Duration = Duration::from_secs(2);

struct Supervisor {
    state_dir: PathBuf,
    children: BTreeMap<String, Child>,
}

/// Serves the lab in `state` until `stop`, then stops every child in order.
///
/// # Errors
/// When the socket cannot be made. A child's failure is none of the supervisor's.
pub async fn run(state: &StateDir, stop: CancellationToken) -> Result<()> {
    let socket = state.supervisor_socket();
    // The caller made sure that no supervisor is alive: this can only be a dead one's.
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket)
        .with_context(|| format!("listening on {}", socket.display()))?;
    let mut supervisor = Supervisor {
        state_dir: state.path().to_owned(),
        children: BTreeMap::new(),
    };
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            stream = listener.accept() => {
                let (stream, _) = stream.context("accepting a command")?;
                supervisor.serve(stream).await;
            }
            _ = housekeeping.tick() => {
                if !socket.exists() {
                    break;
                }
                supervisor.bound_logs();
            }
        }
    }
    supervisor.stop_all().await;
    Ok(())
}

impl Supervisor {
    async fn serve(&mut self, mut stream: UnixStream) {
        let request = wire::receive(&mut stream);
        let Ok(Ok(request)) = tokio::time::timeout(REQUEST_DEADLINE, request).await else {
            return;
        };
        let reply = match request {
            Request::Start(launch) => self.start(launch).await,
            Request::Status(service) => self.status(&service),
            Request::Stop(service) => {
                let Some(child) = self.children.get(&service) else {
                    let reply = Reply::Failed(format!("'{service}' was never started"));
                    let _ = wire::send(&mut stream, &reply).await;
                    return;
                };
                child.stop();
                // A stop takes as long as the child's grace; others must not wait for that.
                let ended = child.ended();
                tokio::spawn(async move {
                    ended.await;
                    let _ = wire::send(&mut stream, &Reply::Done).await;
                });
                return;
            }
        };
        // A command that does not wait for its answer has ended; nobody misses it.
        let _ = wire::send(&mut stream, &reply).await;
    }

    async fn start(&mut self, launch: Launch) -> Reply {
        if let Some(child) = self.children.get(&launch.service) {
            if child.launch == launch && !child.is_over() {
                return Reply::Done;
            }
            child.stop();
            child.ended().await;
        }
        let child = Child::start(launch, &self.state_dir);
        self.children.insert(child.launch.service.clone(), child);
        Reply::Done
    }

    fn status(&self, service: &str) -> Reply {
        match self.children.get(service) {
            Some(child) => Reply::Status(child.status()),
            None if service == SUPERVISOR => Reply::Done,
            None => Reply::Status(ServiceStatus::default()),
        }
    }

    fn bound_logs(&self) {
        for child in self.children.values() {
            if let Err(error) = logfile::bound(&child.launch.log) {
                eprintln!("{error:#}");
            }
        }
    }

    async fn stop_all(&mut self) {
        let needs = |child: &Child| (child.launch.service.clone(), child.launch.needs.clone());
        for stage in plan::stop_stages(self.children.values().map(needs)) {
            let stage: Vec<_> = stage
                .iter()
                .filter_map(|service| self.children.get(service))
                .collect();
            for child in &stage {
                child.stop();
            }
            future::join_all(stage.iter().map(|child| child.ended())).await;
        }
    }
}
