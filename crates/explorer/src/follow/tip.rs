//! Keeps the chain at the node's tip.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bitcoin::consensus::encode::{deserialize, deserialize_hex};
use bitcoin::{Block, BlockHash, Network};
use daemon::clock;
use daemon::dial::backoff;
use daemon::http::{Feed, Health};
use daemon::node::{NodeError, NodeRpc};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::chain::{Chain, Tip};
use crate::event::Event;
use crate::node::{ChainInfo, Follow, Reach};

/// How long a call waits inside the node for another tip. Not longer, so that a node that went away
/// without a word is noticed.
const WAIT: Duration = Duration::from_secs(5);
/// How often a node is asked that cannot wait.
const POLL: Duration = Duration::from_millis(200);
/// Blocks asked for at once, at most.
const MAX_BATCH: usize = 250;
/// So many are worth connections of their own.
const MANY: usize = 20;
/// Serialized bytes of blocks asked for at once, as far as the last ones tell.
const BATCH_BYTES: usize = 4 << 20;
/// Blocks of a branch beside the chain that are looked at.
const MAX_BRANCH: u32 = 100;
/// Branches beside the chain that are looked at.
const MAX_TIPS: usize = 20;

/// What the task publishes.
pub(crate) struct Ends {
    pub(crate) chain: watch::Sender<Chain>,
    pub(crate) follow: watch::Sender<Follow>,
    pub(crate) health: watch::Sender<Health>,
    pub(crate) feed: Feed<Event>,
}

/// Follows until the role stops. `name` is what the node is called.
pub(crate) async fn run(rpc: NodeRpc, name: String, network: Network, ends: Ends) -> Infallible {
    let mut follower = Follower {
        rpc: rpc.with_limit(WAIT * 2),
        name,
        network,
        ends,
        was_current: false,
        batch: MAX_BATCH,
    };
    let mut pauses = backoff();
    loop {
        let Err(error) = follower.session().await;
        if !matches!(follower.ends.follow.borrow().reach, Reach::Away { .. }) {
            // It was there: it is missed at once, and tried again soon.
            pauses = backoff();
        }
        follower.away(format!("{error:#}"));
        sleep(pauses.next().unwrap_or(WAIT)).await;
    }
}

struct Follower {
    rpc: NodeRpc,
    name: String,
    network: Network,
    ends: Ends,
    /// Whether the tip was reached before: what comes from now on is new to everybody.
    was_current: bool,
    /// Blocks asked for at once.
    batch: usize,
}

impl Follower {
    /// From the first answer to the first failure.
    async fn session(&mut self) -> anyhow::Result<Infallible> {
        let mut looked: Option<(BlockHash, Instant)> = None;
        loop {
            let info: ChainInfo = self.rpc.call("getblockchaininfo", json!([])).await?;
            self.check_network(&info)?;
            let before = self.ends.chain.borrow().tip().map(|tip| tip.hash);
            if !self.catch_up(&info).await? {
                continue;
            }
            let tip: BlockHash = info.best_block_hash.parse()?;
            self.publish(Reach::Current, Some(info));
            Health::Ready.publish(&self.ends.health);
            self.was_current = true;
            if before != Some(tip) {
                self.tell_tip();
            }
            // A branch may end elsewhere, or be judged, without a new tip of the chain.
            if looked.is_none_or(|(of, at)| of != tip || at.elapsed() >= WAIT) {
                looked = Some((tip, Instant::now()));
                self.look_at_tips().await?;
            }
            if self.wait(&tip).await? {
                looked = None;
            }
        }
    }

    fn check_network(&self, info: &ChainInfo) -> anyhow::Result<()> {
        let own = self.network.to_core_arg();
        anyhow::ensure!(
            info.chain == own,
            "the node runs {}, the explorer is configured for {own}; change the key network",
            info.chain
        );
        Ok(())
    }

    /// Until the node has another tip, or a while. Whether it had another one, which may have been
    /// for a moment.
    async fn wait(&self, tip: &BlockHash) -> Result<bool, NodeError> {
        let tip = tip.to_string();
        let params = json!([WAIT.as_millis() as u64, tip]);
        match self.rpc.call::<Value>("waitfornewblock", params).await {
            // Bitcoin Core cannot wait for another tip than this one before version 30, and a user
            // may not be allowed to.
            Err(NodeError::Rpc { .. } | NodeError::Forbidden { .. }) => {
                sleep(POLL).await;
                Ok(false)
            }
            waited => Ok(waited?["hash"] != tip),
        }
    }

