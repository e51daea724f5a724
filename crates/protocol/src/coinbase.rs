//! The coinbase transaction around the extranonce, and the merkle root above it.

use bitcoin::consensus::{Decodable, Encodable};
use bitcoin::{Amount, Network, ScriptBuf, TxOut, VarInt};
use stratum_core::template_distribution_sv2::NewTemplate;

use crate::payout::{MAX_ADDRESS_SCRIPT, MAX_ADDRESS_SIGOPS, Payout};
use crate::sha256d::{self, Midstate};
use crate::work::{COMMITMENT, Template};

pub use crate::sha256d::{merkle_root, sha256d};

/// Consensus limit of a coinbase's scriptSig.
pub const MAX_SCRIPT_SIG: usize = 100;
/// What SV2 7.1 and BIP-0034 leave for the template's prefix.
pub const MAX_TEMPLATE_PREFIX: usize = 8;

/// Sequence, the longest number of outputs, lock time.
const SUFFIX_WITHOUT_OUTPUTS: usize = 4 + 9 + 4;

/// Who is paid, and the text that says whose block it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoinbasePlan {
    /// Receives everything a template pays out, unless a channel says otherwise.
    pub reward_script: ScriptBuf,
    /// Put into the scriptSig, in front of the extranonce.
    pub signature: Vec<u8>,
    /// Bytes of the extranonce: prefix and rollable part.
    pub extranonce_len: usize,
}

/// A plan whose scriptSig would be too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{found} bytes are too long for a coinbase; at most {max} fit")]
pub struct SignatureTooLong {
    /// Bytes of the signature.
    pub found: usize,
    /// Bytes that fit.
    pub max: usize,
}

/// A template that prescribes what no coinbase can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// Consensus limits the scriptSig.
    #[error("a coinbase_prefix of {found} bytes; at most {max} fit the scriptSig")]
    Prefix {
        /// Bytes of it.
        found: usize,
        /// Bytes that fit.
        max: usize,
    },
    /// The bytes and their number do not agree.
    #[error("coinbase_tx_outputs are not the {count} outputs announced")]
    Outputs {
        /// The number announced.
        count: u32,
    },
    /// No job could carry it.
    #[error("{len} bytes of coinbase_tx_outputs fit no job")]
    TooLong {
        /// Bytes of all of them.
        len: usize,
    },
}

impl CoinbasePlan {
    /// Checks that the scriptSig fits whatever a template asks for.
    ///
    /// # Errors
    /// The signature is too long.
    pub fn check(&self) -> Result<(), SignatureTooLong> {
        // One opcode pushes the signature, one the extranonce; 75 is the longest direct push.
        let max = (MAX_SCRIPT_SIG - MAX_TEMPLATE_PREFIX - 2 - self.extranonce_len).min(75);
        if self.signature.len() > max {
            return Err(SignatureTooLong {
                found: self.signature.len(),
                max,
            });
        }
        Ok(())
    }

    /// Checks that a coinbase can be built around what a template prescribes.
    ///
    /// # Errors
    /// What a provider should not have sent.
    pub fn check_template(&self, message: &NewTemplate<'_>) -> Result<(), BadTemplate> {
        // Deployed providers send more than the 8 bytes of SV2 7.2; whatever fits is taken.
        let signature = match self.signature.len() {
            0 => 0,
            len => len + 1,
        };
        let max = MAX_SCRIPT_SIG.saturating_sub(signature + 1 + self.extranonce_len);
        let found = message.coinbase_prefix.len();
        if found > max {
            return Err(BadTemplate::Prefix { found, max });
        }
        let bytes = message.coinbase_tx_outputs.as_bytes();
        let count = message.coinbase_tx_outputs_count;
        let mut rest = bytes;
        let outputs = (0..count).try_for_each(|_| TxOut::consensus_decode(&mut rest).map(drop));
        if outputs.is_err() || !rest.is_empty() {
            return Err(BadTemplate::Outputs { count });
        }
        // NewExtendedMiningJob has room for 65,535 bytes behind the extranonce.
        let suffix = SUFFIX_WITHOUT_OUTPUTS + bytes.len() + self.outputs_size() as usize;
        if suffix > usize::from(u16::MAX) {
            return Err(BadTemplate::TooLong { len: bytes.len() });
        }
        Ok(())
    }

