//! What goes into our blocks: the miner's choice among the transactions of each template.
//!
//! [`Selector`] stands between the template provider and the jobs. A template whose transactions
//! are all wanted goes through as it is. Of another one it makes a template of ours: the provider
//! gives the transactions, the node tells their fees, [`cut`] does the rest. Until that is done,
//! the template before it stays in use; what has no transactions needs no looking at.
//!
//! The provider cannot submit a block of a template it has not made, so whoever cuts one keeps its
//! transactions and puts the block together.

mod cut;
mod pins;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::consensus::deserialize;
use bitcoin::hashes::Hash;
use bitcoin::{FeeRate, Network, Transaction, Txid};
use protocol::coinbase::{Header, merkle_root};
use protocol::core::Now;
use protocol::provider::{Constraints, ProviderInput};
use protocol::selection::wish::MAX_BLOCK_WEIGHT;
use protocol::server::Solution;
use protocol::transactions::{TransactionData, block};
use protocol::work::{PrevHash, Template, Work};

use super::{Action, Report};
use cut::{Cut, List};
use pins::Pins;

pub use pins::Pin;

/// What a provider leaves for header and coinbase beside the outputs asked for (SV2 7.1).
const BASE_WEIGHT: u64 = 1_168;
/// Bytes of an output are not witness data.
const WEIGHT_PER_OUTPUT_BYTE: u64 = 4;

/// How long provider and node may take together; miners wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);
/// Cut templates that a block may still be found on, beside those in use. Their transactions are
/// held in memory, and miners leave a job at once for the next.
const MAX_PAST: usize = 16;
/// Fees remembered; beyond that only those of the newest template are.
const MAX_FEES: usize = 100_000;

/// A template's connection and its id there.
type Key = (u64, u64);

/// The miner's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Whose subsidy a block has.
    pub network: Network,
    /// What transactions must pay, those that others pay for together with these.
    pub min_fee_rate: FeeRate,
    /// Of the whole block.
    pub max_weight: u64,
    /// These must be in, with whatever they need.
    pub pinned: BTreeSet<Txid>,
    /// These must not, nor whatever needs them.
    pub banned: BTreeSet<Txid>,
}

impl Selection {
    /// Takes every template as it is.
    pub fn all(network: Network) -> Self {
        Self {
            network,
            min_fee_rate: FeeRate::ZERO,
            max_weight: MAX_BLOCK_WEIGHT,
            pinned: BTreeSet::new(),
            banned: BTreeSet::new(),
        }
    }

    /// Whether it does.
    pub fn is_all(&self) -> bool {
        *self == Self::all(self.network)
    }

    /// What the provider is asked for: room for these outputs, and all that is above the weight
    /// wanted. It is the one wish that the protocol has a field for (SV2 7.1).
    pub(super) fn ask(&self, outputs: Constraints) -> Constraints {
        let surplus = (MAX_BLOCK_WEIGHT - self.max_weight) / WEIGHT_PER_OUTPUT_BYTE;
        let surplus = u32::try_from(surplus).unwrap_or(u32::MAX);
        Constraints {
            size: outputs.size.saturating_add(surplus),
            ..outputs
        }
    }

    /// Weight left for transactions.
    fn weight(&self, outputs: Constraints) -> u64 {
        let outputs = WEIGHT_PER_OUTPUT_BYTE * u64::from(outputs.size);
        self.max_weight.saturating_sub(BASE_WEIGHT + outputs)
    }
}

/// A template of the provider.
#[derive(Debug)]
struct Held {
    source: Arc<Template>,
    /// When the provider or the node was asked first.
    since: Instant,
    stage: Stage,
}

impl Held {
    fn key(&self) -> Key {
        (self.source.session, self.source.id)
    }
}

#[derive(Debug)]
enum Stage {
    /// Its transactions are on their way.
    Asked,
    /// The node is asked for fees.
    Weighing(Box<List>),
    Ready(Cut),
}

/// What the choice has cost a template.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Transactions of the provider's that are not in ours, as far as they are known.
    pub transactions: Option<usize>,
    /// Satoshis that its coinbase could pay out, and ours cannot.
    pub fees: u64,
}

/// The stage between provider and jobs.
#[derive(Debug)]
pub struct Selector {
    selection: Selection,
    /// As the provider says.
    work: Option<Work>,
    /// Oldest first.
    held: Vec<Held>,
    /// By txid; a transaction's fee never changes.
    fees: HashMap<[u8; 32], u64>,
    pins: Pins,
}

impl Selector {
    pub(super) fn new(selection: Selection) -> Self {
        Self {
            pins: Pins::new(&selection.pinned),
            selection,
            work: None,
            held: Vec::new(),
            fees: HashMap::new(),
        }
    }

