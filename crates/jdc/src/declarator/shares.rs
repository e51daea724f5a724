//! Shares on their way to the pool, and blocks on their way to everybody.

use std::sync::Arc;

use protocol::core::Now;
use protocol::custom_work::{CustomShare, CustomWorkInput};
use protocol::declaration::client::DeclarationInput;
use protocol::provider::ProviderInput;
use protocol::server::Solution;
use protocol::target::Target;

use super::job::Stage;
use super::{Action, Declarator, Found, Mode, Report};

/// Blocks remembered of one job. On regtest most shares are blocks.
const MAX_BLOCKS: usize = 16;

impl Declarator {
    /// A miner's share. A block has been seen to before ([`block`](Self::block)).
    pub(super) fn accepted(
        &mut self,
        id: u64,
        found: &Found,
        is_block: bool,
        out: &mut Vec<Action>,
    ) {
        let Some(job) = self.jobs.get_mut(id) else {
            return report_lost(1, "forgotten", out);
        };
        job.tally.accepted += 1;
        if !is_block && job.terms.is_some() {
            let share = job.share(found);
            self.relay(share, out);
        }
    }

    /// Sends a share to the pool, or keeps it until the pool takes its job.
    pub(super) fn relay(&mut self, share: CustomShare, out: &mut Vec<Action>) {
        let Some(job) = self.jobs.get_mut(share.job) else {
            return report_lost(1, "forgotten", out);
        };
        let Some(upstream) = job.upstream() else {
            return;
        };
        match &job.stage {
            // JDC-25: what the pool did not ask for would only be rejected.
            Stage::Set { target, .. } if Target::from_le_bytes(share.hash) > *target => {
                job.tally.below_target += 1;
            }
            Stage::Set { job_id, .. } => {
                let job_id = *job_id;
                job.tally.relayed += 1;
                let share = CustomShare { job_id, ..share };
                out.push(Action::Pool(upstream, CustomWorkInput::Share(share)));
                out.push(Action::Report(Report::Relayed { upstream, count: 1 }));
            }
            Stage::Over(ending) => {
                let why = ending.label();
                self.lose(share.job, why, out);
            }
            Stage::Solo | Stage::Waiting(_) | Stage::Declaring | Stage::Setting => {
                if let Some(worst) = job.cache.push(share) {
                    self.lose(worst.job, "cache-full", out);
                }
            }
        }
    }

    /// Our own node first, by whoever can give it the block, then the job declarator server, then the pool (JDC-20, 21).
    pub(super) fn block(&mut self, solution: Solution, out: &mut Vec<Action>) {
        let hash = solution.hash;
        let id = solution.template_id;
        let Some(job) = self.jobs.get_mut(id) else {
            return out.push(Action::Report(Report::BlockLost { hash }));
        };
        if job.blocks.len() < MAX_BLOCKS {
            job.blocks.push(hash);
        }
        let extranonce = job.template.coinbase.extranonce_in(&solution.coinbase);
        let found = Found {
            nonce: solution.nonce,
            ntime: solution.ntime,
            version: solution.version,
            extranonce: extranonce.to_vec(),
            hash,
        };
        let tip = job.prev_hash.as_ref();
        let block = tip.and_then(|tip| self.selector.block(&job.source, tip, &solution));
        out.push(match block {
            Some(block) => Action::Submit { hash, block },
            None => Action::Provider(ProviderInput::Solve(Solution {
                session: job.source.session,
                template_id: job.source.id,
                ..solution
            })),
        });
        let share = job.terms.is_some().then(|| job.share(&found));
        let is_pushed = self.push(id, &found, out);
        if let Some(share) = share {
            self.relay(share, out);
        }
        out.push(Action::Report(Report::Block {
            job: id,
            hash,
            is_pushed,
        }));
    }

    /// Tells the job declarator server of a block, if it was shown the job; one that has
    /// not taken it yet is told when it has (T-23). Whether it was told now.
    fn push(&mut self, id: u64, found: &Found, out: &mut Vec<Action>) -> bool {
        let full_template = self.mode == Mode::FullTemplate;
        let job = self.jobs.get_mut(id).filter(|_| full_template);
        let Some((job, solution)) = job.and_then(|job| {
            let solution = job.solution(found)?;
            Some((job, solution))
        }) else {
            return false;
        };
        let Some(upstream) = job.upstream() else {
            return false;
        };
        let is_on_its_way = match job.stage {
            Stage::Declaring => true,
            Stage::Waiting(_) => job.timeline.declared.is_none(),
            _ => false,
        };
        if is_on_its_way {
            // Further ones are as high as the first.
            job.unpushed.get_or_insert(solution);
            return false;
        }
        let is_known = job.timeline.declared.is_some() && self.upstreams[upstream].payout.is_some();
        if is_known {
            let push = DeclarationInput::PushSolution(solution);
            out.push(Action::Jds(upstream, push));
        }
        is_known
    }

    pub(super) fn acknowledged(
        &mut self,
        upstream: usize,
        shares: &[CustomShare],
        count: u32,
        out: &mut Vec<Action>,
    ) {
        for share in shares {
            if let Some(job) = self.jobs.get_mut(share.job) {
                job.tally.acknowledged += 1;
            }
        }
        self.ranking.accepted(upstream);
        let count = u64::from(count);
        out.push(Action::Report(Report::Acknowledged { upstream, count }));
    }

    /// A rejection counts against the upstream while the share's job is worked on; later it is
    /// only late (JDC-29).
    pub(super) fn rejected(
        &mut self,
        now: Now,
        upstream: usize,
        (share, code): (&CustomShare, String),
        out: &mut Vec<Action>,
    ) {
        let tip = self.work.as_ref().map(|work| Arc::clone(&work.prev_hash));
        let job = self.jobs.get_mut(share.job);
        let is_current = job.is_some_and(|job| {
            job.tally.rejected += 1;
            tip.is_some_and(|tip| job.is_on(&tip))
        });
        let reason = format!("the pool rejects valid shares: {code}");
        out.push(Action::Report(Report::Rejected { upstream, code }));
        if is_current && self.ranking.rejected(upstream) {
            self.fail(now, upstream, reason, out);
        }
    }

    /// A share will never be answered.
    pub(super) fn lose(&mut self, job: u64, why: &'static str, out: &mut Vec<Action>) {
        if let Some(job) = self.jobs.get_mut(job) {
            job.tally.lost += 1;
        }
        report_lost(1, why, out);
    }
}

pub(super) fn report_lost(count: usize, why: &'static str, out: &mut Vec<Action>) {
    if count > 0 {
        let count = count as u64;
        out.push(Action::Report(Report::Lost { count, why }));
    }
}
