//! A job's way to its pool (SV2 6.3).

use std::sync::Arc;
use std::time::Duration;

use protocol::core::Now;
use protocol::custom_work::CustomWorkInput;
use protocol::declaration::client::{DeclarationInput, MAX_OPEN};
use protocol::target::Target;
use protocol::work::Work;

use super::job::{Ending, Stage};
use super::source::Transactions;
use super::{Action, Declarator, Job, Mode, Report, shares};

/// What an upstream says when its node does not know our tip yet. The one reason that is no
/// failure: nodes hear of a block one after the other.
const STALE_CHAIN_TIP: &str = "stale-chain-tip";
/// When it is asked again.
const RETRY: Duration = Duration::from_millis(500);
/// Jobs that a job declarator server may have to look at, at once. What comes faster waits here, and
/// is soon overtaken.
const MAX_ASKED: usize = MAX_OPEN;
/// How long its node may be behind ours.
const MAX_BEHIND: Duration = Duration::from_secs(10);

impl Declarator {
    /// In full-template mode, if there is somebody to declare to.
    pub(super) fn ask_for_transactions(&mut self, now: Now, out: &mut Vec<Action>) {
        let usable = (0..self.upstreams.len()).any(|at| self.ranking.is_usable(at, now.instant));
        if self.mode != Mode::FullTemplate || !usable {
            return;
        }
        for (session, template_id) in self.sources.ask() {
            if let Some(held) = self.selector.held((session, template_id)) {
                let answer = Transactions::Held(held);
                self.sources.answered((session, template_id), answer);
                continue;
            }
            let request = protocol::provider::ProviderInput::RequestTransactions {
                session,
                template_id,
            };
            out.push(Action::Provider(request));
        }
    }

    /// Gives those that have to prove themselves a job that the miners do not have.
    pub(super) fn try_candidates(&mut self, now: Now, work: &Work, out: &mut Vec<Action>) {
        let kept = self.sources.transactions(&work.template);
        if matches!(kept, Transactions::Kept(_)) {
            return;
        }
        let candidates: Vec<usize> = self.ranking.candidates(now.instant).collect();
        for candidate in candidates {
            let Some(terms) = self.terms(candidate).filter(|_| self.fits(candidate, work)) else {
                continue;
            };
            let untried = |job: &Job| !job.is_published && !job.is_over();
            let trial = self.jobs.find(&work.template, Some(&terms), untried);
            if trial.is_none() {
                let tip = Some(&work.prev_hash);
                self.new_job(now, (&work.template, tip), Some(terms), out);
            }
        }
    }

    /// Asks for every job that can be asked for now, first for the newest one.
    pub(super) fn push_on(&mut self, now: Now, work: &Work, out: &mut Vec<Action>) {
        let active = self.ranking.active();
        let candidates: Vec<usize> = self.ranking.candidates(now.instant).collect();
        let wanted = |job: &Job| {
            let Some(upstream) = job.upstream() else {
                return false;
            };
            let rested = match job.stage {
                Stage::Waiting(not_before) => not_before.is_none_or(|at| at <= now.instant),
                _ => false,
            };
            let engaged = active == Some(upstream) || candidates.contains(&upstream);
            // Miners are past an earlier template of this tip; what they found on it is not.
            let is_useful =
                (engaged && Arc::ptr_eq(&job.source, &work.template)) || !job.cache.is_empty();
            rested
                && is_useful
                && job.is_on(&work.prev_hash)
                && self.ranking.is_usable(upstream, now.instant)
                && self.terms(upstream) == job.terms
        };
        let mut wanted: Vec<&Job> = self.jobs.iter().filter(|job| wanted(job)).collect();
        wanted.sort_by_key(|job| !Arc::ptr_eq(&job.source, &work.template));
        let wanted: Vec<(u64, Option<usize>)> =
            wanted.iter().map(|job| (job.id, job.upstream())).collect();
        for (id, upstream) in wanted {
            let asked = |job: &&Job| job.stage == Stage::Declaring && job.upstream() == upstream;
            if self.jobs.iter().filter(asked).count() < MAX_ASKED {
                self.ask(id, out);
            }
        }
    }

