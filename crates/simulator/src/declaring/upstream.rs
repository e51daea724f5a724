//! A pool with its job declarator server, and the node that both ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bitcoin::consensus::deserialize;
use bitcoin::hashes::Hash;
use bitcoin::hex::FromHex;
use bitcoin::{Block, Network, ScriptBuf};
use jds::core::{DeclarationServer, Event, Input, Judgement, NodeView};
use jds::transaction::Transaction;
use protocol::coinbase::CoinbasePlan;
use protocol::core::{Core, Now, Outbox};
use protocol::error_code;
use protocol::message::template::{NewTemplate, SetNewPrevHash};
use protocol::server::{
    Acknowledge, ExtranonceSpace, MiningServer, Policy, ServerEvent, ServerInput,
};
use protocol::setup::{DECLARE_TX_DATA, REQUIRES_WORK_SELECTION};
use protocol::target::Target;
use protocol::token::Secret;
use protocol::work::WorkTracker;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Line, Peer, Property, RESTART, Step, World};
use crate::declaring::Fault;
use crate::network::{End, LinkId};
use crate::provider::Provider;

/// Bytes of the extranonce that a pool leaves: the number of each job fits in.
const ROLLABLE: usize = 18;
/// How long a node may look for transactions, or at a block.
const NODE: Duration = Duration::from_millis(300);

/// What a node builds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tip {
    hash: [u8; 32],
    height: u16,
    n_bits: u32,
    time: u32,
}

impl Tip {
    pub(super) fn of(provider: &Provider) -> Self {
        Self {
            hash: provider.prev_hash(),
            height: provider.height(),
            n_bits: provider.n_bits(),
            time: provider.header_timestamp(),
        }
    }

    fn view(self) -> NodeView {
        NodeView::At(jds::core::Tip {
            hash: self.hash,
            height: u32::from(self.height),
            n_bits: self.n_bits,
            median_time: self.time.saturating_sub(1),
        })
    }
}

/// What a node has to look at.
#[derive(Debug)]
pub(super) enum Answer {
    /// Which of these it has.
    Lookup {
        number: u64,
        wtxids: Arc<[[u8; 32]]>,
    },
    /// Whether this block is valid.
    Propose { number: u64, block: Box<Block> },
    /// What stands where this one was to be; it never says.
    Overtaken { number: u64 },
}

/// The servers of one upstream.
#[derive(Debug)]
pub(super) struct Upstream {
    tip: Tip,
    pub(super) pool: Pool,
    pub(super) jds: Jds,
}

#[derive(Debug)]
pub(super) struct Pool {
    is_up: bool,
    policy: Arc<Policy>,
    tracker: WorkTracker,
    templates: u64,
    /// Goes on over crashes: shares of one life of the pool must be none in the next one.
    slots: u16,
    spent: BTreeSet<[u8; 16]>,
    pub(super) sessions: BTreeMap<LinkId, Line<MiningServer>>,
}

#[derive(Debug)]
pub(super) struct Jds {
    is_up: bool,
    policy: Arc<jds::core::Policy>,
    pub(super) sessions: BTreeMap<LinkId, Line<DeclarationServer>>,
}

impl Upstream {
    pub(super) fn new(number: usize, tip: Tip) -> Self {
        let secret = Secret::new(&[number as u8; 32]);
        let mut script = vec![0, 20];
        script.extend([number as u8; 20]);
        let payout = ScriptBuf::from(script);
        let policy = Policy {
            shares_per_minute: 30.0,
            share_batch_size: 3,
            acknowledge: Acknowledge::AtOnce,
            job_declaration: Some(secret.clone()),
            ..Policy::default()
        };
        let mut pool = Pool {
            is_up: true,
            policy: Arc::new(policy),
            tracker: WorkTracker::new(CoinbasePlan {
                reward_script: payout.clone(),
                signature: b"pool".to_vec(),
                extranonce_len: space(0).extranonce_len(),
            }),
            templates: 0,
            slots: 0,
            spent: BTreeSet::new(),
            sessions: BTreeMap::new(),
        };
        pool.build_on(tip);
        let policy = jds::core::Policy {
            secret,
            payout,
            network: Network::Regtest,
            token_lifetime: Duration::from_secs(86_400),
            tokens_per_minute: 600,
            max_declarations: 4,
            missing_timeout: Duration::from_secs(30),
            idle: Duration::from_secs(300),
        };
        Self {
            tip,
            pool,
            jds: Jds {
                is_up: true,
                policy: Arc::new(policy),
                sessions: BTreeMap::new(),
            },
        }
    }

