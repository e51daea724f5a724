//! What a job declarator client wants of its blocks, checked before anything is started.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use bitcoin::{Network, Txid};
use daemon::payout;
use protocol::selection::wish::{FEE_RATES, WEIGHTS, contradictions, txids};
use serde::{Deserialize, Serialize};

/// Which transactions are wanted, by the names of the client's own configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Satoshis for a virtual byte.
    pub min_fee_rate: f64,
    /// Of a whole block.
    pub max_weight: u64,
    /// Must be in.
    pub pinned: Vec<String>,
    /// Must not be in.
    pub banned: Vec<String>,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            min_fee_rate: *FEE_RATES.start(),
            max_weight: *WEIGHTS.end(),
            pinned: Vec::new(),
            banned: Vec::new(),
        }
    }
}

impl Selection {
    /// Everything that the client would refuse.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(outside("min_fee_rate", &self.min_fee_rate, &FEE_RATES));
        problems.extend(outside("max_weight", &self.max_weight, &WEIGHTS));
        let mut list = |key: &str, names: &[String]| -> BTreeSet<Txid> {
            txids(names).unwrap_or_else(|wrong| {
                let wrong = wrong.into_iter();
                problems.extend(wrong.map(|what| format!("selection.{key}: {what}")));
                BTreeSet::new()
            })
        };
        let pinned = list("pinned", &self.pinned);
        let banned = list("banned", &self.banned);
        let both = contradictions(&pinned, &banned);
        problems.extend(both.map(|what| format!("selection.pinned: {what}")));
        problems
    }
}

fn outside<T: PartialOrd + Display>(
    key: &str,
    value: &T,
    bounds: &RangeInclusive<T>,
) -> Option<String> {
    let (least, most) = (bounds.start(), bounds.end());
    let is_outside = !bounds.contains(value);
    is_outside.then(|| format!("selection.{key}: {value}: must be {least} to {most}"))
}

/// A further output of its coinbases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoinbaseOutput {
    /// An output descriptor.
    pub script: String,
    /// Of what solo work pays.
    #[serde(default)]
    pub percent: u8,
}

/// Everything that is wrong with these.
pub(super) fn output_problems(outputs: &[CoinbaseOutput]) -> Vec<String> {
    let scripts = outputs.iter().filter_map(|output| {
        let problem = payout::script(&output.script, Network::Regtest).err()?;
        Some(format!("coinbase_outputs.script: {problem}"))
    });
    let percent: u32 = outputs.iter().map(|output| u32::from(output.percent)).sum();
    let too_much = (percent > 100)
        .then(|| format!("coinbase_outputs.percent: {percent} percent of the reward"));
    scripts.chain(too_much).collect()
}
