//! What the proxy reports, as logs and metrics.

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use tracing::{debug, info, warn};

use super::Desk;
use crate::metrics::Upstream;
use crate::proxy::Report;

impl Desk {
    fn label(&self, upstream: usize) -> Upstream {
        let server = self.servers.get(upstream);
        let upstream = server.map(|server| server.upstream.address.to_string());
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
                let upstream = self.label(upstream).upstream;
                info!(upstream, reason, "upstream on standby lost");
            }
            Report::Relayed { upstream, block } => {
                let label = self.label(upstream);
                metrics.relayed.get_or_create(&label).inc();
                if let Some(hash) = block {
                    let hash = BlockHash::from_byte_array(hash);
                    info!(upstream = label.upstream, %hash, "block passed on");
                    metrics.blocks.get_or_create(&label).inc();
                }
            }
            Report::Acknowledged { upstream, count } => {
                let label = self.label(upstream);
                metrics.acknowledged.get_or_create(&label).inc_by(count);
            }
            Report::Rejected {
                upstream,
                code,
                is_mere_block,
            } => {
                let label = self.label(upstream);
                let upstream = &label.upstream;
                if is_mere_block {
                    info!(upstream, code, "a block was no share for the upstream");
                } else {
                    warn!(upstream, code, "the upstream rejected a share");
                }
                metrics.refused.get_or_create(&label).inc();
            }
            Report::Ignored { upstream, what } => {
                let upstream = self.label(upstream).upstream;
                debug!(upstream, what, "message of the upstream ignored");
            }
        }
    }

    fn switched(&self, to: Option<usize>) {
        for upstream in 0..self.servers.len() {
            let label = self.label(upstream);
            let active = self.ends.metrics.active.get_or_create_owned(&label);
            active.set(i64::from(to == Some(upstream)));
        }
        match to {
            Some(upstream) => {
                let upstream = self.label(upstream).upstream;
                info!(upstream, "miners work for an upstream");
            }
            None => warn!("no upstream gives work, miners wait"),
        }
    }
}
