//! What the role counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::{Map, Value, json};

use crate::core::Event;
use crate::monitor::NodeView;
use crate::source::Verdict;

/// One name and its value.
type Label = [(&'static str, &'static str); 1];

const TIP: Label = [("cause", "tip")];
const REFRESH: Label = [("cause", "refresh")];
const SENT: Label = [("answer", "sent")];
const REFUSED: Label = [("answer", "refused")];
const ACCEPTED: Label = [("verdict", "accepted")];
const NOT_TIP: Label = [("verdict", "not_tip")];
const REJECTED: Label = [("verdict", "rejected")];
const UNKNOWN: Label = [("verdict", "unknown")];
const NOT_SUBMITTED: Label = [("verdict", "not_submitted")];

/// Counters, shared by all clones. They only ever rise; the gauges also fall.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    clients: Gauge,
    node_ready: Gauge,
    node_losses: Counter,
    templates: Family<Label, Counter>,
    transaction_data: Family<Label, Counter>,
    solutions: Family<Label, Counter>,
}

/// Counts a client for as long as it lives.
#[derive(Debug)]
pub struct ClientCount(Gauge);

impl Drop for ClientCount {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// One more client.
    pub fn client(&self) -> ClientCount {
        self.clients.inc();
        ClientCount(self.clients.clone())
    }

    /// Counts what a client's connection tells.
    pub fn count(&self, event: &Event) {
        match event {
            Event::TemplateSent { new_tip, .. } => {
                let cause = if *new_tip { TIP } else { REFRESH };
                self.templates.get_or_create(&cause).inc();
            }
            Event::TransactionDataSent { .. } => {
                self.transaction_data.get_or_create(&SENT).inc();
            }
            Event::TransactionDataRefused { .. } => {
                self.transaction_data.get_or_create(&REFUSED).inc();
            }
            Event::SolutionRefused { .. } => {
                self.solutions.get_or_create(&NOT_SUBMITTED).inc();
            }
            Event::SolutionJudged { verdict, .. } => {
                let verdict = match verdict {
                    Verdict::Accepted => ACCEPTED,
                    Verdict::NotTip => NOT_TIP,
                    Verdict::Rejected { .. } => REJECTED,
                    Verdict::Unknown { .. } => UNKNOWN,
                };
                self.solutions.get_or_create(&verdict).inc();
            }
            Event::Request(_)
            | Event::ConstraintsSet(_)
            | Event::Idle
            | Event::TemplateUnusable { .. }
            | Event::SolutionSubmitted { .. }
            | Event::NodeLost { .. }
            | Event::NodeBack
            | Event::NodeSyncing
            | Event::Ignored { .. } => {}
        }
    }

    /// Counts what the monitor sees of the node.
    pub fn observe(&self, before: &NodeView, now: &NodeView) {
        self.node_ready.set(i64::from(now.is_serving()));
        if before.is_connected() && !now.is_connected() {
            self.node_losses.inc();
        }
    }

    /// For `/metrics`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("sv2_tdp");
        registry.register("clients", "Connected clients", self.clients.clone());
        registry.register(
            "node_ready",
            "1 while the node makes templates",
            self.node_ready.clone(),
        );
        registry.register(
            "node_losses",
            "Connections to the node lost",
            self.node_losses.clone(),
        );
        registry.register(
            "templates",
            "Templates sent, by cause",
            self.templates.clone(),
        );
        registry.register(
            "transaction_data",
            "Requests for transaction data, by answer",
            self.transaction_data.clone(),
        );
        registry.register(
            "solutions",
            "Solutions received, by the node's verdict",
            self.solutions.clone(),
        );
    }

    /// For `/api/v1/status`.
    pub fn status(&self, node: &NodeView) -> Map<String, Value> {
        let templates = |cause| self.templates.get_or_create(&cause).get();
        let data = |answer| self.transaction_data.get_or_create(&answer).get();
        let solutions = |verdict| self.solutions.get_or_create(&verdict).get();
        let status = json!({
            "clients": self.clients.get(),
            "node": node.status(),
            "node_losses": self.node_losses.get(),
            "templates": { "tip": templates(TIP), "refresh": templates(REFRESH) },
            "transaction_data": { "sent": data(SENT), "refused": data(REFUSED) },
            "solutions": {
                "accepted": solutions(ACCEPTED),
                "not_tip": solutions(NOT_TIP),
                "rejected": solutions(REJECTED),
                "unknown": solutions(UNKNOWN),
                "not_submitted": solutions(NOT_SUBMITTED),
            },
        });
        match status {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}
