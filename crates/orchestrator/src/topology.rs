//! The one description of a lab: which services exist and how they are wired.

mod check;
mod path;
mod scale;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

use anyhow::Result;
use bitcoin::Network;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::difficulty::{self, Difficulty};
use crate::fault::Fault;
use crate::names;
use crate::service::btc_node::BtcNode;
use crate::service::cpuminer::Cpuminer;
use crate::service::explorer::Explorer;
use crate::service::jdc::{self, Jdc};
use crate::service::jds::Jds;
use crate::service::mining_device::MiningDevice;
use crate::service::pool::{self, Pool};
use crate::service::template_provider::TemplateProvider;
use crate::service::translator::Translator;
use crate::subnet::Subnet;
pub use path::MiningPath;

/// The topologies that come with the program.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("full", include_str!("../../../topologies/full.toml")),
    ("minimal", include_str!("../../../topologies/minimal.toml")),
    (
        "two-nodes",
        include_str!("../../../topologies/two-nodes.toml"),
    ),
    (
        "two-pools",
        include_str!("../../../topologies/two-pools.toml"),
    ),
];

/// A checked topology: every link leads to a service of the right kind, and there is no cycle.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// One sentence for people.
    pub about: String,
    /// How hard its chain is; without one it is regtest, where a share is a block.
    pub difficulty: Option<Difficulty>,
    /// Whether the links between services pass a relay, which shows and disturbs what passes.
    pub relays: bool,
    /// Services, by name.
    pub services: Vec<Service>,
}

/// One service of a topology.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The last byte of its address.
    pub host: u8,
    /// Services that must be ready first although it has no link to them.
    pub after: Vec<String>,
    /// What it is, with its settings.
    pub kind: Kind,
}

/// What a service is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Bitcoin Core.
    BtcNode(BtcNode),
    /// Template Distribution Protocol server.
    TemplateProvider(TemplateProvider),
    /// Job declarator client.
    Jdc(Jdc),
    /// Job declarator server.
    Jds(Jds),
    /// Mining pool.
    Pool(Pool),
    /// CPU miner speaking SV2.
    MiningDevice(MiningDevice),
    /// Proxy for miners that speak Stratum V1.
    Translator(Translator),
    /// CPU miner speaking Stratum V1.
    Cpuminer(Cpuminer),
    /// Chain explorer.
    Explorer(Explorer),
}

/// The names of [`Kind`], with the host number that users know each by.
const KINDS: &[(&str, u8)] = &[
    ("btc-node", 4),
    ("cpuminer", 8),
    ("explorer", 9),
    ("jdc", 2),
    ("jds", 6),
    ("mining-device", 10),
    ("pool", 5),
    ("template-provider", 3),
    ("translator", 7),
];

/// A setting that names another service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link<'a> {
    key: &'static str,
    to: &'a str,
    /// What it may be.
    kinds: &'static [&'static str],
}

impl<'a> Link<'a> {
    pub(crate) fn new(key: &'static str, to: &'a str, kinds: &'static [&'static str]) -> Self {
        Self { key, to, kinds }
    }
}

/// Everything that is wrong with a topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

impl Service {
    /// The name of its kind.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::BtcNode(_) => "btc-node",
            Kind::TemplateProvider(_) => "template-provider",
            Kind::Jdc(_) => "jdc",
            Kind::Jds(_) => "jds",
            Kind::Pool(_) => "pool",
            Kind::MiningDevice(_) => "mining-device",
            Kind::Translator(_) => "translator",
            Kind::Cpuminer(_) => "cpuminer",
            Kind::Explorer(_) => "explorer",
        }
    }

    /// Services that must be ready before it starts.
    pub fn needs(&self) -> Vec<String> {
        let linked = self.links().into_iter().map(|link| link.to.to_owned());
        let mut needs: Vec<String> = linked.chain(self.after.iter().cloned()).collect();
        needs.sort();
        needs.dedup();
        needs
    }

    /// Services it is connected to.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &str> {
        self.links().into_iter().map(|link| link.to)
    }

    fn links(&self) -> Vec<Link<'_>> {
        match &self.kind {
            Kind::BtcNode(settings) => settings.links(),
            Kind::TemplateProvider(settings) => settings.links(),
            Kind::Jdc(settings) => settings.links(),
            Kind::Jds(settings) => settings.links(),
            Kind::Pool(settings) => settings.links(),
            Kind::MiningDevice(settings) => settings.links(),
            Kind::Translator(settings) => settings.links(),
            Kind::Cpuminer(settings) => settings.links(),
            Kind::Explorer(settings) => settings.links(),
        }
    }
}

