//! What the role counts.

use daemon::node::Verdict;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use protocol::token::Scope;
use serde_json::{Map, Value, json};

use crate::core::{Event, NodeView, Report};

/// One name and its value.
type Label = [(&'static str, &'static str); 1];

const DECLARED: Label = [("answer", "declared")];
const NOT_SOLVED: Label = [("verdict", "not_solved")];

/// Shared by all clones. Counters only ever rise; gauges also fall.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    clients: Gauge,
    node_ready: Gauge,
    tip_height: Gauge,
    mempool_transactions: Gauge,
    mempool_bytes: Gauge,
    tokens: Family<Label, Counter>,
    tokens_delayed: Counter,
    declarations: Family<Label, Counter>,
    missing_transactions: Counter,
    declaration_seconds: Histogram,
    proposal_seconds: Histogram,
    solutions: Family<Label, Counter>,
}

/// Counts a client for as long as it lives.
#[derive(Debug)]
pub(crate) struct ClientCount(Gauge);

impl Drop for ClientCount {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        // From a millisecond to half a minute.
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        Self {
            clients: Gauge::default(),
            node_ready: Gauge::default(),
            tip_height: Gauge::default(),
            mempool_transactions: Gauge::default(),
            mempool_bytes: Gauge::default(),
            tokens: Family::default(),
            tokens_delayed: Counter::default(),
            declarations: Family::default(),
            missing_transactions: Counter::default(),
            declaration_seconds: seconds(),
            proposal_seconds: seconds(),
            solutions: Family::default(),
        }
    }
}

impl Metrics {
    /// One more client.
    pub(crate) fn client(&self) -> ClientCount {
        self.clients.inc();
        ClientCount(self.clients.clone())
    }

    /// Counts what a client's connection tells.
    pub(crate) fn count(&self, event: &Event) {
        match event {
            Event::Allocated { scope, .. } => {
                let scope = match scope {
                    Scope::Allocated => "allocated",
                    Scope::CoinbaseOnly => "coinbase-only",
                    Scope::Declared => "declared",
                };
                self.tokens.get_or_create(&[("scope", scope)]).inc();
            }
            Event::Delayed => {
                self.tokens_delayed.inc();
            }
            Event::Decided(report) => self.decided(report),
            Event::NotSolved { .. } => {
                self.solutions.get_or_create(&NOT_SOLVED).inc();
            }
            Event::Lookup { .. }
            | Event::Propose { .. }
            | Event::Overtaken { .. }
            | Event::Solved { .. }
            | Event::Idle
            | Event::Ignored { .. } => {}
        }
    }

    fn decided(&self, report: &Report) {
        let answer = match &report.refusal {
            None => DECLARED,
            Some(refusal) => [("answer", refusal.code)],
        };
        self.declarations.get_or_create(&answer).inc();
        self.missing_transactions.inc_by(report.missing as u64);
        self.declaration_seconds.observe(report.took.as_secs_f64());
        if report.prev_hash.is_some() {
            self.proposal_seconds
                .observe(report.node_took.as_secs_f64());
        }
    }

    /// Counts the fate of a block that was found.
    pub(crate) fn submitted(&self, verdict: &Verdict) {
        self.solutions
            .get_or_create(&[("verdict", verdict.name())])
            .inc();
    }

    /// Shows the node's tip.
    pub(crate) fn node(&self, node: &NodeView) {
        self.node_ready.set(node.tip().is_some().into());
        if let Some(tip) = node.tip() {
            self.tip_height.set(tip.height.into());
        }
    }

    /// Shows how much of the mempool is known.
    pub(crate) fn mempool(&self, transactions: usize, bytes: usize) {
        self.mempool_transactions.set(transactions as i64);
        self.mempool_bytes.set(bytes as i64);
    }

    /// For `/metrics`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let metrics = self.clone();
        let registry = registry.sub_registry_with_prefix("sv2_jds");
        registry.register("clients", "Connected clients", metrics.clients);
        let help = "1 while the node answers and is done downloading the chain";
        registry.register("node_ready", help, metrics.node_ready);
        registry.register("tip_height", "Height of the node's tip", metrics.tip_height);
        let help = "Transactions of the node's mempool that are known";
        registry.register("mempool_transactions", help, metrics.mempool_transactions);
        let help = "Bytes of these transactions";
        registry.register("mempool_bytes", help, metrics.mempool_bytes);
        registry.register("tokens", "Tokens handed out, by scope", metrics.tokens);
        let help = "Tokens asked for too fast and handed out later";
        registry.register("tokens_delayed", help, metrics.tokens_delayed);
        let help = "Declarations, by answer";
        registry.register("declarations", help, metrics.declarations);
        let help = "Transactions that clients were asked for";
        registry.register("missing_transactions", help, metrics.missing_transactions);
        let help = "From a declaration's arrival to its answer";
        registry.register("declaration_seconds", help, metrics.declaration_seconds);
        let help = "Of which the node had the block";
        registry.register("proposal_seconds", help, metrics.proposal_seconds);
        let help = "Solutions, by the node's verdict";
        registry.register("solutions", help, metrics.solutions);
    }

    /// For `/api/v1/status`.
    pub(crate) fn status(&self, node: &NodeView) -> Map<String, Value> {
        let solutions = |verdict| self.solutions.get_or_create(&[("verdict", verdict)]).get();
        let declared = self.declarations.get_or_create(&DECLARED).get();
        let status = json!({
            "clients": self.clients.get(),
            "node": node_status(node),
            "mempool": {
                "transactions": self.mempool_transactions.get(),
                "bytes": self.mempool_bytes.get(),
            },
            "declared": declared,
            "solutions": {
                "accepted": solutions("accepted"),
                "duplicate": solutions("duplicate"),
                "inconclusive": solutions("inconclusive"),
                "rejected": solutions("rejected"),
                "unknown": solutions("unknown"),
                "not_solved": solutions("not_solved"),
            },
        });
        match status {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}

fn node_status(node: &NodeView) -> Value {
    match node {
        NodeView::Away { reason } => json!({ "state": "away", "reason": reason }),
        NodeView::Syncing => json!({ "state": "syncing" }),
        NodeView::At(tip) => {
            let hash = crate::record::block_hash(&tip.hash);
            json!({ "state": "ready", "tip": hash, "height": tip.height })
        }
    }
}
