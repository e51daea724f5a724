//! An address: what it has, what it had, what waits for it.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, OutPoint, ScriptBuf, Txid};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{App, Pages};
use crate::archive::Missing;
use crate::chain::{ScriptHash, script_hash};
use crate::node::Mempool;

/// Transactions shown at once.
const PAGE: usize = 25;
/// Coins shown.
const MAX_COINS: usize = 100;
/// How long the node may take to look through all coins.
const SCAN_LIMIT: Duration = Duration::from_secs(20);

/// An address. Values are satoshis.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct AddressView {
    pub(crate) address: String,
    pub(crate) script: String,
    pub(crate) kind: &'static str,
    pub(crate) balance: u64,
    /// Of the balance: rewards that cannot be spent yet.
    pub(crate) immature: u64,
    /// Ever; null where the chain is too long for an index.
    pub(crate) received: Option<u64>,
    pub(crate) sent: Option<u64>,
    /// What waits in the mempool would add.
    pub(crate) waiting: i64,
    /// Null where the chain is too long for an index.
    pub(crate) pages: Option<Pages>,
    /// The newest first, those that wait at the top of the first page.
    pub(crate) history: Vec<HistoryLine>,
    pub(crate) coins_total: usize,
    /// The newest.
    pub(crate) coins: Vec<CoinLine>,
}

/// A transaction that touches an address.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct HistoryLine {
    pub(crate) txid: String,
    /// Null while it waits.
    pub(crate) height: Option<u32>,
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl HistoryLine {
    pub(crate) fn change(&self) -> i64 {
        self.received.cast_signed() - self.sent.cast_signed()
    }
}

/// An output that is not spent.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct CoinLine {
    pub(crate) txid: String,
    pub(crate) vout: u32,
    pub(crate) value: u64,
    pub(crate) height: u32,
    /// The height from which on it can be spent, if that is to come.
    pub(crate) matures_at: Option<u32>,
}

/// The address that `text` is.
pub(crate) fn parse(app: &App, text: &str) -> Result<Address, Missing> {
    let network = app.config.network;
    let address: Address<NetworkUnchecked> = text
        .parse()
        .map_err(|error| Missing::bad_request(format!("no address: {error}")))?;
    address
        .require_network(network)
        .map_err(|_| Missing::bad_request(format!("no address of {network}")))
}

impl AddressView {
    pub(crate) async fn of(app: &App, text: &str, offset: usize) -> Result<Self, Missing> {
        let address = parse(app, text)?;
        let script = address.script_pubkey();
        let mut view = match Self::indexed(app, &script, offset) {
            Some(view) => view,
            None => Self::scanned(app, &address).await?,
        };
        view.address = address.to_string();
        let mempool = Arc::clone(&app.conditions.borrow().mempool);
        let waiting = waiting(app, &mempool, &script_hash(&script));
        view.waiting = waiting.iter().map(HistoryLine::change).sum();
        if offset == 0 {
            view.history.splice(0..0, waiting);
        }
        Ok(view)
    }

    fn empty(script: &ScriptBuf) -> Self {
        Self {
            address: String::new(),
            script: script.to_hex_string(),
            kind: super::script_kind(script),
            balance: 0,
            immature: 0,
            received: None,
            sent: None,
            waiting: 0,
            pages: None,
            history: Vec::new(),
            coins_total: 0,
            coins: Vec::new(),
        }
    }

    fn indexed(app: &App, script: &ScriptBuf, offset: usize) -> Option<Self> {
        let hash = script_hash(script);
        let chain = app.chain.borrow();
        let index = chain.index()?;
        let tip = chain.tip().map_or(0, |tip| tip.height);
        let summary = index.summary(&hash, tip);
        let pages = Pages::new(offset, PAGE, summary.transactions);
        let history = index.history(&hash, pages.offset, PAGE);
        let coins = index.coins(&hash).take(MAX_COINS).map(|coin| CoinLine {
            txid: coin.outpoint.txid.to_string(),
            vout: coin.outpoint.vout,
            value: coin.value,
            height: coin.height,
            matures_at: Some(coin.height + 100).filter(|at| coin.is_coinbase && *at > tip + 1),
        });
        Some(Self {
            balance: summary.funded - summary.spent,
            immature: summary.immature,
            received: Some(summary.funded),
            sent: Some(summary.spent),
            pages: Some(pages),
            history: history
                .map(|touch| HistoryLine {
                    txid: touch.txid.to_string(),
                    height: Some(touch.height),
                    received: touch.received,
                    sent: touch.spent,
                })
                .collect(),
            coins_total: (summary.funded_count - summary.spent_count) as usize,
            coins: coins.collect(),
            ..Self::empty(script)
        })
    }

