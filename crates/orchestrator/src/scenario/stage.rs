//! What a scenario is played on, as far as it is known before anything is started: whether every
//! name in a step is the name of something.

use std::collections::BTreeSet;

use super::What;
use super::step::{Action, Expectation, MessageSeen};
use crate::links::{self, Rule};
use crate::names;
use crate::service::{self, ServiceSpec};
use crate::subnet::Subnet;
use crate::topology::Topology;

/// What may become of a message.
const FATES: [&str; 3] = ["passed", "dropped", "rewritten"];

/// The services and links of a topology.
pub(super) struct Stage {
    services: Vec<ServiceSpec>,
    links: Vec<String>,
}

impl Stage {
    pub(super) fn of(topology: &Topology) -> Self {
        let (services, links) = service::sketch(topology, Subnet::DOCKER);
        Self { services, links }
    }

    /// What a step names that is not there.
    pub(super) fn problems(&self, what: &What) -> Vec<String> {
        let found = match what {
            What::Do(action) => self.of_action(action),
            What::Expect { expectation, .. } | What::Hold { expectation, .. } => {
                self.of_expectation(expectation)
            }
        };
        found.into_iter().flatten().collect()
    }

    fn of_action(&self, action: &Action) -> Vec<Option<String>> {
        match action {
            Action::Mine(_) | Action::Send(_) | Action::Reorg(_) => Vec::new(),
            Action::Stop(names) | Action::Start(names) | Action::Restart(names) => {
                names.iter().map(|name| self.service(name)).collect()
            }
            Action::Heal(names) => names.iter().map(|name| self.link(name)).collect(),
            Action::Kill(one) | Action::Pause(one) => vec![self.service(&one.service)],
            Action::Check(one) => vec![self.service(&one.service)],
            Action::Garbage(one) => vec![self.port(&one.service, &one.port)],
            Action::Partition(one) => vec![self.link(&one.link)],
            Action::Delay(one) => vec![self.link(&one.link)],
            Action::Loss(one) => vec![self.link(&one.link)],
            Action::Drop(one) => vec![self.link(&one.link), rule(&one.rule())],
            Action::Rewrite(one) => vec![self.link(&one.link), rule(&one.rule())],
        }
    }

    fn of_expectation(&self, expectation: &Expectation) -> Vec<Option<String>> {
        match expectation {
            Expectation::Blocks(_) | Expectation::BlockWith(_) => Vec::new(),
            Expectation::Ready(name) | Expectation::NotReady(name) => vec![self.service(name)],
            Expectation::NeverEnded(names) => names.iter().map(|name| self.service(name)).collect(),
            Expectation::Log(one) => vec![self.service(&one.service)],
            Expectation::SameTip(names) => {
                names.iter().map(|name| self.port(name, "rpc")).collect()
            }
            Expectation::Told(one) => vec![self.port(&one.service, "http")],
            Expectation::Metric(one) => vec![self.port(&one.service, "http")],
            Expectation::Message(one) | Expectation::NoMessage(one) => {
                vec![self.link(&one.link), message(one), fields(one), fate(one)]
            }
        }
    }

    fn service(&self, name: &str) -> Option<String> {
        let mut names = self.services.iter().map(|spec| spec.name.as_str());
        if names.any(|known| known == name) {
            return None;
        }
        let names = self.services.iter().map(|spec| spec.name.as_str());
        let remedy = names::remedy(name, names);
        Some(format!("the topology has no service '{name}'; {remedy}"))
    }

    fn port(&self, service: &str, port: &str) -> Option<String> {
        let Some(spec) = self.services.iter().find(|spec| spec.name == service) else {
            return self.service(service);
        };
        if spec.ports.iter().any(|known| known.name == port) {
            return None;
        }
        let remedy = names::remedy(port, spec.ports.iter().map(|port| port.name.as_str()));
        Some(format!("{service} has no port '{port}'; {remedy}"))
    }

    /// A service's name stands for all its links.
    fn link(&self, name: &str) -> Option<String> {
        if self.links.iter().any(|link| link == name) || self.service(name).is_none() {
            return None;
        }
        let remedy = names::link_remedy(name, self.links.iter().map(String::as_str));
        Some(format!(
            "the topology has no link '{name}', nor such a service; {remedy}"
        ))
    }
}

fn rule(rule: &Rule) -> Option<String> {
    links::check_rule(rule).err().map(|fault| fault.to_string())
}

fn message(wanted: &MessageSeen) -> Option<String> {
    let known = links::check_message(&wanted.message);
    known
        .err()
        .map(|fault| format!("{fault}; {}", fault.remedy))
}

fn fields(wanted: &MessageSeen) -> Option<String> {
    let layouts = ::relay::fields::named(&wanted.message);
    let known = layouts.flat_map(|layout| layout.fields.iter().map(|(name, _)| *name));
    // What stands behind the fields.
    let known: BTreeSet<&str> = known.chain(["tlv"]).collect();
    let mut asked = wanted.fields.keys();
    let unknown = asked.find(|name| !known.contains(name.as_str()))?;
    let remedy = names::remedy(unknown, known);
    Some(format!(
        "{} has no field '{unknown}'; {remedy}",
        wanted.message
    ))
}

fn fate(wanted: &MessageSeen) -> Option<String> {
    let fate = wanted.fate.as_deref()?;
    let remedy = names::remedy(fate, FATES);
    (!FATES.contains(&fate)).then(|| format!("'{fate}' is no fate of a message; {remedy}"))
}
