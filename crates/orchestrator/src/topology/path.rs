//! The ways from a lab's miners to its chain.

use super::{Kind, Service, Topology};

/// A way on which blocks are mined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MiningPath {
    /// Everybody a share passes, the miner first.
    pub hops: Vec<String>,
    /// What the coinbases of its blocks carry; empty when nothing tells them from others.
    pub signature: String,
}

impl Topology {
    /// One path per miner, in the order of their names.
    pub fn mining_paths(&self) -> Vec<MiningPath> {
        let miners = self.services.iter().filter(|service| service.is_miner());
        miners.map(|miner| self.path_from(miner)).collect()
    }

    fn path_from(&self, miner: &Service) -> MiningPath {
        let mut hops = vec![miner.name.clone()];
        let mut signature = None;
        let mut at = miner;
        // The check found no cycle, so this ends.
        while let Some(next) = at.upstream().and_then(|name| self.service(name)) {
            hops.push(next.name.clone());
            // Whoever makes the coinbase comes first: a client that declares its own, or the pool.
            signature = signature.or_else(|| next.signature());
            at = next;
        }
        MiningPath {
            hops,
            signature: signature.unwrap_or_default().to_owned(),
        }
    }
}

impl Service {
    /// Whether it hashes.
    pub fn is_miner(&self) -> bool {
        matches!(self.kind, Kind::MiningDevice(_) | Kind::Cpuminer(_))
    }

    /// Who takes its shares.
    fn upstream(&self) -> Option<&str> {
        match &self.kind {
            Kind::MiningDevice(settings) => Some(&settings.pool),
            Kind::Cpuminer(settings) => Some(&settings.translator),
            Kind::Translator(settings) => settings.upstreams.first().map(String::as_str),
            Kind::Jdc(settings) => settings.used().first().map(|pair| pair.pool.as_str()),
            _ => None,
        }
    }

    /// What it writes into the coinbases it makes.
    fn signature(&self) -> Option<&str> {
        match &self.kind {
            Kind::Pool(settings) => Some(&settings.pool_signature),
            Kind::Jdc(settings) => Some(&settings.jdc_signature),
            _ => None,
        }
    }
}
