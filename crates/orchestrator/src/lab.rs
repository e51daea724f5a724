//! A lab as programs see it: bring it up, look at it, mine, take it down.

mod bringup;
mod decision;
mod first_block;
mod mine;
mod status;

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use bringup::{Bringup, UpOptions, UpReport};
pub use first_block::FirstBlock;
pub use mine::{MinedBlock, MinedBy};
pub use status::{LabStatus, ServiceReport};

use crate::backend::docker::{self, Docker};
use crate::backend::process::Process;
use crate::backend::{AnyBackend, Backend, BackendKind, Lines, LogRange, Removed, ServiceStatus};
use crate::fault::Fault;
use crate::plan;
use crate::probe::Prober;
use crate::programs::Programs;
use crate::progress::Progress;
use crate::rpc::Rpc;
use crate::secrets::Secrets;
use crate::service::{self, Paths, ServiceSpec, Site};
use crate::startup::Started;
use crate::state::{Lock, Record, StateDir};
use crate::subnet::Subnet;
use crate::topology::Topology;
use crate::wallet::Wallet;

/// A lab that was brought up, by this program or an earlier one.
#[derive(Debug)]
pub struct Lab {
    state: StateDir,
    record: Record,
    topology: Topology,
    secrets: Secrets,
    specs: Vec<ServiceSpec>,
    backend: AnyBackend,
    prober: Prober,
}

impl Lab {
    /// Brings a lab up, and on failure takes down again what it made.
    ///
    /// # Errors
    /// With cause and remedy; see [`crate::fault`].
    pub async fn up(options: &UpOptions, progress: Progress<'_>) -> Result<(Self, UpReport)> {
        let bringup = Bringup::begin(options, progress).await?;
        match bringup.run(progress, &CancellationToken::new()).await {
            Ok(report) => Ok((bringup.into_lab(), report)),
            Err(error) => {
                let undone = bringup.undo(progress).await;
                undone.context("taking down what was started")?;
                Err(error)
            }
        }
    }

    /// The lab `name` below `home`.
    ///
    /// # Errors
    /// When there is none, or its backend cannot be reached.
    pub async fn open(home: &Path, name: &str, programs: Programs) -> Result<Self> {
        let state = StateDir::new(home, name)?;
        let record = state.record()?.ok_or_else(|| {
            Fault::unavailable(
                format!("there is no lab '{name}'"),
                "bring one up with: lab up",
            )
        })?;
        let backend = match record.backend {
            BackendKind::Process => AnyBackend::Process(Process::new(state.clone(), programs)),
            BackendKind::Docker => {
                let settings = docker::Settings {
                    subnet: record.subnet,
                    bind: record.bind,
                    build: false,
                    programs,
                };
                AnyBackend::Docker(Docker::connect(name, settings).await?)
            }
        };
        let secrets = Secrets::load(&state.secrets_file())?;
        Self::assemble(state, record, secrets, backend)
    }

    fn assemble(
        state: StateDir,
        record: Record,
        secrets: Secrets,
        backend: AnyBackend,
    ) -> Result<Self> {
        let topology = Topology::parse(&record.topology)
            .context("reading the topology of the lab that is up")?;
        let reward_address = Wallet::new(&secrets)?.address().to_string();
        let paths = match record.backend {
            BackendKind::Docker => Paths::Container,
            BackendKind::Process => Paths::Directory(state.path().to_owned()),
        };
        let specs = service::specs(
            &topology,
            &Site {
                subnet: record.subnet,
                paths: &paths,
                secrets: &secrets,
                reward_address: &reward_address,
            },
        );
        Ok(Self {
            prober: Prober::new(secrets.clone(), reward_address),
            state,
            record,
            topology,
            secrets,
            specs,
            backend,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.state.name()
    }

    /// What runs its services.
    pub fn backend(&self) -> BackendKind {
        self.record.backend
    }

    /// Its network.
    pub fn subnet(&self) -> Subnet {
        self.record.subnet
    }

    /// Its keys and passwords.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// All its services, by name.
    pub fn services(&self) -> &[ServiceSpec] {
        &self.specs
    }

    /// A service.
    ///
    /// # Errors
    /// When there is none of that name; lists those there are.
    pub fn service(&self, name: &str) -> Result<&ServiceSpec> {
        let found = self.specs.iter().find(|spec| spec.name == name);
        found.ok_or_else(|| {
            let names: Vec<_> = self.specs.iter().map(|spec| spec.name.as_str()).collect();
            Fault::usage(
                format!("lab '{}' has no service '{name}'", self.name()),
                format!("name one of {}", names.join(", ")),
            )
            .into()
        })
    }

    /// The RPC of its first node.
    ///
    /// # Errors
    /// When it has no node.
    pub fn rpc(&self) -> Result<Rpc> {
        Ok(Rpc::new(self.rpc_address()?, &self.secrets))
    }

    /// Where its first node's RPC listens.
    ///
    /// # Errors
    /// When it has no node.
    pub fn rpc_address(&self) -> Result<SocketAddrV4> {
        self.node()?.socket("rpc").context("a node has an RPC port")
    }

    /// Its first node.
    ///
    /// # Errors
    /// When it has none.
    pub fn node(&self) -> Result<&ServiceSpec> {
        match self.topology.first("btc-node") {
            Some(node) => self.service(&node.name),
            None => Err(Fault::usage(
                format!("lab '{}' has no node", self.name()),
                "add one to the topology: [services.btc-node]",
            )
            .into()),
        }
    }

    /// Its wallet, to which coinbases pay; it knows no coins before its first sync.
    ///
    /// # Errors
    /// When the wallet's key is damaged.
    pub fn wallet(&self) -> Result<Wallet> {
        Wallet::new(&self.secrets)
    }

    /// How a service is doing, as the backend sees it.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn service_status(&self, service: &str) -> Result<ServiceStatus> {
        self.backend.status(service).await
    }

    /// What a service wrote.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn logs(&self, service: &str, range: LogRange) -> Result<Lines> {
        self.backend.logs(service, range).await
    }

