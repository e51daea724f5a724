//! Templates and previous block hashes: what there is to mine on (SV2 chapter 7).

use std::sync::Arc;

use stratum_core::template_distribution_sv2::{NewTemplate, SetNewPrevHash};

use crate::coinbase::{BadTemplate, Coinbase, CoinbasePlan, merkle_path, witness_commitment};
use crate::payout::Payout;
use crate::target::Target;

/// Future templates kept until one of them is activated; the oldest goes first.
const MAX_FUTURES: usize = 16;

/// Earlier tips that are remembered.
const MAX_PAST: usize = 32;

/// The start of a witness commitment output's script (BIP-0141).
pub(crate) const COMMITMENT: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// Bytes of that script: start and commitment.
const COMMITMENT_LEN: usize = COMMITMENT.len() + 32;

/// A template as its provider sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Which of the provider's connections it came over: ids are unique on one connection only.
    pub session: u64,
    /// The provider's id.
    pub id: u64,
    /// Header version.
    pub version: u32,
    /// Coinbase transaction version.
    pub coinbase_tx_version: u32,
    /// What the coinbase's scriptSig must begin with: the BIP-0034 height.
    pub coinbase_prefix: Vec<u8>,
    /// Sequence of the coinbase's input.
    pub coinbase_tx_input_sequence: u32,
    /// Satoshis the coinbase may pay out.
    pub coinbase_tx_value_remaining: u64,
    /// How many outputs `coinbase_tx_outputs` holds.
    pub coinbase_tx_outputs_count: u32,
    /// Outputs that must be the last ones, one behind the other.
    pub coinbase_tx_outputs: Vec<u8>,
    /// Lock time of the coinbase.
    pub coinbase_tx_locktime: u32,
    /// Siblings of the coinbase's txid, deepest first.
    pub merkle_path: Vec<[u8; 32]>,
    /// How coinbases for it are built.
    pub plan: Arc<CoinbasePlan>,
    /// The one that pays the pool, built once for all channels that do.
    pub coinbase: Arc<Coinbase>,
}

impl Template {
    /// Copies a received template and builds its coinbase.
    pub fn new(session: u64, message: &NewTemplate<'_>, plan: &Arc<CoinbasePlan>) -> Self {
        let mut template = Self {
            session,
            id: message.template_id,
            version: message.version,
            coinbase_tx_version: message.coinbase_tx_version,
            coinbase_prefix: message.coinbase_prefix.as_bytes().to_vec(),
            coinbase_tx_input_sequence: message.coinbase_tx_input_sequence,
            coinbase_tx_value_remaining: message.coinbase_tx_value_remaining,
            coinbase_tx_outputs_count: message.coinbase_tx_outputs_count,
            coinbase_tx_outputs: message.coinbase_tx_outputs.as_bytes().to_vec(),
            coinbase_tx_locktime: message.coinbase_tx_locktime,
            merkle_path: message
                .merkle_path
                .iter()
                .map(|node| *node.as_array())
                .collect(),
            plan: Arc::clone(plan),
            coinbase: Arc::default(),
        };
        template.coinbase = Arc::new(plan.build(&template, &Payout::Pool));
        template
    }

    /// The same block with other transactions, of which these are the txids and wtxids in block
    /// order, and with what they leave for the coinbase.
    #[must_use]
    pub fn with_transactions(
        &self,
        txids: impl IntoIterator<Item = [u8; 32]>,
        wtxids: impl IntoIterator<Item = [u8; 32]>,
        value: u64,
    ) -> Self {
        let mut template = Self {
            coinbase_tx_value_remaining: value,
            merkle_path: merkle_path(txids),
            ..self.clone()
        };
        // An output with a script of that length and start: BIP-0141 allows no other form.
        if let Some(at) = self.commitment_at() {
            let script = witness_commitment(wtxids);
            template.coinbase_tx_outputs[at..at + script.len()].copy_from_slice(script.as_bytes());
        }
        template.coinbase = Arc::new(self.plan.build(&template, &Payout::Pool));
        template
    }

    /// Where in the outputs the script that commits to the witnesses begins.
    fn commitment_at(&self) -> Option<usize> {
        let outputs = &self.coinbase_tx_outputs;
        let is_there = |bytes: &[u8]| bytes.starts_with(&COMMITMENT);
        outputs.windows(COMMITMENT_LEN).position(is_there)
    }

    /// Whether the block commits to witnesses; the coinbase then needs one of its own, and may
    /// have none otherwise (T-16).
    pub fn has_witness_commitment(&self) -> bool {
        self.coinbase_tx_outputs
            .windows(COMMITMENT.len())
            .any(|bytes| bytes == COMMITMENT)
    }

    /// The height of the block, as the BIP-0034 push says it.
    pub fn height(&self) -> Option<u64> {
        height(&self.coinbase_prefix)
    }

    /// Whether two are the same template, however they were received.
    pub fn is(&self, other: &Self) -> bool {
        (self.session, self.id) == (other.session, other.id)
    }
}

