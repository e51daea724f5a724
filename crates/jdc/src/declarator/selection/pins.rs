//! Transactions that must be in our blocks, and where they are instead.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::Txid;
use serde::Serialize;
use utoipa::ToSchema;

use super::cut::Cut;

/// Where a pinned transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pin {
    /// Nobody has looked yet.
    Unknown,
    /// In the template that is mined.
    Included,
    /// In the template of the provider, but it needs a banned one, or more room than there is.
    Barred,
    /// In the node's mempool: the node is asked to put it first, and the next template has it.
    Waiting,
    /// In the chain already.
    Confirmed,
    /// The node has never heard of it, or has forgotten it.
    Absent,
}

impl Pin {
    /// Its name in the API and in the terminal.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Included => "included",
            Self::Barred => "barred",
            Self::Waiting => "waiting",
            Self::Confirmed => "confirmed",
            Self::Absent => "absent",
        }
    }

    /// Whether there is still something to be wished for.
    pub fn is_missing(self) -> bool {
        !matches!(self, Self::Included | Self::Confirmed)
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Pins {
    pins: BTreeMap<Txid, Pin>,
    /// For which tip the node was asked for which.
    asked: Option<([u8; 32], BTreeSet<Txid>)>,
}

impl Pins {
    pub(super) fn new(pinned: &BTreeSet<Txid>) -> Self {
        let pins = pinned.iter().map(|txid| (*txid, Pin::Unknown));
        Self {
            pins: pins.collect(),
            asked: None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Txid, Pin)> {
        self.pins.iter().map(|(txid, pin)| (*txid, *pin))
    }

    /// There is a template for this tip. Returns those that the node is to be asked for: the same
    /// ones once for each tip.
    pub(super) fn template(&mut self, tip: [u8; 32], cut: &Cut) -> Vec<Txid> {
        let mut elsewhere = BTreeSet::new();
        for (txid, pin) in &mut self.pins {
            if cut.has(txid) {
                *pin = Pin::Included;
            } else if cut.bars(txid) {
                *pin = Pin::Barred;
            } else {
                if matches!(pin, Pin::Included | Pin::Barred) {
                    *pin = Pin::Unknown;
                }
                elsewhere.insert(*txid);
            }
        }
        let asked = Some((tip, elsewhere));
        if self.asked == asked {
            return Vec::new();
        }
        self.asked = asked;
        let asked = self.asked.iter().flat_map(|(_, txids)| txids);
        asked.copied().collect()
    }

    /// Where the node says they are. What has come into a template meanwhile is there.
    pub(super) fn seen(&mut self, seen: &[(Txid, Pin)]) {
        for (txid, found) in seen {
            if let Some(pin) = self.pins.get_mut(txid)
                && !matches!(pin, Pin::Included | Pin::Barred)
            {
                *pin = *found;
            }
        }
    }
}
