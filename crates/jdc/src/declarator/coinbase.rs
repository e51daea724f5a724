//! The coinbases of jobs: whom they pay, and what their extranonce begins with.
//!
//! The pool's part of the extranonce stands in the coinbase itself, not in the prefixes of the
//! miners' channels. So a miner keeps its prefix for as long as it is connected, whichever upstream
//! is worked for. Room that the pool gives beyond what is needed tells jobs apart: no two search
//! the same space, even when the miners come back to a template they had before.

use bitcoin::ScriptBuf;
use protocol::coinbase::{Coinbase, MAX_SCRIPT_SIG, MAX_TEMPLATE_PREFIX, Parts};
use protocol::custom_work::Seat;
use protocol::declaration::client::PayoutScripts;
use protocol::provider::Constraints;
use protocol::server::{ExtranonceSpace, MAX_EXTRANONCE};
use protocol::work::Template;

/// Bytes that a miner of an extended channel chooses.
const ROLLABLE: usize = 8;
/// Bytes of the extranonce that are shared out among the miners: connection, channel, rollable.
pub(crate) const LOCAL_EXTRANONCE: usize = 4 + 2 + ROLLABLE;
/// Bytes of a signature at most, so that the scriptSig fits with any pool's extranonce.
pub(crate) const MAX_SIGNATURE: usize = MAX_SCRIPT_SIG - MAX_TEMPLATE_PREFIX - 2 - MAX_EXTRANONCE;

/// A connection's part of the extranonce.
pub(crate) fn space(slot: u32) -> ExtranonceSpace {
    ExtranonceSpace::new(&slot.to_be_bytes(), ROLLABLE).expect("14 bytes fit")
}

/// What an upstream asks of coinbases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Which upstream.
    pub(crate) upstream: usize,
    /// Where the pool wants us to search.
    pub(crate) seat: std::sync::Arc<Seat>,
    /// Whom it wants to be paid.
    pub(crate) payout: PayoutScripts,
}

impl Terms {
    /// What stands between the pool's prefix and the miners' part.
    pub(crate) fn padding(&self, job: u64) -> Vec<u8> {
        let len = self.seat.extranonce_size.saturating_sub(LOCAL_EXTRANONCE);
        let mut padding = vec![0; len];
        for (byte, of_job) in padding.iter_mut().rev().zip(job.to_le_bytes()) {
            *byte = of_job;
        }
        padding
    }
}

/// What all coinbases have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CoinbaseKit {
    /// Paid by solo work.
    pub(crate) reward_script: ScriptBuf,
    /// In every coinbase; may be empty.
    pub(crate) signature: Vec<u8>,
}

impl CoinbaseKit {
    /// For `template` as job number `job`, on these terms or for ourselves.
    pub(crate) fn build(&self, template: &Template, job: u64, terms: Option<&Terms>) -> Coinbase {
        let start = match terms {
            Some(terms) => {
                let prefix = &terms.seat.extranonce_prefix;
                [prefix.as_slice(), &terms.padding(job)].concat()
            }
            None => (job as u32).to_be_bytes().to_vec(),
        };
        let total = template.coinbase_tx_value_remaining;
        let ours = [self.reward_script.clone()];
        let paid = terms.map_or(&ours[..], |terms| &terms.payout);
        // SV2 6.4.3: everything goes to the first, the others are only there.
        let sats = std::iter::once(total).chain(std::iter::repeat(0));
        Coinbase::build(
            template,
            Parts {
                signature: &self.signature,
                extranonce_start: &start,
                extranonce_len: start.len() + LOCAL_EXTRANONCE,
            },
            paid.iter().zip(sats).collect(),
        )
    }

    /// Room for the output that pays us.
    pub(crate) fn constraints(&self) -> Constraints {
        constraints(std::slice::from_ref(&self.reward_script))
    }
}

/// Room for outputs with these scripts (SV2 7.1).
pub(crate) fn constraints(scripts: &[ScriptBuf]) -> Constraints {
    let size = |script: &ScriptBuf| {
        let len = script.len();
        8 + bitcoin::VarInt(len as u64).size() + len
    };
    // Scripts outside the witness count four times.
    let sigops: usize = scripts
        .iter()
        .map(|script| script.count_sigops_legacy() * 4)
        .sum();
    Constraints {
        size: scripts.iter().map(size).sum::<usize>() as u32,
        sigops: sigops.min(usize::from(u16::MAX)) as u16,
    }
}
