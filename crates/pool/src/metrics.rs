//! The pool's metrics. Names follow SRI's monitoring API where the same thing is meant; unlike
//! there, what is called a total only ever rises.

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use protocol::work::Work;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

/// Label of rejected shares.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Rejection {
    pub(crate) reason: &'static str,
}

/// Label of blocks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Outcome {
    pub(crate) verdict: &'static str,
}

/// Everything counted. Cheap to clone; the values are shared atomics.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    pub(crate) clients: Gauge,
    pub(crate) channels: Gauge,
    pub(crate) retargets: Counter,
    pub(crate) accepted: Counter,
    pub(crate) rejected: Family<Rejection, Counter>,
    pub(crate) blocks: Family<Outcome, Counter>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self {
            clients,
            channels,
            retargets,
            accepted,
            rejected,
            blocks,
        } = metrics.clone();
        registry.register("sv2_clients", "Connected miners", clients);
        registry.register("sv2_client_channels", "Open channels", channels);
        registry.register(
            "sv2_client_targets_changed",
            "Targets changed by vardiff",
            retargets,
        );
        registry.register("sv2_client_shares_accepted", "Shares accepted", accepted);
        registry.register(
            "sv2_client_shares_rejected",
            "Shares rejected, by reason",
            rejected,
        );
        registry.register(
            "sv2_client_blocks_found",
            "Blocks, by the node's verdict",
            blocks,
        );
        metrics
    }

    /// The pool's part of `/api/v1/status`.
    pub(crate) fn status(
        &self,
        work: watch::Receiver<Option<Work>>,
    ) -> Box<dyn Fn() -> Map<String, Value> + Send + Sync> {
        let metrics = self.clone();
        Box::new(move || {
            let blocks = |verdict| {
                let outcome = Outcome { verdict };
                metrics.blocks.get(&outcome).map_or(0, |count| count.get())
            };
            let current = work.borrow().as_ref().map(|work| {
                json!({
                    "template_id": work.template.id,
                    "height": work.template.height(),
                    "prev_hash": BlockHash::from_byte_array(work.prev_hash.prev_hash).to_string(),
                    "value_remaining": work.template.coinbase_tx_value_remaining,
                })
            });
            let body = json!({
                "clients": metrics.clients.get(),
                "channels": metrics.channels.get(),
                "shares_accepted": metrics.accepted.get(),
                "blocks_accepted": blocks("accepted"),
                "blocks_stale": blocks("stale"),
                "blocks_rejected": blocks("rejected"),
                "work": current,
            });
            match body {
                Value::Object(map) => map,
                _ => Map::new(),
            }
        })
    }
}
