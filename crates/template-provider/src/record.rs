//! The newest templates sent, and what became of those that were solved, for
//! `GET /api/v1/templates`.

use std::collections::VecDeque;
use std::net::SocketAddr;

use axum::Json;
use axum::extract::{Query, State};
use daemon::clock;
use daemon::http::{Part, Routes, Window, routes};
use protocol::setup::Client;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::core::Event;
use crate::source::{Template, Verdict};

/// Templates kept.
const KEPT: usize = 200;
/// Solutions kept of each. On regtest most shares are solutions.
const MAX_SOLUTIONS: usize = 16;

/// A template that was sent.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct Sent {
    /// Its id on the client's connection.
    template_id: u64,
    /// The client.
    #[schema(value_type = String)]
    peer: SocketAddr,
    /// As the client calls itself.
    vendor: String,
    /// The software it says it runs.
    firmware: String,
    /// Milliseconds since 1970.
    sent_ms: u64,
    /// Whether it came with a new tip, rather than with more fees.
    new_tip: bool,
    height: Option<u64>,
    prev_hash: String,
    /// Satoshis the coinbase may pay out.
    value: u64,
    /// Satoshis of that which are fees.
    fees: Option<u64>,
    /// Blocks that solve it.
    solutions: Vec<Solution>,
}

/// A block that solves a template.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct Solution {
    hash: String,
    /// When it went to the node, in milliseconds since 1970.
    submitted_ms: u64,
    /// `accepted`, `not_tip`, `rejected` or `unknown`; none until the node has answered.
    verdict: Option<&'static str>,
    /// When it answered, in milliseconds since 1970.
    verdict_ms: Option<u64>,
    /// Why it is not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Newest first. Written by the connections they went out on, read by HTTP.
#[derive(Debug, Clone, Default)]
pub struct Record {
    newest: watch::Sender<VecDeque<Sent>>,
}

impl Record {
    /// What HTTP tells of them.
    pub(crate) fn routes(&self) -> Routes {
        Routes::new().routes(routes!(list)).with_state(self.clone())
    }

    /// For one client's connection.
    pub(crate) fn of(&self, peer: SocketAddr, client: &Client) -> ClientRecord {
        ClientRecord {
            record: self.clone(),
            peer,
            vendor: client.vendor.clone(),
            firmware: client.firmware.clone(),
        }
    }
}

/// What one client was sent.
#[derive(Debug)]
pub(crate) struct ClientRecord {
    record: Record,
    peer: SocketAddr,
    vendor: String,
    firmware: String,
}

impl ClientRecord {
    /// Takes what is kept out of `event`.
    pub(crate) fn take(&self, event: &Event) {
        match event {
            Event::TemplateSent {
                template_id,
                new_tip,
                template,
            } => self.sent(*template_id, *new_tip, template),
            Event::SolutionSubmitted {
                template_id,
                block_hash,
            } => self.change(*template_id, |sent| {
                if sent.solutions.len() < MAX_SOLUTIONS {
                    sent.solutions.push(Solution {
                        hash: block_hash.to_string(),
                        submitted_ms: clock::unix_ms(),
                        verdict: None,
                        verdict_ms: None,
                        reason: None,
                    });
                }
            }),
            Event::SolutionJudged {
                template_id,
                block_hash,
                verdict,
            } => self.change(*template_id, |sent| {
                let hash = block_hash.to_string();
                let mut solutions = sent.solutions.iter_mut();
                if let Some(solution) = solutions.find(|solution| solution.hash == hash) {
                    solution.judged(verdict);
                }
            }),
            _ => {}
        }
    }

    fn sent(&self, template_id: u64, new_tip: bool, template: &Template) {
        let sent = Sent {
            template_id,
            peer: self.peer,
            vendor: self.vendor.clone(),
            firmware: self.firmware.clone(),
            sent_ms: clock::unix_ms(),
            new_tip,
            height: protocol::work::height(&template.coinbase_prefix),
            prev_hash: template.prev_block().to_string(),
            value: template.coinbase_tx_value_remaining,
            fees: template.fees(),
            solutions: Vec::new(),
        };
        self.record.newest.send_modify(|newest| {
            newest.truncate(KEPT - 1);
            newest.push_front(sent);
        });
    }

