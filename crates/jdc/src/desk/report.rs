//! What the declarator reports, as logs and metrics.

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use daemon::label::{Reason, Upstream};
use tracing::{debug, error, info, warn};

use super::Desk;
use crate::declarator::{Ending, Report};

impl Desk {
    fn label(&self, upstream: usize) -> Upstream {
        let pair = self.upstreams.get(upstream);
        let upstream = pair.map(|pair| pair.pool.address.to_string());
        Upstream {
            upstream: upstream.unwrap_or_default(),
        }
    }

    pub(super) fn report(&self, report: Report) {
        let metrics = &self.ends.metrics;
        match report {
            Report::Switched(to) => self.switched(to),
            Report::Failed { upstream, reason } => {
                let label = self.label(upstream);
                warn!(upstream = label.upstream, reason, "upstream failed");
                metrics.failures.get_or_create(&label).inc();
            }
            Report::LinkLost { upstream, reason } => {
                let label = self.label(upstream);
                info!(
                    upstream = label.upstream,
                    reason, "upstream on standby lost"
                );
            }
            Report::Emptied { template, why } => {
                warn!(template, why, "a template is mined without transactions");
                metrics.emptied.inc();
            }
            Report::Sent { job, micros } => {
                debug!(job, micros, "job declared");
                metrics.declared_after.observe(seconds(micros));
            }
            Report::Declared { job, micros } => {
                debug!(job, micros, "declaration accepted");
                metrics.answered_after.observe(seconds(micros));
            }
            Report::Set {
                job,
                job_id,
                micros,
            } => {
                debug!(job, job_id, micros, "the pool takes a job");
                metrics.set_after.observe(seconds(micros));
            }
            Report::Over { job, ending } => {
                let reason = Reason::from(ending.label());
                match &ending {
                    Ending::Stale => debug!(job, "job over: its tip is gone"),
                    other => info!(job, reason = %other, "job over"),
                }
                metrics.over.get_or_create(&reason).inc();
            }
            Report::Relayed { upstream, count } => {
                let label = self.label(upstream);
                metrics.relayed.get_or_create(&label).inc_by(count);
            }
            Report::Acknowledged { upstream, count } => {
                let label = self.label(upstream);
                metrics.acknowledged.get_or_create(&label).inc_by(count);
            }
            Report::Rejected { upstream, code } => {
                let label = self.label(upstream);
                warn!(
                    upstream = label.upstream,
                    code, "the pool rejected a good share"
                );
                metrics.refused.get_or_create(&label).inc();
            }
            Report::Lost { count, why } => {
                info!(count, why, "shares lost");
                metrics.lost.get_or_create(&Reason::from(why)).inc_by(count);
            }
            Report::Block {
                job,
                hash,
                is_pushed,
            } => {
                let hash = BlockHash::from_byte_array(hash);
                info!(job, %hash, is_pushed, "block passed on");
                metrics.blocks.inc();
            }
            Report::BlockLost { hash } => {
                let hash = BlockHash::from_byte_array(hash);
                error!(%hash, "block lost: its job is not known any more");
                metrics.blocks.inc();
            }
        }
    }

    pub(super) fn measure_selection(&self) {
        let metrics = &self.ends.metrics;
        let newest = self.declarator.published().map(|work| work.template.id);
        let job = newest.and_then(|id| self.declarator.job(id));
        let left_out = job.map(|job| job.left_out).unwrap_or_default();
        let transactions = left_out.transactions.unwrap_or(0);
        metrics.left_out.set(transactions as i64);
        metrics.fees_left_out.set(left_out.fees as i64);
        let pins = self.declarator.selector().pins();
        let missing = pins.filter(|(_, pin)| pin.is_missing()).count();
        metrics.pins_missing.set(missing as i64);
    }

    fn switched(&self, to: Option<usize>) {
        for upstream in 0..self.upstreams.len() {
            let active = self
                .ends
                .metrics
                .active
                .get_or_create_owned(&self.label(upstream));
            active.set(i64::from(to == Some(upstream)));
        }
        match to {
            Some(upstream) => {
                let upstream = self.label(upstream).upstream;
                info!(upstream, "miners work for an upstream");
            }
            None => warn!("miners work solo: no upstream can be worked for"),
        }
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
