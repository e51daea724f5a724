//! What a lab is going to be: made of the options, and of the lab that may be there already.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::Result;

use super::claim::Claim;
use super::{UpOptions, place};
use crate::backend::docker::{self, Docker};
use crate::backend::process::Process;
use crate::backend::{AnyBackend, Backend, BackendKind};
use crate::fault::Fault;
use crate::progress::{Event, Progress};
use crate::secrets::Secrets;
use crate::state::{self, Record, StateDir};
use crate::subnet::Subnet;
use crate::topology::{self, Topology};

/// A lab that is decided upon and on disk, and of which nothing runs yet.
pub(super) struct Decision {
    pub(super) record: Record,
    pub(super) backend: AnyBackend,
    /// Which backend, and why that one.
    pub(super) why: String,
    /// What the lab is about to take.
    pub(super) claims: Vec<Claim>,
}

/// Chooses the backend and writes down what a new lab is.
pub(super) async fn decide(
    options: &UpOptions,
    state: &StateDir,
    existing: Option<Record>,
    progress: Progress<'_>,
) -> Result<Decision> {
    let wanted = options.backend.or(existing.as_ref().map(|r| r.backend));
    let (mut backend, why) = choose(options, existing.as_ref(), wanted, state).await?;
    let (record, claims) = match existing {
        Some(record) => {
            let claims = Claim::again(&record);
            (record, claims)
        }
        None => make(options, state, &mut backend, progress).await?,
    };
    Ok(Decision {
        record,
        backend,
        why,
        claims,
    })
}

/// A lab that is there is brought up as it is, or not at all.
pub(super) fn check_same(
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
    backend: &mut AnyBackend,
    progress: Progress<'_>,
) -> Result<(Record, Vec<Claim>)> {
    let kind = match backend {
        AnyBackend::Docker(_) => BackendKind::Docker,
        AnyBackend::Process(_) => BackendKind::Process,
    };
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
    // Until the choice is on record, so that no other lab makes the same.
    let _choosing = state::lock_home(&options.home).await?;
    let others = state.others();
    let parsed = topology::parse(&topology)?;
    let place = match backend {
        AnyBackend::Process(_) => place::of_processes(options, &parsed, &others, progress)?,
        AnyBackend::Docker(docker) => {
            let place = place::of_containers(options, &parsed, &others, docker, progress).await?;
            docker.settle(place.subnet, place.bind);
            place
        }
    };
    let record = Record {
        backend: kind,
        subnet: place.subnet,
        bind: place.bind,
        topology,
        replicas: BTreeMap::new(),
        swaps: BTreeMap::new(),
    };
    state.save_record(&record)?;
    Ok((record, place.claims))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tokio::time::Instant;

    use super::*;
    use crate::programs::Programs;

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
    fn processes_take_only_addresses_they_can_have() {
        let minimal = topology::find("minimal").unwrap();
        let topology = topology::parse(&minimal).unwrap();
        let place = |options: &UpOptions| {
            place::of_processes(options, &topology, &[], &crate::progress::silent)
        };
        let with = |subnet: &str| UpOptions {
            subnet: Some(subnet.parse().unwrap()),
            ..options()
        };
        assert!(place(&with("127.44.0.0/24")).is_ok());
        assert!(place(&with("10.11.0.0/24")).is_err());
        let bound = UpOptions {
            bind: Some(Ipv4Addr::UNSPECIFIED),
            ..options()
        };
        assert!(place(&bound).is_err());
    }

    #[test]
    fn a_second_lab_of_processes_has_a_network_of_its_own() {
        let minimal = topology::find("minimal").unwrap();
        let topology = topology::parse(&minimal).unwrap();
        let place = |others: &[Record]| {
            let silent = &crate::progress::silent;
            place::of_processes(&options(), &topology, others, silent)
                .unwrap()
                .subnet
        };
        let first = place(&[]);
        let record = Record {
            backend: BackendKind::Process,
            subnet: first,
            bind: Ipv4Addr::LOCALHOST,
            topology: minimal.clone(),
            replicas: BTreeMap::new(),
            swaps: BTreeMap::new(),
        };
        let second = place(&[record]);
        assert_ne!(first, second);
        assert!(second.is_loopback());
    }

    #[test]
    fn a_lab_that_is_there_is_not_changed_behind_its_back() {
        let minimal = topology::find("minimal").unwrap();
        let record = Record {
            backend: BackendKind::Docker,
            subnet: Subnet::DOCKER,
            bind: Ipv4Addr::LOCALHOST,
            topology: format!("{minimal}\n# a comment is no difference"),
            replicas: BTreeMap::new(),
            swaps: BTreeMap::new(),
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
        let fault = topology::parse("x = 1\ny = 2").unwrap_err();
        assert!(fault.cause.contains("- x: ") && fault.cause.contains("- y: "));
    }
}
