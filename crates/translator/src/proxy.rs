//! The core between all miners and all upstreams: whom to work for, on which channels, and what
//! becomes of shares.
//!
//! [`Proxy`] is one plain value. It is told what happens on the connections to the upstreams and what
//! miners do, and answers with [`Action`]s. Shares come to it judged.
//!
//! All miners share one channel, or each has its own. Either way the upstream's part of the extranonce
//! stands in the jobs, and a miner keeps its own part for as long as it is connected, whatever becomes
//! of upstreams.

mod action;
mod channel;
mod miners;
mod rates;
mod shares;

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::client::{Assignment, ChannelRequest, ClientEvent, ClientInput};
use protocol::core::Now;
use protocol::ranking::{Ranking, State};
use protocol::target::Target;

use crate::payout::Expected;
use crate::policy::Policy;
use crate::work::{CurrentWork, LOCAL_EXTRANONCE, Origin, Work};

use channel::Upstream;
use miners::Miners;
use rates::Rates;

pub(crate) use action::{Action, Fate, Input, Report};

/// How long a miner whose channel was closed waits for another one.
const REOPEN: Duration = Duration::from_secs(1);

/// What an upstream is told of us, and what is asked of it.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// The account.
    pub(crate) user_identity: String,
    /// Whom its jobs have to pay, if that is checked.
    pub(crate) payout: Option<Expected>,
}

/// Who mines on a channel: one miner, or, with `None`, all.
type Owner = Option<u32>;

/// The core.
#[derive(Debug)]
pub(crate) struct Proxy {
    is_aggregated: bool,
    extranonce2_size: usize,
    /// What an upstream may ask of a miner that it knows nothing of.
    first_target: Target,
    terms: Vec<Terms>,
    upstreams: Vec<Upstream>,
    ranking: Ranking,
    miners: Miners,
    rates: Rates,
    next_work: u32,
}

impl Proxy {
    /// With upstreams of these `terms`, best first, none of them connected. Miners and jobs are
    /// numbered from `first` on: what a miner found before this program was started again must not
    /// be taken for a share of another job that has the same name.
    pub(crate) fn new(is_aggregated: bool, policy: &Policy, terms: Vec<Terms>, first: u32) -> Self {
        Self {
            is_aggregated,
            extranonce2_size: policy.extranonce2_size,
            first_target: policy.first_target(),
            upstreams: terms.iter().map(|_| Upstream::default()).collect(),
            ranking: Ranking::without_alternative(terms.len()),
            terms,
            miners: Miners::new(first),
            rates: Rates::default(),
            next_work: first,
        }
    }

    /// Something happened. What is to be done is added to `out`, in order.
    pub(crate) fn step(&mut self, now: Now, input: Input, out: &mut Vec<Action>) {
        match input {
            Input::Up(upstream) => self.up(now, upstream, out),
            Input::Events(upstream, events) => {
                for event in events {
                    self.event(now, upstream, event, out);
                }
            }
            Input::Lost { upstream, reason } => self.lost(now, upstream, &reason, out),
            Input::Joined { slot, resumed } => {
                let extranonce1 = self.miners.join(slot, resumed);
                out.push(Action::Seat(slot, extranonce1));
            }
            Input::Authorized { slot, worker } => {
                self.miners.name(slot, worker);
                self.rates.changed(self.owner(slot));
            }
            Input::HashRate { slot, rate } => {
                self.miners.set_rate(slot, rate);
                self.rates.changed(self.owner(slot));
            }
            // Nothing changes but the share's fate.
            Input::Share { slot, accepted } => return self.share(slot, *accepted, out),
            Input::Left(slot) => self.left(slot, out),
        }
        self.refresh(now, out);
    }

