//! Which transactions of a node's list go into a block, for whoever wants fewer than all.
//!
//! The node has made its list for a coinbase of its own size and for nobody's taste. A client that
//! needs more room, or does not want some, gets fewer transactions; the order stays the node's,
//! best fee rate first.

pub mod wish;

use std::collections::BTreeSet;
use std::ops::Range;

use bitcoin::FeeRate;

/// What transactions take of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Weight units (BIP-0141).
    pub weight: u64,
    /// Signature operations, at their cost (BIP-0141).
    pub sigops: u64,
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

/// A transaction on a node's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Places in the list, all before its own, of the transactions it cannot do without.
    pub depends: Vec<usize>,
    /// In satoshis.
    pub fee: u64,
    /// What it takes.
    pub needs: Room,
}

impl AsRef<Self> for Candidate {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// What is wanted of a block beyond its being valid. Transactions go by their places in the list.
#[derive(Clone, Debug)]
pub struct Rules {
    /// For all transactions together.
    pub room: Room,
    /// What a package must pay for its weight.
    pub min_fee_rate: FeeRate,
    /// In the block, with all they need and whatever they pay, as long as there is room.
    pub pinned: BTreeSet<usize>,
    /// Not in the block, and nothing that needs them; not even if it is pinned.
    pub banned: BTreeSet<usize>,
}

impl Rules {
    /// Whatever fits.
    pub fn fitting(room: Room) -> Self {
        Self {
            room,
            min_fee_rate: FeeRate::ZERO,
            pinned: BTreeSet::new(),
            banned: BTreeSet::new(),
        }
    }
}

/// The places, growing, of the transactions that stay: a package goes when it does not fit any
/// more, pays too little or needs one that has gone, and the best packages have the first choice
/// after the pinned ones.
pub fn select<E: AsRef<Candidate>>(transactions: &[E], rules: &Rules) -> Vec<usize> {
    let is_out = out(transactions, &rules.banned);
    let mut is_kept = vec![false; transactions.len()];
    let mut room = rules.room;
    for place in &rules.pinned {
        let lineage = lineage(transactions, *place, &is_kept);
        let needs = lineage.iter().map(|place| transactions[*place].as_ref());
        let needs = needs.fold(Room::default(), |sum, one| sum.plus(one.needs));
        if !lineage.iter().any(|place| is_out[*place])
            && let Some(left) = room.without(needs)
        {
            room = left;
            for place in lineage {
                is_kept[place] = true;
            }
        }
    }
    let list = List::new(transactions, |place| !is_out[place] && !is_kept[place]);
    for package in list.packages() {
        if package.pays(rules.min_fee_rate)
            && list.needed(&package).all(|place| is_kept[place])
            && let Some(left) = room.without(package.needs)
        {
            room = left;
            for place in &list.places[package.span] {
                is_kept[*place] = true;
            }
        }
    }
    (0..transactions.len())
        .filter(|place| is_kept[*place])
        .collect()
}

/// Whether each is banned, or needs one that is.
fn out<E: AsRef<Candidate>>(transactions: &[E], banned: &BTreeSet<usize>) -> Vec<bool> {
    let mut is_out = vec![false; transactions.len()];
    for (place, transaction) in transactions.iter().enumerate() {
        let mut depends = transaction.as_ref().depends.iter();
        is_out[place] = banned.contains(&place) || depends.any(|needed| is_out[*needed]);
    }
    is_out
}

/// A transaction with all it needs, without what is kept already.
fn lineage<E: AsRef<Candidate>>(
    transactions: &[E],
    place: usize,
    is_kept: &[bool],
) -> BTreeSet<usize> {
    let mut lineage = BTreeSet::new();
    let mut next = vec![place];
    while let Some(place) = next.pop() {
        if place < transactions.len() && !is_kept[place] && lineage.insert(place) {
            next.extend(&transactions[place].as_ref().depends);
        }
    }
    lineage
}

/// The part of a node's list that packages are made of.
struct List<'a, E> {
    transactions: &'a [E],
    /// Places in the whole list, growing.
    places: Vec<usize>,
}

/// Transactions that are worth mining together only: the later pay for the earlier.
struct Package {
    /// Of [`List::places`].
    span: Range<usize>,
    fee: u64,
    needs: Room,
}

impl Package {
    fn pays_better_than(&self, other: &Self) -> bool {
        let cross = |fee: u64, weight: u64| u128::from(fee) * u128::from(weight);
        cross(self.fee, other.needs.weight) > cross(other.fee, self.needs.weight)
    }

    fn pays(&self, rate: FeeRate) -> bool {
        let wanted = u128::from(rate.to_sat_per_kwu()) * u128::from(self.needs.weight);
        u128::from(self.fee) * 1000 >= wanted
    }
}

impl<'a, E: AsRef<Candidate>> List<'a, E> {
    fn new(transactions: &'a [E], is_in: impl Fn(usize) -> bool) -> Self {
        Self {
            transactions,
            places: (0..transactions.len())
                .filter(|place| is_in(*place))
                .collect(),
        }
    }

    /// Places outside the package that it cannot do without.
    fn needed(&self, package: &Package) -> impl Iterator<Item = usize> {
        let members = &self.places[package.span.clone()];
        let depends = members
            .iter()
            .flat_map(|place| &self.transactions[*place].as_ref().depends);
        depends
            .filter(|place| members.binary_search(place).is_err())
            .copied()
    }

    /// Cuts the list into packages. The node has put together what belongs together, so a
    /// transaction joins the package before it when it needs that package and pays better.
    fn packages(&self) -> Vec<Package> {
        let mut packages: Vec<Package> = Vec::new();
        for (at, place) in self.places.iter().enumerate() {
            let transaction = self.transactions[*place].as_ref();
            let mut package = Package {
                span: at..at + 1,
                fee: transaction.fee,
                needs: transaction.needs,
            };
            while let Some(before) = packages.pop_if(|before| {
                let members = &self.places[before.span.clone()];
                package.pays_better_than(before)
                    && self
                        .needed(&package)
                        .any(|place| members.binary_search(&place).is_ok())
            }) {
                package = Package {
                    span: before.span.start..package.span.end,
                    fee: before.fee + package.fee,
                    needs: before.needs.plus(package.needs),
                };
            }
            packages.push(package);
        }
        packages
    }
}

#[cfg(test)]
mod tests;
