//! Targets that follow the miners (SV2 5.3.7, 5.3.21).

use std::time::Instant;

use stratum_core::mining_sv2::SetTargetOwned;

use super::{Channel, MiningServer, Out, ServerEvent};
use crate::core::Now;
use crate::message::MiningOwned;
use crate::setup;
use crate::target::Target;
use crate::vardiff::Vardiff;

impl MiningServer {
    /// Begins to watch a channel whose client declared `hash_rate`.
    pub(super) fn watch(&mut self, now: Now, channel: &mut Channel, hash_rate: f32) {
        channel.declared = hash_rate;
        // The silence of a channel without a job means nothing; it gets its first one at once,
        // unless it selects its own.
        let is_idle = self.has(setup::REQUIRES_WORK_SELECTION) && channel.mined_tip().is_none();
        if !self.policy.vardiff || is_idle {
            return;
        }
        let cost = channel.target.hashes();
        let wanted = self.policy.shares_per_minute;
        let vardiff = Vardiff::new(wanted, f64::from(hash_rate), cost, now.instant);
        self.vardiff_due = earlier(self.vardiff_due, vardiff.deadline());
        channel.vardiff = Some(vardiff);
    }

    /// UpdateChannel: another declaration, or another limit only. Some clients repeat the same
    /// declaration every minute; what its shares say is worth more than that.
    pub(super) fn redeclare(
        &mut self,
        now: Now,
        channel_id: u32,
        (hash_rate, target): (f32, Target),
        out: &mut Out,
    ) {
        let Some(mut channel) = self.channels.remove(&channel_id) else {
            return;
        };
        let kept = channel.vardiff.is_some() && channel.declared.to_bits() == hash_rate.to_bits();
        let target = if kept {
            channel.target.min(channel.max_target)
        } else {
            target
        };
        let changed = channel.target != target;
        channel.target = target;
        if !kept {
            self.watch(now, &mut channel, hash_rate);
        } else if let Some(vardiff) = &mut channel.vardiff {
            vardiff.set_cost(now.instant, target.hashes());
        }
        out.event(ServerEvent::Updated {
            channel_id,
            hashrate: channel.declared,
            target,
            max_target: channel.max_target,
        });
        let is_watched = channel.vardiff.is_some();
        self.channels.insert(channel_id, channel);
        if changed {
            send_target(channel_id, target, out);
            if is_watched {
                self.fresh_job(now, channel_id, out);
            }
        }
    }

    /// A share that cost `cost` hashes was accepted.
    pub(super) fn watch_share(&mut self, now: Now, channel_id: u32, cost: f64, out: &mut Out) {
        let channel = self.channels.get_mut(&channel_id);
        let Some(vardiff) = channel.and_then(|channel| channel.vardiff.as_mut()) else {
            return;
        };
        let wanted = vardiff.share(now.instant, cost);
        self.vardiff_due = earlier(self.vardiff_due, vardiff.deadline());
        if let Some(cost) = wanted {
            self.retarget(now, channel_id, cost, out);
        }
    }

    /// Looks at the channels that sent nothing for longer than expected.
    pub(super) fn watch_silence(&mut self, now: Now, out: &mut Out) {
        if self.vardiff_due.is_none_or(|due| due > now.instant) {
            return;
        }
        let mut silent = Vec::new();
        for (id, channel) in &mut self.channels {
            let Some(vardiff) = &mut channel.vardiff else {
                continue;
            };
            let is_due = vardiff.deadline().is_some_and(|due| due <= now.instant);
            if is_due && let Some(cost) = vardiff.wake(now.instant) {
                silent.push((*id, cost));
            }
        }
        for (id, cost) in silent {
            self.retarget(now, id, cost, out);
        }
        let watched = self.channels.values().filter_map(|c| c.vardiff.as_ref());
        self.vardiff_due = watched.filter_map(Vardiff::deadline).min();
    }

    /// Makes a share cost `cost` hashes, or fewer if the client takes no such target.
    fn retarget(&mut self, now: Now, channel_id: u32, cost: f64, out: &mut Out) {
        let channel = self.channels.get_mut(&channel_id);
        let (Some(channel), Some(target)) = (channel, Target::one_in(cost)) else {
            return;
        };
        // The client's limit is the easiest target it takes (SV2 5.3.2).
        let target = target.min(channel.max_target);
        let Some(vardiff) = &mut channel.vardiff else {
            return;
        };
        vardiff.set_cost(now.instant, target.hashes());
        self.vardiff_due = earlier(self.vardiff_due, vardiff.deadline());
        if channel.target == target {
            return;
        }
        channel.target = target;
        out.event(ServerEvent::Retargeted {
            channel_id,
            target,
            hashrate: vardiff.hashrate(),
        });
        send_target(channel_id, target, out);
        self.fresh_job(now, channel_id, out);
    }
}

fn send_target(channel_id: u32, target: Target, out: &mut Out) {
    out.send(MiningOwned::SetTarget(SetTargetOwned {
        channel_id,
        maximum_target: target.to_le_bytes().into(),
    }));
}

pub(super) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    [a, b].into_iter().flatten().min()
}
