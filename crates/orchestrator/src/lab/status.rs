//! How a lab is doing, asked from everybody at once.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use futures_util::future;
use serde::Serialize;

use super::Lab;
use crate::backend::{Backend, BackendKind, ServiceStatus, State};
use crate::probe::{Account, Readiness};
use crate::service::ServiceSpec;
use crate::subnet::Subnet;
use crate::{diagnosis, startup};

/// A healthy service answers in a millisecond, and people wait for the slowest one; but on a machine
/// that is busy none is to be called silent that only waits for a processor.
const PATIENCE: Duration = Duration::from_secs(1);

/// A lab at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabStatus {
    /// Its name.
    pub name: String,
    /// What runs its services.
    pub backend: BackendKind,
    /// Its network.
    pub subnet: Subnet,
    /// Its chain: regtest, or signet.
    pub chain: &'static str,
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
    /// What it says its version is.
    pub version: Option<String>,
    /// Shares it accepted, or had accepted, as far as it counts them.
    pub shares: Option<u64>,
    /// Blocks among them.
    pub blocks: Option<u64>,
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
            chain: self.network().to_core_arg(),
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
        let silent = |reason| Account {
            readiness: Readiness::NotYet(reason),
            ..Account::default()
        };
        let account = match status.state {
            State::Running | State::Unsupervised => self.ask(spec).await,
            State::Restarting => silent(self.why(spec, &status).await),
            State::Stopped => silent(ended("has ended")),
            State::Absent => silent("does not run".to_owned()),
        };
        let reason = match account.readiness {
            Readiness::Ready => None,
            Readiness::NotYet(reason) => Some(reason),
        };
        Ok(ServiceReport {
            name: spec.name.clone(),
            state: status.state,
            ready: reason.is_none(),
            reason,
            version: account.version,
            shares: account.shares,
            blocks: account.blocks,
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

    /// What a service that runs tells of itself.
    async fn ask(&self, spec: &ServiceSpec) -> Account {
        let account = tokio::time::timeout(PATIENCE, self.prober.look(spec)).await;
        account.unwrap_or_else(|_| Account {
            readiness: Readiness::NotYet(format!("gives no answer within {PATIENCE:?}")),
            ..Account::default()
        })
    }

    /// Why a service ends again and again.
    async fn why(&self, spec: &ServiceSpec, status: &ServiceStatus) -> String {
        let lines = startup::last_lines(&self.backend, spec).await;
        let diagnosis = diagnosis::of_end(spec, status.exit, &lines);
        let exit = status.exit.map(|exit| format!(" with {exit}"));
        let said = lines.last().map(|line| format!(" ({})", line.trim()));
        format!(
            "ended{} and is started again: {}{}",
            exit.unwrap_or_default(),
            diagnosis.cause,
            said.unwrap_or_default()
        )
    }
}
