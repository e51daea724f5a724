//! The role's metrics. Names follow SRI's monitoring API where the same thing is meant: `client` is a
//! miner, `server` an upstream. What is called a total only ever rises.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Label of things that have one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    pub(crate) reason: String,
}

impl From<&str> for Reason {
    fn from(reason: &str) -> Self {
        let reason = reason.to_owned();
        Self { reason }
    }
}

/// Label of what belongs to an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Upstream {
    pub(crate) upstream: String,
}

/// Everything counted. Cheap to clone; the values are shared atomics.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) clients: Gauge,
    pub(crate) channels: Gauge,
    pub(crate) accepted: Counter,
    pub(crate) rejected: Family<Reason, Counter>,
    pub(crate) blocks: Counter,
    pub(crate) relayed: Family<Upstream, Counter>,
    pub(crate) acknowledged: Family<Upstream, Counter>,
    pub(crate) refused: Family<Upstream, Counter>,
    pub(crate) failures: Family<Upstream, Counter>,
    pub(crate) lost: Family<Reason, Counter>,
    pub(crate) over: Family<Reason, Counter>,
    pub(crate) active: Family<Upstream, Gauge>,
    pub(crate) declared_after: Histogram,
    pub(crate) set_after: Histogram,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        // From a tenth of a millisecond to six seconds.
        let durations = || Histogram::new((0..17).map(|n| 0.000_1 * 2f64.powi(n)));
        let metrics = Self {
            clients: Gauge::default(),
            channels: Gauge::default(),
            accepted: Counter::default(),
            rejected: Family::default(),
            blocks: Counter::default(),
            relayed: Family::default(),
            acknowledged: Family::default(),
            refused: Family::default(),
            failures: Family::default(),
            lost: Family::default(),
            over: Family::default(),
            active: Family::default(),
            declared_after: durations(),
            set_after: durations(),
        };
        let m = metrics.clone();
        registry.register("sv2_clients", "Connected miners", m.clients);
        registry.register("sv2_client_channels", "Open channels", m.channels);
        registry.register("sv2_client_shares_accepted", "Shares accepted", m.accepted);
        registry.register(
            "sv2_client_shares_rejected",
            "Shares rejected, by reason",
            m.rejected,
        );
        registry.register("sv2_client_blocks_found", "Blocks found", m.blocks);
        registry.register(
            "sv2_server_shares_submitted",
            "Shares sent to a pool",
            m.relayed,
        );
        registry.register(
            "sv2_server_shares_accepted",
            "Shares a pool accepted",
            m.acknowledged,
        );
        registry.register(
            "sv2_server_shares_rejected",
            "Good shares a pool rejected",
            m.refused,
        );
        registry.register(
            "jdc_shares_lost",
            "Accepted shares that no pool will see, by reason",
            m.lost,
        );
        registry.register(
            "jdc_upstream_failures",
            "Failures of an upstream",
            m.failures,
        );
        registry.register(
            "jdc_upstream_active",
            "1 for the upstream that is worked for",
            m.active,
        );
        registry.register(
            "jdc_jobs_ended",
            "Jobs that no pool takes, by reason",
            m.over,
        );
        registry.register(
            "jdc_template_to_declaration_seconds",
            "From a template's arrival to its DeclareMiningJob",
            m.declared_after,
        );
        registry.register(
            "jdc_template_to_custom_job_seconds",
            "From a template's arrival to the pool's answer",
            m.set_after,
        );
        metrics
    }
}