impl Topology {
    /// Reads and checks a topology.
    ///
    /// # Errors
    /// Every problem, not only the first.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let mut table: Table =
            toml::from_str(text).map_err(|error| Problems(vec![error.to_string()]))?;
        let mut problems = Vec::new();
        let about = take(&mut table, "about", "", &mut problems).unwrap_or_default();
        let difficulty = take(&mut table, "difficulty", "", &mut problems);
        let relays = take(&mut table, "relays", "", &mut problems).unwrap_or_default();
        let services: Table = take(&mut table, "services", "", &mut problems).unwrap_or_default();
        for key in table.keys() {
            problems.push(format!(
                "{key}: unknown key; there are `about`, `difficulty`, `relays` and `services`"
            ));
        }
        let services = services
            .into_iter()
            .filter_map(|(name, value)| service(name, value, difficulty, &mut problems))
            .collect();
        let topology = Self {
            about,
            difficulty,
            relays,
            services,
        };
        problems.extend(check::problems(&topology));
        if problems.is_empty() {
            Ok(topology)
        } else {
            Err(Problems(problems))
        }
    }

    /// The chain it has.
    pub fn network(&self) -> Network {
        match self.difficulty {
            None => Network::Regtest,
            Some(_) => Network::Signet,
        }
    }

    /// The service with this name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    /// The address of a service that a link names.
    pub(crate) fn address(&self, name: &str, subnet: Subnet) -> Ipv4Addr {
        let service = self.service(name).expect("the check followed every link");
        subnet.host(service.host)
    }

    /// Where the named service takes miners.
    pub(crate) fn mining_address(&self, name: &str, subnet: Subnet) -> SocketAddrV4 {
        let port = match self.service(name).map(|service| &service.kind) {
            Some(Kind::Jdc(_)) => jdc::MINING_PORT,
            _ => pool::MINING_PORT,
        };
        SocketAddrV4::new(self.address(name, subnet), port)
    }

    /// The first service of a kind.
    pub fn first(&self, kind: &str) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.kind_name() == kind)
    }
}

/// The text of a topology, given the name of a built-in one or the path of a file.
///
/// # Errors
/// When it is neither.
pub fn find(argument: &str) -> Result<String> {
    if let Some((_, text)) = BUILT_IN.iter().find(|(name, _)| *name == argument) {
        return Ok((*text).to_owned());
    }
    if Path::new(argument).extension().is_some_and(|e| e == "toml") {
        return std::fs::read_to_string(argument).map_err(|error| {
            let cause = format!("cannot read the topology {argument}: {error}");
            Fault::usage(cause, "give the path of a readable .toml file").into()
        });
    }
    let known = names::remedy(argument, BUILT_IN.iter().map(|(name, _)| *name));
    Err(Fault::usage(
        format!("there is no topology '{argument}'"),
        format!("{known}; or give the path of a .toml file"),
    )
    .into())
}

/// The text of a topology, with a relay on its links.
pub fn with_relays(text: &str) -> String {
    match has(text, "relays") {
        true => text.to_owned(),
        // Before the first table, and so one of the plain keys.
        false => format!("relays = true\n{text}"),
    }
}

/// The text of a topology, on a chain this hard.
///
/// # Errors
/// When it says itself how hard its chain is.
pub fn with_difficulty(text: &str, difficulty: Difficulty) -> Result<String, Fault> {
    match has(text, "difficulty") {
        true => Err(Fault::usage(
            "the topology says itself how hard its chain is",
            "leave --difficulty out, or the key difficulty of the topology",
        )),
        false => Ok(format!("difficulty = \"{difficulty}\"\n{text}")),
    }
}

