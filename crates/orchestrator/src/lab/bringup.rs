//! Bringing a lab up: from options to running services and a first block.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{FirstBlock, Lab, first_block};
use crate::backend::docker::{self, Docker};
use crate::backend::process::Process;
use crate::backend::{AnyBackend, Backend, BackendKind, Removed};
use crate::fault::Fault;
use crate::probe::Readiness;
use crate::programs::Programs;
use crate::progress::{Event, Progress};
use crate::secrets::Secrets;
use crate::service::{Probe, ServiceSpec};
use crate::startup::{Started, Startup};
use crate::state::{Lock, Record, StateDir, write_private};
use crate::subnet::Subnet;
use crate::topology::{self, Topology};

/// Longest time one service may take until it is ready.
const SERVICE_DEADLINE: Duration = Duration::from_secs(60);

/// What a lab is asked to be. `None` leaves the choice to the lab.
#[derive(Debug, Clone)]
pub struct UpOptions {
    /// Directory of all labs.
    pub home: PathBuf,
    /// The lab's name.
    pub name: String,
    /// The topology's text; the lab's own, or else the minimal one, when there is none.
    pub topology: Option<String>,
    /// What runs the services.
    pub backend: Option<BackendKind>,
    /// The lab's network.
    pub subnet: Option<Subnet>,
    /// Host address on which containers publish their ports.
    pub bind: Option<Ipv4Addr>,
    /// Whether missing and outdated images are packed.
    pub build: bool,
    /// Whether to wait for the first block of the lab's own miner.
    pub wait_block: bool,
    /// Where programs are.
    pub programs: Programs,
    /// When the command began; all times are counted from here.
    pub began: Instant,
}

/// How bringing a lab up went.
#[derive(Debug, Clone, PartialEq)]
pub struct UpReport {
    /// When every service was ready.
    pub ready: Duration,
    /// The first block of the lab's own miner, if it was waited for.
    pub first_block: Option<FirstBlock>,
    /// When each service was started and ready.
    pub services: Vec<Started>,
}

/// A lab on its way up. While it lives, no other command changes the lab.
#[derive(Debug)]
pub struct Bringup {
    lab: Lab,
    lock: Lock,
    is_new: bool,
    why: String,
    wait_block: bool,
    began: Instant,
}

impl Bringup {
    /// Decides everything and starts nothing: topology, backend, secrets.
    ///
    /// # Errors
    /// When the options make no sense, contradict the lab that is there, or another command is
    /// changing it.
    pub async fn begin(options: &UpOptions, progress: Progress<'_>) -> Result<Self> {
        let wanted = options.topology.as_deref().map(parse).transpose()?;
        let state = StateDir::new(&options.home, &options.name)?;
        let lock = state.lock().await?;
        let existing = state.record()?;
        let is_new = existing.is_none();
        if let Some(record) = &existing {
            check_same(record, options, wanted.as_ref())?;
        }
        let begun = Self::decide(options, &state, existing, progress).await;
        let (record, secrets, backend, why) = match begun {
            Ok(decided) => decided,
            Err(error) => {
                // Nothing was started; an empty directory would look like a lab.
                if is_new {
                    state.remove()?;
                }
                return Err(error);
            }
        };
        Ok(Self {
            lab: Lab::assemble(state, record, secrets, backend)?,
            lock,
            is_new,
            why,
            wait_block: options.wait_block,
            began: options.began,
        })
    }

    async fn decide(
        options: &UpOptions,
        state: &StateDir,
        existing: Option<Record>,
        progress: Progress<'_>,
    ) -> Result<(Record, Secrets, AnyBackend, String)> {
        let wanted = options.backend.or(existing.as_ref().map(|r| r.backend));
        let (backend, why) = choose(options, existing.as_ref(), wanted, state).await?;
        let record = match existing {
            Some(record) => record,
            None => make(options, state, &backend, progress).await?,
        };
        let secrets = Secrets::load(&state.secrets_file())?;
        Ok((record, secrets, backend, why))
    }

    /// Whether there was no such lab before; only then may failure or Ctrl-C remove it.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Which backend, and why that one.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Starts what does not run yet and waits until everything is ready, and for a block.
    ///
    /// To end it early, cancel `stop` and wait for its error; do not drop it.
    ///
    /// # Errors
    /// The first failure, with cause and remedy. What was started goes on; see [`Self::undo`].
    pub async fn run(&self, progress: Progress<'_>, stop: &CancellationToken) -> Result<UpReport> {
        self.write_cli_conf()?;
        let lab = &self.lab;
        lab.backend.prepare(&lab.specs, progress, stop).await?;
        tokio::select! {
            biased;
            () = stop.cancelled() => anyhow::bail!("interrupted"),
            report = self.start(progress) => report,
        }
    }

