//! The role's metrics. Names follow SRI's monitoring API where the same thing is meant: `sv1_clients`
//! are miners, `server` is an upstream. What is called a total only ever rises.

use daemon::label::{Reason, Upstream};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use std::sync::atomic::AtomicU64;

/// Everything counted. Cheap to clone; the values are shared atomics.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    pub(crate) clients: Gauge,
    pub(crate) hash_rate: Gauge<f64, AtomicU64>,
    pub(crate) accepted: Counter,
    pub(crate) rejected: Family<Reason, Counter>,
    pub(crate) unreadable: Counter,
    pub(crate) channels: Gauge,
    pub(crate) relayed: Family<Upstream, Counter>,
    pub(crate) acknowledged: Family<Upstream, Counter>,
    pub(crate) refused: Family<Upstream, Counter>,
    pub(crate) blocks: Family<Upstream, Counter>,
    pub(crate) failures: Family<Upstream, Counter>,
    pub(crate) lost: Family<Reason, Counter>,
    pub(crate) active: Family<Upstream, Gauge>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let m = metrics.clone();
        registry.register("sv1_clients", "Connected miners", m.clients);
        registry.register(
            "sv1_hashrate",
            "Hashes a second, of all miners",
            m.hash_rate,
        );
        registry.register("sv1_client_shares_accepted", "Shares accepted", m.accepted);
        registry.register(
            "sv1_client_shares_rejected",
            "Shares rejected, by reason",
            m.rejected,
        );
        registry.register(
            "sv1_client_lines_unreadable",
            "Lines that mean nothing",
            m.unreadable,
        );
        registry.register(
            "sv2_server_channels",
            "Channels open at the upstream that is worked for",
            m.channels,
        );
        registry.register(
            "sv2_server_shares_submitted",
            "Shares sent to an upstream",
            m.relayed,
        );
        registry.register(
            "sv2_server_shares_accepted",
            "Shares an upstream accepted",
            m.acknowledged,
        );
        registry.register(
            "sv2_server_shares_rejected",
            "Shares an upstream rejected",
            m.refused,
        );
        registry.register(
            "sv2_server_blocks_found",
            "Blocks sent to an upstream",
            m.blocks,
        );
        registry.register(
            "translator_shares_lost",
            "Accepted shares that no upstream has answered, by reason",
            m.lost,
        );
        registry.register(
            "translator_upstream_failures",
            "Failures of an upstream",
            m.failures,
        );
        registry.register(
            "translator_upstream_active",
            "1 for the upstream that is worked for",
            m.active,
        );
        metrics
    }
}