    /// Serialized bytes of the outputs this plan adds at most, whomever it pays (SV2 7.1).
    pub fn outputs_size(&self) -> u32 {
        let miner = 8 + 1 + MAX_ADDRESS_SCRIPT;
        (output(&self.reward_script, 0).len() + miner) as u32
    }

    /// Signature operations of the outputs this plan adds at most, in the units of the block limit.
    pub fn outputs_sigops(&self) -> u16 {
        // Scripts outside the witness count four times.
        let sigops = (self.reward_script.count_sigops_legacy() + MAX_ADDRESS_SIGOPS) * 4;
        sigops.min(usize::from(u16::MAX)) as u16
    }

    /// The coinbase for `template` that pays `payout`, without its extranonce.
    pub fn build(&self, template: &Template, payout: &Payout) -> Coinbase {
        let parts = Parts {
            signature: &self.signature,
            extranonce_start: &[],
            extranonce_len: self.extranonce_len,
        };
        let total = template.coinbase_tx_value_remaining;
        Coinbase::build(template, parts, payout.outputs(total, &self.reward_script))
    }
}

/// What a template leaves open in a coinbase's scriptSig.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// Whose block it is; may be empty.
    pub signature: &'a [u8],
    /// What the extranonce begins with, for whoever mines on it. What comes behind is the part
    /// that [`Coinbase`] leaves out.
    pub extranonce_start: &'a [u8],
    /// Bytes of the whole extranonce.
    pub extranonce_len: usize,
}

/// One item of 32 zeros (BIP-0141).
const WITNESS: [u8; 34] = {
    let mut witness = [0; 34];
    witness[0] = 1;
    witness[1] = 32;
    witness
};

fn output(script: &ScriptBuf, sats: u64) -> Vec<u8> {
    let output = TxOut {
        value: Amount::from_sat(sats),
        script_pubkey: script.clone(),
    };
    bitcoin::consensus::serialize(&output)
}

/// A coinbase transaction, split where the extranonce goes, in the form that is hashed: without
/// its witness.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coinbase {
    /// Everything before the extranonce, and the bytes that it begins with for everybody.
    pub prefix: Vec<u8>,
    /// Everything after it.
    pub suffix: Vec<u8>,
    /// Whether the block needs the coinbase to have a witness.
    witness: bool,
    /// Bytes at the end of `prefix` that belong to the extranonce.
    started: usize,
}

/// Bytes in front of a coinbase's scriptSig: version, number of inputs, outpoint, length.
const SCRIPT_SIG_AT: usize = 4 + 1 + 36 + 1;

/// A coinbase in the fields of SetCustomMiningJob (SV2 5.3.18).
#[derive(Debug, Clone, Copy)]
pub struct CoinbaseFields<'a> {
    /// Of the transaction.
    pub version: u32,
    /// What the scriptSig begins with; with the extranonce at most [`MAX_SCRIPT_SIG`] bytes.
    pub script_sig: &'a [u8],
    /// Bytes the scriptSig ends with.
    pub extranonce_len: usize,
    /// Of the input.
    pub sequence: u32,
    /// Serialized, behind their number as a CompactSize.
    pub outputs: &'a [u8],
    /// Of the transaction.
    pub locktime: u32,
    /// Whether one of the outputs commits to witnesses; the coinbase then needs one of its own, and
    /// may have none otherwise (T-16).
    pub has_witness_commitment: bool,
}

