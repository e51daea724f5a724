//! One miner's connection: what each end knows and has counted.

use std::collections::BTreeMap;

use protocol::target::Target;

use super::shares::Unanswered;
use super::view::{Moment, View};
use super::{Breach, Property};
use crate::network::LinkId;

/// A miner's connection, from its first message to its last, with what each end knows.
#[derive(Debug, Default)]
pub(super) struct Connection {
    pub(super) pool: View,
    pub(super) miner: View,
    pub(super) at_pool: Unanswered,
    pub(super) at_miner: Unanswered,
    pub(super) shares: BTreeMap<(u32, u32), Submitted>,
    pub(super) tallies: BTreeMap<u32, Tally>,
    pub(super) max_targets: BTreeMap<u32, Target>,
    pub(super) pool_ended: bool,
    pub(super) miner_ended: bool,
}

#[derive(Debug)]
pub(super) struct Submitted {
    pub(super) hash: [u8; 32],
    /// How far the channel had come with its job.
    pub(super) moment: Moment,
}

/// One channel's shares, by who counted them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) pool_accepted: u64,
    pub(super) pool_rejected: u64,
    pub(super) miner_accepted: u64,
    pub(super) miner_rejected: u64,
    pub(super) submitted: u64,
}

impl Connection {
    pub(super) fn tally(&mut self, channel_id: u32) -> &mut Tally {
        self.tallies.entry(channel_id).or_default()
    }

    pub(super) fn quiet(&self, link: LinkId, tip: [u8; 32], breaches: &mut Vec<Breach>) {
        let is_live = !self.pool_ended && !self.miner_ended;
        for (id, tally) in &self.tallies {
            let agree = if is_live {
                tally.pool_accepted == tally.miner_accepted
                    && tally.pool_rejected == tally.miner_rejected
                    && tally.submitted == tally.pool_accepted + tally.pool_rejected
            } else {
                tally.miner_accepted <= tally.pool_accepted
                    && tally.miner_rejected <= tally.pool_rejected
                    && tally.pool_accepted + tally.pool_rejected <= tally.submitted
            };
            // A channel the miner has closed is no longer counted by it.
            if !agree && (!is_live || self.miner.channels.contains_key(id)) {
                let what = format!("{link}: channel {id}: {tally:?}");
                breaches.push((Property::CountsAgree, what));
            }
        }
        if !is_live {
            return;
        }
        for (end, unanswered) in [("pool", &self.at_pool), ("miner", &self.at_miner)] {
            let waiting = unanswered.waiting();
            if !waiting.is_empty() {
                let what = format!("{link}: {waiting:?} are never answered ({end})");
                breaches.push((Property::AnsweredOnce, what));
            }
        }
        for (id, channel) in &self.miner.channels {
            if channel.prev_hash != Some(tip) {
                let what = format!("{link}: channel {id} does not know the newest tip");
                breaches.push((Property::WorkGoesOn, what));
            }
        }
    }
}