    /// Not every transaction of the farm's has come to this node.
    fn knows(number: usize, wtxid: &[u8; 32]) -> bool {
        usize::from(wtxid[0]) % 3 != number
    }
}

impl Pool {
    fn build_on(&mut self, tip: Tip) {
        self.templates += 1;
        let [low, high] = (tip.height + 1).to_le_bytes();
        let prefix = [2, low, high];
        let template = NewTemplate {
            template_id: self.templates,
            future_template: true,
            version: 0x2000_0000,
            coinbase_tx_version: 2,
            coinbase_prefix: prefix[..].try_into().expect("three bytes fit"),
            coinbase_tx_input_sequence: u32::MAX,
            coinbase_tx_value_remaining: 2_500_000_000,
            coinbase_tx_outputs_count: 0,
            coinbase_tx_outputs: [][..].try_into().expect("nothing fits"),
            coinbase_tx_locktime: 0,
            merkle_path: Vec::new().try_into().expect("nothing fits"),
        };
        let target = Target::from_compact(tip.n_bits).to_le_bytes();
        let new_tip = SetNewPrevHash {
            template_id: self.templates,
            prev_hash: (&tip.hash).into(),
            header_timestamp: tip.time,
            n_bits: tip.n_bits,
            target: (&target).into(),
        };
        let built = self.tracker.new_template(&template);
        let built = built.and_then(|()| self.tracker.set_new_prev_hash(&new_tip));
        built.expect("its own template is one");
    }
}

fn space(slot: u16) -> ExtranonceSpace {
    ExtranonceSpace::new(&slot.to_be_bytes(), ROLLABLE).expect("20 bytes fit")
}