    /// When [`wake`](Self::wake) wants to be called if nothing happens before. `now` is the time of
    /// the last step.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let reopen = self.upstreams.iter().filter_map(|up| up.reopen);
        let miners = self.miners.deadline().filter(|_| self.active().is_some());
        reopen
            .chain(self.ranking.deadline(now))
            .chain(miners)
            .chain(self.rates.deadline())
            .min()
    }

    /// Time has passed.
    pub(crate) fn wake(&mut self, now: Now, out: &mut Vec<Action>) {
        self.refresh(now, out);
    }

    /// Whom the miners work for.
    pub(crate) fn active(&self) -> Option<usize> {
        self.ranking.active()
    }

    /// What an upstream is doing, and why it failed last.
    pub(crate) fn state(&self, upstream: usize, now: Instant) -> (State, Option<&str>) {
        self.ranking.state(upstream, now)
    }

    /// Channels that are open, at the upstream that is worked for.
    pub(crate) fn channels(&self) -> usize {
        self.active()
            .map_or(0, |at| self.upstreams[at].channels.len())
    }

    /// Hashes a second, of all miners.
    pub(crate) fn hash_rate(&self) -> f64 {
        self.miners.total()
    }

    fn owner(&self, slot: u32) -> Owner {
        (!self.is_aggregated).then_some(slot)
    }

    fn up(&mut self, now: Now, upstream: usize, out: &mut Vec<Action>) {
        self.upstreams[upstream].connected();
        self.usable(now, upstream, out);
    }

    /// A connected upstream that need not rest: it gets a channel, or is ready without one.
    fn usable(&mut self, now: Now, upstream: usize, out: &mut Vec<Action>) {
        if self.is_aggregated {
            return self.open(now, upstream, None, out);
        }
        self.ranking.set_ready(upstream, true);
        self.ranking.proved(upstream);
    }

    fn lost(&mut self, now: Now, upstream: usize, reason: &str, out: &mut Vec<Action>) {
        let orphans = self.upstreams[upstream].lost();
        for slot in orphans {
            out.push(Action::Fate(slot, Fate::Lost("upstream-lost")));
        }
        self.ranking.set_ready(upstream, false);
        let reason = reason.to_owned();
        if self.ranking.active() == Some(upstream) {
            self.ranking.failed(upstream, now.instant, &reason);
            out.push(Action::Report(Report::Failed { upstream, reason }));
        } else {
            out.push(Action::Report(Report::LinkLost { upstream, reason }));
        }
    }

    /// It cannot be worked for as it is: it is left alone for a while, and asked again.
    fn fail(&mut self, now: Now, upstream: usize, reason: String, out: &mut Vec<Action>) {
        let until = self.ranking.failed(upstream, now.instant, &reason);
        self.ranking.set_ready(upstream, false);
        self.leave(upstream, out);
        self.upstreams[upstream].reopen = Some(until);
        out.push(Action::Report(Report::Failed { upstream, reason }));
    }

    /// Closes all channels at an upstream.
    fn leave(&mut self, upstream: usize, out: &mut Vec<Action>) {
        let up = &mut self.upstreams[upstream];
        let ids: Vec<u32> = up.channels.keys().copied().collect();
        for channel_id in ids {
            out.push(Action::Tell(upstream, ClientInput::Close { channel_id }));
        }
        for slot in up.close_all() {
            out.push(Action::Fate(slot, Fate::Lost("channel-closed")));
        }
    }

    /// Asks for a channel.
    fn open(&mut self, now: Now, upstream: usize, owner: Owner, out: &mut Vec<Action>) {
        let worker = owner.and_then(|slot| self.miners.worker(slot));
        let user_identity = identity(&self.terms[upstream].user_identity, worker.as_deref());
        let nobody_else = self.active().is_none_or(|active| active == upstream);
        let nominal_hash_rate = match owner {
            Some(slot) => self.miners.rate(slot),
            // PROXY-03: nobody mines there yet.
            None if !nobody_else => 0.0,
            None => self.miners.total(),
        } as f32;
        self.upstreams[upstream].ask(owner, nominal_hash_rate, now.instant);
        let min_extranonce_size = LOCAL_EXTRANONCE + self.extranonce2_size;
        let request = ChannelRequest {
            user_identity,
            nominal_hash_rate,
            max_target: self.max_target(nominal_hash_rate),
            min_extranonce_size: Some(min_extranonce_size as u16),
        };
        out.push(Action::Tell(upstream, ClientInput::Open(request)));
    }

    /// The easiest target that is of use on a channel of that hash rate. An upstream that goes by a
    /// hash rate of 0 alone lets every hash be a share, and the first miner floods it: a new target
    /// counts from the next job on (SV2 5.3.21).
    fn max_target(&self, hash_rate: f32) -> Target {
        match hash_rate > 0.0 {
            true => Target::MAX,
            false => self.first_target,
        }
    }

    fn event(&mut self, now: Now, upstream: usize, event: ClientEvent, out: &mut Vec<Action>) {
        match event {
            ClientEvent::Opened {
                request,
                channel_id,
                extranonce_size,
                ..
            } => self.opened(now, upstream, (request, channel_id, extranonce_size), out),
            ClientEvent::OpenRefused { request, code } => {
                self.refused(now, upstream, (request, &code), out);
            }
            ClientEvent::Mine(assignment) => self.mine(now, upstream, &assignment, out),
            ClientEvent::Rest { channel_id } => {
                let channel = self.upstreams[upstream].channels.get_mut(&channel_id);
                if let Some(channel) = channel {
                    channel.assignment = None;
                    let owner = channel.owner;
                    self.publish(upstream, owner, None, out);
                }
            }
            ClientEvent::Closed { channel_id, reason } => {
                self.closed(now, upstream, (channel_id, &reason), out);
            }
            ClientEvent::Submitted { share, .. } => self.submitted(upstream, &share, out),
            ClientEvent::Late(share) => {
                let slot = share.origin as u32;
                out.push(Action::Fate(slot, Fate::Lost("too-late")));
            }
            ClientEvent::Accepted {
                channel_id,
                last_sequence_number,
                ..
            } => self.acknowledged(upstream, channel_id, last_sequence_number, out),
            ClientEvent::Rejected {
                channel_id,
                sequence_number,
                code,
            } => self.rejected(now, upstream, (channel_id, sequence_number, code), out),
            // Its connection sees to it (PROXY-07).
            ClientEvent::Reconnect { .. } => {}
            ClientEvent::Ignored(what) => {
                out.push(Action::Report(Report::Ignored { upstream, what }));
            }
        }
    }

    fn opened(
        &mut self,
        now: Now,
        upstream: usize,
        (request, channel_id, extranonce_size): (usize, u32, usize),
        out: &mut Vec<Action>,
    ) {
        let Some(channel) = self.upstreams[upstream].answered(request) else {
            // Whoever it was for has left.
            return out.push(Action::Tell(upstream, ClientInput::Close { channel_id }));
        };
        let needed = LOCAL_EXTRANONCE + self.extranonce2_size;
        if extranonce_size < needed {
            // PROXY-12
            let reason = format!(
                "it gives {extranonce_size} bytes of extranonce, {needed} are needed; lower \
                 downstream_extranonce2_size if miners can do with less"
            );
            out.push(Action::Tell(upstream, ClientInput::Close { channel_id }));
            return self.fail(now, upstream, reason, out);
        }
        let owner = channel.owner;
        let up = &mut self.upstreams[upstream];
        up.has_opened = true;
        up.channels.insert(channel_id, channel);
        if let Some(slot) = owner {
            self.miners.opened(slot, channel_id);
        }
        self.rates.changed(owner);
    }

    fn refused(
        &mut self,
        now: Now,
        upstream: usize,
        (request, code): (usize, &str),
        out: &mut Vec<Action>,
    ) {
        let up = &mut self.upstreams[upstream];
        let Some(channel) = up.answered(request) else {
            return;
        };
        let reason = format!("it opens no channel: {code}");
        match channel.owner.filter(|_| up.has_opened) {
            // What it does for others it will not do for this one.
            Some(slot) => out.push(Action::Close(slot, format!("the upstream: {reason}"))),
            None => self.fail(now, upstream, reason, out),
        }
    }

    /// A job, checked and passed on.
    fn mine(
        &mut self,
        now: Now,
        upstream: usize,
        assignment: &Arc<Assignment>,
        out: &mut Vec<Action>,
    ) {
        let id = assignment.channel_id;
        let Some(channel) = self.upstreams[upstream].channels.get_mut(&id) else {
            return;
        };
        let payout = self.terms[upstream].payout.as_ref();
        if let Some(Err(unpaid)) = payout.map(|payout| payout.check(&assignment.merkle)) {
            return self.fail(now, upstream, unpaid.to_string(), out);
        }
        let before = channel.assignment.replace(Arc::clone(assignment));
        let owner = channel.owner;
        if owner.is_none() {
            self.ranking.set_ready(upstream, true);
            self.ranking.proved(upstream);
        }
        if self.active() == Some(upstream) {
            let tip = |assignment: Arc<Assignment>| assignment.prev_hash;
            let is_clean = before.map(tip) != Some(assignment.prev_hash);
            let work = self.work(upstream, assignment, is_clean);
            self.publish(upstream, owner, work, out);
        }
    }

    fn work(&mut self, upstream: usize, assignment: &Assignment, is_clean: bool) -> CurrentWork {
        let origin = Origin {
            upstream,
            session: self.upstreams[upstream].session,
            channel_id: assignment.channel_id,
            job_id: assignment.job_id,
        };
        let id = self.next_work;
        self.next_work = id.wrapping_add(1);
        Work::new(id, origin, assignment, self.extranonce2_size, is_clean).map(Arc::new)
    }

    /// Gives a job to whom it is for, if they work for that upstream.
    fn publish(&mut self, upstream: usize, owner: Owner, work: CurrentWork, out: &mut Vec<Action>) {
        if self.active() != Some(upstream) {
            return;
        }
        out.push(Action::Give(owner, work));
    }

    fn closed(
        &mut self,
        now: Now,
        upstream: usize,
        (channel_id, reason): (u32, &str),
        out: &mut Vec<Action>,
    ) {
        let Some(channel) = self.upstreams[upstream].channels.remove(&channel_id) else {
            return;
        };
        let owner = channel.owner;
        for slot in channel.into_unanswered() {
            out.push(Action::Fate(slot, Fate::Lost("channel-closed")));
        }
        match owner {
            None => self.fail(
                now,
                upstream,
                format!("it closed the channel: {reason}"),
                out,
            ),
            Some(slot) => {
                self.miners.closed(slot, now.instant + REOPEN);
                self.publish(upstream, owner, None, out);
            }
        }
    }

    fn left(&mut self, slot: u32, out: &mut Vec<Action>) {
        let channel_id = self.miners.leave(slot);
        if let (Some(active), Some(channel_id)) = (self.active(), channel_id) {
            // PROXY-05
            self.upstreams[active].channels.remove(&channel_id);
            out.push(Action::Tell(active, ClientInput::Close { channel_id }));
        }
        for upstream in &mut self.upstreams {
            upstream.forget(slot);
        }
        self.rates.left(self.owner(slot), slot);
    }

    /// Brings everything in line with what is known now.
    fn refresh(&mut self, now: Now, out: &mut Vec<Action>) {
        for upstream in 0..self.upstreams.len() {
            let up = &mut self.upstreams[upstream];
            if up.reopen.is_some_and(|due| due <= now.instant) {
                up.reopen = None;
                self.usable(now, upstream, out);
            }
        }
        let before = self.active();
        if self.ranking.decide(now.instant, |_| true) {
            self.switched(before, out);
        }
        if let Some(active) = self.active().filter(|_| !self.is_aggregated) {
            for slot in self.miners.due(now.instant) {
                self.open(now, active, Some(slot), out);
            }
        }
        self.tell_rates(now, out);
    }

    fn switched(&mut self, before: Option<usize>, out: &mut Vec<Action>) {
        let active = self.active();
        out.push(Action::Report(Report::Switched(active)));
        if self.is_aggregated {
            let assignment = active.and_then(|at| self.upstreams[at].shared());
            let work = match (active, assignment) {
                (Some(active), Some(assignment)) => self.work(active, &assignment, true),
                _ => None,
            };
            out.push(Action::Give(None, work));
        } else {
            if let Some(before) = before {
                self.leave(before, out);
            }
            for slot in self.miners.unseat() {
                out.push(Action::Give(Some(slot), None));
            }
        }
        self.rates.all_changed();
    }
}

/// What a channel is called at an upstream where we are `account`.
fn identity(account: &str, worker: Option<&str>) -> String {
    let Some(worker) = worker.filter(|_| !account.starts_with("sri/")) else {
        return account.to_owned();
    };
    let worker = worker.rsplit_once('.').map_or(worker, |(_, worker)| worker);
    match worker {
        "" => account.to_owned(),
        worker => format!("{account}.{worker}"),
    }
}

#[cfg(test)]
mod tests;