    /// Brings the chain to the node's tip; `false` if the node went on meanwhile.
    async fn catch_up(&mut self, info: &ChainInfo) -> anyhow::Result<bool> {
        loop {
            let fork = self.fork(info.blocks).await?;
            let tip = self.ends.chain.borrow().tip().map(|tip| tip.height);
            let first = match fork {
                Some(fork) => fork + 1,
                None => self.lowest(info.blocks),
            };
            if first > info.blocks {
                let is_same = tip == fork;
                if let Some(fork) = fork.filter(|_| !is_same) {
                    self.apply(Some(fork), first, Vec::new());
                }
                let shown = self
                    .ends
                    .chain
                    .borrow()
                    .tip()
                    .map(|tip| tip.hash.to_string());
                return Ok(shown.as_deref() == Some(&info.best_block_hash[..]));
            }
            let blocks = self.fetch(first, info.blocks).await?;
            if !self.apply(fork, first, blocks) {
                return Ok(false);
            }
            if !self.was_current {
                let done = self.ends.chain.borrow().tip().map_or(0, |tip| tip.height);
                let height = info.blocks;
                self.publish(Reach::Loading { done, height }, Some(info.clone()));
            }
        }
    }

    /// The lowest block that is kept of a chain of that height.
    fn lowest(&self, height: u32) -> u32 {
        let kept = self.ends.chain.borrow().max_blocks();
        let above = u32::try_from(kept).unwrap_or(u32::MAX);
        match (height + 1).saturating_sub(above) {
            // Nothing but the first one, which does not count, would be left out.
            1 => 0,
            lowest => lowest,
        }
    }

