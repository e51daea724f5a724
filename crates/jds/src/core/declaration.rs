//! A declaration that was not answered yet.
//!
//! ```text
//!               ┌───────── the node builds on another block ─────────┐
//!               ▼                                                    │
//!  declared ─▶ Waiting ─▶ Looking ─▶ Asked ─▶ … ─▶ Asked ─▶ Proposed ┴─▶ answered
//!          for the node,   up in the    of the client,        to the        ▲
//!          if it is behind mempool      while it helps        node          │
//!               │             │           │                     │           │
//!               └─────────────┴───────────┴─────────────────────┴─▶ Overtaken
//!                                                              by a block at its height
//! ```
//! It is refused early when somebody takes too long, or when the tip it is for is replaced: unless the
//! new tip is the very block that is being declared. Miners work on a job before it is declared (SV2
//! 6.3), and may find its block meanwhile; no proposal could show better that it is valid.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use protocol::coinbase::{merkle_path, merkle_root, sha256d};
use protocol::core::Now;
use protocol::error_code::{INTERNAL_ERROR, INVALID_JOB, MISSING_TXS, STALE_CHAIN_TIP};
use protocol::message::declaration::ProvideMissingTransactionsSuccess;
use protocol::server::VERSION_ROLLING_MASK;

use super::node::Place;
use super::{DeclaredCoinbase, Event, Judgement, NodeView, Out, Refusal, Report, Tip, message};
use crate::block::{Block, MAX_BLOCK};
use crate::transaction::{Transaction, total_len};

/// How long the node may take to reach the block a job builds on.
pub(super) const NODE_PATIENCE: Duration = Duration::from_secs(5);
/// How often a client is asked for the transactions of one declaration. It is asked again only when
/// some of what it sent was right.
pub(super) const MAX_ROUNDS: u32 = 10;

#[derive(Debug)]
pub(super) struct Declaration {
    pub(super) since: Instant,
    pub(super) report: Report,
    pub(super) version: u32,
    pub(super) coinbase: DeclaredCoinbase,
    /// In block order, without the coinbase; none twice.
    pub(super) wtxids: Arc<[[u8; 32]]>,
    /// As far as they are known, in the same order.
    pub(super) transactions: Vec<Option<Arc<Transaction>>>,
    pub(super) missing_timeout: Duration,
    pub(super) stage: Stage,
}

/// What is waited for.
#[derive(Debug)]
pub(super) enum Stage {
    /// The node is to reach the block this one builds on.
    Waiting {
        until: Instant,
        /// A tip that the node has left, though we have yet to hear what for.
        left: Option<[u8; 32]>,
    },
    /// An [`Event::Lookup`] is to be answered.
    Looking,
    /// The client is to provide the transactions at these positions.
    Asked { until: Instant, positions: Vec<u16> },
    /// An [`Event::Propose`] is to be answered.
    Proposed(Proposal),
    /// An [`Event::Overtaken`] is to be answered.
    Overtaken { since: Instant },
}

/// What the node has been asked about.
#[derive(Debug)]
pub(super) struct Proposal {
    since: Instant,
    pub(super) tip: Tip,
    pub(super) merkle_path: Vec<[u8; 32]>,
    pub(super) transactions: Arc<[Arc<Transaction>]>,
}

/// What a step leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Somebody is waited for.
    Open,
    /// The node has found the block valid.
    Declared,
}

/// A refusal ends a declaration.
pub(super) type Step = Result<Progress, Refusal>;

