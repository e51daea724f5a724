//! From the node's bytes to our types.

use bitcoin::block::Header;
use bitcoin::consensus::{Decodable, deserialize, encode};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Target, Transaction, TxOut, VarInt};
use bitcoin_capnp_types::capnp::{self, data_list};
use bitcoin_capnp_types::common_capnp::block_ref;
use bitcoin_capnp_types::mining_capnp::coinbase_tx;

use super::call::{CallError, During, malformed};
use super::tips::Tip;
use crate::source::Template;

const HEADER_CALL: &str = "getBlockHeader";
const COINBASE_CALL: &str = "getCoinbaseTx";
const PATH_CALL: &str = "getCoinbaseMerklePath";
const BLOCK_CALL: &str = "getBlock";
const HEADER_SIZE: usize = 80;

/// A block that the node names.
pub(super) fn tip(call: &'static str, block: block_ref::Reader<'_>) -> Result<Tip, CallError> {
    let hash = BlockHash::from_slice(block.get_hash().during(call)?)
        .map_err(|error| malformed(call, &error))?;
    let height = block.get_height();
    let height = u32::try_from(height)
        .map_err(|_| malformed(call, &format!("a block at height {height}")))?;
    Ok(Tip { hash, height })
}

/// Puts a template together from the answers to three calls.
pub(super) fn template(
    header: &[u8],
    coinbase: coinbase_tx::Reader<'_>,
    path: data_list::Reader<'_>,
) -> Result<Template, CallError> {
    let header: Header = deserialize(header).map_err(|error| malformed(HEADER_CALL, &error))?;
    let outputs = coinbase.get_required_outputs().during(COINBASE_CALL)?;
    check_witness(coinbase.get_witness().during(COINBASE_CALL)?)?;
    let reward = coinbase.get_block_reward_remaining();
    Ok(Template {
        version: header.version.to_consensus().cast_unsigned(),
        coinbase_tx_version: coinbase.get_version(),
        coinbase_prefix: coinbase
            .get_script_sig_prefix()
            .during(COINBASE_CALL)?
            .to_vec(),
        coinbase_tx_input_sequence: coinbase.get_sequence(),
        coinbase_tx_value_remaining: u64::try_from(reward)
            .map_err(|_| malformed(COINBASE_CALL, &format!("a block reward of {reward}")))?,
        coinbase_tx_outputs_count: outputs.len(),
        coinbase_tx_outputs: concatenated(outputs)?,
        coinbase_tx_locktime: coinbase.get_lock_time(),
        merkle_path: merkle_path(path)?,
        prev_hash: *header.prev_blockhash.as_ref(),
        header_timestamp: header.time,
        n_bits: header.bits.to_consensus(),
        target: Target::from_compact(header.bits).to_le_bytes(),
    })
}

/// No message tells a client which witness reserved value (BIP-0141) to use, so all use zeros.
fn check_witness(witness: &[u8]) -> Result<(), CallError> {
    if witness.iter().any(|byte| *byte != 0) {
        return Err(malformed(
            COINBASE_CALL,
            &"a witness reserved value other than zeros",
        ));
    }
    Ok(())
}

fn concatenated(outputs: data_list::Reader<'_>) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::new();
    for output in outputs.iter() {
        let output = output.during(COINBASE_CALL)?;
        // A client copies these bytes into a block unseen, so they are looked at here.
        deserialize::<TxOut>(output).map_err(|error| malformed(COINBASE_CALL, &error))?;
        bytes.extend_from_slice(output);
    }
    Ok(bytes)
}

fn merkle_path(path: data_list::Reader<'_>) -> Result<Vec<[u8; 32]>, CallError> {
    let hash = |bytes: capnp::Result<&[u8]>| {
        <[u8; 32]>::try_from(bytes.during(PATH_CALL)?).map_err(|error| malformed(PATH_CALL, &error))
    };
    path.iter().map(hash).collect()
}

/// Cuts a serialised block into its serialised transactions, without the coinbase: the one in a
/// template is a dummy.
pub(super) fn transactions(block: &[u8]) -> Result<Vec<Vec<u8>>, CallError> {
    cut_transactions(block).map_err(|error| malformed(BLOCK_CALL, &error))
}

fn cut_transactions(block: &[u8]) -> Result<Vec<Vec<u8>>, encode::Error> {
    let mut rest = block.get(HEADER_SIZE..).unwrap_or_default();
    let count = VarInt::consensus_decode(&mut rest)?.0;
    let mut transactions = Vec::new();
    for index in 0..count {
        let whole = rest;
        Transaction::consensus_decode(&mut rest)?;
        let (transaction, _) = whole.split_at(whole.len() - rest.len());
        if index > 0 {
            transactions.push(transaction.to_vec());
        }
    }
    Ok(transactions)
}