impl Coinbase {
    /// Around the whole extranonce.
    pub fn new(fields: &CoinbaseFields<'_>) -> Self {
        let script_sig = fields.script_sig;
        // SV2 3.7.1, 5.3.16: without marker, flag and witness.
        let mut prefix = fields.version.to_le_bytes().to_vec();
        prefix.push(1);
        prefix.extend_from_slice(&[0; 32]);
        prefix.extend_from_slice(&[0xff; 4]);
        prefix.push((script_sig.len() + fields.extranonce_len) as u8);
        prefix.extend_from_slice(script_sig);
        let mut suffix = fields.sequence.to_le_bytes().to_vec();
        suffix.extend_from_slice(fields.outputs);
        suffix.extend_from_slice(&fields.locktime.to_le_bytes());
        Self {
            prefix,
            suffix,
            witness: fields.has_witness_commitment,
            started: 0,
        }
    }

    /// For `template`, with `outputs` in front of its own.
    pub fn build(template: &Template, parts: Parts<'_>, outputs: Vec<(&ScriptBuf, u64)>) -> Self {
        let mut script_sig = template.coinbase_prefix.clone();
        if !parts.signature.is_empty() {
            script_sig.push(parts.signature.len() as u8);
            script_sig.extend_from_slice(parts.signature);
        }
        script_sig.push(parts.extranonce_len as u8);

        let count = outputs.len() as u64 + u64::from(template.coinbase_tx_outputs_count);
        let mut listed = Vec::new();
        VarInt(count)
            .consensus_encode(&mut listed)
            .expect("a vector takes everything");
        for (script, sats) in outputs {
            listed.extend(output(script, sats));
        }
        // SV2 7.2: the template's outputs come last.
        listed.extend_from_slice(&template.coinbase_tx_outputs);
        let mut coinbase = Self::new(&CoinbaseFields {
            version: template.coinbase_tx_version,
            script_sig: &script_sig,
            extranonce_len: parts.extranonce_len,
            sequence: template.coinbase_tx_input_sequence,
            outputs: &listed,
            locktime: template.coinbase_tx_locktime,
            has_witness_commitment: template.has_witness_commitment(),
        });
        coinbase.prefix.extend_from_slice(parts.extranonce_start);
        coinbase.started = parts.extranonce_start.len();
        coinbase
    }

    /// The scriptSig up to the extranonce: coinbase_prefix of SetCustomMiningJob (SV2 5.3.18).
    pub fn script_sig_start(&self) -> &[u8] {
        &self.prefix[SCRIPT_SIG_AT..self.prefix.len() - self.started]
    }

    /// All outputs behind their number: coinbase_tx_outputs of SetCustomMiningJob.
    pub fn outputs(&self) -> &[u8] {
        &self.suffix[4..self.suffix.len() - 4]
    }

    /// What stands before and behind the extranonce in a DeclareMiningJob: not stripped of marker,
    /// flag and witness (SV2 3.7.2).
    pub fn declared(&self) -> (Vec<u8>, Vec<u8>) {
        let mut prefix = self.full(&[]);
        let suffix = prefix.split_off(prefix.len() - self.len_behind());
        prefix.truncate(prefix.len() - self.started);
        (prefix, suffix)
    }