    /// The node is asked to look through all coins, which takes it a while.
    async fn scanned(app: &App, address: &Address) -> Result<Self, Missing> {
        #[derive(Deserialize)]
        struct Scan {
            height: u32,
            unspents: Vec<Unspent>,
        }
        #[derive(Deserialize)]
        struct Unspent {
            txid: String,
            vout: u32,
            #[serde(with = "bitcoin::amount::serde::as_btc")]
            amount: bitcoin::Amount,
            height: u32,
            #[serde(default)]
            coinbase: bool,
        }
        let rpc = app.archive.rpc().with_limit(SCAN_LIMIT);
        let params = json!(["start", [format!("addr({address})")]]);
        let scan: Scan = rpc.call("scantxoutset", params).await?;
        let tip = scan.height;
        let matures = |coin: &Unspent| {
            let at = coin.height + 100;
            Some(at).filter(|at| coin.coinbase && *at > tip + 1)
        };
        let sum = |coins: &mut dyn Iterator<Item = &Unspent>| -> u64 {
            coins.map(|coin| coin.amount.to_sat()).sum()
        };
        let mut unspents = scan.unspents;
        unspents.sort_by_key(|coin| std::cmp::Reverse(coin.height));
        let mut immature = unspents.iter().filter(|coin| matures(coin).is_some());
        Ok(Self {
            balance: sum(&mut unspents.iter()),
            immature: sum(&mut immature),
            coins_total: unspents.len(),
            coins: unspents
                .iter()
                .take(MAX_COINS)
                .map(|coin| CoinLine {
                    txid: coin.txid.clone(),
                    vout: coin.vout,
                    value: coin.amount.to_sat(),
                    height: coin.height,
                    matures_at: matures(coin),
                })
                .collect(),
            ..Self::empty(&address.script_pubkey())
        })
    }
}

/// The mempool is looked at now and then: what has just been mined waits there for a moment longer.
pub(crate) fn is_mined(app: &App, txid: &Txid) -> bool {
    let chain = app.chain.borrow();
    chain
        .index()
        .is_some_and(|index| index.height_of(txid).is_some())
}

/// Transactions of the mempool that touch a script, and are in no block yet.
pub(crate) fn waiting(app: &App, mempool: &Mempool, hash: &ScriptHash) -> Vec<HistoryLine> {
    let value_of = |outpoint: &OutPoint| -> Option<u64> {
        let chain = app.chain.borrow();
        if let Some(value) = chain
            .index()
            .and_then(|index| index.paid_to(hash, outpoint))
        {
            return Some(value);
        }
        let parent = mempool.entries.get(&outpoint.txid)?.transaction.as_ref()?;
        let output = parent.output.get(outpoint.vout as usize)?;
        (script_hash(&output.script_pubkey) == *hash).then(|| output.value.to_sat())
    };
    let mut lines = Vec::new();
    for (txid, waiting) in &mempool.entries {
        let Some(transaction) = &waiting.transaction else {
            continue;
        };
        if is_mined(app, txid) {
            continue;
        }
        let outputs = transaction.output.iter();
        let to_it = outputs.filter(|output| script_hash(&output.script_pubkey) == *hash);
        let received: u64 = to_it.map(|output| output.value.to_sat()).sum();
        let inputs = transaction.input.iter();
        let sent: u64 = inputs
            .filter_map(|input| value_of(&input.previous_output))
            .sum();
        if received > 0 || sent > 0 {
            lines.push(HistoryLine {
                txid: txid.to_string(),
                height: None,
                received,
                sent,
            });
        }
    }
    lines
}
