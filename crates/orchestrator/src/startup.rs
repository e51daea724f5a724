//! Bringing services up along the graph of their needs.
//!
//! There is no list of steps: whatever has its needs ready starts at once, beside everything else
//! that does. The first failure ends the whole start-up; what runs by then is the caller's to stop.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::backend::docker::time;
use crate::backend::{Backend, LogRange, ServiceStatus, State};
use crate::diagnosis;
use crate::fault::Fault;
use crate::log::Entry;
use crate::probe::Readiness;
use crate::progress::{Event, Progress};
use crate::service::ServiceSpec;

/// Pause between two questions to a service; small against every start-up time.
const POLL: Duration = Duration::from_millis(10);
/// Pause between two looks at whether a service that is not ready still runs.
const LOOK: Duration = Duration::from_millis(100);
/// Pause between two looks at what a service that is not ready writes.
const READ: Duration = Duration::from_secs(1);
/// Longest time one service may take until it is ready.
pub(crate) const SERVICE_DEADLINE: Duration = Duration::from_secs(60);
/// Last lines of a failed service that its error carries.
const LAST_LINES: usize = 10;

/// When a service was started and ready, counted from the beginning of the start-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Its name.
    pub service: String,
    /// When its needs were ready.
    pub started: Duration,
    /// When it was ready itself.
    pub ready: Duration,
}

/// What a start-up is given besides the services.
pub(crate) struct Startup<'a, B, R> {
    /// Runs the services.
    pub(crate) backend: &'a B,
    /// Asks a service whether it is ready.
    pub(crate) ready: R,
    /// How long one service may take.
    pub(crate) deadline: Duration,
    /// When the command began.
    pub(crate) began: Instant,
    /// Hears what happens.
    pub(crate) progress: Progress<'a>,
}

