//! The coordinating core: templates in, work for the miners, declarations and custom jobs out.
//!
//! [`Declarator`] is one plain value. It is told everything that happens on the connections to the
//! template provider, to each upstream's pool and job declarator server, and to the miners, and
//! answers with [`Action`]s. It owns what they share: the jobs, and whom to work for.
//!
//! A job's way: a template gets a coinbase on its upstream's terms and goes to the miners at once
//! (SV2 6.3.1, 6.3.2: optimistic mining). When its tip and its transactions are known it is
//! declared, then set at the pool; shares found before that wait in the job's cache.

mod action;
mod cache;
mod coinbase;
mod job;
mod jobs;
mod links;
mod miners;
mod progress;
mod selection;
mod shares;
mod source;

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::core::Now;
use protocol::custom_work::{CustomWorkInput, Seat};
use protocol::declaration::client::PayoutScripts;
use protocol::provider::{Constraints, ProviderInput};
use protocol::ranking::{Ranking, State};
use protocol::work::{Template, Work};

use coinbase::Terms;
use jobs::Jobs;
use source::{Sources, Transactions};

pub use action::{Action, Input, Report};
pub use coinbase::{CoinbaseKit, LOCAL_EXTRANONCE, MAX_SIGNATURE, OwnOutput, space};
pub use job::{Ending, Found, Job, Stage, Tally};
pub use selection::{LeftOut, Pin, Selection, Selector};

/// How long miners wait for an upstream after the start, before they get solo work.
const START_GRACE: Duration = Duration::from_secs(2);

/// Jobs on one template that an upstream may cause by changing its terms again and again.
const MAX_JOBS_PER_TEMPLATE: usize = 16;

/// A change of the hash rate below this part of it is not worth telling.
const HASH_RATE_NEWS: f32 = 0.2;

/// What is declared, and to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Transactions are declared to the job declarator server (SV2 6.3.2).
    FullTemplate,
    /// Only the coinbase is shown, to the pool (SV2 6.3.1).
    CoinbaseOnly,
    /// Nobody is asked.
    Solo,
}

/// What is known of one upstream's connections.
#[derive(Debug, Default)]
struct Upstream {
    /// While its pool has a channel for us.
    seat: Option<Arc<Seat>>,
    /// While its job declarator server gives us tokens.
    payout: Option<PayoutScripts>,
}

/// The core.
#[derive(Debug)]
pub struct Declarator {
    mode: Mode,
    kit: CoinbaseKit,
    started: Instant,
    upstreams: Vec<Upstream>,
    ranking: Ranking,
    /// As the template provider says, and the miner wants.
    work: Option<Work>,
    selector: Selector,
    sources: Sources,
    /// The largest that coinbases have needed.
    constraints: Option<Constraints>,
    jobs: Jobs,
    next_job: u64,
    /// What the miners have.
    published: Option<Work>,
    hash_rate: f32,
    /// What the active upstream was told.
    told_hash_rate: f32,
}

impl Declarator {
    /// With `upstreams` of them, best first, none of them connected.
    pub fn new(
        mode: Mode,
        kit: CoinbaseKit,
        selection: Selection,
        upstreams: usize,
        now: Now,
    ) -> Self {
        let count = if mode == Mode::Solo { 0 } else { upstreams };
        Self {
            mode,
            kit,
            started: now.instant,
            upstreams: (0..count).map(|_| Upstream::default()).collect(),
            ranking: Ranking::new(count),
            work: None,
            selector: Selector::new(selection),
            sources: Sources::default(),
            constraints: None,
            jobs: Jobs::default(),
            next_job: 1,
            published: None,
            hash_rate: 0.0,
            told_hash_rate: 0.0,
        }
    }

