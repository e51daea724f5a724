//! What makes no sense in a topology although every key is well-formed.

use std::collections::BTreeMap;

use super::{Kind, Service, Topology};
use crate::plan;
use crate::service::relay;

/// Host numbers that services may have: 1 is the gateway, 128 and above is left to containers
/// that others attach, so that none of them ever takes an address of ours.
const HOSTS: std::ops::RangeInclusive<u8> = 2..=127;

/// Every problem, in the order of the services.
pub(super) fn problems(topology: &Topology) -> Vec<String> {
    let mut problems = Vec::new();
    if topology.services.is_empty() {
        problems.push("services: there are none; write at least one [services.NAME]".to_owned());
    }
    let mut hosts: BTreeMap<u8, &str> = BTreeMap::new();
    if topology.relays {
        hosts.insert(relay::HOST, relay::NAME);
        if topology.service(relay::NAME).is_some() {
            let name = relay::NAME;
            problems.push(format!(
                "services.{name}: relays = true adds one of this name"
            ));
        }
    }
    for service in &topology.services {
        let at = format!("services.{}", service.name);
        if !is_host_name(&service.name) {
            problems.push(format!(
                "{at}: cannot be a host name; use up to 40 of a-z 0-9 -, starting with a letter"
            ));
        }
        if !HOSTS.contains(&service.host) {
            problems.push(format!(
                "{at}.host: {} is not between {} and {}",
                service.host,
                HOSTS.start(),
                HOSTS.end()
            ));
        }
        if let Some(other) = hosts.insert(service.host, &service.name) {
            problems.push(format!(
                "{at}.host: {} is also the host number of '{other}'; give one of them another",
                service.host
            ));
        }
        problems.extend(links(topology, service));
        if let Kind::TemplateProvider(settings) = &service.kind
            && let Some(problem) = settings.problem()
        {
            problems.push(format!("{at}.{problem}"));
        }
        if let Kind::Jdc(settings) = &service.kind {
            let wishes = settings.problems().into_iter();
            problems.extend(wishes.map(|problem| format!("{at}.{problem}")));
        }
    }
    let graph = |service: &Service| (service.name.clone(), service.needs());
    if let Some(cycle) = plan::cycle(topology.services.iter().map(graph)) {
        problems.push(format!(
            "services: {} wait for each other, so none can start",
            cycle.join(" -> ")
        ));
    }
    problems
}

fn links(topology: &Topology, service: &Service) -> Vec<String> {
    let at = format!("services.{}", service.name);
    let mut problems = Vec::new();
    for link in service.links() {
        let key = link.key;
        match topology.service(link.to) {
            None => problems.push(format!(
                "{at}.{key}: there is no service '{}'; there are {}",
                link.to,
                names(topology)
            )),
            Some(other) if !link.kinds.contains(&other.kind_name()) => problems.push(format!(
                "{at}.{key}: '{}' is a {}, not a {}",
                link.to,
                other.kind_name(),
                link.kinds.join(" or ")
            )),
            Some(_) => {}
        }
    }
    for name in &service.after {
        if topology.service(name).is_none() {
            problems.push(format!(
                "{at}.after: there is no service '{name}'; there are {}",
                names(topology)
            ));
        }
    }
    problems
}

fn names(topology: &Topology) -> String {
    let names: Vec<_> = topology.services.iter().map(|s| s.name.as_str()).collect();
    names.join(", ")
}

fn is_host_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(fits)
        && !name.ends_with('-')
}