    fn change(&self, template_id: u64, change: impl FnOnce(&mut Sent)) {
        self.record.newest.send_modify(|newest| {
            let is_it =
                |sent: &&mut Sent| sent.peer == self.peer && sent.template_id == template_id;
            if let Some(sent) = newest.iter_mut().find(is_it) {
                change(sent);
            }
        });
    }
}

impl Solution {
    fn judged(&mut self, verdict: &Verdict) {
        let (name, reason) = match verdict {
            Verdict::Accepted => ("accepted", None),
            Verdict::NotTip => ("not_tip", None),
            Verdict::Rejected { reason } => ("rejected", Some(reason)),
            Verdict::Unknown { reason } => ("unknown", Some(reason)),
        };
        self.verdict = Some(name);
        self.verdict_ms = Some(clock::unix_ms());
        self.reason = reason.map(ToString::to_string);
    }
}

/// Templates, newest first, with the blocks that solve them
#[utoipa::path(
    get, path = "/api/v1/templates", tag = "template-provider", params(Window),
    responses((status = OK, description = "The newest ones, in parts", body = Part<Sent>))
)]
async fn list(State(record): State<Record>, Query(window): Query<Window>) -> Json<Part<Sent>> {
    Json(window.of(record.newest.borrow().iter()).map(Sent::clone))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bitcoin::BlockHash;
    use bitcoin::hashes::Hash;

    use super::*;

    fn template(height: u8) -> Arc<Template> {
        Arc::new(Template {
            version: 0,
            coinbase_tx_version: 2,
            coinbase_prefix: vec![1, height],
            coinbase_tx_input_sequence: 0,
            coinbase_tx_value_remaining: 50 * 100_000_000 + 7,
            coinbase_tx_outputs_count: 0,
            coinbase_tx_outputs: Vec::new(),
            coinbase_tx_locktime: 0,
            merkle_path: Vec::new(),
            prev_hash: [height; 32],
            header_timestamp: 0,
            n_bits: 0x207f_ffff,
            target: [0xff; 32],
        })
    }

    fn a_client(record: &Record, port: u16) -> ClientRecord {
        let client = Client {
            flags: 0,
            vendor: "sv2-lab".to_owned(),
            hardware: String::new(),
            firmware: "pool/1".to_owned(),
            device_id: String::new(),
        };
        record.of(([127, 0, 0, 1], port).into(), &client)
    }

    #[test]
    fn a_solution_is_found_at_its_clients_template_with_the_nodes_verdict() {
        let record = Record::default();
        let (one, other) = (a_client(&record, 1), a_client(&record, 2));
        for client in [&one, &other] {
            client.take(&Event::TemplateSent {
                template_id: 7,
                new_tip: true,
                template: template(100),
            });
        }
        let block_hash = BlockHash::from_byte_array([9; 32]);
        one.take(&Event::SolutionSubmitted {
            template_id: 7,
            block_hash,
        });
        one.take(&Event::SolutionJudged {
            template_id: 7,
            block_hash,
            verdict: Verdict::Accepted,
        });
        let newest = record.newest.borrow();
        assert!(newest[0].solutions.is_empty(), "{newest:?}");
        assert_eq!((newest[1].height, newest[1].fees), (Some(100), Some(7)));
        assert_eq!(newest[1].firmware, "pool/1");
        assert_eq!(newest[1].solutions[0].verdict, Some("accepted"));
        assert!(newest[1].solutions[0].verdict_ms >= Some(newest[1].sent_ms));
    }

    #[test]
    fn only_the_newest_are_kept() {
        let record = Record::default();
        let client = a_client(&record, 1);
        for template_id in 0..KEPT as u64 + 5 {
            client.take(&Event::TemplateSent {
                template_id,
                new_tip: false,
                template: template(1),
            });
        }
        let newest = record.newest.borrow();
        assert_eq!(
            (newest.len(), newest[0].template_id),
            (KEPT, KEPT as u64 + 4)
        );
    }
}
