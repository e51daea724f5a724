//! What became of blocks: the node is asked, never assumed, and asked again when the chain turns.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use daemon::clock;
use daemon::http::Feed;
use daemon::node::{BlockHeader, ChainInfo, NodeError, NodeRpc};
use ledger::{Block, Found, Judged, Ledger, Record, Recorder, Verdict};
use protocol::work::Work;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::event::PoolEvent;

/// Blocks looked at again when the chain turns: the newest.
const KEPT: u32 = 100;

/// How long the node gets to take a block before it counts as refused.
const PATIENCE: Duration = Duration::from_secs(10);

/// The task's ends of its channels.
pub(crate) struct Ends {
    pub(crate) found: mpsc::Receiver<Found>,
    pub(crate) work: watch::Receiver<Option<Work>>,
    pub(crate) ledger: Ledger,
    pub(crate) recorder: Recorder,
    pub(crate) feed: Feed<PoolEvent>,
}

/// Asks `node` about each block until the pool stops. An answer that is cut off then is asked for
/// again at the next start.
pub(crate) async fn run(node: Option<NodeRpc>, ends: Ends, stop: CancellationToken) {
    stop.run_until_cancelled(judge(node, ends)).await;
}

async fn judge(node: Option<NodeRpc>, ends: Ends) {
    let Ends {
        mut found,
        mut work,
        ledger,
        recorder,
        feed,
    } = ends;
    let mut docket = Docket {
        recorder,
        feed,
        cases: earlier(&ledger).await,
        tip: None,
    };
    docket.review(node.as_ref()).await;
    loop {
        tokio::select! {
            next = found.recv() => match next {
                Some(found) => docket.first(node.as_ref(), &found).await,
                None => return,
            },
            changed = work.changed() => {
                if changed.is_err() {
                    return;
                }
                let tip = work.borrow_and_update().as_ref().map(tip_of);
                if tip != docket.tip {
                    docket.review(node.as_ref()).await;
                }
            }
        }
    }
}

/// A block and what the node said of it last.
#[derive(Debug)]
struct Case {
    hash: BlockHash,
    height: Option<u64>,
    verdict: Option<Verdict>,
}

impl Case {
    /// Whether what the node says of it can have changed. `below`: the chain has only grown on top
    /// of this height since it was looked at.
    fn may_change(&self, below: Option<u64>) -> bool {
        let Some(below) = below else { return true };
        let is_above = self.height.is_none_or(|height| height > below);
        is_above && self.verdict != Some(Verdict::Accepted)
    }
}

/// The newest blocks, and where what was said of them goes.
struct Docket {
    recorder: Recorder,
    feed: Feed<PoolEvent>,
    /// The newest last.
    cases: VecDeque<Case>,
    /// The tip under which they were looked at, as RPC writes it.
    tip: Option<String>,
}

impl Docket {
    /// Asks about a new block until the node has made up its mind.
    async fn first(&mut self, node: Option<&NodeRpc>, found: &Found) {
        let (verdict, reason) = match node {
            Some(node) => ask(node, &found.hash.to_string()).await,
            None => (Verdict::Unknown, Some("no node is configured".to_owned())),
        };
        report(found, verdict, reason.as_deref());
        if self.cases.len() == KEPT as usize {
            self.cases.pop_front();
        }
        self.cases.push_back(Case {
            hash: found.hash,
            height: found.height,
            verdict: Some(verdict),
        });
        self.record(self.cases.len() - 1, verdict, reason).await;
    }

    /// Asks about those that can have changed since they were looked at last.
    async fn review(&mut self, node: Option<&NodeRpc>) {
        let Some(node) = node else { return };
        match self.changes(node).await {
            Ok((tip, changes)) => {
                self.tip = Some(tip);
                for (index, verdict) in changes {
                    let hash = self.cases[index].hash;
                    warn!(%hash, verdict = verdict.name(), "what the node says of a block has changed");
                    self.record(index, verdict, reason(verdict)).await;
                }
            }
            // The next tip brings another chance.
            Err(error) => warn!(%error, "cannot ask the node about earlier blocks"),
        }
    }

    /// The tip, and the cases that are not what they were.
    async fn changes(&self, node: &NodeRpc) -> Result<(String, Vec<(usize, Verdict)>), NodeError> {
        // Asked first: what turns the chain after that brings a new tip, and another review.
        let ChainInfo {
            blocks: height,
            best_block_hash: tip,
            ..
        } = node.chain_info().await?;
        let before = match &self.tip {
            Some(before) => node.block_header(before).await?,
            None => None,
        };
        let below = before
            .filter(|header| header.confirmations > 0)
            .map(|header| header.height);
        let (indices, hashes): (Vec<usize>, Vec<String>) = self
            .cases
            .iter()
            .enumerate()
            .filter(|(_, case)| case.may_change(below))
            .map(|(index, case)| (index, case.hash.to_string()))
            .unzip();
        let headers = node.block_headers(&hashes).await?;
        let changes = indices.into_iter().zip(headers);
        let changes = changes.filter_map(|(index, header)| {
            let before = self.cases[index].verdict;
            let verdict = reviewed(before, header.as_ref(), height)?;
            (before != Some(verdict)).then_some((index, verdict))
        });
        Ok((tip, changes.collect()))
    }

