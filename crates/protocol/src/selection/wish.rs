//! What a miner may wish of its blocks' transactions, for every program that reads such wishes.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use bitcoin::Txid;

/// Weight of a whole block (BIP-0141).
pub const MAX_BLOCK_WEIGHT: u64 = 4_000_000;

/// Satoshis for a virtual byte; more was never paid.
pub const FEE_RATES: RangeInclusive<f64> = 0.0..=1_000_000.0;
/// Of a whole block: at least header, a coinbase and a transaction or two.
pub const WEIGHTS: RangeInclusive<u64> = 10_000..=MAX_BLOCK_WEIGHT;
/// Names of one list; each template is compared with all of them.
const MAX_LISTED: usize = 10_000;

/// Transactions by their names.
///
/// # Errors
/// Everything that is wrong with the list.
pub fn txids(names: &[String]) -> Result<BTreeSet<Txid>, Vec<String>> {
    if names.len() > MAX_LISTED {
        let what = format!("{} transactions; at most {MAX_LISTED}", names.len());
        return Err(vec![what]);
    }
    let (mut txids, mut problems) = (BTreeSet::new(), Vec::new());
    for name in names {
        match name.parse() {
            Ok(txid) => drop(txids.insert(txid)),
            Err(error) => problems.push(format!("{name:?}: expected a txid: {error}")),
        }
    }
    if problems.is_empty() {
        Ok(txids)
    } else {
        Err(problems)
    }
}

/// What is wrong with wanting these in and those out.
pub fn contradictions<'a>(
    pinned: &'a BTreeSet<Txid>,
    banned: &'a BTreeSet<Txid>,
) -> impl Iterator<Item = String> + 'a {
    let both = pinned.intersection(banned);
    both.map(|txid| format!("{txid} is banned as well"))
}
