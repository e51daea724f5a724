//! What upstreams are told of the miners' hash rates (SV2 5.3.7).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use protocol::client::ClientInput;
use protocol::core::Now;

use super::{Action, Owner, Proxy};

/// An upstream hears of a channel at most so often (PROXY-04).
const INTERVAL: Duration = Duration::from_secs(1);

/// Whose hash rate is another one since the upstream was told.
#[derive(Debug, Default)]
pub(super) struct Rates {
    changed: BTreeSet<Owner>,
    /// Look at everybody.
    all: bool,
    due: Option<Instant>,
}

impl Rates {
    pub(super) fn changed(&mut self, owner: Owner) {
        self.changed.insert(owner);
    }

    /// A miner has left: its own channel has as well.
    pub(super) fn left(&mut self, owner: Owner, slot: u32) {
        self.changed.remove(&Some(slot));
        if owner.is_none() {
            self.changed.insert(None);
        }
    }

    pub(super) fn all_changed(&mut self) {
        self.all = true;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }
}

impl Proxy {
    /// Tells what is to be told now, and remembers when the rest is.
    pub(super) fn tell_rates(&mut self, now: Now, out: &mut Vec<Action>) {
        let mut dues = Vec::new();
        if std::mem::take(&mut self.rates.all) {
            // Of those that are not worked for, only the shared channel stays.
            for upstream in 0..self.upstreams.len() {
                if self.active() != Some(upstream) && self.is_aggregated {
                    dues.extend(self.tell_shared(upstream, now, out));
                }
            }
            self.rates.all = !dues.is_empty();
            self.rates.changed.insert(None);
        }
        self.rates.due = dues.into_iter().min();
        let Some(active) = self.active() else {
            return;
        };
        let mut later = BTreeSet::new();
        for owner in std::mem::take(&mut self.rates.changed) {
            let wait = match owner {
                None => self.tell_shared(active, now, out),
                Some(slot) => self.miners.channel(slot).and_then(|channel_id| {
                    let rate = self.miners.rate(slot) as f32;
                    self.tell_rate(active, (channel_id, rate), now, out)
                }),
            };
            if let Some(due) = wait {
                later.insert(owner);
                let earliest = self.rates.due.map_or(due, |earlier| earlier.min(due));
                self.rates.due = Some(earliest);
            }
        }
        self.rates.changed = later;
    }

    /// The channel that all miners share; nobody mines at an upstream that is not worked for.
    fn tell_shared(&mut self, upstream: usize, now: Now, out: &mut Vec<Action>) -> Option<Instant> {
        let is_active = self.active() == Some(upstream);
        let rate = if is_active { self.miners.total() } else { 0.0 };
        let mut channels = self.upstreams[upstream].channels.iter();
        let (id, _) = channels.find(|(_, channel)| channel.owner.is_none())?;
        self.tell_rate(upstream, (*id, rate as f32), now, out)
    }

    /// Returns when to try again, if it is too early.
    fn tell_rate(
        &mut self,
        upstream: usize,
        (channel_id, nominal_hash_rate): (u32, f32),
        now: Now,
        out: &mut Vec<Action>,
    ) -> Option<Instant> {
        let max_target = self.max_target(nominal_hash_rate);
        let channel = self.upstreams[upstream].channels.get_mut(&channel_id)?;
        if channel.told.to_bits() == nominal_hash_rate.to_bits() {
            return None;
        }
        let due = channel.told_at + INTERVAL;
        if due > now.instant {
            return Some(due);
        }
        channel.told = nominal_hash_rate;
        channel.told_at = now.instant;
        let update = ClientInput::Update {
            channel_id,
            nominal_hash_rate,
            max_target,
        };
        out.push(Action::Tell(upstream, update));
        None
    }
}