    /// Returns when it is recorded.
    async fn record(&mut self, index: usize, verdict: Verdict, reason: Option<String>) {
        let time_ms = clock::unix_ms();
        let case = &mut self.cases[index];
        case.verdict = Some(verdict);
        let (hash, height) = (case.hash, case.height);
        self.feed.tell(|| PoolEvent::BlockJudged {
            hash: hash.to_string(),
            height,
            verdict: verdict.name(),
        });
        self.recorder.record(Record::Judged(Box::new(Judged {
            hash,
            time_ms,
            verdict,
            reason,
        })));
        self.recorder.hand_over();
        self.recorder.recorded().await;
    }
}

/// What follows for a block that was judged `before` from what the node says now, with a chain of
/// that height; `None` if nothing does.
fn reviewed(before: Option<Verdict>, header: Option<&BlockHeader>, height: u64) -> Option<Verdict> {
    match (before, header) {
        (_, Some(header)) if header.confirmations > 0 => Some(Verdict::Accepted),
        // It was in the chain, or was known to have lost against another.
        (Some(Verdict::Accepted | Verdict::Stale), Some(_)) => Some(Verdict::Stale),
        // Higher than the chain, it may be about to become the tip.
        (_, Some(header)) => (header.height <= height).then_some(Verdict::Stale),
        (None | Some(Verdict::Unknown), None) => Some(Verdict::Rejected),
        // A node that has forgotten what it had is another node.
        (Some(_), None) => None,
    }
}

/// Why a block with this verdict is not in the chain.
fn reason(verdict: Verdict) -> Option<String> {
    let reason = match verdict {
        Verdict::Accepted => return None,
        Verdict::Stale => "another block took its place",
        Verdict::Rejected => "the node does not have it",
        Verdict::Unknown => "the node does not answer",
    };
    Some(reason.to_owned())
}

/// The block is on its way to the node through the template provider, so it may take a moment
/// until the node knows it: asked again with growing pauses.
async fn ask(node: &NodeRpc, hash: &str) -> (Verdict, Option<String>) {
    let (since, mut pause) = (Instant::now(), Duration::from_millis(2));
    let mut verdict = (Verdict::Unknown, reason(Verdict::Unknown));
    while since.elapsed() < PATIENCE {
        match look(node, hash).await {
            Ok(Some(verdict)) => return (verdict, reason(verdict)),
            Ok(None) => verdict = (Verdict::Rejected, reason(Verdict::Rejected)),
            Err(error) => {
                warn!(%error, "cannot ask the node about a block");
                if verdict.0 == Verdict::Unknown {
                    verdict.1 = Some(error.to_string());
                }
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
    verdict
}

/// What the node says now; `None` while it has yet to make up its mind.
async fn look(node: &NodeRpc, hash: &str) -> Result<Option<Verdict>, NodeError> {
    // Asked before the block itself: the node knows a block's header, outside its chain, a moment
    // before it makes the block its tip, and only a tip as high as the block says otherwise.
    let tip = node.chain_info().await?.blocks;
    Ok(match node.block_header(hash).await? {
        Some(header) if header.confirmations > 0 => Some(Verdict::Accepted),
        Some(header) if header.height <= tip => Some(Verdict::Stale),
        Some(_) | None => None,
    })
}

/// Those of earlier runs, the newest last.
async fn earlier(ledger: &Ledger) -> VecDeque<Case> {
    let blocks = ledger.history(|history| history.blocks(0, KEPT)).await;
    let blocks = blocks.unwrap_or_else(|error| {
        error!(
            error = format!("{error:#}"),
            "cannot read the blocks of earlier runs"
        );
        Vec::new()
    });
    let case = |block: &Block| {
        Some(Case {
            hash: block.hash.parse().ok()?,
            height: block.height,
            verdict: block.verdict,
        })
    };
    blocks.iter().rev().filter_map(case).collect()
}

fn tip_of(work: &Work) -> String {
    BlockHash::from_byte_array(work.prev_hash.prev_hash).to_string()
}

fn report(found: &Found, verdict: Verdict, reason: Option<&str>) {
    let (hash, height, user) = (&found.hash, found.height, &found.source.user);
    match verdict {
        Verdict::Accepted => info!(%hash, height, user, "block accepted by the node"),
        Verdict::Stale => warn!(%hash, height, user, reason, "block stale"),
        Verdict::Rejected => error!(%hash, height, user, reason, "block rejected by the node"),
        Verdict::Unknown => warn!(%hash, height, user, reason, "block's fate unknown"),
    }
}

#[cfg(test)]
mod tests;
