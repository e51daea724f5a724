//! A channel as its connection's task describes it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use daemon::number::Count;
use protocol::payout::Payout;
use protocol::server::ChannelKind;
use protocol::target::Target;

use super::held;
use super::shares::Shares;

/// What stays as it was when the channel was opened.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) channel_id: u32,
    pub(crate) group_id: u32,
    pub(crate) user_identity: String,
    pub(crate) payout: Payout,
    pub(crate) kind: ChannelKind,
    pub(crate) extranonce_prefix: Vec<u8>,
}

/// What changes with UpdateChannel and vardiff.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// What the client says it does, in hashes a second.
    pub(crate) declared: f32,
    /// What it is believed to do, in hashes a second.
    pub(crate) believed: f64,
    pub(crate) target: Target,
    pub(crate) max_target: Target,
    /// Since when the target is what it is.
    pub(crate) since_ms: u64,
}

impl Terms {
    /// As the client says; the time is filled in by who writes them.
    pub(crate) fn declared(declared: f32, target: Target, max_target: Target) -> Self {
        Self {
            declared,
            believed: f64::from(declared),
            target,
            max_target,
            since_ms: 0,
        }
    }
}

/// A channel that is open.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) opening: Opening,
    pub(crate) shares: Shares,
    /// The client's number of the last share that was accepted.
    pub(crate) sequence_number: Count,
    terms: Mutex<Terms>,
    workers: Mutex<BTreeMap<Arc<str>, Arc<Shares>>>,
}

impl Channel {
    pub(super) fn new(opening: Opening, terms: Terms) -> Self {
        Self {
            shares: Shares::since(terms.since_ms),
            opening,
            sequence_number: Count::default(),
            terms: Mutex::new(terms),
            workers: Mutex::default(),
        }
    }

    pub(crate) fn terms(&self) -> Terms {
        *held(&self.terms)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Terms)) {
        change(&mut held(&self.terms));
    }

    pub(super) fn add_worker(&self, name: &Arc<str>, shares: &Arc<Shares>) {
        held(&self.workers).insert(Arc::clone(name), Arc::clone(shares));
    }

    pub(crate) fn worker_count(&self) -> usize {
        held(&self.workers).len()
    }

    /// Those that were named, by name.
    pub(crate) fn workers(&self) -> Vec<(Arc<str>, Arc<Shares>)> {
        let workers = held(&self.workers);
        let pair = |(name, shares): (&Arc<str>, &Arc<Shares>)| (name.clone(), shares.clone());
        workers.iter().map(pair).collect()
    }
}
