//! What pages show: one value for each, which is told as JSON, as text or as HTML.

pub(crate) mod address;
pub(crate) mod block;
pub(crate) mod chart;
pub(crate) mod finders;
pub(crate) mod home;
pub(crate) mod lab;
pub(crate) mod mempool;
pub(crate) mod mining;
pub(crate) mod search;
pub(crate) mod target;
pub(crate) mod tips;
pub(crate) mod topology;
pub(crate) mod transaction;
pub(crate) mod tree;
pub(crate) mod work;

use std::sync::Arc;

use bitcoin::{Address, Network, Script};
use daemon::http::Feed;
use daemon::shutdown::Shutdown;
use serde::Serialize;
use tokio::sync::{Mutex, watch};
use utoipa::ToSchema;

use crate::archive::Archive;
use crate::chain::{Brief, Chain};
use crate::config::Config;
use crate::event::Event;
use crate::node::{Conditions, Follow};
use crate::service::Board;
use crate::story::{self, Credit};

/// What everything shown is made of.
#[derive(Clone)]
pub(crate) struct App(Arc<Sources>);

pub(crate) struct Sources {
    pub(crate) config: Config,
    pub(crate) chain: watch::Receiver<Chain>,
    pub(crate) follow: watch::Receiver<Follow>,
    pub(crate) conditions: watch::Receiver<Conditions>,
    pub(crate) board: Board,
    pub(crate) archive: Archive,
    pub(crate) feed: Feed<Event>,
    /// Held by who turns the chain; two would undo each other's work.
    pub(crate) turning: Arc<Mutex<()>>,
    pub(crate) shutdown: Shutdown,
    /// When the explorer was started, in milliseconds since 1970.
    pub(crate) since_ms: u64,
}

impl App {
    pub(crate) fn new(sources: Sources) -> Self {
        Self(Arc::new(sources))
    }
}

impl std::ops::Deref for App {
    type Target = Sources;

    fn deref(&self) -> &Sources {
        &self.0
    }
}

/// A block in a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct BlockLine {
    pub(crate) height: u32,
    pub(crate) hash: String,
    /// Its header's time, in milliseconds since 1970.
    pub(crate) time_ms: u64,
    /// When the explorer first saw it; null for one that was there before.
    pub(crate) arrived_ms: Option<u64>,
    /// The coinbase included.
    pub(crate) transactions: u32,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) weight: u32,
    /// Satoshis that the coinbase pays out.
    pub(crate) reward: u64,
    pub(crate) credit: Credit,
}

impl BlockLine {
    pub(crate) fn of(brief: &Brief, board: &Board) -> Self {
        Self {
            height: brief.height,
            hash: brief.hash.to_string(),
            time_ms: u64::from(brief.time) * 1000,
            arrived_ms: Some(brief.arrived_ms).filter(|ms| *ms > 0),
            transactions: brief.transactions,
            size: u64::from(brief.size),
            weight: brief.weight,
            reward: brief.reward,
            credit: story::credit(brief, board),
        }
    }

    /// The time that people mean.
    pub(crate) fn seen_ms(&self) -> u64 {
        self.arrived_ms.unwrap_or(self.time_ms)
    }
}

/// Of each list, where there are no further parts.
const MAX_SHOWN: usize = 25;

/// The first of `items`, which are the newest.
fn newest<'a, T: Clone + 'a>(items: impl Iterator<Item = &'a T>) -> Vec<T> {
    items.take(MAX_SHOWN).cloned().collect()
}

/// The address that a script pays, if it has one.
pub(crate) fn address_of(script: &Script, network: Network) -> Option<String> {
    Address::from_script(script, network)
        .ok()
        .map(|address| address.to_string())
}

/// What kind of script it is, by Bitcoin Core's names.
pub(crate) fn script_kind(script: &Script) -> &'static str {
    match script {
        _ if script.is_p2pkh() => "pubkeyhash",
        _ if script.is_p2sh() => "scripthash",
        _ if script.is_p2wpkh() => "witness_v0_keyhash",
        _ if script.is_p2wsh() => "witness_v0_scripthash",
        _ if script.is_p2tr() => "witness_v1_taproot",
        _ if script.is_op_return() => "nulldata",
        _ if script.is_p2pk() => "pubkey",
        _ if script.is_witness_program() => "witness_unknown",
        _ => "nonstandard",
    }
}

/// A part of a list, and where the others are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Pages {
    pub(crate) offset: usize,
    pub(crate) limit: usize,
    pub(crate) total: usize,
}

impl Pages {
    pub(crate) fn new(offset: usize, limit: usize, total: usize) -> Self {
        Self {
            offset: offset.min(total),
            limit,
            total,
        }
    }

    pub(crate) fn first(&self) -> usize {
        (self.offset + 1).min(self.total)
    }

    pub(crate) fn last(&self) -> usize {
        (self.offset + self.limit).min(self.total)
    }

    pub(crate) fn next(&self) -> Option<usize> {
        let next = self.offset + self.limit;
        (next < self.total).then_some(next)
    }

    pub(crate) fn previous(&self) -> Option<usize> {
        (self.offset > 0).then(|| self.offset.saturating_sub(self.limit))
    }
}