impl<B: Backend, R: AsyncFn(&ServiceSpec) -> Readiness> Startup<'_, B, R> {
    /// Starts every service and returns when all are ready.
    ///
    /// # Errors
    /// The first failure: the service's name, how it ended, its last lines, cause and remedy.
    pub(crate) async fn run(&self, specs: &[ServiceSpec]) -> Result<Vec<Started>> {
        let mut waiting: Vec<&ServiceSpec> = specs.iter().collect();
        // Whoever is not asked for is not waited for either.
        let asked: BTreeSet<&String> = specs.iter().map(|spec| &spec.name).collect();
        let is_met =
            |need: &String, ready: &BTreeSet<String>| ready.contains(need) || !asked.contains(need);
        let mut ready = BTreeSet::new();
        let mut running = FuturesUnordered::new();
        let mut started = Vec::new();
        loop {
            let (now, later): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .partition(|spec| spec.needs.iter().all(|need| is_met(need, &ready)));
            waiting = later;
            running.extend(now.into_iter().map(|spec| self.start(spec)));
            match running.next().await {
                Some(one) => {
                    let one: Started = one?;
                    ready.insert(one.service.clone());
                    started.push(one);
                }
                None => break,
            }
        }
        assert!(waiting.is_empty(), "the topology's check left a cycle");
        Ok(started)
    }

    async fn start(&self, spec: &ServiceSpec) -> Result<Started> {
        let service = &spec.name;
        let started = self.began.elapsed();
        (self.progress)(Event::Starting {
            service: service.clone(),
        });
        // A service that is up already may have come back before; only what comes now counts.
        let restarts_before = self.backend.status(service).await?.restarts;
        if let Err(error) = self.backend.start(spec).await {
            return Err(error.context(format!("starting {service}")));
        }
        let deadline = Instant::now() + self.deadline;
        let running = Instant::now();
        let mut look = running + LOOK;
        let mut read = running + READ;
        loop {
            let reason = match (self.ready)(spec).await {
                Readiness::Ready => break,
                Readiness::NotYet(reason) => reason,
            };
            let now = Instant::now();
            if now >= look {
                let status = self.backend.status(service).await?;
                if status.state != State::Running || status.restarts > restarts_before {
                    return Err(self.ended(spec, &status, running.elapsed()).await.into());
                }
                (self.progress)(Event::Waiting {
                    service: service.clone(),
                    reason: reason.clone(),
                });
                look = now + LOOK;
            }
            if now >= read {
                if let Some(fault) = self.hopeless(spec, &reason, running.elapsed()).await {
                    return Err(fault.into());
                }
                read = now + READ;
            }
            if now >= deadline {
                return Err(self.never_ready(spec, &reason).await.into());
            }
            tokio::time::sleep(POLL).await;
        }
        let ready = self.began.elapsed();
        (self.progress)(Event::Ready {
            service: service.clone(),
            after: ready,
        });
        Ok(Started {
            service: service.clone(),
            started,
            ready,
        })
    }

    async fn ended(&self, spec: &ServiceSpec, status: &ServiceStatus, since: Duration) -> Fault {
        let lines = of_this_run(last_lines(self.backend, spec).await, since);
        let diagnosis = diagnosis::of_end(spec, status.exit, &lines);
        let how = status
            .exit
            .map_or("for an unknown reason".to_owned(), |exit| {
                format!("with {exit}")
            });
        Fault::failed(
            format!(
                "{} ended {how} before it was ready: {}{}",
                spec.name,
                diagnosis.cause,
                quote(&lines)
            ),
            diagnosis.remedy,
        )
    }

    /// Why waiting for a service does not help, if it said so since it was started.
    async fn hopeless(&self, spec: &ServiceSpec, reason: &str, since: Duration) -> Option<Fault> {
        let lines = last_lines(self.backend, spec).await;
        let is_new = |line: &&String| {
            let time = Entry::parse(line).time;
            time.and_then(|time| time::since(&time))
                .is_some_and(|age| age <= since)
        };
        let said = lines.iter().filter(is_new).map(String::as_str);
        let diagnosis = said.chain([reason]).find_map(diagnosis::of_wait)?;
        Some(Fault::failed(
            format!(
                "{} will not be ready: {}{}",
                spec.name,
                diagnosis.cause,
                quote(&lines)
            ),
            diagnosis.remedy,
        ))
    }

    async fn never_ready(&self, spec: &ServiceSpec, reason: &str) -> Fault {
        let lines = last_lines(self.backend, spec).await;
        Fault::failed(
            format!(
                "{} was not ready within {} s: {reason}{}",
                spec.name,
                self.deadline.as_secs(),
                quote(&lines)
            ),
            format!(
                "look closer with: lab up --keep, then lab logs {}",
                spec.name
            ),
        )
    }
}

/// What the service said last; a log that cannot be read must not hide the failure itself.
pub(crate) async fn last_lines(backend: &impl Backend, spec: &ServiceSpec) -> Vec<String> {
    let range = LogRange {
        tail: LAST_LINES,
        follow: false,
    };
    match backend.logs(&spec.name, range).await {
        Ok(lines) => {
            lines
                .filter_map(async |line| line.ok())
                .collect::<Vec<_>>()
                .await
        }
        Err(error) => vec![format!("(its log cannot be read: {error:#})")],
    }
}

/// Lines since a service was started. One without a time belongs to the last before it that has
/// one, or to a program that does not tell the time.
fn of_this_run(mut lines: Vec<String>, since: Duration) -> Vec<String> {
    let is_older = |line: &String| {
        let time = Entry::parse(line).time;
        time.and_then(|time| time::since(&time))
            .is_some_and(|age| age > since)
    };
    let older = lines.iter().rposition(is_older).map_or(0, |last| last + 1);
    lines.split_off(older)
}

fn quote(lines: &[String]) -> String {
    if lines.is_empty() {
        return "\n  (it wrote nothing)".to_owned();
    }
    lines.iter().map(|line| format!("\n  | {line}")).collect()
}

#[cfg(test)]
mod tests;