    /// The highest block that the node has too; `None` if there is none.
    async fn fork(&self, node_height: u32) -> Result<Option<u32>, NodeError> {
        let (base, top) = {
            let chain = self.ends.chain.borrow();
            let Some(tip) = chain.tip() else {
                return Ok(None);
            };
            (chain.base(), tip.height.min(node_height))
        };
        if top < base {
            return Ok(None);
        }
        if self.agrees(top).await? {
            return Ok(Some(top));
        }
        // What lies below a common block is common, so the highest is found by halving.
        let (mut low, mut high) = (base, top);
        if !self.agrees(low).await? {
            return Ok(None);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.agrees(middle).await? {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(Some(low))
    }

    async fn agrees(&self, height: u32) -> Result<bool, NodeError> {
        let own = self.ends.chain.borrow().at(height).map(|brief| brief.hash);
        match self
            .rpc
            .call::<BlockHash>("getblockhash", json!([height]))
            .await
        {
            Ok(theirs) => Ok(own == Some(theirs)),
            // Its chain is shorter now.
            Err(NodeError::Rpc { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The node's next blocks from height `first` on.
    async fn fetch(&mut self, first: u32, height: u32) -> anyhow::Result<Vec<Block>> {
        let count = (height - first + 1).min(self.batch as u32);
        let heights: Vec<Value> = (first..first + count).map(|at| json!([at])).collect();
        let hashes = self.rpc.batch::<String>("getblockhash", &heights).await?;
        let hashes: Result<Vec<String>, NodeError> = hashes.into_iter().collect();
        let blocks = self.blocks(&hashes?).await?;
        let bytes: usize = blocks.iter().map(Block::total_size).sum();
        let each = bytes / blocks.len().max(1);
        self.batch = (BATCH_BYTES / each.max(1)).clamp(1, MAX_BATCH);
        Ok(blocks)
    }

    /// Many by REST, where the node has that; few by one request.
    async fn blocks(&self, hashes: &[String]) -> anyhow::Result<Vec<Block>> {
        if hashes.len() >= MANY
            && let Some(blocks) = self.rpc.rest_blocks(hashes).await
        {
            let blocks: Result<_, _> = blocks.iter().map(|bytes| deserialize(bytes)).collect();
            return Ok(blocks?);
        }
        let params: Vec<Value> = hashes.iter().map(|hash| json!([hash, 0])).collect();
        let texts = self.rpc.batch::<String>("getblock", &params).await?;
        let block = |text: Result<String, NodeError>| Ok(deserialize_hex(&text?)?);
        texts.into_iter().map(block).collect()
    }

    /// In one step, so that nobody sees the chain without its top. Whether all of it fitted.
    fn apply(&self, fork: Option<u32>, first: u32, blocks: Vec<Block>) -> bool {
        let arrived = if self.was_current {
            clock::unix_ms()
        } else {
            0
        };
        let mut fits = true;
        let mut turned = None;
        self.ends.chain.send_modify(|chain| {
            let old_tip = chain.tip().map(|tip| (tip.height, tip.hash));
            match fork {
                Some(fork) => {
                    turned = old_tip.filter(|(height, _)| *height > fork);
                    chain.roll_back(fork, clock::unix_ms());
                }
                None => chain.clear(),
            }
            for (height, block) in (first..).zip(blocks) {
                fits = fits && chain.connect(block, height, arrived).is_ok();
            }
        });
        if let (Some((_, old_tip)), Some(fork)) = (turned, fork) {
            let chain = self.ends.chain.borrow();
            let new_tip = chain.tip().map(|tip| tip.hash.to_string());
            warn!(fork, %old_tip, new_tip, "the chain has turned");
            self.ends.feed.tell(|| Event::Reorg {
                fork,
                old_tip: old_tip.to_string(),
                new_tip: new_tip.unwrap_or_default(),
            });
        }
        fits
    }

    /// Branches beside the chain, with blocks that were never in it.
    async fn look_at_tips(&self) -> Result<(), NodeError> {
        let mut tips: Vec<Tip> = self.rpc.call("getchaintips", json!([])).await?;
        tips.sort_by_key(|tip| std::cmp::Reverse(tip.height));
        let beside = tips
            .iter()
            .filter(|tip| tip.branch_len > 0 && tip.status != "headers-only");
        for tip in beside.take(MAX_TIPS) {
            let mut hash = tip.hash;
            let heights = (1..=tip.height)
                .rev()
                .take(tip.branch_len.min(MAX_BRANCH) as usize);
            for height in heights {
                if let Some(known) = self.known_stale(&hash) {
                    hash = known;
                    continue;
                }
                let params = json!([hash.to_string(), 0]);
                let text = match self.rpc.call::<String>("getblock", params).await {
                    Ok(text) => text,
                    // A header without its block.
                    Err(NodeError::Rpc { .. }) => break,
                    Err(error) => return Err(error),
                };
                let Ok(block) = deserialize_hex::<Block>(&text) else {
                    break;
                };
                hash = block.header.prev_blockhash;
                self.ends
                    .chain
                    .send_modify(|chain| chain.add_stale(&block, height));
            }
        }
        self.set_tips(tips);
        Ok(())
    }

    fn set_tips(&self, tips: Vec<Tip>) {
        let beside = |tips: &[Tip]| {
            let beside = tips.iter().filter(|tip| tip.branch_len > 0);
            beside.cloned().collect::<Vec<_>>()
        };
        let mut has_news = false;
        self.ends.chain.send_modify(|chain| {
            has_news = beside(chain.tips()) != beside(&tips);
            chain.set_tips(tips);
        });
        if has_news {
            let name = self.name.clone();
            self.ends.feed.tell(|| Event::News { name });
        }
    }

    /// The block below one that is known already.
    fn known_stale(&self, hash: &BlockHash) -> Option<BlockHash> {
        let chain = self.ends.chain.borrow();
        let known = chain.find_stale(hash).or_else(|| chain.find(hash));
        known.map(|brief| brief.previous)
    }

    fn tell_tip(&self) {
        let chain = self.ends.chain.borrow();
        let Some(tip) = chain.tip() else { return };
        let (height, hash) = (tip.height, tip.hash);
        info!(height, %hash, "at the node's tip");
        self.ends.feed.tell(|| Event::Tip {
            height,
            hash: hash.to_string(),
        });
    }

    fn away(&self, reason: String) {
        if !matches!(self.ends.follow.borrow().reach, Reach::Away { .. }) {
            warn!(reason, "node away; trying again until it is back");
        }
        self.ends.health.send_replace(Health::not_ready(&reason));
        self.publish(Reach::Away { reason }, None);
    }

    /// Without `info`, what was said before stays.
    fn publish(&self, reach: Reach, info: Option<ChainInfo>) {
        let mut turned = None;
        self.ends.follow.send_modify(|follow| {
            if follow.reach.name() != reach.name() {
                follow.since_ms = clock::unix_ms();
                turned = Some(reach.name());
            }
            follow.reach = reach;
            if info.is_some() {
                follow.info = info;
            }
        });
        if let Some(state) = turned {
            self.ends.feed.tell(|| Event::Service {
                name: self.name.clone(),
                state,
            });
        }
    }
}
