//! A transaction.

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hex::DisplayHex;
use bitcoin::{OutPoint, Transaction, TxIn, TxOut, Txid};
use serde::Serialize;
use utoipa::ToSchema;

use super::{App, address_of, script_kind};
use crate::archive::Missing;
use crate::coinbase;

/// Inputs and outputs shown, of each.
const MAX_SHOWN: usize = 200;
/// Serialized bytes shown as hex.
const MAX_HEX: usize = 4000;

/// A transaction.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct TxView {
    pub(crate) txid: String,
    pub(crate) wtxid: String,
    /// Null while it waits.
    pub(crate) block: Option<TxBlock>,
    pub(crate) version: i32,
    pub(crate) locktime: u32,
    pub(crate) size: usize,
    /// Virtual bytes.
    pub(crate) vsize: usize,
    pub(crate) weight: u64,
    /// Satoshis; null where an input is not known, and for a coinbase.
    pub(crate) fee: Option<u64>,
    pub(crate) is_coinbase: bool,
    pub(crate) inputs_total: usize,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs_total: usize,
    pub(crate) outputs: Vec<Output>,
    /// Left out when it is long.
    pub(crate) hex: Option<String>,
}

/// Where a transaction is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct TxBlock {
    pub(crate) hash: String,
    pub(crate) height: Option<u32>,
    /// Blocks on top of it, its own included; 0 if its block is not in the chain.
    pub(crate) confirmations: u32,
}

/// What a transaction spends.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Input {
    /// Null for a coinbase's.
    pub(crate) txid: Option<String>,
    pub(crate) vout: u32,
    pub(crate) address: Option<String>,
    /// Satoshis; null where it is not known.
    pub(crate) value: Option<u64>,
    pub(crate) sequence: u32,
    /// Of a coinbase: its scriptSig, with dots for what cannot be printed.
    pub(crate) text: Option<String>,
    /// Items of the witness, as hex.
    pub(crate) witness: Vec<String>,
    pub(crate) script_sig: String,
}

/// What a transaction pays.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Output {
    pub(crate) vout: usize,
    pub(crate) address: Option<String>,
    pub(crate) kind: &'static str,
    /// Satoshis.
    pub(crate) value: u64,
    pub(crate) script: String,
    /// The transaction that spends it, if it is in the chain.
    pub(crate) spent_by: Option<String>,
    /// The height from which on it can be spent: of a coinbase's that is not mature.
    pub(crate) matures_at: Option<u32>,
}

impl TxView {
    pub(crate) async fn of(app: &App, id: &str) -> Result<Self, Missing> {
        let txid: Txid = id.parse().map_err(|_| {
            Missing::bad_request("a transaction is named by the 64 digits of its id")
        })?;
        let (transaction, place) =
            app.archive
                .transaction(&txid)
                .await
                .map_err(|error| match error {
                    Missing::NotFound(_) => Missing::not_found(format!(
                        "no transaction {txid} in the chain or the mempool"
                    )),
                    other => other,
                })?;
        let is_coinbase = transaction.is_coinbase();
        let spent: Vec<OutPoint> = match is_coinbase {
            true => Vec::new(),
            false => transaction
                .input
                .iter()
                .map(|input| input.previous_output)
                .collect(),
        };
        // Without the node the inputs' values are not known, and everything else is.
        let known = app.archive.outputs(&spent).await.unwrap_or_default();
        let inputs = transaction.input.iter().take(MAX_SHOWN);
        let inputs = inputs.map(|input| Input::of(input, known.get(&input.previous_output), app));
        let height = place.and_then(|place| place.height);
        let tip = app.chain.borrow().tip().map_or(0, |tip| tip.height);
        let paid: Option<u64> = spent
            .iter()
            .map(|outpoint| known.get(outpoint).map(|output| output.value.to_sat()))
            .sum();
        let pays: u64 = transaction
            .output
            .iter()
            .map(|output| output.value.to_sat())
            .sum();
        let fee = paid
            .and_then(|paid| paid.checked_sub(pays))
            .filter(|_| !is_coinbase);
        let size = transaction.total_size();
        Ok(Self {
            txid: txid.to_string(),
            wtxid: transaction.compute_wtxid().to_string(),
            block: place.map(|place| TxBlock {
                hash: place.block.to_string(),
                height,
                confirmations: height.map_or(0, |height| (tip + 1).saturating_sub(height)),
            }),
            version: transaction.version.0,
            locktime: transaction.lock_time.to_consensus_u32(),
            size,
            vsize: transaction.vsize(),
            weight: transaction.weight().to_wu(),
            fee,
            is_coinbase,
            inputs_total: transaction.input.len(),
            inputs: inputs.collect(),
            outputs_total: transaction.output.len(),
            outputs: outputs(app, &transaction, height),
            hex: (size <= MAX_HEX).then(|| serialize_hex(&transaction)),
        })
    }

    /// Satoshis per virtual byte.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.fee.map(|fee| fee as f64 / self.vsize.max(1) as f64)
    }
}

impl Input {
    /// `spent` is the output it spends, if that is known.
    fn of(input: &TxIn, spent: Option<&TxOut>, app: &App) -> Self {
        let previous = input.previous_output;
        let is_coinbase = previous.is_null();
        let script_sig = input.script_sig.as_bytes();
        Self {
            txid: (!is_coinbase).then(|| previous.txid.to_string()),
            vout: previous.vout,
            address: spent.and_then(|spent| address_of(&spent.script_pubkey, app.config.network)),
            value: spent.map(|spent| spent.value.to_sat()),
            sequence: input.sequence.0,
            text: is_coinbase.then(|| coinbase::printable(script_sig)),
            witness: input
                .witness
                .iter()
                .map(DisplayHex::to_lower_hex_string)
                .collect(),
            script_sig: script_sig.to_lower_hex_string(),
        }
    }
}

/// The first outputs of a transaction in a block of that height, or that waits.
fn outputs(app: &App, transaction: &Transaction, height: Option<u32>) -> Vec<Output> {
    let txid = transaction.compute_txid();
    let chain = app.chain.borrow();
    let tip = chain.tip().map_or(0, |tip| tip.height);
    let matures = height.map(|height| height + 100);
    let matures = matures.filter(|at| transaction.is_coinbase() && *at > tip + 1);
    let outputs = transaction.output.iter().enumerate().take(MAX_SHOWN);
    let outputs = outputs.map(|(vout, output)| {
        let outpoint = OutPoint::new(txid, vout as u32);
        let spending = chain.index().and_then(|index| index.spending(&outpoint));
        let spent_by = spending.and_then(|(_, by)| by);
        let script = &output.script_pubkey;
        Output {
            vout,
            address: address_of(script, app.config.network),
            kind: script_kind(script),
            value: output.value.to_sat(),
            script: script.as_bytes().to_lower_hex_string(),
            spent_by: spent_by.map(|(txid, _)| txid.to_string()),
            matures_at: matures.filter(|_| !script.is_op_return()),
        }
    });
    outputs.collect()
}
