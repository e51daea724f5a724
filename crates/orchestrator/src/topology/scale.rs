//! More than one of a miner.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, Service, Topology};
use crate::fault::Fault;
use crate::names;
use crate::service::relay;

/// Where replicas get their addresses: above those that topologies give by themselves.
const HOSTS: std::ops::RangeInclusive<u8> = 20..=127;

impl Topology {
    /// The topology with so many of each named miner; the further ones are called `NAME-2` and so
    /// on.
    ///
    /// # Errors
    /// When a name is no miner's, or there are not enough addresses.
    pub fn scaled(mut self, counts: &BTreeMap<String, u8>) -> Result<Self, Fault> {
        let mut used: BTreeSet<u8> = self.services.iter().map(|service| service.host).collect();
        used.insert(relay::HOST);
        for (name, count) in counts {
            let miner = self.miner(name)?.clone();
            for number in 2..=*count {
                let host = HOSTS.into_iter().find(|host| !used.contains(host));
                let host = host.ok_or_else(|| out_of_addresses(name, *count))?;
                used.insert(host);
                let replica = replica(&miner, number, host);
                if self.service(&replica.name).is_some() {
                    return Err(Fault::usage(
                        format!("there is a service '{}' already", replica.name),
                        "rename that in the topology",
                    ));
                }
                self.services.push(replica);
            }
        }
        self.services.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(self)
    }

    fn miner(&self, name: &str) -> Result<&Service, Fault> {
        let found = self.service(name).filter(|service| service.is_miner());
        found.ok_or_else(|| {
            let miners = self.services.iter().filter(|service| service.is_miner());
            let names: Vec<&str> = miners.map(|service| service.name.as_str()).collect();
            Fault::usage(
                format!("'{name}' is no miner of this lab, and only miners can be multiplied"),
                match names.is_empty() {
                    true => "add a miner to the topology".to_owned(),
                    false => names::remedy(name, names),
                },
            )
        })
    }
}

fn replica(miner: &Service, number: u8, host: u8) -> Service {
    let mut replica = miner.clone();
    replica.name = format!("{}-{number}", miner.name);
    replica.host = host;
    if let Kind::MiningDevice(settings) = &mut replica.kind {
        settings.device_id.clone_from(&replica.name);
    }
    replica
}

fn out_of_addresses(name: &str, count: u8) -> Fault {
    Fault::usage(
        format!("the lab's network has no room for {count} of {name}"),
        "choose fewer; one lab has some hundred addresses",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(counts: &[(&str, u8)]) -> Result<Vec<(String, u8)>, Fault> {
        let text = crate::topology::find("minimal").unwrap();
        let counts = counts.iter().map(|(name, n)| ((*name).to_owned(), *n));
        let topology = Topology::parse(&text).unwrap().scaled(&counts.collect())?;
        let all = topology.services.into_iter();
        let miners = all.filter(Service::is_miner);
        Ok(miners.map(|service| (service.name, service.host)).collect())
    }

    #[test]
    fn further_miners_have_names_and_addresses_of_their_own() {
        let miner = |name: &str, host| (name.to_owned(), host);
        let one = vec![miner("mining-device", 10)];
        assert_eq!(scaled(&[]).unwrap(), one);
        assert_eq!(scaled(&[("mining-device", 1)]).unwrap(), one);
        let three = [
            one,
            vec![miner("mining-device-2", 20), miner("mining-device-3", 21)],
        ];
        assert_eq!(scaled(&[("mining-device", 3)]).unwrap(), three.concat());
    }

    #[test]
    fn only_miners_are_multiplied_and_only_as_far_as_there_is_room() {
        let fault = scaled(&[("pool", 2)]).unwrap_err();
        assert!(fault.remedy.contains("mining-device"), "{fault:?}");
        assert!(scaled(&[("mining-device", 108)]).is_ok());
        assert!(scaled(&[("mining-device", 109)]).is_err());
    }
}