impl Declaration {
    /// When to stop waiting.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Waiting { until, .. } | Stage::Asked { until, .. } => Some(*until),
            Stage::Looking | Stage::Proposed(_) | Stage::Overtaken { .. } => None,
        }
    }

    /// Goes on with what can be done without the client.
    pub(super) fn advance(&mut self, now: Now, node: &NodeView, out: &mut Out) -> Step {
        let left = match &self.stage {
            Stage::Waiting { left, .. } => *left,
            _ => None,
        };
        match node.place(self.coinbase.height()) {
            Place::Past => self.overtaken(now, node, out),
            Place::Next(tip) if Some(tip.hash) != left => {
                match self.transactions.iter().cloned().collect() {
                    Some(transactions) => self.propose(now, tip, transactions, out),
                    None => {
                        self.stage = Stage::Looking;
                        let (number, wtxids) = (self.report.number, Arc::clone(&self.wtxids));
                        out.event(Event::Lookup { number, wtxids });
                        Ok(Progress::Open)
                    }
                }
            }
            Place::Next(_) | Place::Ahead => {
                if !matches!(self.stage, Stage::Waiting { .. }) {
                    self.wait(now, None);
                }
                Ok(Progress::Open)
            }
        }
    }

    fn wait(&mut self, now: Now, left: Option<[u8; 32]>) {
        let until = now.instant + NODE_PATIENCE;
        self.stage = Stage::Waiting { until, left };
    }

    /// The mempool's answer. What it lacks may be among the transactions that the client provided
    /// for an earlier job.
    pub(super) fn found<'a>(
        &mut self,
        transactions: Vec<Option<Arc<Transaction>>>,
        earlier: impl Iterator<Item = &'a Arc<Transaction>>,
    ) {
        self.transactions = transactions;
        self.transactions.resize(self.wtxids.len(), None);
        let wanted = self.unknown().into_iter();
        let mut wanted: HashMap<[u8; 32], usize> = wanted
            .map(|place| (self.wtxids[usize::from(place)], usize::from(place)))
            .collect();
        for transaction in earlier {
            if wanted.is_empty() {
                return;
            }
            if let Some(place) = wanted.remove(&transaction.wtxid()) {
                self.transactions[place] = Some(Arc::clone(transaction));
            }
        }
    }

    /// Asks the client for what is unknown, and goes on without it when nothing is.
    pub(super) fn complete(&mut self, now: Now, node: &NodeView, out: &mut Out) -> Step {
        let positions = self.unknown();
        let missing = positions.len();
        if missing == 0 {
            return self.advance(now, node, out);
        }
        let report = &mut self.report;
        if report.rounds == 0 {
            report.missing = missing;
        }
        report.rounds += 1;
        out.send(message::missing(report.request_id, &positions));
        let until = now.instant + self.missing_timeout;
        self.stage = Stage::Asked { until, positions };
        Ok(Progress::Open)
    }

    /// Takes what the client was asked for: each in its place, or it is not taken (SV2 6.4.8).
    pub(super) fn provide(
        &mut self,
        positions: &[u16],
        provided: &ProvideMissingTransactionsSuccess<'_>,
    ) -> Result<(), Refusal> {
        let (wanted, sent) = (positions.len(), provided.transaction_list.len());
        let mut right = 0;
        if sent <= wanted {
            for (position, bytes) in positions.iter().zip(provided.transaction_list.iter_bytes()) {
                let place = usize::from(*position);
                if sha256d(bytes) != self.wtxids[place] {
                    continue;
                }
                if let Ok(transaction) = Transaction::parse(bytes.to_vec()) {
                    self.transactions[place] = Some(Arc::new(transaction));
                    right += 1;
                }
            }
        }
        let is_last = right == 0 || self.report.rounds == MAX_ROUNDS;
        if right < wanted && is_last {
            let what = format!(
                "of {wanted} transactions asked for, {sent} came, and {right} of them were right"
            );
            return Err(Refusal::new(MISSING_TXS, what));
        }
        Ok(())
    }

    /// Places of the transactions that nobody knows yet.
    fn unknown(&self) -> Vec<u16> {
        let unknown = |(place, known): (u16, &Option<_>)| known.is_none().then_some(place);
        let places = (0..=u16::MAX).zip(&self.transactions);
        places.filter_map(unknown).collect()
    }

    /// Has the node check the block, with zeros for the extranonce.
    fn propose(
        &mut self,
        now: Now,
        tip: Tip,
        transactions: Arc<[Arc<Transaction>]>,
        out: &mut Out,
    ) -> Step {
        let len = total_len(&transactions);
        if len > MAX_BLOCK {
            let what = format!("{len} bytes of transactions; a block has {MAX_BLOCK} at most");
            return Err(Refusal::new(INVALID_JOB, what));
        }
        let extranonce = vec![0; self.coinbase.extranonce_len()];
        let merkle_path = merkle_path(transactions.iter().map(|known| known.txid()));
        let root = merkle_root(self.coinbase.txid(&extranonce), &merkle_path);
        let header = tip.header(self.version, &root, now.unix);
        let coinbase = self.coinbase.full(&extranonce);
        let block = Block::new(header, coinbase, Arc::clone(&transactions));
        let number = self.report.number;
        out.event(Event::Propose { number, block });
        self.stage = Stage::Proposed(Proposal {
            since: now.instant,
            tip,
            merkle_path,
            transactions,
        });
        Ok(Progress::Open)
    }

    /// The node's answer to a proposal.
    pub(super) fn judged(
        &mut self,
        now: Now,
        node: &NodeView,
        judgement: Judgement,
        out: &mut Out,
    ) -> Step {
        let Stage::Proposed(proposal) = &self.stage else {
            return Ok(Progress::Open);
        };
        self.report.node_took = now.instant.saturating_duration_since(proposal.since);
        self.report.prev_hash = Some(proposal.tip.hash);
        match judgement {
            Judgement::Valid => Ok(Progress::Declared),
            Judgement::NotBest => {
                let left = proposal.tip.hash;
                self.wait(now, Some(left));
                self.advance(now, node, out)
            }
            Judgement::Invalid(reason) => Err(Refusal::new(INVALID_JOB, reason)),
            Judgement::Unavailable(reason) => Err(Refusal::new(INTERNAL_ERROR, reason)),
        }
    }

    /// The node has a block at its height, or above.
    pub(super) fn overtaken(&mut self, now: Now, node: &NodeView, out: &mut Out) -> Step {
        let sibling = node
            .tip()
            .filter(|tip| tip.height == self.coinbase.height());
        let Some(Tip { hash, .. }) = sibling else {
            return Err(self.stale(node));
        };
        let since = now.instant;
        self.stage = Stage::Overtaken { since };
        let (number, hash) = (self.report.number, *hash);
        out.event(Event::Overtaken { number, hash });
        Ok(Progress::Open)
    }

    /// The node's block at its height.
    pub(super) fn mined(
        &mut self,
        now: Now,
        node: &NodeView,
        block: Option<&bitcoin::Block>,
    ) -> Step {
        let Stage::Overtaken { since } = self.stage else {
            return Ok(Progress::Open);
        };
        self.report.node_took += now.instant.saturating_duration_since(since);
        let of_this = block.and_then(|block| Some((block, self.transactions_of(block)?)));
        let Some((block, transactions)) = of_this else {
            return Err(self.too_late(node));
        };
        let tip = Tip {
            hash: block.header.prev_blockhash.to_byte_array(),
            height: self.coinbase.height().saturating_sub(1),
            n_bits: block.header.bits.to_consensus(),
            // Nothing is proposed on it any more.
            median_time: 0,
        };
        self.report.prev_hash = Some(tip.hash);
        self.stage = Stage::Proposed(Proposal {
            since,
            tip,
            merkle_path: merkle_path(transactions.iter().map(|known| known.txid())),
            transactions,
        });
        Ok(Progress::Declared)
    }

    /// The transactions of a block, without the coinbase, if it is what was declared.
    fn transactions_of(&self, block: &bitcoin::Block) -> Option<Arc<[Arc<Transaction>]>> {
        let version = block.header.version.to_consensus().cast_unsigned();
        let (coinbase, others) = block.txdata.split_first()?;
        let is_this = (version ^ self.version) & !VERSION_ROLLING_MASK == 0
            && others.len() == self.wtxids.len()
            && self.coinbase.makes(&serialize(coinbase));
        if !is_this {
            return None;
        }
        let pairs = others.iter().zip(self.wtxids.iter());
        let same = pairs.map(|(transaction, wtxid)| {
            let read = Transaction::parse(serialize(transaction)).ok()?;
            (read.wtxid() == *wtxid).then(|| Arc::new(read))
        });
        same.collect()
    }

    /// Why it is given up when nobody is waited for any longer.
    pub(super) fn too_late(&self, node: &NodeView) -> Refusal {
        if let Stage::Asked { positions, .. } = &self.stage {
            let missing = positions.len();
            let what = format!("the {missing} transactions asked for did not come in time");
            return Refusal::new(MISSING_TXS, what);
        }
        match node {
            NodeView::At(_) => self.stale(node),
            NodeView::Syncing => Refusal::new(INTERNAL_ERROR, "the node downloads the chain"),
            NodeView::Away { reason } => Refusal::new(INTERNAL_ERROR, reason),
        }
    }

    /// SV2 6.4.6: not for the block that the node builds on.
    pub(super) fn stale(&self, node: &NodeView) -> Refusal {
        let height = self.coinbase.height();
        let next = node.tip().map_or(0, |tip| tip.height.saturating_add(1));
        let what = format!("the job is for height {height}, the next block has height {next}");
        Refusal::new(STALE_CHAIN_TIP, what)
    }
}