    /// The miner's choice.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// What became of each pinned transaction.
    pub fn pins(&self) -> impl Iterator<Item = (Txid, Pin)> {
        self.pins.iter()
    }

    /// What was left out of a template of ours.
    pub(super) fn left_out(&self, template: &Arc<Template>) -> Option<LeftOut> {
        let mut held = self
            .held
            .iter()
            .filter_map(|held| Some((held, held.cut()?)));
        let (held, cut) = held.find(|(_, cut)| Arc::ptr_eq(&cut.template, template))?;
        let [theirs, ours] =
            [&held.source, template].map(|template| template.coinbase_tx_value_remaining);
        Some(LeftOut {
            transactions: cut.left_out,
            fees: theirs.saturating_sub(ours),
        })
    }

    /// The provider has something new.
    pub(super) fn work(&mut self, now: Now, work: Work, out: &mut Vec<Action>) {
        let is_all = self.selection.is_all();
        let in_use = |source: &Arc<Template>| {
            let mut used = work.futures.iter().chain([&work.template]);
            used.any(|used| Arc::ptr_eq(used, source))
        };
        let mut surplus = self.held.len().saturating_sub(MAX_PAST);
        self.held.retain(|held| {
            let is_past = !in_use(&held.source);
            let is_cut = held.cut().is_some_and(|cut| cut.transactions.is_some());
            let is_dropped = is_past && (!is_cut || surplus > 0);
            surplus -= usize::from(is_dropped && surplus > 0);
            !is_dropped
        });
        for source in work.futures.iter().chain([&work.template]) {
            if self
                .held
                .iter()
                .any(|held| Arc::ptr_eq(&held.source, source))
            {
                continue;
            }
            let stage = if is_all || source.merkle_path.is_empty() {
                Stage::Ready(Cut::none(source))
            } else {
                out.push(Action::Provider(ProviderInput::RequestTransactions {
                    session: source.session,
                    template_id: source.id,
                }));
                Stage::Asked
            };
            self.held.push(Held {
                source: Arc::clone(source),
                since: now.instant,
                stage,
            });
        }
        self.work = Some(work);
        self.look_after_pins(out);
    }

