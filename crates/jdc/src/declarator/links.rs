//! What the connections to an upstream's two servers say.

use std::sync::Arc;

use protocol::core::Now;
use protocol::custom_work::{CustomShare, CustomWorkEvent, Seat};
use protocol::declaration::client::{DeclarationEvent, PayoutScripts};
use protocol::target::Target;

use super::job::{Ending, Stage};
use super::{Action, Declarator, Job, Report, shares};

/// A change of the target by this factor is worth a new job.
const WORTH_A_JOB: f64 = 2.0;

impl Declarator {
    pub(super) fn pool(
        &mut self,
        now: Now,
        upstream: usize,
        event: CustomWorkEvent,
        out: &mut Vec<Action>,
    ) {
        match event {
            CustomWorkEvent::Seated(seat) => self.seated(upstream, &seat, out),
            CustomWorkEvent::Target(target) => self.retargeted(upstream, target),
            CustomWorkEvent::JobSet {
                job,
                job_id,
                target,
            } => self.set(now, job, (job_id, target), out),
            CustomWorkEvent::JobRefused { job, code } => {
                self.refused(now, job, ("the pool", code), out);
            }
            CustomWorkEvent::Accepted { shares, count } => {
                self.acknowledged(upstream, &shares, count, out);
            }
            CustomWorkEvent::Rejected { share, code } => {
                self.rejected(now, upstream, (&share, code), out);
            }
            CustomWorkEvent::GivenUp(share) => self.lose(share.job, "unanswered", out),
            // The edge follows; here it is a loss like any other, which comes next.
            CustomWorkEvent::Reconnect { .. } | CustomWorkEvent::Ignored(_) => {}
        }
    }

    pub(super) fn jds(
        &mut self,
        now: Now,
        upstream: usize,
        event: DeclarationEvent,
        out: &mut Vec<Action>,
    ) {
        match event {
            DeclarationEvent::Payout(payout) => self.payout(upstream, &payout, out),
            DeclarationEvent::Sent { job } => self.sent(now, job, out),
            DeclarationEvent::Taken { job, token } | DeclarationEvent::Declared { job, token } => {
                self.declared(now, job, token, out);
            }
            DeclarationEvent::Refused { job, code, details } => {
                let reason = match details.is_empty() {
                    true => code,
                    false => format!("{code} ({details})"),
                };
                self.refused(now, job, ("the job declarator server", reason), out);
            }
            DeclarationEvent::Provided { job, transactions } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.provided += transactions;
                }
            }
            DeclarationEvent::Reconnect { .. } | DeclarationEvent::Ignored(_) => {}
        }
    }

    fn seated(&mut self, upstream: usize, seat: &Arc<Seat>, out: &mut Vec<Action>) {
        self.upstreams[upstream].seat = Some(Arc::clone(seat));
        // What the pool has not taken yet it would take with the new prefix (SV2 5.3.10).
        self.end_others(upstream, out, |job| {
            let terms = job.terms.as_ref();
            terms.is_some_and(|terms| terms.seat != *seat)
        });
        self.settle(upstream);
    }

    fn payout(&mut self, upstream: usize, payout: &PayoutScripts, out: &mut Vec<Action>) {
        self.upstreams[upstream].payout = Some(Arc::clone(payout));
        self.end_others(upstream, out, |job| {
            let terms = job.terms.as_ref();
            terms.is_some_and(|terms| terms.payout != *payout)
        });
        self.settle(upstream);
    }

    /// A job keeps the target it was taken with (SV2 5.3.21). When that is far from what the pool
    /// asks for now, shares for it are worth far too little, or far too few are found: the miners
    /// get another job on the same template.
    fn retargeted(&mut self, upstream: usize, now: Target) {
        let far = |then: Target| {
            let ratio = now.hashes() / then.hashes();
            !(1.0 / WORTH_A_JOB..=WORTH_A_JOB).contains(&ratio)
        };
        for job in self.jobs.iter_mut() {
            if let Stage::Set { target, .. } = job.stage
                && job.upstream() == Some(upstream)
                && far(target)
            {
                job.is_outdated = true;
            }
        }
    }

    /// Ends the upstream's jobs that are on other terms and were not taken yet.
    fn end_others(
        &mut self,
        upstream: usize,
        out: &mut Vec<Action>,
        is_other: impl Fn(&Job) -> bool,
    ) {
        let others = self.jobs.of(upstream, |job| {
            let under_way = !job.is_over() && !matches!(job.stage, Stage::Set { .. });
            under_way && is_other(job)
        });
        for job in others {
            self.end(job, Ending::OtherTerms, out);
        }
    }

    fn settle(&mut self, upstream: usize) {
        let is_ready = self.terms(upstream).is_some();
        self.ranking.set_ready(upstream, is_ready);
    }

    /// What it has taken it has forgotten; its shares wait in case it comes back as it was.
    pub(super) fn pool_lost(
        &mut self,
        now: Now,
        upstream: usize,
        (reason, unanswered): (&str, Vec<CustomShare>),
        out: &mut Vec<Action>,
    ) {
        self.upstreams[upstream].seat = None;
        let taken = |stage: &Stage| matches!(stage, Stage::Setting | Stage::Set { .. });
        self.wait_again(upstream, taken, out);
        for share in unanswered {
            let waiting = |job: &&mut Job| matches!(job.stage, Stage::Waiting(_));
            match self.jobs.get_mut(share.job).filter(waiting) {
                Some(job) => {
                    let lost = job.cache.push(share);
                    shares::report_lost(lost.iter().count(), "cache-full", out);
                }
                None => self.lose(share.job, "unanswered", out),
            }
        }
        self.link_lost(now, upstream, format!("pool: {reason}"), out);
    }

    pub(super) fn jds_lost(
        &mut self,
        now: Now,
        upstream: usize,
        reason: &str,
        out: &mut Vec<Action>,
    ) {
        self.upstreams[upstream].payout = None;
        let asked = |stage: &Stage| matches!(stage, Stage::Declaring);
        self.wait_again(upstream, asked, out);
        let reason = format!("job declarator server: {reason}");
        self.link_lost(now, upstream, reason, out);
    }

    /// A standby that comes and goes harms nobody.
    fn link_lost(&mut self, now: Now, upstream: usize, reason: String, out: &mut Vec<Action>) {
        self.ranking.set_ready(upstream, false);
        if self.ranking.active() == Some(upstream) {
            self.fail(now, upstream, reason, out);
        } else {
            out.push(Action::Report(Report::LinkLost { upstream, reason }));
        }
    }

    /// Takes jobs back to where nobody was asked. Those of a replaced tip are over instead.
    fn wait_again(
        &mut self,
        upstream: usize,
        from: impl Fn(&Stage) -> bool,
        out: &mut Vec<Action>,
    ) {
        for id in self.jobs.of(upstream, |job| from(&job.stage)) {
            let tip = self.work.as_ref().map(|work| &work.prev_hash);
            let Some(job) = self.jobs.get_mut(id) else {
                continue;
            };
            job.stage = Stage::Waiting(None);
            if !tip.is_some_and(|tip| job.is_on(tip)) {
                self.end(id, Ending::Stale, out);
            }
        }
    }
}
