//! How a lab is doing, asked from everybody at once.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use futures_util::future;
use serde::Serialize;

use super::Lab;
use crate::backend::{Backend, BackendKind, State};
use crate::probe::Readiness;
use crate::service::ServiceSpec;
use crate::subnet::Subnet;

/// A healthy service answers in a millisecond; people wait for the slowest one.
const PATIENCE: Duration = Duration::from_millis(150);

/// A lab at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabStatus {
    /// Its name.
    pub name: String,
    /// What runs its services.
    pub backend: BackendKind,
    /// Its network.
    pub subnet: Subnet,
    /// Height of the node's tip, when it answers.
    pub height: Option<u64>,
    /// Its services.
    pub services: Vec<ServiceReport>,
}

/// A service at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceReport {
    /// Its name.
    pub name: String,
    /// What it does.
    pub state: State,
    /// Whether it does what it is for.
    pub ready: bool,
    /// Why it does not.
    pub reason: Option<String>,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its ports, by name.
    pub ports: BTreeMap<String, u16>,
    /// Its process on this machine.
    pub pid: Option<u32>,
    /// Times it came back by itself.
    pub restarts: u64,
    /// Seconds since it was started last.
    pub uptime_seconds: Option<u64>,
}

impl Lab {
    /// Asks every service and the node.
    ///
    /// # Errors
    /// When the backend does not answer. A service that does not is part of the answer.
    pub async fn status(&self) -> Result<LabStatus> {
        let services = future::try_join_all(self.specs.iter().map(|spec| self.report(spec)));
        let (services, height) = future::join(services, self.height()).await;
        Ok(LabStatus {
            name: self.name().to_owned(),
            backend: self.backend(),
            subnet: self.subnet(),
            height,
            services: services?,
        })
    }

    async fn height(&self) -> Option<u64> {
        let rpc = self.rpc().ok()?;
        let height = tokio::time::timeout(PATIENCE, rpc.block_count());
        height.await.ok()?.ok()
    }

    async fn report(&self, spec: &ServiceSpec) -> Result<ServiceReport> {
        let status = self.backend.status(&spec.name).await?;
        let ended = |text: &str| match status.exit {
            Some(exit) => format!("{text} with {exit}"),
            None => text.to_owned(),
        };
        let reason = match status.state {
            State::Running | State::Unsupervised => self.ask(spec).await,
            State::Restarting => Some(ended("is started again after it ended")),
            State::Stopped => Some(ended("has ended")),
            State::Absent => Some("was never started".to_owned()),
        };
        Ok(ServiceReport {
            name: spec.name.clone(),
            state: status.state,
            ready: reason.is_none(),
            reason,
            address: spec.address,
            ports: spec
                .ports
                .iter()
                .map(|port| (port.name.clone(), port.number))
                .collect(),
            pid: status.pid,
            restarts: status.restarts,
            uptime_seconds: status.uptime.map(|uptime| uptime.as_secs()),
        })
    }

    /// Why a service that runs is not ready.
    async fn ask(&self, spec: &ServiceSpec) -> Option<String> {
        match tokio::time::timeout(PATIENCE, self.prober.ask(spec)).await {
            Ok(Readiness::Ready) => None,
            Ok(Readiness::NotYet(reason)) => Some(reason),
            Err(_) => Some(format!("gives no answer within {PATIENCE:?}")),
        }
    }
}