impl World {
    /// A server takes a connection; `false` if there is nobody.
    pub(super) fn accept(&mut self, peer: Peer, link: LinkId) -> bool {
        let now = self.clock.now();
        let flags = match self.shows_transactions() {
            true => DECLARE_TX_DATA,
            false => 0,
        };
        match peer {
            Peer::Pool(upstream) => {
                let pool = &mut self.upstreams[upstream].pool;
                let Some(work) = pool.tracker.work().filter(|_| pool.is_up) else {
                    return false;
                };
                pool.slots += 1;
                let policy = match self.fault {
                    Some(Fault::OtherSecret) => Arc::new(Policy {
                        job_declaration: Some(Secret::new(&[99; 32])),
                        ..(*pool.policy).clone()
                    }),
                    _ => Arc::clone(&pool.policy),
                };
                let space = space(pool.slots);
                let server = MiningServer::new(policy, REQUIRES_WORK_SELECTION, space, work);
                pool.sessions.insert(link, Line::new(link, server));
            }
            Peer::Jds(upstream) => {
                let Upstream { jds, tip, .. } = &mut self.upstreams[upstream];
                if !jds.is_up {
                    return false;
                }
                let ids = StdRng::seed_from_u64(self.rng.r#gen());
                let policy = Arc::clone(&jds.policy);
                let server = DeclarationServer::new(policy, flags, tip.view(), ids, now);
                jds.sessions.insert(link, Line::new(link, server));
            }
            Peer::Provider | Peer::Farm(_) => {}
        }
        true
    }

    pub(super) fn step_pool(
        &mut self,
        upstream: usize,
        link: LinkId,
        step: impl FnOnce(&mut MiningServer, Now, &mut Outbox<ServerEvent>),
    ) {
        let pool = &mut self.upstreams[upstream].pool;
        let Some(line) = pool.sessions.get_mut(&link) else {
            return;
        };
        let stepped = line.step(&self.clock, step);
        let mut shown = None;
        for event in self.carry(link, End::Server, stepped) {
            match event {
                ServerEvent::TokenShown { id, .. } => shown = Some(id),
                ServerEvent::CustomJobRefused { code, .. } => {
                    self.witness.refused(&format!("pool {upstream}"), code);
                }
                ServerEvent::Accepted { share, .. }
                    if self.fault != Some(Fault::EmptyAcknowledgements) =>
                {
                    self.witness.credited(upstream, share.hash);
                }
                // Its job's tip was replaced on the way, or by a job that came before it.
                ServerEvent::Rejected { code, .. }
                    if [error_code::STALE_SHARE, error_code::INVALID_JOB_ID].contains(&code) => {}
                ServerEvent::Rejected { code, .. } => {
                    let what = format!("pool {upstream} rejects a share: {code}");
                    self.witness.breach(Property::JobsAreGood, what);
                }
                ServerEvent::OpenRefused(code) => {
                    let what = format!("pool {upstream} opens no channel: {code}");
                    self.witness.breach(Property::NothingUnexpected, what);
                }
                ServerEvent::Ignored(what) => {
                    self.witness.breach(Property::NothingUnexpected, what);
                }
                _ => {}
            }
        }
        if let Some(id) = shown {
            self.spend(upstream, link, id);
        }
    }

    fn spend(&mut self, upstream: usize, link: LinkId, id: [u8; 16]) {
        let pool = &mut self.upstreams[upstream].pool;
        let is_first = pool.spent.insert(id) || self.fault == Some(Fault::JobsTwice);
        let Some(line) = pool.sessions.get_mut(&link) else {
            return;
        };
        let stepped = line.step(&self.clock, |server, now, out| {
            server.input(now, ServerInput::TokenSpent { id, is_first }, out);
        });
        for event in self.carry(link, End::Server, stepped) {
            match event {
                ServerEvent::CustomJobSet { .. } => self.witness.taken(upstream, id),
                ServerEvent::CustomJobRefused { code, .. } => {
                    self.witness.refused(&format!("pool {upstream}"), code);
                }
                _ => {}
            }
        }
    }

    pub(super) fn step_jds(
        &mut self,
        upstream: usize,
        link: LinkId,
        step: impl FnOnce(&mut DeclarationServer, Now, &mut Outbox<Event>),
    ) {
        let jds = &mut self.upstreams[upstream].jds;
        let Some(line) = jds.sessions.get_mut(&link) else {
            return;
        };
        let stepped = line.step(&self.clock, step);
        for event in self.carry(link, End::Server, stepped) {
            match event {
                Event::Lookup { number, wtxids } => {
                    let answer = Answer::Lookup { number, wtxids };
                    self.plan_within(NODE, Step::Answer { link, answer });
                }
                Event::Propose { number, block } => self.propose(link, number, &block),
                Event::Overtaken { number, .. } => {
                    let answer = Answer::Overtaken { number };
                    self.plan_within(NODE, Step::Answer { link, answer });
                }
                Event::Decided(report) => {
                    self.witness.counts.provided += u64::from(report.missing > 0);
                    match &report.refusal {
                        None => self.witness.counts.declared += 1,
                        Some(refusal) => {
                            self.witness.note(|| refusal.details.clone());
                            let who = format!("job declarator server {upstream}");
                            self.witness.refused(&who, refusal.code);
                        }
                    }
                }
                Event::Solved { block, .. } => {
                    let mut hash = block.hash();
                    if self.fault == Some(Fault::WrongSolutions) {
                        hash[0] ^= 1;
                    }
                    self.witness.solved(hash);
                }
                // The node has moved on, or the connection on which it was declared is gone.
                Event::NotSolved { reason } => self.witness.note(|| reason),
                // They were asked for, and the tip has changed since (T-22).
                Event::Ignored { message } if message.contains("nobody waits") => {
                    self.witness.note(|| message);
                }
                Event::Ignored { message } => {
                    self.witness.breach(Property::NothingUnexpected, message);
                }
                Event::Allocated { .. } | Event::Delayed | Event::Idle => {}
            }
        }
    }

    fn propose(&mut self, link: LinkId, number: u64, block: &jds::block::Block) {
        let bytes = Vec::<u8>::from_hex(&block.to_hex()).expect("its own digits");
        match deserialize::<Block>(&bytes) {
            Ok(block) if block.check_merkle_root() => {
                let block = Box::new(block);
                let answer = Answer::Propose { number, block };
                self.plan_within(NODE, Step::Answer { link, answer });
            }
            _ => {
                let what = "a node is shown what is no block".to_owned();
                self.witness.breach(Property::BlocksAreGood, what);
            }
        }
    }

    /// The node answers a job declarator server, by what it knows now.
    pub(super) fn answer(&mut self, link: LinkId, answer: Answer) {
        let Some(Peer::Jds(upstream)) = self.peers.get(&link).copied() else {
            return;
        };
        let tip = self.upstreams[upstream].tip;
        let input = match answer {
            Answer::Lookup { number, wtxids } => {
                let find = |wtxid: &[u8; 32]| {
                    let bytes = self.provider.transaction(wtxid)?.to_vec();
                    let is_known = Upstream::knows(upstream, wtxid);
                    is_known.then(|| Transaction::parse(bytes).ok().map(Arc::new))?
                };
                Input::Found {
                    number,
                    transactions: wtxids.iter().map(find).collect(),
                }
            }
            Answer::Overtaken { number } => Input::Mined {
                number,
                block: None,
            },
            Answer::Propose { number, block } => Input::Judged {
                number,
                judgement: match block.header.prev_blockhash.to_byte_array() == tip.hash {
                    true => Judgement::Valid,
                    false => Judgement::NotBest,
                },
            },
        };
        self.step_jds(upstream, link, |core, now, out| core.input(now, input, out));
    }

    /// The node of an upstream hears of a block. An older one changes nothing.
    pub(super) fn hear(&mut self, upstream: usize, tip: Tip) {
        let Upstream {
            tip: known,
            pool,
            jds,
        } = &mut self.upstreams[upstream];
        if tip.height <= known.height {
            return;
        }
        *known = tip;
        pool.build_on(tip);
        let work = pool.tracker.work();
        let miners: Vec<LinkId> = pool.sessions.keys().copied().collect();
        let clients: Vec<LinkId> = jds.sessions.keys().copied().collect();
        for link in miners {
            if let Some(work) = work.clone() {
                self.step_pool(upstream, link, |core, now, out| {
                    core.input(now, ServerInput::Work(work), out);
                });
            }
        }
        for link in clients {
            self.step_jds(upstream, link, |core, now, out| {
                core.input(now, Input::Node(tip.view()), out);
            });
        }
    }

    /// A server is killed: its connections are cut, and it knows nothing any more.
    pub(super) fn crash(&mut self, peer: Peer) {
        self.witness.note(|| format!("{peer:?} crashes"));
        self.witness.counts.crashes += 1;
        let links: Vec<LinkId> = match peer {
            Peer::Pool(upstream) => {
                let pool = &mut self.upstreams[upstream].pool;
                pool.is_up = false;
                pool.spent.clear();
                std::mem::take(&mut pool.sessions).into_keys().collect()
            }
            Peer::Jds(upstream) => {
                let jds = &mut self.upstreams[upstream].jds;
                jds.is_up = false;
                std::mem::take(&mut jds.sessions).into_keys().collect()
            }
            Peer::Provider | Peer::Farm(_) => Vec::new(),
        };
        for link in links {
            self.cut(link);
        }
        self.plan_within(RESTART, Step::Restart(peer));
    }

    pub(super) fn restart(&mut self, peer: Peer) {
        self.witness.note(|| format!("{peer:?} is back"));
        match peer {
            Peer::Pool(upstream) => self.upstreams[upstream].pool.is_up = true,
            Peer::Jds(upstream) => self.upstreams[upstream].jds.is_up = true,
            Peer::Provider | Peer::Farm(_) => {}
        }
    }
}
