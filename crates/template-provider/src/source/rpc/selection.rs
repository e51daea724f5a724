//! Which of the node's transactions a client's block has room for.
//!
//! The node has made its list for a coinbase of its own size. A client that needs more room gets
//! fewer transactions; the order stays the node's, best fee rate first.

use std::ops::Range;

use super::block::Entry;

/// What transactions take of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    /// Weight units (BIP-0141).
    pub(super) weight: u64,
    /// Signature operations, at their cost (BIP-0141).
    pub(super) sigops: u64,
}

impl Room {
    fn plus(self, other: Self) -> Self {
        Self {
            weight: self.weight + other.weight,
            sigops: self.sigops + other.sigops,
        }
    }

    /// What is left after giving some away, if there was enough.
    fn without(self, needs: Self) -> Option<Self> {
        Some(Self {
            weight: self.weight.checked_sub(needs.weight)?,
            sigops: self.sigops.checked_sub(needs.sigops)?,
        })
    }
}

/// Transactions that are worth mining together only: the later pay for the earlier.
struct Package {
    places: Range<usize>,
    fee: u64,
    needs: Room,
}

impl Package {
    fn pays_better_than(&self, other: &Self) -> bool {
        let cross = |fee: u64, weight: u64| u128::from(fee) * u128::from(weight);
        cross(self.fee, other.needs.weight) > cross(other.fee, self.needs.weight)
    }

    /// Places outside the package that it cannot do without.
    fn depends<'a>(&'a self, transactions: &'a [Entry]) -> impl Iterator<Item = usize> + 'a {
        transactions[self.places.clone()]
            .iter()
            .flat_map(|entry| entry.depends.iter().copied())
            .filter(|place| !self.places.contains(place))
    }
}

/// The places, growing, of the transactions that fit: a package goes when it does not fit any more
/// or needs one that has gone, and the best packages have the first choice.
pub(super) fn select(transactions: &[Entry], mut room: Room) -> Vec<usize> {
    let mut is_kept = vec![false; transactions.len()];
    for package in packages(transactions) {
        if package.depends(transactions).all(|place| is_kept[place])
            && let Some(left) = room.without(package.needs)
        {
            room = left;
            is_kept[package.places].fill(true);
        }
    }
    (0..transactions.len())
        .filter(|place| is_kept[*place])
        .collect()
}

/// Cuts the list into packages. The node has put together what belongs together, so a transaction
/// joins the package before it when it needs that package and pays better.
fn packages(transactions: &[Entry]) -> Vec<Package> {
    let mut packages: Vec<Package> = Vec::new();
    for (place, entry) in transactions.iter().enumerate() {
        let mut package = Package {
            places: place..place + 1,
            fee: entry.fee,
            needs: entry.needs,
        };
        while let Some(before) = packages.pop_if(|before| {
            package.pays_better_than(before)
                && package
                    .depends(transactions)
                    .any(|place| before.places.contains(&place))
        }) {
            package = Package {
                places: before.places.start..package.places.end,
                fee: before.fee + package.fee,
                needs: before.needs.plus(package.needs),
            };
        }
        packages.push(package);
    }
    packages
}

#[cfg(test)]
mod tests;
