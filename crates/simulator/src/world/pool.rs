//! The pool's edge around its cores.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use protocol::coinbase::CoinbasePlan;
use protocol::provider::ProviderClient;
use protocol::server::{ExtranonceSpace, MiningServer, Policy, Solution};
use protocol::work::Work;

use super::recording::Ledger;
use crate::network::LinkId;

/// Bytes of the extranonce left to the miner.
const ROLLABLE: usize = 16;

/// A pool, in all its lives.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) policy: Arc<Policy>,
    pub(super) provider: ProviderClient,
    pub(super) provider_link: Option<LinkId>,
    /// The newest only, like the `watch` the real one has.
    pub(super) work: Option<Work>,
    pub(super) solutions: VecDeque<Solution>,
    pub(super) sessions: BTreeMap<LinkId, PoolSession>,
    /// Goes on over crashes: shares of one life of the pool must be none in the next one.
    next_slot: u32,
    pub(super) ledger: Ledger,
    /// How often it was killed.
    pub(super) life: u32,
    pub(super) is_up: bool,
}

#[derive(Debug)]
pub(super) struct PoolSession {
    pub(super) server: MiningServer,
    /// Whether there is work it has not looked at.
    pub(super) has_news: bool,
    pub(super) wake: Option<Duration>,
}

impl Pool {
    pub(super) fn new(policy: Policy, ledger: Ledger) -> Self {
        Self {
            policy: Arc::new(policy),
            provider: ProviderClient::new(plan()),
            provider_link: None,
            work: None,
            solutions: VecDeque::new(),
            sessions: BTreeMap::new(),
            next_slot: 0,
            ledger,
            life: 0,
            is_up: true,
        }
    }

    /// A part of the search space that no connection had.
    pub(super) fn next_space(&mut self) -> ExtranonceSpace {
        self.next_slot += 1;
        space(self.next_slot)
    }

    /// It is killed: nothing is left but what it is made of.
    pub(super) fn die(&mut self) {
        let fresh = Self::new((*self.policy).clone(), self.ledger.fresh());
        *self = Self {
            next_slot: self.next_slot,
            life: self.life + 1,
            is_up: false,
            ..fresh
        };
    }
}

/// A connection's part of the extranonce.
pub(super) fn space(slot: u32) -> ExtranonceSpace {
    ExtranonceSpace::new(&slot.to_be_bytes(), ROLLABLE).expect("22 bytes fit")
}

/// Pays a P2WPKH output.
fn plan() -> CoinbasePlan {
    let mut script = vec![0, 20];
    script.extend([0x11; 20]);
    CoinbasePlan {
        reward_script: script.into(),
        signature: b"simulator".to_vec(),
        extranonce_len: space(0).extranonce_len(),
    }
}
