//! A mining device: the real client core, and a hasher whose luck is drawn but whose hashes are
//! real.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{Address, KnownHrp, WitnessProgram, WitnessVersion};
use mining_device::work::{Candidate, Headers};
use protocol::client::{Assignment, ChannelRequest, FoundShare, MiningClient};
use protocol::core::Now;
use protocol::message::MiningOwned;
use protocol::setup::REQUIRES_STANDARD_JOBS;
use protocol::target::Target;
use rand::Rng;
use rand::rngs::StdRng;

use crate::network::LinkId;

/// Nonces tried per header. Far fewer than there are, so that the other fields change as well.
const NONCES: u32 = 64;

/// A device, over all its connections.
#[derive(Debug)]
pub(crate) struct Miner {
    /// Its SetupConnection flags.
    pub(crate) flags: u32,
    pub(crate) requests: Vec<ChannelRequest>,
    /// How much faster it hashes than it says.
    speed: f64,
    pub(crate) session: Option<MinerSession>,
}

/// A device's connection.
#[derive(Debug)]
pub(crate) struct MinerSession {
    pub(crate) link: LinkId,
    pub(crate) client: MiningClient,
    /// What is mined, by channel. A channel without work, or one that the device closed, rests.
    pub(crate) searches: BTreeMap<u32, Search>,
    /// The group of each open channel.
    groups: BTreeMap<u32, u32>,
    /// Channels that the device closed.
    closed: BTreeSet<u32>,
    /// Requests to open a channel that have no answer yet.
    unanswered: usize,
}

/// The search for shares of one assignment.
#[derive(Debug)]
pub(crate) struct Search {
    /// Tells it from the channel's earlier and later ones.
    pub(crate) number: u64,
    headers: Headers,
    candidate: Option<Candidate>,
    nonce: u32,
}

impl Miner {
    pub(crate) fn new(rng: &mut StdRng, number: usize) -> Self {
        let flags = if rng.gen_bool(0.3) {
            REQUIRES_STANDARD_JOBS
        } else {
            0
        };
        let channels = if rng.gen_bool(0.5) {
            1
        } else {
            rng.gen_range(2..=4)
        };
        let mut requests = Vec::new();
        for _ in 0..channels {
            let is_extended = flags == 0 && rng.gen_bool(0.5);
            requests.push(ChannelRequest {
                user_identity: identity(rng, number),
                nominal_hash_rate: rng.gen_range(2.0..24.0),
                max_target: Target::MAX,
                min_extranonce_size: is_extended.then(|| rng.gen_range(0..=8)),
            });
        }
        Self {
            flags,
            requests,
            speed: rng.gen_range(0.5..3.0),
            session: None,
        }
    }

    /// The time to the next share, drawn anew after each: hashing has no memory. The device has the
    /// same hash rate on all its channels, and its requests are wrong about it.
    pub(crate) fn luck(&self, rng: &mut StdRng, assignment: &Assignment) -> Duration {
        let rate = f64::from(self.requests[0].nominal_hash_rate) * self.speed;
        let mean = assignment.target.hashes() / rate;
        let uniform: f64 = rng.gen_range(f64::EPSILON..1.0);
        // Rarer than this is not worth simulating.
        Duration::from_secs_f64((-uniform.ln() * mean).min(60.0))
    }
}

impl MinerSession {
    pub(crate) fn new(link: LinkId, client: MiningClient, requests: usize) -> Self {
        Self {
            link,
            client,
            searches: BTreeMap::new(),
            groups: BTreeMap::new(),
            closed: BTreeSet::new(),
            unanswered: requests,
        }
    }

    /// A message arrives. What a group is called is nothing the core's events tell.
    pub(crate) fn hear(&mut self, message: &MiningOwned) {
        let (channel, group) = match message {
            MiningOwned::OpenStandardMiningChannelSuccess(success) => {
                (success.channel_id, success.group_channel_id)
            }
            MiningOwned::OpenExtendedMiningChannelSuccess(success) => {
                (success.channel_id, success.group_channel_id)
            }
            MiningOwned::OpenMiningChannelError(_) => {
                self.unanswered = self.unanswered.saturating_sub(1);
                return;
            }
            _ => return,
        };
        self.unanswered = self.unanswered.saturating_sub(1);
        self.groups.insert(channel, group);
    }

    /// Whether all channels it asked for are open, refused or closed.
    pub(crate) fn is_settled(&self) -> bool {
        self.unanswered == 0
    }

    /// Whether it has no channel and waits for none.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_settled() && self.groups.is_empty()
    }

    /// The open channels.
    pub(crate) fn channels(&self) -> Vec<u32> {
        self.groups.keys().copied().collect()
    }

    /// What else a channel is addressed as, and who else then is.
    pub(crate) fn group(&self, channel: u32) -> Option<(u32, Vec<u32>)> {
        let group = *self.groups.get(&channel)?;
        let members = self.groups.iter().filter(|(_, of)| **of == group);
        Some((group, members.map(|(id, _)| *id).collect()))
    }

    /// The device closes a channel and mines it no more.
    pub(crate) fn close(&mut self, channel: u32) {
        self.groups.remove(&channel);
        self.searches.remove(&channel);
        self.closed.insert(channel);
    }

    pub(crate) fn has_closed(&self, channel: u32) -> bool {
        self.closed.contains(&channel)
    }
}

impl Search {
    /// Starts where every device starts, so that a job that comes twice is searched twice alike.
    pub(crate) fn new(number: u64, assignment: Arc<Assignment>) -> Self {
        Self {
            number,
            headers: Headers::new(assignment),
            candidate: None,
            nonce: 0,
        }
    }

    pub(crate) fn assignment(&self) -> &Arc<Assignment> {
        self.headers.assignment()
    }

    /// The next share in the order of the search; its hash meets the target.
    pub(crate) fn find(&mut self, now: Now) -> FoundShare {
        let assignment = Arc::clone(self.headers.assignment());
        loop {
            if self.nonce.is_multiple_of(NONCES)
                && let Some(next) = self.headers.next(now)
            {
                self.candidate = Some(next);
                self.nonce = 0;
            }
            let candidate = self
                .candidate
                .as_ref()
                .expect("every assignment has a first header");
            let mut header = candidate.header;
            let nonce = self.nonce;
            header[76..].copy_from_slice(&nonce.to_le_bytes());
            self.nonce += 1;
            let hash = sha256d::Hash::hash(&header).to_byte_array();
            if Target::from_le_bytes(hash) <= assignment.target {
                return candidate.share(&assignment, nonce);
            }
        }
    }
}

/// Whom a channel is for: the pool's account of a name, or an address that its blocks pay.
fn identity(rng: &mut StdRng, number: usize) -> String {
    let hash: [u8; 20] = rng.r#gen();
    let program = WitnessProgram::new(WitnessVersion::V0, &hash).expect("a program of 20 bytes");
    let address = Address::from_witness_program(program, KnownHrp::Regtest);
    match rng.gen_range(0..10) {
        0..7 => format!("miner{number}"),
        7 => format!("sri/solo/{address}/miner{number}"),
        8 => format!("sri/donate/30/{address}"),
        _ => format!("{address}.miner{number}"),
    }
}
