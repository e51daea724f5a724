//! One child of the supervisor, from its first start to its last stop.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::wire::Launch;
use super::{SERVICE_MARKER, STATE_MARKER, logfile};
use crate::backend::{Exit, ServiceStatus, State};
use crate::service::Restart;

/// Pause before a crashed child comes back; it doubles with every crash.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause: a child that crashes at once costs next to nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A child that ran this long has not crashed at once.
const STEADY: Duration = Duration::from_secs(10);
/// Exit code that a shell gives for a program that cannot be run.
const CANNOT_RUN: i32 = 127;
/// What children inherit of the environment; containers would get nothing of it either.
const INHERITED: [&str; 4] = ["HOME", "LD_LIBRARY_PATH", "PATH", "RUST_LOG"];

/// A child and the task that tends it.
pub(super) struct Child {
    pub(super) launch: Launch,
    seen: watch::Receiver<Seen>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// What the task knows; the supervisor reads it without asking.
#[derive(Debug, Clone, Copy)]
struct Seen {
    state: State,
    pid: Option<u32>,
    restarts: u64,
    exit: Option<Exit>,
    since: Instant,
}

impl Child {
    /// Starts a child, and keeps it going until [`Self::stop`].
    pub(super) fn start(launch: Launch, state_dir: &Path) -> Self {
        let (publish, seen) = watch::channel(Seen {
            state: State::Running,
            pid: None,
            restarts: 0,
            exit: None,
            since: Instant::now(),
        });
        let stop = CancellationToken::new();
        let task = tokio::spawn(
            Tended {
                launch: launch.clone(),
                state_dir: state_dir.to_owned(),
                publish,
                stop: stop.clone(),
            }
            .run(),
        );
        Self {
            launch,
            seen,
            stop,
            task,
        }
    }

    pub(super) fn status(&self) -> ServiceStatus {
        let seen = *self.seen.borrow();
        ServiceStatus {
            state: seen.state,
            pid: seen.pid,
            restarts: seen.restarts,
            exit: seen.exit,
            uptime: (seen.state == State::Running).then(|| seen.since.elapsed()),
        }
    }

    /// Whether it will not run again by itself.
    pub(super) fn is_over(&self) -> bool {
        self.stop.is_cancelled() || self.task.is_finished()
    }

    /// Asks the child to end; [`Self::ended`] tells when it has.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for the end of the child that [`Self::stop`] asked for.
    pub(super) fn ended(&self) -> impl Future<Output = ()> + use<> {
        let mut seen = self.seen.clone();
        // The task drops its sender when it is over.
        async move { while seen.changed().await.is_ok() {} }
    }
}

struct Tended {
    launch: Launch,
    state_dir: PathBuf,
    publish: watch::Sender<Seen>,
    stop: CancellationToken,
}

impl Tended {
    async fn run(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let started = Instant::now();
            let exit = self.run_once().await;
            let stopping = self.stop.is_cancelled();
            let done = self.launch.restart == Restart::OnFailure && exit == Exit::Code(0);
            self.publish.send_modify(|seen| {
                seen.pid = None;
                seen.exit = Some(exit);
                seen.state = match stopping || done {
                    true => State::Stopped,
                    false => State::Restarting,
                };
            });
            if stopping || done {
                return;
            }
            if started.elapsed() > STEADY {
                pause = FIRST_PAUSE;
            }
            self.note(&format!(
                "{} ended with {exit}; starting it again in {pause:?}",
                self.launch.service
            ));
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
            if self.stop.is_cancelled() {
                self.publish.send_modify(|seen| seen.state = State::Stopped);
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            self.publish.send_modify(|seen| seen.restarts += 1);
        }
    }

    /// Runs the program once, to its own end or until it has to stop.
    async fn run_once(&self) -> Exit {
        let mut child = match self.spawn() {
            Ok(child) => child,
            Err(error) => {
                let program = self.launch.program.display();
                self.note(&format!("cannot run {program}: {error:#}"));
                return Exit::Code(CANNOT_RUN);
            }
        };
        self.publish.send_modify(|seen| {
            seen.state = State::Running;
            seen.pid = child.id();
            seen.since = Instant::now();
        });
        let ended = tokio::select! {
            biased;
            ended = child.wait() => Some(ended),
            () = self.stop.cancelled() => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => self.terminate(&mut child).await,
        };
        // Waiting fails only for a process that is no child of ours.
        ended.map_or(Exit::Code(CANNOT_RUN), exit)
    }

    async fn terminate(&self, child: &mut tokio::process::Child) -> std::io::Result<ExitStatus> {
        if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            // One that was paused cannot end before it goes on.
            let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
        }
        let grace = self.launch.stop_grace;
        if let Ok(ended) = tokio::time::timeout(grace, child.wait()).await {
            return ended;
        }
        self.note(&format!(
            "{} did not end within {grace:?} of SIGTERM; killing it",
            self.launch.service
        ));
        child.start_kill()?;
        child.wait().await
    }

    fn spawn(&self) -> Result<tokio::process::Child> {
        let log = logfile::open(&self.launch.log)?;
        let mut command = Command::new(&self.launch.program);
        command
            .args(&self.launch.args)
            .env_clear()
            .envs(INHERITED.iter().filter_map(|name| {
                let value = std::env::var_os(name)?;
                Some((*name, value))
            }))
            .envs(&self.launch.env)
            .env(STATE_MARKER, &self.state_dir)
            .env(SERVICE_MARKER, &self.launch.service)
            .current_dir(&self.state_dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command.spawn()?)
    }

    /// Writes a line of our own into the child's log, where people look first.
    fn note(&self, text: &str) {
        if let Ok(mut log) = logfile::open(&self.launch.log) {
            let _ = writeln!(log, "lab: {text}");
        }
    }
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(CANNOT_RUN),
    }
}