    /// When [`wake`](Self::wake) wants to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let open = self.held.iter().filter(|held| held.cut().is_none());
        open.map(|held| held.since + PATIENCE).min()
    }

    /// Gives up what takes too long.
    pub(super) fn wake(&mut self, now: Now, out: &mut Vec<Action>) {
        let open = self.held.iter().filter(|held| held.cut().is_none());
        let due = open.filter(|held| held.since + PATIENCE <= now.instant);
        let due: Vec<Key> = due.map(Held::key).collect();
        for key in due {
            self.give_up(key, "its transactions or their fees take too long", out);
        }
    }

    /// The provider gives the transactions of a template. `false` if this is not who asked for
    /// them. `outputs` is the room that coinbases need.
    pub(super) fn transactions(
        &mut self,
        key: Key,
        data: &Arc<TransactionData>,
        outputs: Constraints,
        out: &mut Vec<Action>,
    ) -> bool {
        let Some(held) = self.asked(key) else {
            return self.held(key).is_some();
        };
        let Some(list) = List::read(&held.source, Arc::clone(data)) else {
            self.give_up(key, "its transactions are others than it says", out);
            return true;
        };
        held.stage = Stage::Weighing(Box::new(list));
        let unknown = self.unknown_fees(key);
        if unknown.is_empty() {
            self.cut(key, outputs, out);
        } else {
            let (session, template_id) = key;
            out.push(Action::Fees {
                session,
                template_id,
                txids: unknown,
            });
        }
        true
    }

    /// The provider does not give them. `false` if this is not who asked for them.
    pub(super) fn no_transactions(&mut self, key: Key, out: &mut Vec<Action>) -> bool {
        if self.asked(key).is_none() {
            return self.held(key).is_some();
        }
        self.give_up(key, "the template provider keeps its transactions", out);
        true
    }

    /// The node has told what it knows of the fees that were asked for.
    pub(super) fn fees(
        &mut self,
        key: Key,
        fees: Vec<(Txid, u64)>,
        outputs: Constraints,
        out: &mut Vec<Action>,
    ) {
        let fees = fees.into_iter();
        self.fees
            .extend(fees.map(|(txid, fee)| (txid.to_byte_array(), fee)));
        self.cut(key, outputs, out);
    }

    /// The node has told what it knows of pinned transactions.
    pub(super) fn seen(&mut self, pins: &[(Txid, Pin)]) {
        self.pins.seen(pins);
    }

    /// What there is to mine on, in our templates; nothing new while the newest is looked at.
    pub(super) fn ready(&self) -> Option<Work> {
        let work = self.work.as_ref()?;
        let futures = work.futures.iter();
        Some(Work {
            template: self.ours(&work.template)?,
            futures: futures.filter_map(|future| self.ours(future)).collect(),
            ..work.clone()
        })
    }

    /// The transactions of a template of ours, if there was anything to choose.
    pub(super) fn held(&self, key: Key) -> Option<Arc<TransactionData>> {
        let held = self.held.iter().find(|held| held.key() == key)?;
        held.cut()?.transactions.clone()
    }

    /// The whole block of a solution, if its template is one that the provider cannot submit.
    pub(super) fn block(
        &self,
        template: &Arc<Template>,
        tip: &PrevHash,
        solution: &Solution,
    ) -> Option<Vec<u8>> {
        let cut = self.find(template).filter(|cut| cut.is_other)?;
        let transactions = cut.transactions.as_ref()?;
        let coinbase: Transaction = deserialize(&solution.coinbase).ok()?;
        let txid = coinbase.compute_txid().to_byte_array();
        let header = Header {
            version: solution.version,
            prev_hash: &tip.prev_hash,
            merkle_root: &merkle_root(txid, &template.merkle_path),
            ntime: solution.ntime,
            n_bits: tip.n_bits,
            nonce: solution.nonce,
        };
        Some(block(&header, &solution.coinbase, transactions.iter()))
    }

    fn find(&self, template: &Arc<Template>) -> Option<&Cut> {
        let mut cuts = self.held.iter().filter_map(Held::cut);
        cuts.find(|cut| Arc::ptr_eq(&cut.template, template))
    }

    fn ours(&self, source: &Arc<Template>) -> Option<Arc<Template>> {
        let mut held = self.held.iter();
        let held = held.find(|held| Arc::ptr_eq(&held.source, source))?;
        Some(Arc::clone(&held.cut()?.template))
    }

    fn asked(&mut self, key: Key) -> Option<&mut Held> {
        let is_it = |held: &&mut Held| held.key() == key && matches!(held.stage, Stage::Asked);
        self.held.iter_mut().find(is_it)
    }

    /// Those of a template's transactions whose fees nobody has told yet.
    fn unknown_fees(&self, key: Key) -> Vec<Txid> {
        let Some(Stage::Weighing(list)) = self.stage(key) else {
            return Vec::new();
        };
        let unknown = list
            .txids
            .iter()
            .filter(|txid| !self.fees.contains_key(*txid));
        unknown.copied().map(Txid::from_byte_array).collect()
    }

    fn stage(&self, key: Key) -> Option<&Stage> {
        let held = self.held.iter().find(|held| held.key() == key);
        held.map(|held| &held.stage)
    }

    /// Makes a template of ours of one whose transactions and fees are there.
    fn cut(&mut self, key: Key, outputs: Constraints, out: &mut Vec<Action>) {
        let Some(at) = self.held.iter().position(|held| held.key() == key) else {
            return;
        };
        let Stage::Weighing(list) = &self.held[at].stage else {
            return;
        };
        let weight = self.selection.weight(outputs);
        let source = &self.held[at].source;
        let cut = cut::cut(source, list, &self.fees, &self.selection, weight);
        if self.fees.len() > MAX_FEES {
            let newest: BTreeSet<&[u8; 32]> = list.txids.iter().collect();
            self.fees.retain(|txid, _| newest.contains(txid));
        }
        self.held[at].stage = Stage::Ready(cut);
        self.look_after_pins(out);
    }

    /// Makes a block without transactions of a template that cannot be looked into: it breaks no
    /// rule of the miner's, and a new tip must not wait.
    fn give_up(&mut self, key: Key, why: &'static str, out: &mut Vec<Action>) {
        let mut held = self.held.iter_mut();
        let Some(held) = held.find(|held| held.key() == key) else {
            return;
        };
        held.stage = Stage::Ready(Cut::empty(&held.source, self.selection.network));
        let template = held.source.id;
        out.push(Action::Report(Report::Emptied { template, why }));
        self.look_after_pins(out);
    }

    /// When the newest template is ready: which pinned transactions are in it. The node is asked
    /// for the others, and to put them first.
    fn look_after_pins(&mut self, out: &mut Vec<Action>) {
        let Some(work) = &self.work else { return };
        let mut held = self.held.iter();
        let newest = held.find(|held| Arc::ptr_eq(&held.source, &work.template));
        let Some(cut) = newest.and_then(Held::cut) else {
            return;
        };
        let missing = self.pins.template(work.prev_hash.prev_hash, cut);
        if !missing.is_empty() {
            out.push(Action::Pin(missing));
        }
    }
}

impl Held {
    fn cut(&self) -> Option<&Cut> {
        match &self.stage {
            Stage::Ready(cut) => Some(cut),
            Stage::Asked | Stage::Weighing(_) => None,
        }
    }
}