    /// Stops one service; the others go on without it.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn stop_service(&self, service: &str) -> Result<()> {
        self.backend.stop(self.service(service)?).await
    }

    /// Starts one service again.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn start_service(&self, service: &str) -> Result<()> {
        self.backend.start(self.service(service)?).await
    }

    /// Runs `bitcoin-cli` inside the node's container, where there is one.
    ///
    /// # Errors
    /// When this is no lab of containers, or Docker refuses.
    pub async fn cli_in_container(&self, args: &[String]) -> Result<docker::Ran> {
        let AnyBackend::Docker(docker) = &self.backend else {
            anyhow::bail!("the node of lab '{}' runs in no container", self.name());
        };
        let command = std::iter::once("bitcoin-cli").chain(args.iter().map(String::as_str));
        docker.run_inside(&self.node()?.name, command).await
    }

    /// A file with the node's address and password for `bitcoin-cli -conf=`.
    ///
    /// # Errors
    /// When it has no node.
    pub fn cli_conf(&self) -> Result<PathBuf> {
        self.node()?;
        Ok(self.state.cli_conf())
    }

    /// The chain of services that decided when the lab was ready, with when each was.
    pub fn slowest_chain(&self, started: &[Started]) -> Vec<Started> {
        let ready: BTreeMap<String, f64> = started
            .iter()
            .map(|one| (one.service.clone(), one.ready.as_secs_f64()))
            .collect();
        let needs: BTreeMap<String, Vec<String>> = self
            .specs
            .iter()
            .map(|spec| (spec.name.clone(), spec.needs.clone()))
            .collect();
        let Some(last) = started.iter().max_by_key(|one| one.ready) else {
            return Vec::new();
        };
        let chain = plan::slowest_chain(&last.service, &needs, &ready);
        chain
            .iter()
            .filter_map(|name| started.iter().find(|one| one.service == *name).cloned())
            .collect()
    }

    /// Takes a lab down, whatever is left of it: by its state directory, by the marker of its
    /// processes, and by the labels of its containers, networks and volumes.
    ///
    /// # Errors
    /// When something cannot be removed; names it.
    pub async fn down(
        home: &Path,
        name: &str,
        programs: Programs,
        progress: Progress<'_>,
    ) -> Result<Removed> {
        let state = StateDir::new(home, name)?;
        let lock = match state.exists() {
            true => Some(state.lock().await?),
            false => None,
        };
        // A record of another version must not keep anybody from removing the lab.
        let record = state.record().unwrap_or_default();
        let process = Process::new(state.clone(), programs.clone());
        let mut removed = process.remove(progress).await?;
        let settings = docker::Settings {
            subnet: Subnet::DOCKER,
            bind: std::net::Ipv4Addr::LOCALHOST,
            build: false,
            programs,
        };
        let kind = record.map(|record| record.backend);
        let abandoned =
            lock.as_ref().is_some_and(Lock::was_abandoned) && kind != Some(BackendKind::Process);
        match Docker::connect(name, settings).await {
            Ok(docker) if abandoned => {
                removed.extend(remove_until_quiet(&docker, progress).await?);
            }
            Ok(docker) => removed.extend(docker.remove(progress).await?),
            Err(fault) => {
                // Without a daemon there can be no containers, unless the record says so.
                if kind == Some(BackendKind::Docker) {
                    return Err(anyhow::Error::new(fault).context("removing the lab's containers"));
                }
            }
        }
        if lock.is_some() {
            state.remove()?;
            removed.directories.push(state.path().display().to_string());
        }
        Ok(removed)
    }
}

/// How long after the last trace of a killed command another one may still turn up.
const QUIET: Duration = Duration::from_secs(2);

/// Removes what is there, and what the daemon still makes at the request of a command that was
/// killed: nothing tells when it is done with that, so this goes on until it is quiet.
async fn remove_until_quiet(docker: &Docker, progress: Progress<'_>) -> Result<Removed> {
    let mut removed = Removed::default();
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < QUIET {
        let round = docker.remove(progress).await?;
        if !round.is_empty() {
            quiet_since = Instant::now();
        }
        removed.extend(round);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(removed)
}
