//! What the services' answers mean. Each part is read where it is there: a role of somebody else's
//! may tell less.

use std::collections::BTreeMap;

use serde_json::Value;
use toml::Table;

use super::{Answers, BlockView, Chain, Mining, Stage, TemplateView};
use crate::links::Link;
use crate::service::ServiceSpec;

/// The counters of rejected shares, of roles that do not tell reasons elsewhere.
const REJECTED: [&str; 2] = [
    "sv2_client_shares_rejected_total",
    "sv1_client_shares_rejected_total",
];

/// Shares as a pool, a client of pools, or a miner tells of them.
pub(super) fn mining(answers: &Answers) -> Option<Mining> {
    let (status, clients) = (&answers.status, &answers.global["sv2_clients"]);
    if let Some(accepted) = clients["shares_accepted"].as_u64() {
        return Some(Mining {
            miners: clients["total_clients"].as_u64(),
            hashrate: clients["hashrate_1m"].as_f64().unwrap_or_default(),
            accepted,
            rejected: counts(&clients["shares_rejected_by_reason"]),
            blocks: clients["blocks_found"].as_u64().unwrap_or_default(),
        });
    }
    let accepted = status["shares_accepted"].as_u64()?;
    let miners = status["clients"].as_u64();
    let miners = miners.or_else(|| status["sv1_clients"].as_u64());
    Some(Mining {
        miners,
        hashrate: match status["hashrate"].as_f64() {
            Some(rate) => rate,
            None => sum(&answers.clients["items"], "hashrate_1m"),
        },
        accepted,
        rejected: match miners {
            Some(_) => by_reason(&answers.metrics),
            None => counts(&status["shares_rejected"]),
        },
        blocks: status["blocks_found"].as_u64().unwrap_or_default(),
    })
}

/// What miners work on, where there is something.
pub(super) fn template(service: &str, status: &Value, at_ms: u64) -> Option<TemplateView> {
    let work = status["work"].as_object()?;
    let number = |key: &str| work.get(key).and_then(Value::as_u64);
    Some(TemplateView {
        service: service.to_owned(),
        height: number("height"),
        age_ms: number("received_ms").map(|at| at_ms.saturating_sub(at)),
        value: number("value").or_else(|| number("value_remaining")),
        fees: number("fees"),
        transactions: number("transactions"),
        weight: number("weight"),
        left_out: number("left_out").filter(|_| !status["selection"].is_null()),
    })
}

/// A connection as its service tells of it; `sockets` are the other end's.
pub(super) fn link(
    status: &Value,
    sockets: &[String],
    is_node: bool,
) -> Option<(Stage, Option<String>)> {
    let mut links = status["links"].as_array().into_iter().flatten();
    let is_it = |link: &&Value| {
        let address = link["address"].as_str().unwrap_or_default();
        sockets.iter().any(|socket| socket == address)
    };
    if let Some(link) = links.find(is_it) {
        let stage = match link["stage"].as_str()? {
            "open" => Stage::Open,
            "handshake" => Stage::Handshake,
            _ => Stage::Disconnected,
        };
        let failure = link["failure"].as_str().filter(|_| stage != Stage::Open);
        return Some((stage, failure.map(str::to_owned)));
    }
    let node = &status["node"];
    let stage = match node["state"].as_str().filter(|_| is_node)? {
        "serving" | "ready" | "current" => Stage::Open,
        "away" => Stage::Disconnected,
        _ => Stage::Handshake,
    };
    Some((stage, node["reason"].as_str().map(str::to_owned)))
}

/// A pool's blocks.
pub(super) fn blocks(pool: &str, answer: &Value) -> Vec<BlockView> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let blocks = answer["items"].as_array().into_iter().flatten();
    let view = |block: &Value| {
        Some(BlockView {
            height: block["height"].as_u64(),
            hash: text(&block["hash"])?,
            time_ms: block["time_ms"].as_u64()?,
            pool: pool.to_owned(),
            user: text(&block["user"]).unwrap_or_default(),
            worker: text(&block["worker"]),
            declared: block["template_id"].is_null(),
            verdict: text(&block["verdict"]),
        })
    };
    blocks.filter_map(view).collect()
}

/// A node's chain and mempool.
pub(super) fn chain(chain: &Value, mempool: &Value) -> Option<Chain> {
    Some(Chain {
        height: chain["blocks"].as_u64()?,
        tip: chain["bestblockhash"].as_str()?.to_owned(),
        tip_time: chain["time"].as_u64()?,
        mempool_transactions: mempool["size"].as_u64()?,
        mempool_vbytes: mempool["bytes"].as_u64()?,
    })
}

fn counts(object: &Value) -> BTreeMap<String, u64> {
    let entries = object.as_object().into_iter().flatten();
    let count = |(key, value): (&String, &Value)| Some((key.clone(), value.as_u64()?));
    entries.filter_map(count).collect()
}

fn sum(items: &Value, key: &str) -> f64 {
    let items = items.as_array().into_iter().flatten();
    items.filter_map(|item| item[key].as_f64()).sum()
}

/// Where the relay listens for each link `CLIENT:SERVER`, by its configuration.
pub(super) fn relay_sockets(relay: &ServiceSpec) -> BTreeMap<String, String> {
    let config = relay
        .files
        .iter()
        .find_map(|file| file.text.parse::<Table>().ok());
    let links = config
        .as_ref()
        .and_then(|config| config.get("links")?.as_array());
    let socket = |link: &toml::Value| {
        let text = |key: &str| Some(link.get(key)?.as_str()?.to_owned());
        Some((text("name")?, text("listen_address")?))
    };
    links.into_iter().flatten().filter_map(socket).collect()
}

/// The kinds of faults a link has, and whether messages of it are dropped or changed.
pub(super) fn disturbances(link: &Link) -> Vec<String> {
    let kind = |fault: &Value| fault["fault"].as_str().unwrap_or("fault").to_owned();
    let mut kinds: Vec<String> = link.faults.iter().map(kind).collect();
    kinds.extend((!link.rules.is_empty()).then(|| "rule".to_owned()));
    kinds
}

/// The lines of the counters, such as `…_total{reason="stale-share"} 3`.
fn by_reason(metrics: &str) -> BTreeMap<String, u64> {
    let mut reasons = BTreeMap::new();
    let lines = metrics.lines().filter_map(|line| {
        let mut names = REJECTED.iter();
        names.find_map(|name| line.strip_prefix(name))
    });
    for line in lines {
        let Some((labels, count)) = line.rsplit_once(' ') else {
            continue;
        };
        let labels = labels.trim_matches(['{', '}']).split(',');
        let mut pairs = labels.filter_map(|label| label.split_once('='));
        let reason = pairs.find(|(key, _)| matches!(*key, "reason" | "error_code"));
        if let (Some((_, reason)), Ok(count)) = (reason, count.parse::<f64>()) {
            *reasons
                .entry(reason.trim_matches('"').to_owned())
                .or_default() += count as u64;
        }
    }
    reasons.retain(|_, count| *count > 0);
    reasons
}

#[cfg(test)]
mod tests;