    async fn start(&self, progress: Progress<'_>) -> Result<UpReport> {
        let lab = &self.lab;
        let height_before = Mutex::new(None);
        let ready = async |spec: &ServiceSpec| {
            let answer = lab.prober.help(spec).await;
            if answer == Readiness::Ready && matches!(spec.probe, Probe::BitcoinNode(_)) {
                // Blocks above this one are the miner's: it starts after the node is ready.
                let height = match lab.rpc() {
                    Ok(rpc) => rpc.block_count().await.ok(),
                    Err(_) => None,
                };
                *height_before.lock().expect("no holder panics") = height;
            }
            answer
        };
        let services = Startup {
            backend: &lab.backend,
            ready,
            deadline: SERVICE_DEADLINE,
            began: self.began,
            progress,
        }
        .run(&lab.specs)
        .await?;
        let ready = self.began.elapsed();
        let above = height_before.into_inner().expect("no holder panics");
        Ok(UpReport {
            ready,
            first_block: self
                .first_block(above.unwrap_or_default(), progress)
                .await?,
            services,
        })
    }

    async fn first_block(&self, above: u64, progress: Progress<'_>) -> Result<Option<FirstBlock>> {
        let topology = &self.lab.topology;
        let (Some(pool), Some(_)) = (topology.pool(), topology.first("mining-device")) else {
            return Ok(None);
        };
        if !self.wait_block {
            return Ok(None);
        }
        progress(Event::Step(
            "waiting for the first block of our own miner".to_owned(),
        ));
        let signature = pool.pool_signature.as_bytes();
        let found = first_block::wait(&self.lab.rpc()?, signature, above, self.began).await?;
        Ok(Some(found))
    }

    /// `bitcoin-cli` reads this; the password is on no command line that way.
    fn write_cli_conf(&self) -> Result<()> {
        let lab = &self.lab;
        let Ok(address) = lab.rpc_address() else {
            return Ok(());
        };
        let text = format!(
            "regtest=1\n[regtest]\nrpcconnect={}\nrpcport={}\nrpcuser={}\nrpcpassword={}\n",
            address.ip(),
            address.port(),
            lab.secrets.rpc_user,
            lab.secrets.rpc_password
        );
        write_private(&lab.state.cli_conf(), text.as_bytes())
    }

    /// Removes a lab that this command made; leaves one alone that was there before.
    ///
    /// # Errors
    /// When something cannot be removed; names it.
    pub async fn undo(self, progress: Progress<'_>) -> Result<Removed> {
        if !self.is_new {
            return Ok(Removed::default());
        }
        let mut removed = self.lab.backend.remove(progress).await?;
        self.lab.state.remove()?;
        let directory = self.lab.state.path().display().to_string();
        removed.directories.push(directory);
        Ok(removed)
    }

    /// Lets other commands at the lab.
    pub fn into_lab(self) -> Lab {
        drop(self.lock);
        self.lab
    }
}

fn parse(text: &str) -> Result<Topology, Fault> {
    Topology::parse(text).map_err(|problems| {
        let list: Vec<_> = problems.0.iter().map(|one| format!("  - {one}")).collect();
        Fault::usage(
            format!("the topology cannot be used:\n{}", list.join("\n")),
            "correct these keys; topologies/minimal.toml shows all of them",
        )
    })
}

/// A lab that is there is brought up as it is, or not at all.
fn check_same(
    record: &Record,
    options: &UpOptions,
    topology: Option<&Topology>,
) -> Result<(), Fault> {
    let mut differences = Vec::new();
    if options
        .backend
        .is_some_and(|wanted| wanted != record.backend)
    {
        differences.push(format!("backend {}", record.backend.name()));
    }
    if options.subnet.is_some_and(|wanted| wanted != record.subnet) {
        differences.push(format!("subnet {}", record.subnet));
    }
    if options.bind.is_some_and(|wanted| wanted != record.bind) {
        differences.push(format!("ports on {}", record.bind));
    }
    let own = Topology::parse(&record.topology).ok();
    if topology.is_some() && topology != own.as_ref() {
        differences.push("another topology".to_owned());
    }
    if differences.is_empty() {
        return Ok(());
    }
    let name = &options.name;
    Err(Fault::usage(
        format!(
            "there is a lab '{name}' already, with {}",
            differences.join(", ")
        ),
        format!("remove it first: lab down --name {name}; or choose another --name"),
    ))
}

/// The backend that was asked for or that the lab has, else Docker where a daemon answers.
async fn choose(
    options: &UpOptions,
    existing: Option<&Record>,
    wanted: Option<BackendKind>,
    state: &StateDir,
) -> Result<(AnyBackend, String)> {
    let why = match (options.backend, existing) {
        (Some(_), _) => "as asked",
        (None, Some(_)) => "as this lab is",
        (None, None) => "",
    };
    let process = || AnyBackend::Process(Process::new(state.clone(), options.programs.clone()));
    if wanted == Some(BackendKind::Process) {
        return Ok((process(), format!("process ({why})")));
    }
    let settings = docker::Settings {
        subnet: existing.map_or(options.subnet.unwrap_or(Subnet::DOCKER), |r| r.subnet),
        bind: existing.map_or(options.bind.unwrap_or(Ipv4Addr::LOCALHOST), |r| r.bind),
        build: options.build,
        programs: options.programs.clone(),
    };
    match Docker::connect(state.name(), settings).await {
        Ok(docker) => {
            let why = match wanted {
                Some(_) => format!("docker ({why})"),
                None => format!("docker (a daemon answers on {})", docker.place()),
            };
            Ok((AnyBackend::Docker(docker), why))
        }
        Err(fault) if wanted.is_none() => Ok((process(), format!("process ({})", fault.cause))),
        Err(fault) => Err(fault.into()),
    }
}

