//! A lab as programs see it: bring it up, look at it, mine, take it down.

mod bringup;
mod change;
mod claim;
mod decision;
mod explorer;
mod faucet;
mod first_block;
mod mine;
mod overview;
mod place;
mod reorg;
mod running;
mod status;
mod traffic;
mod verify;

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use bitcoin::Network;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use bringup::{Bringup, UpOptions, UpReport};
pub use change::Scaled;
pub use faucet::Funded;
pub use first_block::FirstBlock;
pub use mine::{MinedBlock, MinedBy};
pub use overview::{
    BlockView, Chain, LinkView, Mining, Overview, ServiceView, Stage, TemplateView,
};
pub use reorg::Reorg;
pub use status::{LabStatus, ServiceReport};
pub use traffic::{Spread, Traffic, TrafficReport, outputs_of};
pub use verify::{Check, Omission, Story};

use crate::backend::docker::{self, Docker};
use crate::backend::process::Process;
use crate::backend::{AnyBackend, Backend, BackendKind, Lines, LogRange, Removed, ServiceStatus};
use crate::fault::Fault;
use crate::names;
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
use crate::swap::{self, Facts};
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
    programs: Programs,
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
            let others = state.other_names();
            Fault::unavailable(
                format!("there is no lab '{name}'"),
                match others.is_empty() {
                    true => format!("bring it up with: lab up --name {name}"),
                    false => format!(
                        "choose one that is there with --name ({}), or bring it up: \
                         lab up --name {name}",
                        others.join(", ")
                    ),
                },
            )
        })?;
        let backend = Self::reach(&record, &state, programs.clone()).await?;
        let secrets = Secrets::load(&state.secrets_file())?;
        Self::assemble(state, record, secrets, backend, programs)
    }

    /// What runs the services of a lab with this record.
    pub(crate) async fn reach(
        record: &Record,
        state: &StateDir,
        programs: Programs,
    ) -> Result<AnyBackend> {
        Ok(match record.backend {
            BackendKind::Process => AnyBackend::Process(Process::new(state.clone(), programs)),
            BackendKind::Docker => {
                let settings = docker::Settings {
                    subnet: record.subnet,
                    bind: record.bind,
                    build: false,
                    programs,
                };
                AnyBackend::Docker(Docker::connect(state.name(), settings).await?)
            }
        })
    }

    fn assemble(
        state: StateDir,
        record: Record,
        secrets: Secrets,
        backend: AnyBackend,
        programs: Programs,
    ) -> Result<Self> {
        let topology = Self::topology_by(&record)?;
        let specs = Self::specs_by(&record, &secrets, &state)?;
        let reward_address = Wallet::new(&secrets, topology.network())?.address();
        Ok(Self {
            prober: Prober::new(secrets.clone(), reward_address),
            state,
            record,
            topology,
            secrets,
            specs,
            backend,
            programs,
        })
    }

    /// The topology of a lab with this record, with all its miners.
    fn topology_by(record: &Record) -> Result<Topology> {
        let topology = Topology::parse(&record.topology)
            .context("reading the topology of the lab that is up")?;
        Ok(topology.scaled(&record.replicas)?)
    }

    /// The services of a lab with this record.
    pub(crate) fn specs_by(
        record: &Record,
        secrets: &Secrets,
        state: &StateDir,
    ) -> Result<Vec<ServiceSpec>> {
        let topology = Self::topology_by(record)?;
        let reward_address = Wallet::new(secrets, topology.network())?
            .address()
            .to_string();
        let paths = match record.backend {
            BackendKind::Docker => Paths::Container,
            BackendKind::Process => Paths::Directory(state.path().to_owned()),
        };
        let site = Site {
            name: state.name(),
            subnet: record.subnet,
            paths: &paths,
            secrets,
            reward_address: &reward_address,
            links: None,
        };
        let mut specs = service::specs(&topology, &site);
        change::check_swaps(
            record,
            &specs.iter().map(|spec| spec.name.as_str()).collect(),
        )?;
        let facts = Facts::of(&specs, secrets, &reward_address);
        for spec in &mut specs {
            if let Some(swap) = record.swaps.get(&spec.name) {
                *spec = swap::apply(spec, swap, &facts)?;
            }
        }
        Ok(specs)
    }

    /// The lab of this name as it is now, when that is another than this: it went and came back with
    /// other keys, or services were scaled or swapped. `None` while it is this one, or not there.
    pub async fn successor(&self) -> Option<Self> {
        let record = self.state.record().ok()??;
        let secrets = Secrets::load(&self.state.secrets_file()).ok()?;
        if record == self.record && secrets == self.secrets {
            return None;
        }
        let programs = self.programs.clone();
        let backend = Self::reach(&record, &self.state, programs.clone())
            .await
            .ok()?;
        Self::assemble(self.state.clone(), record, secrets, backend, programs).ok()
    }

    /// Whether it is the lab that it was before, perhaps scaled or swapped, and not one that came after.
    pub fn goes_on(&self, before: &Self) -> bool {
        self.secrets == before.secrets
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.state.name()
    }

    /// Where it keeps its files.
    pub(crate) fn state(&self) -> &StateDir {
        &self.state
    }

    /// What it is.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// The text of its topology.
    pub fn topology_text(&self) -> &str {
        &self.record.topology
    }

    /// What runs its services.
    pub(crate) fn runner(&self) -> &AnyBackend {
        &self.backend
    }

    /// Where its programs are.
    pub(crate) fn programs(&self) -> &Programs {
        &self.programs
    }

    /// What runs its services.
    pub fn backend(&self) -> BackendKind {
        self.record.backend
    }

    /// Its network.
    pub fn subnet(&self) -> Subnet {
        self.record.subnet
    }

    /// Its chain.
    pub fn network(&self) -> Network {
        self.topology.network()
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
            let names = self.specs.iter().map(|spec| spec.name.as_str());
            Fault::usage(
                format!("lab '{}' has no service '{name}'", self.name()),
                names::remedy(name, names),
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
        Wallet::new(&self.secrets, self.network())
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

    /// Its backend, when its services are containers.
    pub fn docker(&self) -> Option<&Docker> {
        match &self.backend {
            AnyBackend::Docker(docker) => Some(docker),
            AnyBackend::Process(_) => None,
        }
    }

    /// A command that runs beside a service that is a process of this machine: in the directory of
    /// its configuration, with its environment, and with the lab's programs at hand.
    ///
    /// # Errors
    /// When there is no command.
    pub fn host_command(
        &self,
        spec: &ServiceSpec,
        command: &[String],
    ) -> Result<std::process::Command> {
        let (program, args) = command.split_first().context("there is no command")?;
        let mut run = std::process::Command::new(program);
        run.args(args).envs(&spec.env);
        if let Some(directory) = spec.directory() {
            run.current_dir(directory);
        }
        let mut path = self.programs.role_dirs.clone();
        path.extend(self.programs.path.iter().cloned());
        run.env("PATH", std::env::join_paths(path)?);
        Ok(run)
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