    /// The part of the extranonce that `full`, made by [`Coinbase::full`], was given.
    pub fn extranonce_in<'a>(&self, full: &'a [u8]) -> &'a [u8] {
        let end = full.len().saturating_sub(self.len_behind());
        let start = self.full(&[]).len() - self.len_behind();
        &full[start.min(end)..end]
    }

    /// Bytes behind the extranonce, the witness included.
    fn len_behind(&self) -> usize {
        self.suffix.len() + if self.witness { WITNESS.len() } else { 0 }
    }

    /// The transaction as it goes into a block, witness included (SV2 3.7.3).
    pub fn full(&self, extranonce: &[&[u8]]) -> Vec<u8> {
        let (version, rest) = self.prefix.split_at(4);
        let (outputs, locktime) = self.suffix.split_at(self.suffix.len() - 4);
        let mut bytes = version.to_vec();
        if self.witness {
            bytes.extend_from_slice(&[0, 1]);
        }
        bytes.extend_from_slice(rest);
        for part in extranonce {
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(outputs);
        if self.witness {
            bytes.extend_from_slice(&WITNESS);
        }
        bytes.extend_from_slice(locktime);
        bytes
    }

    /// For hashing it with extranonces that begin with `extranonce_prefix` and have `rollable`
    /// further bytes: what is before those is hashed once per job and channel, not once per share.
    pub fn midstate(&self, extranonce_prefix: &[u8], rollable: usize) -> Midstate {
        Midstate::new(&[&self.prefix, extranonce_prefix], rollable, &self.suffix)
    }
}

/// What [`merkle_root`] needs to get from the leftmost leaf to the root, deepest first, given the
/// leaves to the right of it in their order.
pub fn merkle_path(others: impl IntoIterator<Item = [u8; 32]>) -> Vec<[u8; 32]> {
    let mut path = Vec::new();
    // A level of the tree without its leftmost node, which depends on the extranonce.
    let mut level: Vec<_> = others.into_iter().collect();
    while let Some((sibling, rest)) = level.split_first() {
        path.push(*sibling);
        // A level's last node without a partner is its own.
        let parent = |pair: &[[u8; 32]]| merkle_root(pair[0], &[*pair.last().unwrap_or(&pair[0])]);
        level = rest.chunks(2).map(parent).collect();
    }
    path
}

/// No message tells which witness reserved value (BIP-0141) to use, so all use zeros.
const RESERVED_VALUE: [u8; 32] = [0; 32];

/// The script of the output that commits to the witnesses of a block with these other transactions
/// (BIP-0141), given their wtxids in their order.
pub fn witness_commitment(wtxids: impl IntoIterator<Item = [u8; 32]>) -> ScriptBuf {
    // The coinbase's own place is taken by zeros.
    let root = merkle_root([0; 32], &merkle_path(wtxids));
    let mut script = COMMITMENT.to_vec();
    script.extend_from_slice(&merkle_root(root, &[RESERVED_VALUE]));
    script.into()
}

/// What a block may create at this height, in satoshis.
pub fn subsidy(height: u64, network: Network) -> u64 {
    const FIRST: u64 = 50 * 100_000_000;
    let interval = match network {
        Network::Regtest => 150,
        _ => 210_000,
    };
    let halvings = u32::try_from(height / interval).unwrap_or(u32::MAX);
    FIRST.checked_shr(halvings).unwrap_or(0)
}

/// A block header's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Whole, rolled bits included.
    pub version: u32,
    /// In header order.
    pub prev_hash: &'a [u8; 32],
    /// In header order.
    pub merkle_root: &'a [u8; 32],
    /// Unix seconds.
    pub ntime: u32,
    /// The compact target.
    pub n_bits: u32,
    /// What miners change first.
    pub nonce: u32,
}

impl Header<'_> {
    /// The 80 bytes that are hashed.
    pub fn to_bytes(self) -> [u8; 80] {
        let mut bytes = [0; 80];
        bytes[..4].copy_from_slice(&self.version.to_le_bytes());
        bytes[4..36].copy_from_slice(self.prev_hash);
        bytes[36..68].copy_from_slice(self.merkle_root);
        bytes[68..72].copy_from_slice(&self.ntime.to_le_bytes());
        bytes[72..76].copy_from_slice(&self.n_bits.to_le_bytes());
        bytes[76..].copy_from_slice(&self.nonce.to_le_bytes());
        bytes
    }

    /// The block hash, in header order.
    pub fn hash(self) -> [u8; 32] {
        sha256d::header(&self.to_bytes())
    }
}

#[cfg(test)]
mod tests;
