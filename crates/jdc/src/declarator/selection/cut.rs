//! One template, cut down to what the miner wants of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bitcoin::consensus::deserialize;
use bitcoin::hashes::Hash;
use bitcoin::{Network, Transaction, Txid};
use protocol::coinbase::{merkle_path, subsidy};
use protocol::selection::{Candidate, Room, Rules, select};
use protocol::transactions::TransactionData;
use protocol::work::Template;

use super::Selection;

/// The transactions of a template, looked into.
#[derive(Debug)]
pub(super) struct List {
    data: Arc<TransactionData>,
    /// In header order.
    pub(super) txids: Vec<[u8; 32]>,
    /// Without their fees.
    candidates: Vec<Candidate>,
}

/// A template of ours.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) template: Arc<Template>,
    /// What is in it; `None` if there was nothing to choose from.
    pub(super) transactions: Option<Arc<TransactionData>>,
    /// How many of the provider's are not, as far as they are known.
    pub(super) left_out: Option<usize>,
    /// Whether it is another than the provider's.
    pub(super) is_other: bool,
    pinned: BTreeSet<Txid>,
    barred: BTreeSet<Txid>,
}

impl List {
    /// `None` if these are no transactions, or not the template's.
    pub(super) fn read(template: &Template, data: Arc<TransactionData>) -> Option<Self> {
        let parsed: Result<Vec<Transaction>, _> = data.iter().map(deserialize).collect();
        let parsed = parsed.ok()?;
        let ids = parsed.iter().map(|one| one.compute_txid().to_byte_array());
        let txids: Vec<[u8; 32]> = ids.collect();
        if merkle_path(txids.iter().copied()) != template.merkle_path {
            return None;
        }
        let places: HashMap<&[u8; 32], usize> = txids.iter().zip(0..).collect();
        let candidates = parsed.iter().enumerate().map(|(place, transaction)| {
            let inputs = transaction.input.iter();
            let spent = inputs.filter_map(|input| {
                let parent = input.previous_output.txid.to_byte_array();
                places.get(&parent).copied()
            });
            // A block has parents first.
            let depends: BTreeSet<usize> = spent.filter(|parent| *parent < place).collect();
            Candidate {
                depends: depends.into_iter().collect(),
                fee: 0,
                needs: Room {
                    weight: transaction.weight().to_wu(),
                    // The provider has seen to those, and fewer transactions have no more.
                    sigops: 0,
                },
            }
        });
        let candidates = candidates.collect();
        Some(Self {
            data,
            txids,
            candidates,
        })
    }
}

impl Cut {
    /// The provider's, as it is.
    pub(super) fn none(source: &Arc<Template>) -> Self {
        Self {
            template: Arc::clone(source),
            transactions: None,
            left_out: Some(0),
            is_other: false,
            pinned: BTreeSet::new(),
            barred: BTreeSet::new(),
        }
    }

    /// Without any transactions, known or not.
    pub(super) fn empty(source: &Arc<Template>, network: Network) -> Self {
        let created = source.height().map_or(0, |height| subsidy(height, network));
        let value = created.min(source.coinbase_tx_value_remaining);
        Self {
            template: Arc::new(source.with_transactions([], [], value)),
            transactions: Some(Arc::default()),
            left_out: None,
            is_other: true,
            ..Self::none(source)
        }
    }

    /// Pinned transactions that are in it.
    pub(super) fn has(&self, pinned: &Txid) -> bool {
        self.pinned.contains(pinned)
    }

    /// Pinned transactions that the provider gave and that are not in it: they need a banned one,
    /// or room that there is not.
    pub(super) fn bars(&self, pinned: &Txid) -> bool {
        self.barred.contains(pinned)
    }
}

/// Leaves out what the miner does not want. A transaction whose fee nobody knows counts as one that
/// pays nothing.
pub(super) fn cut(
    source: &Arc<Template>,
    list: &List,
    fees: &HashMap<[u8; 32], u64>,
    selection: &Selection,
    weight: u64,
) -> Cut {
    let txids = list.txids.iter().copied().map(Txid::from_byte_array);
    let places = |wanted: &BTreeSet<Txid>| -> BTreeSet<usize> {
        let found = txids.clone().enumerate();
        let found = found.filter(|(_, txid)| wanted.contains(txid));
        found.map(|(place, _)| place).collect()
    };
    let priced = list.candidates.iter().zip(&list.txids);
    let priced = priced.map(|(candidate, txid)| Candidate {
        fee: fees.get(txid).copied().unwrap_or(0),
        ..candidate.clone()
    });
    let priced: Vec<Candidate> = priced.collect();
    let rules = Rules {
        room: Room {
            weight,
            sigops: u64::MAX,
        },
        min_fee_rate: selection.min_fee_rate,
        pinned: places(&selection.pinned),
        banned: places(&selection.banned),
    };
    let kept = select(&priced, &rules);
    let is_kept = |place: &usize| kept.binary_search(place).is_ok();
    let (pinned, barred): (BTreeSet<usize>, _) = rules.pinned.iter().partition(|at| is_kept(at));
    let names = |places: BTreeSet<usize>| -> BTreeSet<Txid> {
        let names = places.into_iter().map(|place| list.txids[place]);
        names.map(Txid::from_byte_array).collect()
    };
    let left_out = list.txids.len() - kept.len();
    let (template, transactions) = if left_out == 0 {
        (Arc::clone(source), Arc::clone(&list.data))
    } else {
        let value = value(source, &list.txids, &kept, fees, selection.network);
        let transactions = list.data.only(&kept);
        let txids = kept.iter().map(|place| list.txids[*place]);
        let wtxids = transactions.wtxids().iter().copied();
        let template = source.with_transactions(txids, wtxids, value);
        (Arc::new(template), Arc::new(transactions))
    };
    Cut {
        template,
        transactions: Some(transactions),
        left_out: Some(left_out),
        is_other: left_out > 0,
        pinned: names(pinned),
        barred: names(barred),
    }
}

/// What the coinbase may pay out: less by the fees of what is left out. If one of those is unknown,
/// what is known to come in is counted instead.
fn value(
    source: &Template,
    txids: &[[u8; 32]],
    kept: &[usize],
    fees: &HashMap<[u8; 32], u64>,
    network: Network,
) -> u64 {
    let all = source.coinbase_tx_value_remaining;
    let is_out = |(place, _): &(usize, &[u8; 32])| kept.binary_search(place).is_err();
    let left_out = txids.iter().enumerate().filter(is_out);
    let lost: Option<u64> = left_out.map(|(_, txid)| fees.get(txid).copied()).sum();
    if let Some(lost) = lost {
        return all.saturating_sub(lost);
    }
    let created = source.height().map_or(0, |height| subsidy(height, network));
    let paid = kept.iter().filter_map(|place| fees.get(&txids[*place]));
    all.min(created.saturating_add(paid.sum()))
}
