//! The coinbase of a declaration (SV2 6.4.4), read with care: whatever bytes a client declares,
//! they are a coinbase transaction split at its extranonce, or a [`CoinbaseFault`].
//!
//! ```text
//! coinbase_tx_prefix: version 4 | [00 01] | 01 | 00 x 32, ff x 4 | length 1 | scriptSig, first part
//! extranonce:         the rest of the scriptSig
//! coinbase_tx_suffix: nSequence 4 | outputs, counted | [01 20, reserved value 32] | locktime 4
//! ```
//! What stands in brackets is there when the transaction has a witness: other than in
//! NewExtendedMiningJob it is not stripped (SV2 3.7.2).

use bitcoin::consensus::encode::deserialize_partial;
use bitcoin::{Amount, Script, TxOut, VarInt};
use protocol::coinbase::{MAX_SCRIPT_SIG, sha256d};
use protocol::token::CustomJob;
use protocol::work::height;

/// The longest extranonce a PushSolution can carry.
const MAX_EXTRANONCE: usize = 32;
/// Bytes of an output without a script.
const MIN_OUTPUT: usize = 9;
/// A coinbase's input spends this.
const NO_OUTPOINT: [u8; 36] = {
    let mut outpoint = [0; 36];
    let mut i = 32;
    while i < 36 {
        outpoint[i] = 0xff;
        i += 1;
    }
    outpoint
};

/// Why bytes are no coinbase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CoinbaseFault {
    /// It ends too early.
    #[error("{0} ends in the middle of the transaction")]
    Short(&'static str),
    /// There is more behind the lock time.
    #[error("{0} bytes behind the lock time")]
    Long(usize),
    /// A marker without its flag.
    #[error("the segwit marker is followed by {0:#04x}, not by the flag 0x01")]
    Flag(u8),
    /// Not one input, or not the one a coinbase has.
    #[error("not the one input of a coinbase")]
    Input,
    /// Consensus allows no such scriptSig.
    #[error("a scriptSig of {0} bytes; 2 to {MAX_SCRIPT_SIG} are allowed")]
    ScriptSig(u8),
    /// The prefix goes beyond the scriptSig, or leaves more than an extranonce can fill.
    #[error(
        "{before} of the scriptSig's {len} bytes are in the prefix; 0 to {MAX_EXTRANONCE} have to be left for the extranonce"
    )]
    Extranonce {
        /// Bytes of the scriptSig.
        len: usize,
        /// Bytes of it in the prefix.
        before: usize,
    },
    /// BIP-0034.
    #[error("the scriptSig does not begin with the block's height")]
    Height,
    /// The outputs cannot be read.
    #[error("the outputs cannot be read")]
    Outputs,
    /// More money than there is.
    #[error("the outputs are worth more than there can be")]
    Value,
    /// A witness that is not one item of 32 bytes.
    #[error("the witness is not one item of 32 bytes")]
    Witness,
}

/// A coinbase split at its extranonce, as it was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredCoinbase {
    prefix: Vec<u8>,
    suffix: Vec<u8>,
    version: u32,
    sequence: u32,
    locktime: u32,
    has_witness: bool,
    /// Where in the prefix the scriptSig begins.
    script_sig: usize,
    extranonce_len: usize,
    /// Where in the suffix the outputs end.
    outputs_end: usize,
    height: u32,
    outputs: Vec<TxOut>,
    value: u64,
}

impl DeclaredCoinbase {
    /// Reads the two parts of a declaration.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn parse(prefix: &[u8], suffix: &[u8]) -> Result<Self, CoinbaseFault> {
        let mut front = Cursor::new(prefix, "coinbase_tx_prefix");
        let version = u32::from_le_bytes(front.take()?);
        let [mut inputs] = front.take()?;
        let has_witness = inputs == 0;
        if has_witness {
            let [flag, count] = front.take()?;
            if flag != 1 {
                return Err(CoinbaseFault::Flag(flag));
            }
            inputs = count;
        }
        if inputs != 1 || front.take()? != NO_OUTPOINT {
            return Err(CoinbaseFault::Input);
        }
        let [len] = front.take()?;
        if !(2..=MAX_SCRIPT_SIG).contains(&usize::from(len)) {
            return Err(CoinbaseFault::ScriptSig(len));
        }
        let (len, before) = (usize::from(len), front.rest.len());
        let extranonce_len = len.checked_sub(before).filter(|len| *len <= MAX_EXTRANONCE);
        let extranonce_len = extranonce_len.ok_or(CoinbaseFault::Extranonce { len, before })?;
        let height = height(front.rest).and_then(|height| height.try_into().ok());
        let height = height.ok_or(CoinbaseFault::Height)?;

