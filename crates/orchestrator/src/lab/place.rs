//! Where a new lab goes: addresses that are free, so that several labs stand side by side.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::Result;

use super::UpOptions;
use super::claim::Claim;
use crate::backend::BackendKind;
use crate::backend::docker::Docker;
use crate::fault::Fault;
use crate::port;
use crate::progress::{Event, Progress};
use crate::service::{self, ServiceSpec};
use crate::state::Record;
use crate::subnet::Subnet;
use crate::topology::Topology;

/// A lab's network, and the address of the host on which its containers' ports are published.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) subnet: Subnet,
    pub(super) bind: Ipv4Addr,
    /// To be kept until the lab's services listen.
    pub(super) claims: Vec<Claim>,
}

/// Addresses of this machine that a lab's ports may go to, the usual one first.
fn binds() -> impl Iterator<Item = Ipv4Addr> {
    (1..100).map(|last| Ipv4Addr::new(127, 0, 0, last))
}

/// Loopback addresses for a lab of processes: the usual ones, or the first that neither another lab
/// nor anybody's port has.
pub(super) fn of_processes(
    options: &UpOptions,
    topology: &Topology,
    others: &[Record],
    progress: Progress<'_>,
) -> Result<Place, Fault> {
    let bind = Ipv4Addr::LOCALHOST;
    if options.bind.is_some() {
        return Err(Fault::usage(
            "--bind publishes the ports of containers, and this lab has processes",
            "leave out --bind and use the services' own addresses, or use --backend docker",
        ));
    }
    if let Some(subnet) = options.subnet {
        if subnet.is_loopback() {
            return Ok(Place {
                subnet,
                bind,
                claims: Claim::make(subnet).into_iter().collect(),
            });
        }
        return Err(Fault::usage(
            format!("processes need loopback addresses, and {subnet} has none"),
            "use a --subnet such as 127.11.0.0/24, or --backend docker",
        ));
    }
    let taken: BTreeSet<String> = others.iter().map(|lab| lab.subnet.to_string()).collect();
    let is_free = |subnet: &Subnet| {
        let sockets = specs(topology, *subnet).into_iter().flat_map(|spec| {
            let address = spec.address;
            spec.ports
                .into_iter()
                .map(move |port| (address, port.number))
        });
        !taken.contains(&subnet.to_string())
            && sockets
                .into_iter()
                .all(|(a, number)| port::is_free(a, number).unwrap_or(false))
    };
    let usual = Subnet::PROCESS;
    let (subnet, claim) = first(usual, usual.alternatives(), is_free, progress);
    Ok(Place {
        subnet,
        bind,
        claims: claim.into_iter().collect(),
    })
}

/// Addresses for a lab of containers, by the same rule.
pub(super) async fn of_containers(
    options: &UpOptions,
    topology: &Topology,
    others: &[Record],
    docker: &Docker,
    progress: Progress<'_>,
) -> Result<Place> {
    let (subnet, network) = match options.subnet {
        Some(subnet) if subnet.is_loopback() => {
            return Err(Fault::usage(
                format!("containers cannot have the loopback addresses {subnet}"),
                "use another --subnet, for example 10.11.0.0/24",
            )
            .into());
        }
        Some(subnet) => (subnet, Claim::make(subnet)),
        None => {
            let taken: BTreeSet<String> = others.iter().map(|lab| lab.subnet.to_string()).collect();
            let ranges = docker.taken_ranges().await?;
            let is_free = |subnet: &Subnet| {
                !taken.contains(&subnet.to_string()) && !ranges.iter().any(|r| r.overlaps(*subnet))
            };
            let usual = Subnet::DOCKER;
            first(usual, usual.alternatives(), is_free, progress)
        }
    };
    let (bind, published) = match options.bind {
        Some(bind) => (bind, Claim::make(bind)),
        None => {
            let publishing = others
                .iter()
                .filter(|lab| lab.backend == BackendKind::Docker);
            let taken: BTreeSet<Ipv4Addr> = publishing.map(|lab| lab.bind).collect();
            let specs = specs(topology, subnet);
            let ports = specs.iter().flat_map(|spec| &spec.ports);
            let ports: Vec<u16> = ports.filter(|p| p.published).map(|p| p.number).collect();
            let is_free = |bind: &Ipv4Addr| {
                let free = |number: &u16| port::is_free(*bind, *number).unwrap_or(false);
                !taken.contains(bind) && ports.iter().all(free)
            };
            first(Ipv4Addr::LOCALHOST, binds().skip(1), is_free, progress)
        }
    };
    Ok(Place {
        subnet,
        bind,
        claims: network.into_iter().chain(published).collect(),
    })
}

/// The usual choice or the first other one that is free, claimed. When none is, the usual one:
/// whoever is in the way is named when it is tried.
fn first<T: Copy + PartialEq + std::fmt::Display>(
    usual: T,
    others: impl Iterator<Item = T>,
    is_free: impl Fn(&T) -> bool,
    progress: Progress<'_>,
) -> (T, Option<Claim>) {
    // In this order: who has claimed a place gives it up when its ports show that it is taken.
    let free = |place: T| Claim::make(place).filter(|_| is_free(&place));
    if let Some(claim) = free(usual) {
        return (usual, Some(claim));
    }
    let other = others
        .into_iter()
        .find_map(|other| free(other).map(|claim| (other, claim)));
    let Some((other, claim)) = other else {
        return (usual, None);
    };
    progress(Event::Warning(format!(
        "{usual} is taken, so this lab has {other}"
    )));
    (other, Some(claim))
}

fn specs(topology: &Topology, subnet: Subnet) -> Vec<ServiceSpec> {
    service::sketch(topology, subnet).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::silent;

    /// A place that only this run of the tests knows.
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Own(u8);

    impl std::fmt::Display for Own {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "test {} place {}", std::process::id(), self.0)
        }
    }

    #[test]
    fn the_usual_place_is_left_only_when_it_is_taken_and_another_is_free() {
        let [one, two, three] = [Own(1), Own(2), Own(3)];
        let choose = |free: &[Own]| {
            let is_free = |own: &Own| free.contains(own);
            first(one, [two, three].into_iter(), is_free, &silent)
        };
        assert_eq!(choose(&[one, two, three]).0, one);
        assert_eq!(choose(&[two, three]).0, two);
        assert_eq!(choose(&[three]).0, three);
        assert_eq!(choose(&[]).0, one);
        let all = [one, two, three];
        let (first, _claim) = choose(&all);
        let (second, _claim) = choose(&all);
        let (third, _claim) = choose(&all);
        assert_eq!([first, second, third], all, "of labs that come up at once");
    }
}