/// The block height that a coinbase's scriptSig begins with (BIP-0034).
pub fn height(script_sig: &[u8]) -> Option<u64> {
    let (&first, rest) = script_sig.split_first()?;
    match first {
        0x51..=0x60 => Some(u64::from(first - 0x50)),
        len @ 1..=8 => rest.get(..usize::from(len)).map(|bytes| {
            bytes
                .iter()
                .rev()
                .fold(0, |height, byte| height << 8 | u64::from(*byte))
        }),
        _ => None,
    }
}

/// A tip to mine on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrevHash {
    /// In header order.
    pub prev_hash: [u8; 32],
    /// The time to start from; never below what consensus asks for.
    pub header_timestamp: u32,
    /// The compact target of the header.
    pub n_bits: u32,
    /// What a hash must not exceed to be a block; may be stricter than `n_bits` says (SV2 7.3).
    pub target: Target,
}

/// All there is to mine on at one time. Immutable; the next state is a new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The tip.
    pub prev_hash: Arc<PrevHash>,
    /// The newest template on that tip.
    pub template: Arc<Template>,
    /// Templates for a tip that is not there yet.
    pub futures: Vec<Arc<Template>>,
    /// Tips before this one, the newest last; in header order.
    pub past: Arc<[[u8; 32]]>,
}

/// A message of the template provider that makes no sense; it changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// SetNewPrevHash for a template that was never sent as a future one (T-50).
    #[error("SetNewPrevHash names template {0}, which is no future template of this connection")]
    UnknownTemplate(u64),
    /// A template for the current tip before there was a tip.
    #[error("template {0} is for the current tip, but no SetNewPrevHash has come yet")]
    NoPrevHash(u64),
    /// A template of which no coinbase can be made.
    #[error("template {id}: {problem}")]
    Coinbase {
        /// The provider's id.
        id: u64,
        /// What is wrong with it.
        problem: BadTemplate,
    },
}

/// Turns the messages of a template provider into [`Work`].
#[derive(Debug)]
pub struct WorkTracker {
    plan: Arc<CoinbasePlan>,
    session: u64,
    futures: Vec<Arc<Template>>,
    active: Option<(Arc<PrevHash>, Arc<Template>)>,
    past: Arc<[[u8; 32]]>,
}

impl WorkTracker {
    /// Builds coinbases by `plan`.
    pub fn new(plan: CoinbasePlan) -> Self {
        Self {
            plan: Arc::new(plan),
            session: 0,
            futures: Vec::new(),
            active: None,
            past: Arc::default(),
        }
    }

    /// A new connection to the provider: its future templates start anew. The work stays, so that
    /// miners go on until the provider has something newer.
    pub fn reconnected(&mut self) {
        self.session += 1;
        self.futures.clear();
    }

    /// Which connection it is.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// NewTemplate arrived.
    ///
    /// # Errors
    /// It is for the current tip and there is none, or no coinbase can be made of it.
    pub fn new_template(&mut self, message: &NewTemplate<'_>) -> Result<(), WorkError> {
        let id = message.template_id;
        self.plan
            .check_template(message)
            .map_err(|problem| WorkError::Coinbase { id, problem })?;
        let template = Arc::new(Template::new(self.session, message, &self.plan));
        if message.future_template {
            if self.futures.len() == MAX_FUTURES {
                self.futures.remove(0);
            }
            self.futures.push(template);
            return Ok(());
        }
        match &mut self.active {
            // A tip of an earlier connection is no tip of this one.
            Some((_, active)) if active.session == self.session => {
                *active = template;
                Ok(())
            }
            _ => Err(WorkError::NoPrevHash(id)),
        }
    }

    /// SetNewPrevHash arrived. Other future templates are dropped with it (SV2 7.3).
    ///
    /// # Errors
    /// It names a template that is no future one.
    pub fn set_new_prev_hash(&mut self, message: &SetNewPrevHash<'_>) -> Result<(), WorkError> {
        let template = self
            .futures
            .iter()
            .find(|template| template.id == message.template_id)
            .map(Arc::clone)
            .ok_or(WorkError::UnknownTemplate(message.template_id))?;
        let prev_hash = PrevHash {
            prev_hash: *message.prev_hash.as_array(),
            header_timestamp: message.header_timestamp,
            n_bits: message.n_bits,
            target: Target::from_le_bytes(*message.target.as_array()),
        };
        self.futures.clear();
        if let Some((before, _)) = self.active.replace((Arc::new(prev_hash), template)) {
            self.leave(before.prev_hash);
        }
        Ok(())
    }

    /// A tip is one no longer, unless it was only told again.
    fn leave(&mut self, before: [u8; 32]) {
        let tip = self.active.as_ref().map(|(tip, _)| tip.prev_hash);
        let mut past: Vec<_> = self.past.iter().copied().chain([before]).collect();
        // A chain that is reorganised may come back to one.
        past.retain(|hash| Some(*hash) != tip);
        let excess = past.len().saturating_sub(MAX_PAST);
        self.past = past.drain(excess..).collect();
    }

    /// What there is to mine on; `None` before the first SetNewPrevHash.
    pub fn work(&self) -> Option<Work> {
        let (prev_hash, template) = self.active.as_ref()?;
        Some(Work {
            prev_hash: Arc::clone(prev_hash),
            template: Arc::clone(template),
            futures: self.futures.clone(),
            past: Arc::clone(&self.past),
        })
    }
}

#[cfg(test)]
mod tests;
