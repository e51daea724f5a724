//! Whom a block pays, as the name a channel was opened with says it.
//!
//! | user identity | paid |
//! |---|---|
//! | `sri/solo/<address>[/<worker>]` | all to the address |
//! | `sri/donate/<1-99>/<address>[/<worker>]` | that percentage to the pool, the rest to the address |
//! | `sri/donate[/<worker>]` | all to the pool |
//! | `<address>[.<worker>]` | all to the address |
//! | anything else | all to the pool |
//!
//! These are the forms that deployed miners of the reference implementation use. A name that was
//! clearly meant to be one of them and is not is refused, so that nobody mines for somebody else
//! because of a slip: a wrong percentage, a mistyped address behind `sri/`, an address of another
//! network.

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Network, Script, ScriptBuf, TxOut};

use crate::coinbase::subsidy;

/// Bytes of the longest script an address can stand for: a witness program of 40 bytes.
pub const MAX_ADDRESS_SCRIPT: usize = 42;
/// Signature operations of the dearest script an address can stand for: one, outside the witness.
pub const MAX_ADDRESS_SIGOPS: usize = 1;

/// Whom a block pays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Payout {
    /// The pool.
    #[default]
    Pool,
    /// A miner, perhaps with a part for the pool.
    Miner {
        /// Of the miner's address.
        script: ScriptBuf,
        /// What the pool gets of a hundred; below 100.
        pool_percent: u8,
    },
}

/// A user identity that asks for a payout which cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("user identity {0:?} names no payout that can be given")]
pub struct InvalidIdentity(pub String);

impl Payout {
    /// Reads a user identity. Addresses must be of `network`.
    ///
    /// # Errors
    /// It was meant as a payout and is none.
    pub fn parse(identity: &str, network: Network) -> Result<Self, InvalidIdentity> {
        let invalid = || InvalidIdentity(identity.to_owned());
        let solo = |address: &str, pool_percent| {
            let script = script_of(address, network)?;
            Some(Self::Miner {
                script,
                pool_percent,
            })
        };
        let parts: Vec<&str> = identity.split('/').collect();
        let payout = match parts[..] {
            ["sri", "solo", address] | ["sri", "solo", address, _] => solo(address, 0),
            ["sri", "donate"] | ["sri", "donate", _] => Some(Self::Pool),
            ["sri", "donate", percent, address] | ["sri", "donate", percent, address, _] => {
                let percent = percent.parse().ok().filter(|n| (1..100).contains(n));
                percent.and_then(|percent| solo(address, percent))
            }
            ["sri", _, ..] => None,
            _ => {
                let address = identity.split('.').next().unwrap_or_default();
                if address.parse::<Address<NetworkUnchecked>>().is_ok() {
                    solo(address, 0)
                } else {
                    Some(Self::Pool)
                }
            }
        };
        payout.ok_or_else(invalid)
    }

    /// The scripts that a coinbase which somebody else has made must pay and does: these, or else
    /// the pool's, which is what a job declarator server asks for. Everything it pays out goes to
    /// them, by script, not by position (T-18). `None` if it does not, or pays less than `least`
    /// in all: what is not paid out is lost to everybody.
    ///
    /// One rule for pools and job declarator servers: what is declared must be accepted.
    pub fn paid_by(
        &self,
        outputs: &[TxOut],
        pool: &ScriptBuf,
        least: u64,
    ) -> Option<Vec<ScriptBuf>> {
        let values = outputs.iter().map(|output| output.value.to_sat());
        let total = values.fold(0, u64::saturating_add);
        if total < least {
            return None;
        }
        let sum = |script: &Script| {
            let to = outputs.iter().filter(|out| out.script_pubkey == *script);
            to.map(|output| output.value.to_sat())
                .reduce(u64::saturating_add)
        };
        [self, &Self::Pool].into_iter().find_map(|payout| {
            let parts = payout.outputs(total, pool);
            let is_paid = |(script, sats): &(&ScriptBuf, u64)| sum(script) >= Some(*sats);
            let are_paid = parts.iter().all(is_paid);
            are_paid.then(|| {
                parts
                    .into_iter()
                    .map(|(script, _)| script.clone())
                    .collect()
            })
        })
    }

    /// What [`paid_by`](Self::paid_by) asks for at least, of a block at this height: something,
    /// unless there is nothing to pay out but the fees of transactions that it need not have.
    pub fn least(height: u64, network: Network) -> u64 {
        subsidy(height, network).min(1)
    }

    /// Scripts and satoshis of the outputs that pay `total`, of which rounding is the miner's.
    pub fn outputs<'a>(&'a self, total: u64, pool: &'a ScriptBuf) -> Vec<(&'a ScriptBuf, u64)> {
        match self {
            Self::Pool => vec![(pool, total)],
            Self::Miner {
                script,
                pool_percent: 0,
            } => vec![(script, total)],
            Self::Miner {
                script,
                pool_percent,
            } => {
                let part = u128::from(total) * u128::from(*pool_percent) / 100;
                let part = part as u64;
                vec![(pool, part), (script, total.saturating_sub(part))]
            }
        }
    }
}

fn script_of(address: &str, network: Network) -> Option<ScriptBuf> {
    let address: Address<NetworkUnchecked> = address.parse().ok()?;
    let address = address.require_network(network).ok()?;
    Some(address.script_pubkey())
}

#[cfg(test)]
mod tests;
