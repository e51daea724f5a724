//! The pool's part of `/api/v1/status`.

use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use daemon::dial::HostPort;
use ledger::{Ledger, Verdict};
use protocol::work::Work;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::provider::Seen;
use crate::stats::Stats;

pub(crate) fn status(
    (stats, ledger): (Arc<Stats>, Ledger),
    work: watch::Receiver<Option<Work>>,
    (provider, seen): (HostPort, Seen),
) -> Box<dyn Fn() -> Map<String, Value> + Send + Sync> {
    Box::new(move || {
        let clients = stats.clients();
        let channels: usize = clients.iter().map(|client| client.open().channels()).sum();
        let totals = Arc::clone(&ledger.totals().borrow());
        let judged = |verdict| totals.verdicts.get(&verdict).copied().unwrap_or(0);
        let current = work.borrow().as_ref().map(|work| {
            json!({
                "template_id": work.template.id,
                "height": work.template.height(),
                "prev_hash": BlockHash::from_byte_array(work.prev_hash.prev_hash).to_string(),
                "value_remaining": work.template.coinbase_tx_value_remaining,
                "received_ms": seen.received_ms.get(),
            })
        });
        let link = seen.link.borrow().to("template-provider", &provider);
        let body = json!({
            "links": [link],
            "clients": clients.len(),
            "channels": channels,
            "shares_accepted": totals.accepted,
            "blocks_accepted": judged(Verdict::Accepted),
            "blocks_stale": judged(Verdict::Stale),
            "blocks_rejected": judged(Verdict::Rejected),
            "work": current,
        });
        match body {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    })
}