/// Makes a new lab on disk, after removing what may be left of an old one.
async fn make(
    options: &UpOptions,
    state: &StateDir,
    backend: &AnyBackend,
    progress: Progress<'_>,
) -> Result<Record> {
    let kind = match backend {
        AnyBackend::Docker(_) => BackendKind::Docker,
        AnyBackend::Process(_) => BackendKind::Process,
    };
    let subnet = subnet(kind, options)?;
    if !backend.remove(progress).await?.is_empty() {
        progress(Event::Warning(format!(
            "removed what was left of an earlier lab '{}'",
            options.name
        )));
    }
    state.clear()?;
    Secrets::generate(&mut rand::thread_rng()).save(&state.secrets_file())?;
    let topology = match &options.topology {
        Some(text) => text.clone(),
        None => topology::find("minimal")?,
    };
    let record = Record {
        backend: kind,
        subnet,
        bind: options.bind.unwrap_or(Ipv4Addr::LOCALHOST),
        topology,
    };
    state.save_record(&record)?;
    Ok(record)
}

fn subnet(kind: BackendKind, options: &UpOptions) -> Result<Subnet, Fault> {
    match (kind, options.subnet) {
        (BackendKind::Docker, None) => Ok(Subnet::DOCKER),
        (BackendKind::Docker, Some(subnet)) if subnet.is_loopback() => Err(Fault::usage(
            format!("containers cannot have the loopback addresses {subnet}"),
            "use another --subnet, for example 10.11.0.0/24",
        )),
        (BackendKind::Process, None) if options.bind.is_some() => Err(bind_is_dockers()),
        (BackendKind::Process, Some(_)) if options.bind.is_some() => Err(bind_is_dockers()),
        (BackendKind::Process, None) => Ok(Subnet::PROCESS),
        (BackendKind::Process, Some(subnet)) if !subnet.is_loopback() => Err(Fault::usage(
            format!("processes need loopback addresses, and {subnet} has none"),
            "use a --subnet such as 127.11.0.0/24, or --backend docker",
        )),
        (_, Some(subnet)) => Ok(subnet),
    }
}

fn bind_is_dockers() -> Fault {
    Fault::usage(
        "--bind publishes the ports of containers, and this lab has processes",
        "leave out --bind and use the services' own addresses, or use --backend docker",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> UpOptions {
        UpOptions {
            home: PathBuf::from("/nonexistent"),
            name: "sv2lab".to_owned(),
            topology: None,
            backend: None,
            subnet: None,
            bind: None,
            build: true,
            wait_block: true,
            programs: Programs::default(),
            began: Instant::now(),
        }
    }

    #[test]
    fn each_backend_takes_only_addresses_it_can_have() {
        let with = |subnet: &str| UpOptions {
            subnet: Some(subnet.parse().unwrap()),
            ..options()
        };
        use BackendKind::{Docker, Process};
        assert_eq!(subnet(Docker, &options()).unwrap(), Subnet::DOCKER);
        assert_eq!(subnet(Process, &options()).unwrap(), Subnet::PROCESS);
        assert!(subnet(Process, &with("127.44.0.0/24")).is_ok());
        assert!(subnet(Process, &with("10.11.0.0/24")).is_err());
        assert!(subnet(Docker, &with("10.11.0.0/24")).is_ok());
        assert!(subnet(Docker, &with("127.44.0.0/24")).is_err());
        let bound = UpOptions {
            bind: Some(Ipv4Addr::UNSPECIFIED),
            ..options()
        };
        assert!(subnet(Docker, &bound).is_ok());
        assert!(subnet(Process, &bound).is_err());
    }

    #[test]
    fn a_lab_that_is_there_is_not_changed_behind_its_back() {
        let minimal = topology::find("minimal").unwrap();
        let record = Record {
            backend: BackendKind::Docker,
            subnet: Subnet::DOCKER,
            bind: Ipv4Addr::LOCALHOST,
            topology: format!("{minimal}\n# a comment is no difference"),
        };
        let topology = Topology::parse(&minimal).unwrap();
        assert!(check_same(&record, &options(), Some(&topology)).is_ok());
        assert!(check_same(&record, &options(), None).is_ok());
        let other = UpOptions {
            backend: Some(BackendKind::Process),
            subnet: Some(Subnet::PROCESS),
            ..options()
        };
        let fault = check_same(&record, &other, Some(&topology)).unwrap_err();
        assert!(fault.cause.contains("backend docker, subnet 10.10.0.0/24"));
        assert!(fault.remedy.contains("lab down --name sv2lab"));
    }

    #[test]
    fn every_problem_of_a_topology_is_in_the_fault() {
        let fault = parse("x = 1\ny = 2").unwrap_err();
        assert!(fault.cause.contains("- x: ") && fault.cause.contains("- y: "));
    }
}
