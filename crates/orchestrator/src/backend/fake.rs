//! A backend that runs nothing and remembers what was asked of it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Mutex;

use anyhow::Result;
use futures_util::StreamExt;
use futures_util::stream;
use tokio_util::sync::CancellationToken;

use super::{Backend, Exit, Lines, LogRange, Removed, ServiceStatus, State};
use crate::progress::Progress;
use crate::service::{Origin, Probe, Restart, ServiceSpec, Volume};

/// Services end as scripted; everything else runs.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    /// Services that end as soon as they are started, and what they say.
    pub(crate) ends: BTreeMap<String, (Exit, Vec<String>)>,
    /// Calls so far. The lock stands for the one daemon a real backend talks to.
    pub(crate) calls: Mutex<Vec<String>>,
}

impl Fake {
    pub(crate) fn ending(service: &str, exit: Exit, lines: &[&str]) -> Self {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        Self {
            ends: [(service.to_owned(), (exit, lines))].into(),
            ..Self::default()
        }
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn called(&self, call: &str, service: &str) {
        let mut calls = self.calls.lock().unwrap();
        calls.push(format!("{call} {service}").trim().to_owned());
    }

    fn was_started(&self, service: &str) -> bool {
        self.calls().contains(&format!("start {service}"))
    }
}

impl Backend for Fake {
    async fn prepare(
        &self,
        _: &[ServiceSpec],
        _: Progress<'_>,
        _: &CancellationToken,
    ) -> Result<()> {
        self.called("prepare", "");
        Ok(())
    }

    async fn start(&self, spec: &ServiceSpec) -> Result<()> {
        self.called("start", &spec.name);
        Ok(())
    }

    async fn stop(&self, spec: &ServiceSpec) -> Result<()> {
        self.called("stop", &spec.name);
        Ok(())
    }

    async fn discard(&self, spec: &ServiceSpec) -> Result<()> {
        self.called("discard", &spec.name);
        Ok(())
    }

    async fn is_current(&self, _: &ServiceSpec) -> Result<bool> {
        Ok(true)
    }

    async fn rest(&self) -> Result<()> {
        self.called("rest", "");
        Ok(())
    }

    async fn save_volume(&self, spec: &ServiceSpec, _: &Volume, _: &Path) -> Result<()> {
        self.called("save", &spec.name);
        Ok(())
    }

    async fn restore_volume(&self, spec: &ServiceSpec, _: &Volume, _: &Path) -> Result<()> {
        self.called("restore", &spec.name);
        Ok(())
    }

    async fn kill(&self, spec: &ServiceSpec) -> Result<()> {
        self.called("kill", &spec.name);
        Ok(())
    }

    async fn pause(&self, spec: &ServiceSpec) -> Result<()> {
        self.called("pause", &spec.name);
        Ok(())
    }

    async fn resume(&self, spec: &ServiceSpec) -> Result<()> {
        self.called("resume", &spec.name);
        Ok(())
    }

    async fn status(&self, service: &str) -> Result<ServiceStatus> {
        let ended = self.ends.get(service).map(|(exit, _)| *exit);
        Ok(ServiceStatus {
            state: match (self.was_started(service), ended) {
                (false, _) => State::Absent,
                (true, None) => State::Running,
                (true, Some(_)) => State::Stopped,
            },
            exit: ended,
            ..ServiceStatus::default()
        })
    }

    async fn logs(&self, service: &str, range: LogRange) -> Result<Lines> {
        let lines = self.ends.get(service).map(|(_, lines)| lines.clone());
        let lines = lines.unwrap_or_default();
        let skip = lines.len().saturating_sub(range.tail);
        Ok(stream::iter(lines.into_iter().skip(skip).map(Ok)).boxed())
    }

    async fn remove(&self, _: Progress<'_>) -> Result<Removed> {
        self.called("remove", "");
        Ok(Removed::default())
    }
}

/// A spec that no program stands behind.
pub(crate) fn spec(name: &str, needs: &[&str]) -> ServiceSpec {
    ServiceSpec {
        name: name.to_owned(),
        image: name.to_owned(),
        origin: Origin::Ours,
        program: name.to_owned(),
        args: Vec::new(),
        env: BTreeMap::new(),
        files: Vec::new(),
        address: Ipv4Addr::LOCALHOST,
        ports: Vec::new(),
        probe: Probe::Http(0),
        health: Vec::new(),
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        volumes: Vec::new(),
        restart: Restart::Always,
        stop_grace_secs: 1,
    }
}