    /// Something happened. What is to be done is added to `out`, in order.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Vec<Action>) {
        match input {
            Input::Work(work) => self.selector.work(now, work, out),
            Input::Transactions {
                session,
                template_id,
                transactions,
            } => {
                let key = (session, template_id);
                let room = self.constraints.unwrap_or_default();
                if !self.selector.transactions(key, &transactions, room, out) {
                    self.sources.answered(key, Transactions::Held(transactions));
                }
            }
            Input::NoTransactions {
                session,
                template_id,
                code,
            } => {
                let key = (session, template_id);
                if !self.selector.no_transactions(key, out) {
                    self.sources.answered(key, Transactions::Kept(code));
                }
            }
            Input::Fees {
                session,
                template_id,
                fees,
            } => {
                let room = self.constraints.unwrap_or_default();
                self.selector.fees((session, template_id), fees, room, out);
            }
            Input::Pins(seen) => return self.selector.seen(&seen),
            Input::Pool(upstream, event) => self.pool(now, upstream, event, out),
            Input::PoolLost {
                upstream,
                reason,
                unanswered,
            } => self.pool_lost(now, upstream, (&reason, unanswered), out),
            Input::Jds(upstream, event) => self.jds(now, upstream, event, out),
            Input::JdsLost { upstream, reason } => self.jds_lost(now, upstream, &reason, out),
            // Nothing changes but the share's fate.
            Input::Accepted {
                job,
                found,
                is_block,
            } => return self.accepted(job, &found, is_block, out),
            Input::Block(solution) => return self.block(solution, out),
            Input::HashRate(rate) => self.hash_rate = rate,
        }
        self.take_selected(out);
        self.refresh(now, out);
    }

    /// When [`wake`](Self::wake) wants to be called if nothing happens before. `now` is the time of
    /// the last step.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let grace = Some(self.started + START_GRACE);
        let later = |due: &Instant| *due > now;
        let retries = self.jobs.iter().filter_map(|job| match job.stage {
            Stage::Waiting(not_before) => not_before,
            _ => None,
        });
        retries
            .chain(self.ranking.deadline(now))
            .chain(self.selector.deadline())
            .chain(grace)
            .filter(later)
            .min()
    }

    /// Time has passed; also to be called at the start.
    pub fn wake(&mut self, now: Now, out: &mut Vec<Action>) {
        self.selector.wake(now, out);
        self.take_selected(out);
        self.refresh(now, out);
    }

    /// Whom the miners work for; `None` for solo work.
    pub fn active(&self) -> Option<usize> {
        self.ranking.active()
    }

    /// What an upstream is doing, and why it failed last.
    pub fn state(&self, upstream: usize, now: Instant) -> (State, Option<&str>) {
        self.ranking.state(upstream, now)
    }

    /// What the miners have.
    pub fn published(&self) -> Option<&Work> {
        self.published.as_ref()
    }

    /// By our name.
    pub fn job(&self, id: u64) -> Option<&Job> {
        self.jobs.get(id)
    }

    /// Oldest first.
    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = &Job> {
        self.jobs.iter()
    }

    /// What was chosen among the transactions.
    pub fn selector(&self) -> &Selector {
        &self.selector
    }

    /// Goes on to what the selector has ready, if it is something else.
    fn take_selected(&mut self, out: &mut Vec<Action>) {
        let Some(work) = self.selector.ready() else {
            return;
        };
        if !self
            .work
            .as_ref()
            .is_some_and(|have| miners::is_same(have, &work))
        {
            self.new_work(work, out);
        }
    }

    fn new_work(&mut self, work: Work, out: &mut Vec<Action>) {
        for job in self.jobs.iter_mut() {
            if job.prev_hash.is_none() && Arc::ptr_eq(&job.source, &work.template) {
                job.prev_hash = Some(Arc::clone(&work.prev_hash));
            }
        }
        let is_future = |job: &Job| {
            let mut futures = work.futures.iter();
            job.prev_hash.is_none() && futures.any(|future| Arc::ptr_eq(future, &job.source))
        };
        let stale = |job: &&Job| {
            matches!(job.stage, Stage::Waiting(_)) && !job.is_on(&work.prev_hash) && !is_future(job)
        };
        let stale: Vec<u64> = self.jobs.iter().filter(stale).map(|job| job.id).collect();
        for job in stale {
            self.end(job, Ending::Stale, out);
        }
        let jobs = &self.jobs;
        let needed = |template: &Arc<Template>| {
            let mut jobs = jobs.iter();
            jobs.any(|job| Arc::ptr_eq(&job.source, template) && !job.cache.is_empty())
        };
        let room = self.constraints.unwrap_or_default();
        self.sources.update(&work, room, needed);
        self.work = Some(work);
    }

    /// Brings everything in line with what is known now.
    fn refresh(&mut self, now: Now, out: &mut Vec<Action>) {
        self.constrain(now, out);
        let Some(work) = self.work.clone() else {
            return;
        };
        self.choose(now, &work, out);
        self.publish(now, &work, out);
        self.ask_for_transactions(now, out);
        self.try_candidates(now, &work, out);
        self.push_on(now, &work, out);
        self.tell_hash_rate(out);
    }

    /// Decides whom to work for.
    fn choose(&mut self, now: Now, work: &Work, out: &mut Vec<Action>) {
        if let Some(active) = self.ranking.active() {
            let is_one = |job: &Job| job.is_published && Arc::ptr_eq(&job.source, &work.template);
            if self.jobs.of(active, is_one).len() >= MAX_JOBS_PER_TEMPLATE {
                let reason = "it keeps changing its terms".to_owned();
                self.fail(now, active, reason, out);
            }
        }
        let upstreams = 0..self.upstreams.len();
        let fitting: Vec<bool> = upstreams.map(|at| self.fits(at, work)).collect();
        if self
            .ranking
            .decide(now.instant, |upstream| fitting[upstream])
        {
            out.push(Action::Report(Report::Switched(self.ranking.active())));
            self.told_hash_rate = 0.0;
        }
    }

    /// Whether the block has room for what an upstream wants to be paid.
    fn fits(&self, upstream: usize, work: &Work) -> bool {
        let payout = self.upstreams[upstream].payout.as_ref();
        payout.is_some_and(|payout| {
            let needed = self.kit.constraints(Some(payout));
            self.sources.has_room(&work.template, needed)
        })
    }

    /// The first constraints come when it is known whom an upstream pays, or when none has told in
    /// time; later ones when somebody needs more room (TPC-04).
    fn constrain(&mut self, now: Now, out: &mut Vec<Action>) {
        let payouts = self.upstreams.iter().filter_map(|up| up.payout.as_ref());
        let needed = payouts.map(|payout| self.kit.constraints(Some(payout)));
        let needed: Vec<Constraints> = needed.collect();
        if needed.is_empty() && !self.is_settled(now) {
            return;
        }
        let least = self
            .constraints
            .unwrap_or_else(|| self.kit.constraints(None));
        let most = needed.iter().fold(least, |most, needed| Constraints {
            size: most.size.max(needed.size),
            sigops: most.sigops.max(needed.sigops),
        });
        if self.constraints != Some(most) {
            self.constraints = Some(most);
            let asked = self.selector.selection().ask(most);
            out.push(Action::Provider(ProviderInput::Constrain(asked)));
        }
    }

    /// Whether miners need not wait for an upstream any longer.
    fn is_settled(&self, now: Now) -> bool {
        self.mode == Mode::Solo
            || self.published.is_some()
            || self.ranking.active().is_some()
            || now.instant >= self.started + START_GRACE
    }

    /// What an upstream asks of coinbases, if it is ready.
    fn terms(&self, upstream: usize) -> Option<Terms> {
        let Upstream { seat, payout } = self.upstreams.get(upstream)?;
        Some(Terms {
            upstream,
            seat: Arc::clone(seat.as_ref()?),
            payout: Arc::clone(payout.as_ref()?),
        })
    }

    /// It broke its side of the deal.
    fn fail(&mut self, now: Now, upstream: usize, reason: String, out: &mut Vec<Action>) {
        self.ranking.failed(upstream, now.instant, &reason);
        out.push(Action::Report(Report::Failed { upstream, reason }));
    }

    fn tell_hash_rate(&mut self, out: &mut Vec<Action>) {
        let Some(active) = self.ranking.active() else {
            return;
        };
        let (rate, told) = (self.hash_rate, self.told_hash_rate);
        // Without miners it stays as it was: pools take no channel that does nothing.
        if rate > 0.0 && (rate - told).abs() > told.max(rate) * HASH_RATE_NEWS {
            self.told_hash_rate = rate;
            out.push(Action::Pool(active, CustomWorkInput::HashRate(rate)));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
