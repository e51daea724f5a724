//! The role's metrics. Names follow SRI's monitoring API where the same thing is meant: `client` is a
//! miner, `server` an upstream. What is called a total only ever rises.

use std::sync::atomic::AtomicU64;

use daemon::dial::{LinkTo, Stage};
use daemon::label::{Reason, Upstream};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::show::Shown;

/// Label of blocks that were submitted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Verdict {
    pub(crate) verdict: &'static str,
}

impl From<&'static str> for Verdict {
    fn from(verdict: &'static str) -> Self {
        Self { verdict }
    }
}

/// Label of the connection to a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Server {
    /// `template-provider`, `pool` or `jds`.
    pub(crate) server: &'static str,
    pub(crate) address: String,
}

/// A number that may be unknown, and is no number then.
type Known = Gauge<f64, AtomicU64>;

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
    pub(crate) left_out: Gauge,
    pub(crate) fees_left_out: Gauge,
    pub(crate) pins_missing: Gauge,
    pub(crate) emptied: Counter,
    pub(crate) submitted: Family<Verdict, Counter>,
    pub(crate) declared_after: Histogram,
    pub(crate) answered_after: Histogram,
    pub(crate) set_after: Histogram,
    links: Family<Server, Gauge>,
    height: Known,
    fees: Known,
    weight: Known,
    transactions: Known,
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
            left_out: Gauge::default(),
            fees_left_out: Gauge::default(),
            pins_missing: Gauge::default(),
            emptied: Counter::default(),
            submitted: Family::default(),
            declared_after: durations(),
            answered_after: durations(),
            set_after: durations(),
            links: Family::default(),
            height: Known::default(),
            fees: Known::default(),
            weight: Known::default(),
            transactions: Known::default(),
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
        metrics.register_selection(registry);
        metrics.register_latencies(registry);
        metrics.register_shown(registry);
        metrics
    }

    fn register_latencies(&self, registry: &mut Registry) {
        registry.register(
            "jdc_template_to_declaration_seconds",
            "From a template's arrival to its DeclareMiningJob",
            self.declared_after.clone(),
        );
        registry.register(
            "jdc_declaration_seconds",
            "From DeclareMiningJob to the answer that takes it",
            self.answered_after.clone(),
        );
        registry.register(
            "jdc_template_to_custom_job_seconds",
            "From a template's arrival to the pool's answer",
            self.set_after.clone(),
        );
    }

    fn register_shown(&self, registry: &mut Registry) {
        registry.register(
            "jdc_link_stage",
            "0 disconnected, 1 handshake, 2 open",
            self.links.clone(),
        );
        let prefix = registry.sub_registry_with_prefix("jdc_template");
        prefix.register("height", "Of what the miners have", self.height.clone());
        prefix.register("fees_satoshis", "Of its transactions", self.fees.clone());
        prefix.register("weight", "Of its transactions", self.weight.clone());
        prefix.register(
            "transactions",
            "Beside the coinbase",
            self.transactions.clone(),
        );
    }

    /// What is not counted but looked at.
    pub(crate) fn show(&self, shown: &Shown) {
        for LinkTo {
            server,
            address,
            link,
        } in shown.links()
        {
            let stage = match link.stage {
                Stage::Disconnected => 0,
                Stage::Handshake => 1,
                Stage::Open => 2,
            };
            let label = Server { server, address };
            self.links.get_or_create(&label).set(stage);
        }
        let template = shown.work.as_ref().map(|work| &work.template);
        let set = |gauge: &Known, known: Option<u64>| {
            gauge.set(known.map_or(f64::NAN, |known| known as f64));
        };
        set(&self.height, template.and_then(|it| it.height));
        set(&self.fees, template.and_then(|it| it.fees));
        set(&self.weight, template.and_then(|it| it.weight));
        let transactions = template.and_then(|it| it.transactions);
        set(&self.transactions, transactions.map(|count| count as u64));
    }

    fn register_selection(&self, registry: &mut Registry) {
        let m = self.clone();
        registry.register(
            "jdc_transactions_left_out",
            "Transactions of the newest template that are not wanted",
            m.left_out,
        );
        registry.register(
            "jdc_fees_left_out_satoshis",
            "What the coinbase of the newest template pays less because of them",
            m.fees_left_out,
        );
        registry.register(
            "jdc_pinned_transactions_missing",
            "Pinned transactions that are neither in the newest template nor in the chain",
            m.pins_missing,
        );
        registry.register(
            "jdc_templates_emptied",
            "Templates mined without transactions because they could not be chosen from",
            m.emptied,
        );
        registry.register(
            "jdc_blocks_submitted",
            "Blocks that the template provider could not submit, by the node's verdict",
            m.submitted,
        );
    }
}
