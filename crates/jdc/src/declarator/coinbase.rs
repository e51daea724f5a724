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
pub const LOCAL_EXTRANONCE: usize = 4 + 2 + ROLLABLE;
/// Bytes of a signature at most, so that the scriptSig fits with any pool's extranonce.
pub const MAX_SIGNATURE: usize = MAX_SCRIPT_SIG - MAX_TEMPLATE_PREFIX - 2 - MAX_EXTRANONCE;

/// A connection's part of the extranonce.
pub fn space(slot: u32) -> ExtranonceSpace {
    ExtranonceSpace::new(&slot.to_be_bytes(), ROLLABLE).expect("14 bytes fit")
}

/// What an upstream asks of coinbases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Which upstream.
    pub upstream: usize,
    /// Where the pool wants us to search.
    pub seat: std::sync::Arc<Seat>,
    /// Whom it wants to be paid.
    pub payout: PayoutScripts,
}

impl Terms {
    /// What stands between the pool's prefix and the miners' part.
    pub fn padding(&self, job: u64) -> Vec<u8> {
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
pub struct CoinbaseKit {
    /// Paid by solo work.
    pub reward_script: ScriptBuf,
    /// In every coinbase; may be empty.
    pub signature: Vec<u8>,
    /// Outputs beyond those that pay whom they must.
    pub outputs: Vec<OwnOutput>,
}

/// An output of the miner's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnOutput {
    /// Whom it pays, or what it says.
    pub script: ScriptBuf,
    /// Of what solo work pays out. What has no part of it stands in every coinbase and pays
    /// nothing; the others in those of solo work only: nobody shares out a pool's reward.
    pub percent: u8,
}

impl CoinbaseKit {
    /// For `template` as job number `job`, on these terms or for ourselves.
    pub fn build(&self, template: &Template, job: u64, terms: Option<&Terms>) -> Coinbase {
        let start = match terms {
            Some(terms) => {
                let prefix = &terms.seat.extranonce_prefix;
                [prefix.as_slice(), &terms.padding(job)].concat()
            }
            None => (job as u32).to_be_bytes().to_vec(),
        };
        let total = template.coinbase_tx_value_remaining;
        let payout = terms.map(|terms| &terms.payout);
        Coinbase::build(
            template,
            Parts {
                signature: &self.signature,
                extranonce_start: &start,
                extranonce_len: start.len() + LOCAL_EXTRANONCE,
            },
            self.outputs(total, payout),
        )
    }

    /// Who gets how much of `total`.
    fn outputs<'a>(
        &'a self,
        total: u64,
        payout: Option<&'a PayoutScripts>,
    ) -> Vec<(&'a ScriptBuf, u64)> {
        let own = self.outputs.iter();
        let part = |percent: u8| (u128::from(total) * u128::from(percent) / 100) as u64;
        match payout {
            // SV2 6.4.3: everything goes to the first, the others are only there.
            Some(payout) => {
                let sats = std::iter::once(total).chain(std::iter::repeat(0));
                let own = own.filter(|output| output.percent == 0);
                let own = own.map(|output| (&output.script, 0));
                payout.iter().zip(sats).chain(own).collect()
            }
            None => {
                let own: Vec<_> = own
                    .map(|output| (&output.script, part(output.percent)))
                    .collect();
                let given: u64 = own.iter().map(|(_, sats)| sats).sum();
                let ours = (&self.reward_script, total.saturating_sub(given));
                std::iter::once(ours).chain(own).collect()
            }
        }
    }

    /// Room for the outputs of an upstream's work, or of solo work (SV2 7.1).
    pub fn constraints(&self, payout: Option<&PayoutScripts>) -> Constraints {
        let scripts: Vec<&ScriptBuf> = self
            .outputs(0, payout)
            .into_iter()
            .map(|(script, _)| script)
            .collect();
        let size = |script: &&ScriptBuf| {
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
}
