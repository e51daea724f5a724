//! Finding and ending the processes of a lab by the marker in their environment.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

use super::{SERVICE_MARKER, STATE_MARKER, SUPERVISOR};
use crate::progress::{Event, Progress};

/// How long a process may take to obey a signal; Bitcoin Core needs the most, to end.
const GRACE: Duration = Duration::from_secs(30);
/// Pause between two looks at whether a process is gone, or stands still.
const POLL: Duration = Duration::from_millis(5);

/// A process that carries the marker of a lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marked {
    pub(super) pid: u32,
    pub(super) service: String,
    /// In ticks since the machine started.
    started: u64,
}

/// Every process of the lab with this state directory, but for the one that asks.
pub(super) fn find(state: &Path) -> Vec<Marked> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .filter_map(|pid| marked(pid, state))
        .collect()
}

/// Reads a process's marker. A process that ended, even if nobody waited for it yet, has none.
fn marked(pid: u32, state: &Path) -> Option<Marked> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = |name: &str| {
        environment.split(|byte| *byte == 0).find_map(|entry| {
            let rest = entry.strip_prefix(name.as_bytes())?;
            rest.strip_prefix(b"=")
        })
    };
    if value(STATE_MARKER)? != state.as_os_str().as_bytes() {
        return None;
    }
    let service = value(SERVICE_MARKER).unwrap_or_default();
    Some(Marked {
        pid,
        service: String::from_utf8_lossy(service).into_owned(),
        started: start_time(pid).unwrap_or_default(),
    })
}

/// Field 22 of `/proc/PID/stat`.
fn start_time(pid: u32) -> Option<u64> {
    field(Path::new(&format!("/proc/{pid}")), 22)?.parse().ok()
}

/// A field of the file `stat` in a process's or thread's directory, counted from 1 as in proc(5); the
/// third is the first behind the name, which may hold anything.
fn field(directory: &Path, number: usize) -> Option<String> {
    let stat = fs::read_to_string(directory.join("stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let field = fields.split_whitespace().nth(number.checked_sub(3)?)?;
    Some(field.to_owned())
}

/// Tells the supervisor to stop everything, and waits until it has.
///
/// Returns the names of all processes that ended with it.
pub(super) async fn end_supervisor(state: &Path, progress: Progress<'_>) -> Result<Vec<String>> {
    let before = find(state);
    let Some(supervisor) = before.iter().find(|marked| marked.service == SUPERVISOR) else {
        return Ok(Vec::new());
    };
    // Every stage may take its whole grace before the next one begins.
    let stages = u32::try_from(before.len()).unwrap_or(u32::MAX);
    let deadline = Instant::now() + GRACE * stages;
    signal(supervisor.pid, Signal::SIGTERM)?;
    let mut told = before.len();
    while is_alive(supervisor, state) && Instant::now() < deadline {
        let left: Vec<_> = find(state)
            .into_iter()
            .map(|marked| marked.service)
            .filter(|service| service != SUPERVISOR)
            .collect();
        if left.len() < told && !left.is_empty() {
            told = left.len();
            progress(Event::Step(format!("stopping: {}", left.join(", "))));
        }
        tokio::time::sleep(POLL).await;
    }
    let left = find(state);
    Ok(before
        .into_iter()
        .filter(|marked| !left.contains(marked))
        .map(|marked| marked.service)
        .collect())
}

/// Ends every process of the lab, the youngest first: it may need the older ones to end well.
///
/// Returns their names.
pub(super) async fn end(state: &Path) -> Result<Vec<String>> {
    let mut ended = Vec::new();
    // A second round catches what was just being started.
    loop {
        let mut found = find(state);
        if found.is_empty() {
            return Ok(ended);
        }
        found.sort_by_key(|marked| std::cmp::Reverse(marked.started));
        for process in found {
            end_one(&process, state).await?;
            ended.push(process.service);
        }
    }
}

async fn end_one(process: &Marked, state: &Path) -> Result<()> {
    for (send, wait) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, GRACE)] {
        // Looked at again right before, lest the id belongs to somebody else by now.
        if !is_alive(process, state) {
            return Ok(());
        }
        signal(process.pid, send)?;
        // One that was paused cannot end before it goes on.
        signal(process.pid, Signal::SIGCONT)?;
        let deadline = Instant::now() + wait;
        while is_alive(process, state) && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
    }
    if is_alive(process, state) {
        anyhow::bail!(
            "{} (process {}) does not end even when killed; the kernel keeps it, see \
             /proc/{}/stack",
            process.service,
            process.pid,
            process.pid
        );
    }
    Ok(())
}

fn is_alive(process: &Marked, state: &Path) -> bool {
    marked(process.pid, state).is_some_and(|now| now == *process)
}

/// Stops a process where it is, and waits until none of its threads runs: the signal reaches them a
/// moment later than it is sent.
pub(super) async fn pause(pid: u32) -> Result<()> {
    signal(pid, Signal::SIGSTOP)?;
    let deadline = Instant::now() + GRACE;
    while !stands_still(pid) {
        if Instant::now() > deadline {
            anyhow::bail!(
                "process {pid} does not stand still {} s after it was paused; it may wait for a disk",
                GRACE.as_secs()
            );
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Whether all its threads are stopped, or it is gone.
fn stands_still(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return true;
    };
    let mut states = threads.filter_map(|thread| field(&thread.ok()?.path(), 3));
    // Stopped by a signal or a debugger, ended and not waited for.
    states.all(|state| matches!(state.as_str(), "T" | "t" | "Z" | "X"))
}

pub(super) fn signal(pid: u32, signal: Signal) -> Result<()> {
    match kill(Pid::from_raw(i32::try_from(pid)?), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => anyhow::bail!("sending {signal} to process {pid}: {errno}"),
    }
}
