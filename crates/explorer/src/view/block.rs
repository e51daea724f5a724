//! A block: header, coinbase, transactions, and how it came to be.

use bitcoin::hex::FromHex;
use bitcoin::{Block, BlockHash, OutPoint, Transaction};
use protocol::coinbase::subsidy;
use serde::Serialize;
use utoipa::ToSchema;

use super::target::ShareTarget;
use super::{App, BlockLine, Pages, address_of, script_kind};
use crate::archive::Missing;
use crate::chain::{Brief, Chain};
use crate::coinbase::{self, Field};
use crate::story::{self, Story};

/// Transactions of a block shown at once.
const PAGE: usize = 25;

/// A block.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct BlockView {
    pub(crate) block: BlockLine,
    /// Blocks on top of it, itself included; 0 if it is not in the chain.
    pub(crate) confirmations: u32,
    pub(crate) header: Header,
    /// Null when nobody has the block on record, or its channel is closed.
    pub(crate) share_target: Option<ShareTarget>,
    pub(crate) coinbase: Coinbase,
    pub(crate) story: Story,
    /// The block on top of it in the chain.
    pub(crate) next: Option<String>,
    /// The block of the chain at its height, if it is another one.
    pub(crate) replaced_by: Option<String>,
    pub(crate) pages: Pages,
    pub(crate) transactions: Vec<TxLine>,
}

/// What is hashed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Header {
    pub(crate) version: String,
    pub(crate) previous: String,
    pub(crate) merkle_root: String,
    /// Unix seconds.
    pub(crate) time: u32,
    pub(crate) bits: String,
    /// What the hash may not be above.
    pub(crate) target: String,
    pub(crate) difficulty: f64,
    pub(crate) nonce: u32,
}

/// What the coinbase says and pays.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Coinbase {
    pub(crate) txid: String,
    /// Of its scriptSig.
    pub(crate) fields: Vec<Field>,
    /// The same, with dots for what cannot be printed.
    pub(crate) text: String,
    /// BIP-0141.
    pub(crate) witness_commitment: Option<String>,
    /// Satoshis of all of them.
    pub(crate) value: u64,
    /// Satoshis of the value that are fees.
    pub(crate) fees: u64,
    pub(crate) payouts: Vec<Payout>,
}

/// An output of a coinbase.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Payout {
    pub(crate) address: Option<String>,
    pub(crate) kind: &'static str,
    /// Satoshis.
    pub(crate) value: u64,
}

/// A transaction in a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct TxLine {
    pub(crate) txid: String,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Virtual bytes.
    pub(crate) vsize: usize,
    /// Satoshis of all outputs.
    pub(crate) value: u64,
    /// Satoshis; null where it is not known, and for a coinbase.
    pub(crate) fee: Option<u64>,
}

impl BlockView {
    /// `id` is a height or a hash.
    pub(crate) async fn of(app: &App, id: &str, offset: usize) -> Result<Self, Missing> {
        let brief = find(app, id).await?;
        let block = app.archive.block(&brief.hash).await?;
        let prefixes = prefixes(app);
        let chain = app.chain.borrow();
        let is_active = chain.find(&brief.hash).is_some();
        let tip = chain.tip().map_or(0, |tip| tip.height);
        let at = |height: u32| chain.at(height).map(|brief| brief.hash.to_string());
        let pages = Pages::new(offset, PAGE, block.txdata.len());
        let header = Header::of(&block);
        let hash = brief.hash.to_string();
        let lines = block.txdata.iter().skip(pages.offset).take(PAGE);
        Ok(Self {
            confirmations: if is_active { tip - brief.height + 1 } else { 0 },
            share_target: ShareTarget::of(&hash, header.difficulty, &app.board),
            header,
            coinbase: Coinbase::of(&block, brief.height, &prefixes, app),
            story: story::tell(&brief, &app.board, &app.config.node.name),
            next: at(brief.height + 1).filter(|_| is_active),
            replaced_by: at(brief.height).filter(|_| !is_active),
            pages,
            transactions: lines
                .map(|transaction| TxLine::of(transaction, &chain))
                .collect(),
            block: BlockLine::of(&brief, &app.board),
        })
    }
}