fn has(text: &str, key: &str) -> bool {
    toml::from_str::<Table>(text).is_ok_and(|table| table.contains_key(key))
}

/// Reads and checks a topology's text.
///
/// # Errors
/// Every problem at once, with a remedy.
pub fn parse(text: &str) -> Result<Topology, Fault> {
    Topology::parse(text).map_err(|problems| {
        let list: Vec<_> = problems.0.iter().map(|one| format!("  - {one}")).collect();
        Fault::usage(
            format!("the topology cannot be used:\n{}", list.join("\n")),
            "correct these keys; topologies/*.toml show topologies that work",
        )
    })
}

/// Reads the keys that every service has, then those of its kind.
fn service(
    name: String,
    value: Value,
    difficulty: Option<Difficulty>,
    problems: &mut Vec<String>,
) -> Option<Service> {
    let at = format!("services.{name}");
    let Value::Table(mut table) = value else {
        problems.push(format!("{at}: is no table; write [{at}]"));
        return None;
    };
    let kind: Option<String> = take(&mut table, "kind", &at, problems);
    let host: Option<u8> = take(&mut table, "host", &at, problems);
    let after = take(&mut table, "after", &at, problems).unwrap_or_default();
    let Some(kind) = kind else {
        let known: Vec<_> = KINDS.iter().map(|(kind, _)| *kind).collect();
        let known = known.join(", ");
        problems.push(format!("{at}.kind: is missing; one of {known}"));
        return None;
    };
    let Some((_, usual_host)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        let known = names::remedy(&kind, KINDS.iter().map(|(kind, _)| *kind));
        problems.push(format!("{at}.kind: there is no '{kind}'; {known}"));
        return None;
    };
    if let Some(difficulty) = difficulty {
        difficulty::complete(&mut table, difficulty.defaults(&kind));
    }
    let kind = match kind.as_str() {
        "btc-node" => Kind::BtcNode(settings(&table, &at, problems)),
        "template-provider" => Kind::TemplateProvider(settings(&table, &at, problems)),
        "jdc" => Kind::Jdc(settings(&table, &at, problems)),
        "jds" => Kind::Jds(settings(&table, &at, problems)),
        "pool" => Kind::Pool(settings(&table, &at, problems)),
        "mining-device" => Kind::MiningDevice(settings(&table, &at, problems)),
        "translator" => Kind::Translator(settings(&table, &at, problems)),
        "cpuminer" => Kind::Cpuminer(settings(&table, &at, problems)),
        "explorer" => Kind::Explorer(settings(&table, &at, problems)),
        other => unreachable!("'{other}' is in KINDS but not here"),
    };
    Some(Service {
        name,
        host: host.unwrap_or(*usual_host),
        after,
        kind,
    })
}

/// Removes and reads one key.
fn take<T: DeserializeOwned>(
    table: &mut Table,
    key: &str,
    at: &str,
    problems: &mut Vec<String>,
) -> Option<T> {
    let value = table.remove(key)?;
    match value.try_into() {
        Ok(value) => Some(value),
        Err(error) => {
            let dot = if at.is_empty() { "" } else { "." };
            problems.push(format!("{at}{dot}{key}: {}", one_line(&error)));
            None
        }
    }
}

/// Reads the settings of one kind.
///
/// Each key is tried alone first, so that one bad key does not hide the next.
fn settings<S: DeserializeOwned + Default>(
    table: &Table,
    at: &str,
    problems: &mut Vec<String>,
) -> S {
    let mut good = Table::new();
    for (key, value) in table {
        let alone = Table::from_iter([(key.clone(), value.clone())]);
        match alone.try_into::<S>() {
            Ok(_) => drop(good.insert(key.clone(), value.clone())),
            Err(error) => problems.push(format!("{at}.{key}: {}", one_line(&error))),
        }
    }
    good.try_into().unwrap_or_default()
}

fn one_line(error: &toml::de::Error) -> String {
    error.message().lines().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
