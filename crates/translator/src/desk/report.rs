//! What the proxy reports, as logs and metrics.

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use tracing::{debug, info, warn};

use super::Desk;
use crate::proxy::Report;

impl Desk {
    pub(super) fn report(&self, report: Report) {
        let metrics = &self.ends.metrics;
        match report {
            Report::Switched(to) => self.switched(to),
            Report::Failed { upstream, reason } => {
                let label = &self.labels[upstream];
                warn!(upstream = label.upstream, reason, "upstream failed");
                metrics.failures.get_or_create(label).inc();
            }
            Report::LinkLost { upstream, reason } => {
                let upstream = &self.labels[upstream].upstream;
                info!(upstream, reason, "upstream on standby lost");
            }
            Report::Relayed { upstream, block } => {
                let label = &self.labels[upstream];
                metrics.relayed.get_or_create(label).inc();
                if let Some(hash) = block {
                    let hash = BlockHash::from_byte_array(hash);
                    info!(upstream = label.upstream, %hash, "block passed on");
                    metrics.blocks.get_or_create(label).inc();
                }
            }
            Report::Acknowledged { upstream, count } => {
                let label = &self.labels[upstream];
                metrics.acknowledged.get_or_create(label).inc_by(count);
            }
            Report::Rejected {
                upstream,
                code,
                is_mere_block,
            } => {
                let label = &self.labels[upstream];
                let upstream = &label.upstream;
                if is_mere_block {
                    info!(upstream, code, "a block was no share for the upstream");
                } else {
                    warn!(upstream, code, "the upstream rejected a share");
                }
                metrics.refused.get_or_create(label).inc();
            }
            Report::Ignored { upstream, what } => {
                let upstream = &self.labels[upstream].upstream;
                debug!(upstream, what, "message of the upstream ignored");
            }
        }
    }

    fn switched(&self, to: Option<usize>) {
        for (upstream, label) in self.labels.iter().enumerate() {
            let active = self.ends.metrics.active.get_or_create_owned(label);
            active.set(i64::from(to == Some(upstream)));
        }
        match to {
            Some(upstream) => {
                let upstream = &self.labels[upstream].upstream;
                info!(upstream, "miners work for an upstream");
            }
            None => warn!("no upstream gives work, miners wait"),
        }
    }
}