/// The block with that height or hash.
pub(crate) async fn find(app: &App, id: &str) -> Result<Brief, Missing> {
    // A hash may consist of digits only.
    if let Some(height) = height(id) {
        let chain = app.chain.borrow();
        let found = chain.at(height).cloned();
        let tip = chain.tip().map_or(0, |tip| tip.height);
        return found.ok_or_else(|| {
            Missing::not_found(format!("no block at height {height}; the tip is at {tip}"))
        });
    }
    let hash: BlockHash = id.parse().map_err(|_| {
        Missing::bad_request("a block is named by its height or by the 64 digits of its hash")
    })?;
    let known = {
        let chain = app.chain.borrow();
        let known = chain.find(&hash).or_else(|| chain.find_stale(&hash));
        known.cloned()
    };
    if let Some(brief) = known {
        return Ok(brief);
    }
    // One that is older than what is kept.
    let header = app.archive.rpc().block_header(id).await?;
    let header = header.ok_or_else(|| Missing::not_found(format!("no block {id}")))?;
    let block = app.archive.block(&hash).await?;
    let height = u32::try_from(header.height).unwrap_or(u32::MAX);
    let mut scratch = Chain::new(1);
    scratch.add_stale(&block, height);
    let brief = scratch.stale().next().cloned();
    brief.ok_or_else(|| Missing::not_found(format!("no block {id}")))
}

/// The height that a text is, if it is short enough for one.
pub(crate) fn height(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.len() <= 10)
}

/// Extranonce prefixes of the channels that are open.
fn prefixes(app: &App) -> Vec<Vec<u8>> {
    let mut prefixes = Vec::new();
    app.board.each(|service| {
        for client in &service.pool.clients {
            let channels = client.channels.iter();
            let hex = channels.map(|channel| &channel.extranonce_prefix_hex);
            prefixes.extend(hex.filter_map(|hex| Vec::from_hex(hex).ok()));
        }
    });
    prefixes
}

impl Header {
    fn of(block: &Block) -> Self {
        let header = &block.header;
        Self {
            version: format!("{:08x}", header.version.to_consensus()),
            previous: header.prev_blockhash.to_string(),
            merkle_root: header.merkle_root.to_string(),
            time: header.time,
            bits: format!("{:08x}", header.bits.to_consensus()),
            target: format!("{:064x}", header.target()),
            difficulty: header.difficulty_float(),
            nonce: header.nonce,
        }
    }
}

impl Coinbase {
    fn of(block: &Block, height: u32, prefixes: &[Vec<u8>], app: &App) -> Self {
        let Some(coinbase) = block.txdata.first() else {
            return Self {
                txid: String::new(),
                fields: Vec::new(),
                text: String::new(),
                witness_commitment: None,
                value: 0,
                fees: 0,
                payouts: Vec::new(),
            };
        };
        let outputs = coinbase.output.iter();
        let value: u64 = outputs.map(|output| output.value.to_sat()).sum();
        let script_sig = coinbase
            .input
            .first()
            .map(|input| input.script_sig.as_bytes());
        let payouts = coinbase.output.iter().map(|output| Payout {
            address: address_of(&output.script_pubkey, app.config.network),
            kind: script_kind(&output.script_pubkey),
            value: output.value.to_sat(),
        });
        Self {
            txid: coinbase.compute_txid().to_string(),
            fields: coinbase::fields(coinbase, height, prefixes),
            text: coinbase::printable(script_sig.unwrap_or_default()),
            witness_commitment: coinbase::witness_commitment(coinbase),
            value,
            fees: value.saturating_sub(subsidy(u64::from(height), app.config.network)),
            payouts: payouts.collect(),
        }
    }
}

impl TxLine {
    pub(crate) fn of(transaction: &Transaction, chain: &Chain) -> Self {
        let value = transaction
            .output
            .iter()
            .map(|output| output.value.to_sat());
        let value: u64 = value.sum();
        let spent = |outpoint: &OutPoint| Some(chain.index()?.spending(outpoint)?.0);
        let inputs = transaction.input.iter();
        let paid: Option<u64> = inputs.map(|input| spent(&input.previous_output)).sum();
        let paid = paid.filter(|_| !transaction.is_coinbase());
        Self {
            txid: transaction.compute_txid().to_string(),
            inputs: transaction.input.len(),
            outputs: transaction.output.len(),
            vsize: transaction.vsize(),
            value,
            fee: paid.and_then(|paid| paid.checked_sub(value)),
        }
    }
}