    fn ask(&mut self, id: u64, out: &mut Vec<Action>) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let Some(terms) = &job.terms else {
            return;
        };
        let upstream = terms.upstream;
        let input = match (self.mode, self.sources.transactions(&job.source)) {
            (Mode::CoinbaseOnly, _) => Some(DeclarationInput::Take {
                job: id,
                payout: Arc::clone(&terms.payout),
            }),
            (_, Transactions::Held(transactions)) => {
                job.transactions = Some(transactions.len());
                job.declaration(transactions).map(DeclarationInput::Declare)
            }
            (_, Transactions::Kept(code)) => {
                return self.end(id, Ending::NoTransactions(code), out);
            }
            (_, Transactions::Unknown | Transactions::Asked) => None,
        };
        if let Some(input) = input {
            job.stage = Stage::Declaring;
            out.push(Action::Jds(upstream, input));
        }
    }

    /// DeclareMiningJob is on the wire.
    pub(super) fn sent(&mut self, now: Now, id: u64, out: &mut Vec<Action>) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let after = job.since_created(now);
        job.timeline.sent.get_or_insert(after);
        // Not before: declaring must not wait for it.
        if let Transactions::Held(transactions) = self.sources.transactions(&job.source) {
            job.weight = transactions.weight();
        }
        let micros = after.as_micros() as u64;
        out.push(Action::Report(Report::Sent { job: id, micros }));
    }

    /// There is a token for the pool.
    pub(super) fn declared(&mut self, now: Now, id: u64, token: Vec<u8>, out: &mut Vec<Action>) {
        let is_due = |job: &Job| job.stage == Stage::Declaring;
        let Some(job) = self.jobs.get(id).filter(|job| is_due(job)) else {
            return;
        };
        let Some(terms) = job.terms.clone() else {
            return;
        };
        let is_too_late = self.is_too_late(job);
        let custom = job.custom_job(token);
        let seat = self.upstreams[terms.upstream].seat.as_ref();
        let is_seated = seat == Some(&terms.seat);
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let after = job.since_created(now);
        job.timeline.declared = Some(after);
        if let Some(sent) = job.timeline.sent {
            let micros = after.saturating_sub(sent).as_micros() as u64;
            out.push(Action::Report(Report::Declared { job: id, micros }));
        }
        if let Some(solution) = job.unpushed.take() {
            let push = DeclarationInput::PushSolution(solution);
            out.push(Action::Jds(terms.upstream, push));
        }
        if is_too_late {
            return self.end(id, Ending::Stale, out);
        }
        match custom.filter(|_| is_seated) {
            Some(custom) => {
                job.stage = Stage::Setting;
                out.push(Action::Pool(
                    terms.upstream,
                    CustomWorkInput::SetJob(custom),
                ));
            }
            None => job.stage = Stage::Waiting(None),
        }
    }

    /// Whether its tip is gone, and nothing is to be gained from it. With shares in hand it is
    /// worth a try, as long as the pool has not been told of the next tip: for all the pool knows
    /// this is the current one (T-39).
    fn is_too_late(&self, job: &Job) -> bool {
        let tip = self.work.as_ref().map(|work| &work.prev_hash);
        if tip.is_some_and(|tip| job.is_on(tip)) {
            return false;
        }
        let taken = |later: &Job| matches!(later.stage, Stage::Setting | Stage::Set { .. });
        let overtaken =
            |later: &Job| later.id > job.id && later.upstream() == job.upstream() && taken(later);
        job.cache.is_empty() || self.jobs.iter().any(overtaken)
    }

    /// The pool takes it.
    pub(super) fn set(
        &mut self,
        now: Now,
        id: u64,
        (job_id, target): (u32, Target),
        out: &mut Vec<Action>,
    ) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let (Stage::Setting, Some(upstream)) = (&job.stage, job.upstream()) else {
            return;
        };
        job.stage = Stage::Set { job_id, target };
        let after = job.since_created(now);
        job.timeline.set = Some(after);
        let waiting = job.cache.take();
        self.ranking.proved(upstream);
        out.push(Action::Report(Report::Set {
            job: id,
            job_id,
            micros: after.as_micros() as u64,
        }));
        for share in waiting {
            self.relay(share, out);
        }
    }

    /// Its upstream does not take it (JDC-27, 28).
    pub(super) fn refused(
        &mut self,
        now: Now,
        id: u64,
        (who, code): (&str, String),
        out: &mut Vec<Action>,
    ) {
        let tip = self.work.as_ref().map(|work| Arc::clone(&work.prev_hash));
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let (Stage::Declaring | Stage::Setting, Some(upstream)) = (&job.stage, job.upstream())
        else {
            return;
        };
        if !tip.is_some_and(|tip| job.is_on(&tip)) {
            return self.end(id, Ending::Stale, out);
        }
        let reason = if code.starts_with(STALE_CHAIN_TIP) {
            let since = *job.ahead_since.get_or_insert(now.instant);
            if now.instant < since + MAX_BEHIND {
                job.stage = Stage::Waiting(Some(now.instant + RETRY));
                return;
            }
            format!("{who} is behind our node")
        } else {
            format!("{who} refuses a job: {code}")
        };
        self.end(id, Ending::Refused(reason.clone()), out);
        self.fail(now, upstream, reason, out);
    }

    /// Nobody will take it; its shares are lost.
    pub(super) fn end(&mut self, id: u64, ending: Ending, out: &mut Vec<Action>) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let lost = job.cache.take().len();
        job.tally.lost += lost as u64;
        shares::report_lost(lost, ending.label(), out);
        out.push(Action::Report(Report::Over {
            job: id,
            ending: ending.clone(),
        }));
        job.stage = Stage::Over(ending);
    }
}