        let mut back = Cursor::new(suffix, "coinbase_tx_suffix");
        let sequence = u32::from_le_bytes(back.take()?);
        let (outputs, value) = outputs(&mut back)?;
        let outputs_end = suffix.len() - back.rest.len();
        if has_witness {
            if back.take()? != [1, 32] {
                return Err(CoinbaseFault::Witness);
            }
            back.take::<32>()?;
        }
        let locktime = u32::from_le_bytes(back.take()?);
        if !back.rest.is_empty() {
            return Err(CoinbaseFault::Long(back.rest.len()));
        }
        Ok(Self {
            prefix: prefix.to_vec(),
            suffix: suffix.to_vec(),
            version,
            sequence,
            locktime,
            has_witness,
            script_sig: prefix.len() - before,
            extranonce_len,
            outputs_end,
            height,
            outputs,
            value,
        })
    }

    /// Height of the block it is for (BIP-0034).
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Bytes of the full extranonce.
    pub fn extranonce_len(&self) -> usize {
        self.extranonce_len
    }

    /// In their order.
    pub fn outputs(&self) -> &[TxOut] {
        &self.outputs
    }

    /// Satoshis of all outputs.
    pub fn value(&self) -> u64 {
        self.value
    }

    /// Satoshis of all outputs with this script, wherever they stand (SV2 6.4.3).
    pub fn value_to(&self, script: &Script) -> u64 {
        let paid = self
            .outputs
            .iter()
            .filter(|output| *output.script_pubkey == *script);
        paid.map(|output| output.value.to_sat()).sum()
    }

    /// The transaction as it goes into a block.
    pub fn full(&self, extranonce: &[u8]) -> Vec<u8> {
        [&self.prefix, extranonce, &self.suffix].concat()
    }

    /// Whether it is this transaction, which is given as it stands in a block, for some extranonce.
    pub fn makes(&self, transaction: &[u8]) -> bool {
        let behind = transaction.strip_prefix(&self.prefix[..]);
        let extranonce = behind.and_then(|rest| rest.strip_suffix(&self.suffix[..]));
        extranonce.is_some_and(|extranonce| extranonce.len() == self.extranonce_len)
    }

    /// The txid, in header order: without marker, flag and witness (SV2 3.7.1).
    pub fn txid(&self, extranonce: &[u8]) -> [u8; 32] {
        let version = self.version.to_le_bytes();
        let input = &self.prefix[if self.has_witness { 6 } else { 4 }..];
        let outputs = &self.suffix[..self.outputs_end];
        let locktime = self.locktime.to_le_bytes();
        sha256d(&[&version, input, extranonce, outputs, &locktime].concat())
    }

    /// What a SetCustomMiningJob has to say for this coinbase (SV2 5.3.18).
    pub fn custom_job<'a>(
        &'a self,
        version: u32,
        prev_hash: &'a [u8; 32],
        merkle_path: &'a [[u8; 32]],
    ) -> CustomJob<'a> {
        CustomJob {
            version,
            prev_hash,
            coinbase_tx_version: self.version,
            coinbase_prefix: &self.prefix[self.script_sig..],
            coinbase_tx_input_sequence: self.sequence,
            coinbase_tx_outputs: &self.suffix[4..self.outputs_end],
            coinbase_tx_locktime: self.locktime,
            merkle_path,
        }
    }
}

/// Takes fixed lengths off the front.
struct Cursor<'a> {
    rest: &'a [u8],
    field: &'static str,
}

impl<'a> Cursor<'a> {
    fn new(rest: &'a [u8], field: &'static str) -> Self {
        Self { rest, field }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], CoinbaseFault> {
        let short = CoinbaseFault::Short(self.field);
        let (taken, rest) = self.rest.split_first_chunk().ok_or(short)?;
        self.rest = rest;
        Ok(*taken)
    }
}

fn outputs(cursor: &mut Cursor<'_>) -> Result<(Vec<TxOut>, u64), CoinbaseFault> {
    let unreadable = |_| CoinbaseFault::Outputs;
    let (VarInt(count), len) = deserialize_partial(cursor.rest).map_err(unreadable)?;
    cursor.rest = &cursor.rest[len..];
    // So that a count alone reserves no memory.
    if count > (cursor.rest.len() / MIN_OUTPUT) as u64 {
        return Err(CoinbaseFault::Outputs);
    }
    let (mut outputs, mut value) = (Vec::new(), Amount::ZERO);
    for _ in 0..count {
        let (output, len) = deserialize_partial::<TxOut>(cursor.rest).map_err(unreadable)?;
        cursor.rest = &cursor.rest[len..];
        value = value
            .checked_add(output.value)
            .filter(|value| *value <= Amount::MAX_MONEY)
            .ok_or(CoinbaseFault::Value)?;
        outputs.push(output);
    }
    Ok((outputs, value.to_sat()))
}

#[cfg(test)]
mod tests;
