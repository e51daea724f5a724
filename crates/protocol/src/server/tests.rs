//! The rules of SV2 chapter 5, one table or scenario each. `open.rs`, `jobs.rs` and `shares.rs`
//! hold them; this file holds the miner they are played with.

mod acknowledgement;
mod custom;
mod difficulty;
mod event;
mod extension;
mod extranonce;
mod jobs;
mod limits;
mod nonsense;
mod open;
mod payout;
mod shares;

use std::time::{Duration, Instant};

use stratum_core::binary_sv2::{Str0255, U256};
use stratum_core::mining_sv2::{
    CloseChannel, NewExtendedMiningJobOwned, OpenExtendedMiningChannel, OpenStandardMiningChannel,
    SubmitSharesExtended, SubmitSharesStandard, UpdateChannel,
};

use super::*;
use crate::coinbase::{Header, merkle_root, sha256d};
use crate::frame::{FrameHeader, HEADER_LEN};
use crate::testing::{new_template, plan, set_new_prev_hash};
use crate::work::{PrevHash, WorkTracker};

const UNIX: u64 = 1_800_000_100;
const MIN_NTIME: u32 = 1_800_000_000;
/// Bytes of every extranonce: four for the connection, two for the channel, sixteen for the miner.
const EXTRANONCE_LEN: usize = 22;

/// A client and the server it is connected to; keeps what was received and what happened.
struct Miner {
    server: MiningServer,
    tracker: WorkTracker,
    now: Now,
    block_target: Target,
    received: Vec<MiningOwned>,
    /// Type of the answer to the last RequestExtensions.
    negotiated: Option<u8>,
    events: Vec<ServerEvent>,
    closed: Option<String>,
}

fn policy() -> Policy {
    Policy {
        // One share a second: the hash rate is the hashes per share.
        shares_per_minute: 60.0,
        share_batch_size: 3,
        ack_delay: Duration::from_secs(1),
        max_jobs: 3,
        max_channels: 100,
        vardiff: false,
        ..Policy::default()
    }
}

fn space(prefix: [u8; 4]) -> ExtranonceSpace {
    ExtranonceSpace::new(&prefix, 16).unwrap()
}

impl Miner {
    /// No share is a block unless a test says so.
    fn new(flags: u32) -> Self {
        Self::with_policy(policy(), flags)
    }

    fn with_policy(policy: Policy, flags: u32) -> Self {
        let mut tracker = WorkTracker::new(plan());
        tracker.new_template(&new_template(1, true)).unwrap();
        tracker.set_new_prev_hash(&set_new_prev_hash(1, 1)).unwrap();
        let block_target = Target::from_le_bytes([0; 32]);
        let work = harden(tracker.work().unwrap(), None, block_target);
        Self {
            server: MiningServer::new(Arc::new(policy), flags, space([7, 0, 0, 1]), work),
            tracker,
            now: Now {
                instant: Instant::now(),
                unix: UNIX,
            },
            block_target,
            received: Vec::new(),
            negotiated: None,
            events: Vec::new(),
            closed: None,
        }
    }

    fn send(&mut self, message: MiningOwned) -> Vec<MiningOwned> {
        let mut bytes = Vec::new();
        message::encode(message, &mut bytes);
        self.send_frame(&mut bytes)
    }

    fn send_frame(&mut self, bytes: &mut [u8]) -> Vec<MiningOwned> {
        let (header, payload) = bytes.split_at_mut(HEADER_LEN);
        let header = FrameHeader::from_bytes((&*header).try_into().unwrap());
        let mut out = Outbox::default();
        self.server
            .received(self.now, Frame { header, payload }, &mut out);
        self.collect(out)
    }

    /// A template for the current tip.
    fn template(&mut self, id: u64) -> Vec<MiningOwned> {
        self.tracker.new_template(&new_template(id, false)).unwrap();
        self.publish()
    }

    fn future_template(&mut self, id: u64) -> Vec<MiningOwned> {
        self.tracker.new_template(&new_template(id, true)).unwrap();
        self.publish()
    }

    fn prev_hash(&mut self, template_id: u64, tip: u8) -> Vec<MiningOwned> {
        self.tracker
            .set_new_prev_hash(&set_new_prev_hash(template_id, tip))
            .unwrap();
        self.publish()
    }

    fn publish(&mut self) -> Vec<MiningOwned> {
        let work = self.tracker.work().unwrap();
        let work = harden(work, Some(&self.server.work), self.block_target);
        let mut out = Outbox::default();
        let input = ServerInput::Work(work);
        self.server.input(self.now, input, &mut out);
        self.collect(out)
    }

    fn wait(&mut self, time: Duration) -> Vec<MiningOwned> {
        self.now.instant += time;
        let mut out = Outbox::default();
        self.server.wake(self.now, &mut out);
        self.collect(out)
    }

    fn collect(&mut self, mut out: Outbox<ServerEvent>) -> Vec<MiningOwned> {
        let mut messages = Vec::new();
        let mut bytes = std::mem::take(out.frames());
        let mut rest = &mut bytes[..];
        while !rest.is_empty() {
            let (header, tail) = rest.split_at_mut(HEADER_LEN);
            let header = FrameHeader::from_bytes((&*header).try_into().unwrap());
            let (payload, tail) = tail.split_at_mut(header.len);
            match message::decode(Frame { header, payload }).unwrap() {
                Received::Message(AnyMessage::Mining(message)) => {
                    messages.push(message.into_owned());
                }
                Received::Unknown {
                    extension: crate::extension::NEGOTIATION,
                    msg_type,
                } => self.negotiated = Some(msg_type),
                other => panic!("the server sent {other:?}"),
            }
            rest = tail;
        }
        self.events.extend(out.take_events());
        self.closed = self.closed.take().or(out.take_close());
        self.received.extend(messages.iter().cloned());
        messages
    }

    fn open_standard(&mut self, hashes: f32) -> Opened {
        let answer = self.send(open_standard(5, hashes, &[0xff; 32]));
        Opened::read(&answer)
    }

    fn open_extended(&mut self, hashes: f32) -> Opened {
        let answer = self.send(open_extended(5, hashes, &[0xff; 32], 8));
        Opened::read(&answer)
    }

    fn open_extended_of(&mut self, size: u16) -> Opened {
        let answer = self.send(open_extended(5, 2.0, &[0xff; 32], size));
        Opened::read(&answer)
    }

    fn blocks(&self) -> Vec<&Solution> {
        let events = self.events.iter();
        events
            .filter_map(|event| match event {
                ServerEvent::Block { solution, .. } => Some(solution),
                _ => None,
            })
            .collect()
    }
}

/// Makes blocks rarer; keeps the identity of a tip that did not change.
fn harden(mut work: Work, before: Option<&Work>, target: Target) -> Work {
    let same = before.filter(|before| before.prev_hash.prev_hash == work.prev_hash.prev_hash);
    work.prev_hash = match same {
        Some(before) => Arc::clone(&before.prev_hash),
        None => Arc::new(PrevHash {
            target,
            ..(*work.prev_hash).clone()
        }),
    };
    work
}

fn open_standard(request_id: u32, hashes: f32, max_target: &[u8; 32]) -> MiningOwned {
    let open = OpenStandardMiningChannel {
        request_id,
        user_identity: Str0255::try_from("alice").unwrap(),
        nominal_hash_rate: hashes,
        max_target: U256::from(max_target),
    };
    MiningOwned::OpenStandardMiningChannel(open.into_owned())
}

fn open_extended(id: u32, hashes: f32, max_target: &[u8; 32], min_size: u16) -> MiningOwned {
    let open = OpenExtendedMiningChannel {
        request_id: id,
        user_identity: Str0255::try_from("bob").unwrap(),
        nominal_hash_rate: hashes,
        max_target: U256::from(max_target),
        min_extranonce_size: min_size,
    };
    MiningOwned::OpenExtendedMiningChannel(open.into_owned())
}

/// What a client learns when its channel is opened.
#[derive(Debug, Clone)]
struct Opened {
    channel_id: u32,
    group_id: u32,
    target: Target,
    prefix: Vec<u8>,
    size: usize,
    job: Job,
    nbits: u32,
    prev_hash: [u8; 32],
}

/// A job as the client mines it.
#[derive(Debug, Clone)]
struct Job {
    id: u32,
    version: u32,
    root: Root,
}

#[derive(Debug, Clone)]
enum Root {
    Known([u8; 32]),
    Coinbase {
        prefix: Vec<u8>,
        suffix: Vec<u8>,
        path: Vec<[u8; 32]>,
    },
}

impl Job {
    fn read(message: &MiningOwned) -> Self {
        match message {
            MiningOwned::NewMiningJob(job) => Self {
                id: job.job_id,
                version: job.version,
                root: Root::Known(job.merkle_root.to_array()),
            },
            MiningOwned::NewExtendedMiningJob(job) => Self {
                id: job.job_id,
                version: job.version,
                root: Root::extended(job),
            },
            other => panic!("not a job: {other:?}"),
        }
    }
}

impl Root {
    fn extended(job: &NewExtendedMiningJobOwned) -> Self {
        Self::Coinbase {
            prefix: job.coinbase_tx_prefix.to_owned_bytes(),
            suffix: job.coinbase_tx_suffix.to_owned_bytes(),
            path: job
                .merkle_path
                .iter()
                .map(stratum_core::binary_sv2::U256Owned::to_array)
                .collect(),
        }
    }

    fn with(&self, extranonce: &[u8]) -> [u8; 32] {
        match self {
            Self::Known(root) => *root,
            Self::Coinbase {
                prefix,
                suffix,
                path,
            } => merkle_root(sha256d(&[&prefix[..], extranonce, suffix].concat()), path),
        }
    }
}

impl Opened {
    /// Reads success, future job and prev hash: exactly the three messages of an opening.
    #[track_caller]
    fn read(answer: &[MiningOwned]) -> Self {
        let [success, job, prev_hash] = answer else {
            panic!("an opening is answered with {answer:?}");
        };
        let (channel_id, group_id, target, prefix, size) = match success {
            MiningOwned::OpenStandardMiningChannelSuccess(success) => (
                success.channel_id,
                success.group_channel_id,
                success.target.to_array(),
                success.extranonce_prefix.to_owned_bytes(),
                0,
            ),
            MiningOwned::OpenExtendedMiningChannelSuccess(success) => (
                success.channel_id,
                success.group_channel_id,
                success.target.to_array(),
                success.extranonce_prefix.to_owned_bytes(),
                usize::from(success.extranonce_size),
            ),
            other => panic!("not a success: {other:?}"),
        };
        let job = Job::read(job);
        let MiningOwned::SetNewPrevHash(prev_hash) = prev_hash else {
            panic!("not a prev hash: {prev_hash:?}");
        };
        assert_eq!(
            (prev_hash.channel_id, prev_hash.job_id),
            (channel_id, job.id)
        );
        Self {
            channel_id,
            group_id,
            target: Target::from_le_bytes(target),
            prefix,
            size,
            job,
            nbits: prev_hash.nbits,
            prev_hash: prev_hash.prev_hash.to_array(),
        }
    }

    /// The share on `job` with the first nonce whose hash `wanted` likes.
    fn mine(&self, job: &Job, wanted: impl Fn(Target) -> bool) -> SubmitSharesExtended<'static> {
        self.mine_with(job, MIN_NTIME, job.version, wanted)
    }

    fn mine_with(
        &self,
        job: &Job,
        ntime: u32,
        version: u32,
        wanted: impl Fn(Target) -> bool,
    ) -> SubmitSharesExtended<'static> {
        let extranonce: &'static [u8] = vec![3; self.size].leak();
        let root = job.root.with(&[&self.prefix[..], extranonce].concat());
        let hash = |nonce| {
            let header = Header {
                version,
                prev_hash: &self.prev_hash,
                merkle_root: &root,
                ntime,
                n_bits: self.nbits,
                nonce,
            };
            Target::from_le_bytes(header.hash())
        };
        let nonce = (0..).find(|nonce| wanted(hash(*nonce))).unwrap();
        SubmitSharesExtended {
            channel_id: self.channel_id,
            sequence_number: nonce,
            job_id: job.id,
            nonce,
            ntime,
            version,
            extranonce: extranonce.try_into().unwrap(),
        }
    }

    fn good(&self, job: &Job) -> MiningOwned {
        self.submit(self.mine(job, |hash| hash <= self.target))
    }

    /// The message that fits the kind of channel.
    fn submit(&self, share: SubmitSharesExtended<'static>) -> MiningOwned {
        if self.size > 0 {
            return MiningOwned::SubmitSharesExtended(share.into_owned());
        }
        MiningOwned::SubmitSharesStandard(SubmitSharesStandard {
            channel_id: share.channel_id,
            sequence_number: share.sequence_number,
            job_id: share.job_id,
            nonce: share.nonce,
            ntime: share.ntime,
            version: share.version,
        })
    }
}

/// The code of a single SubmitShares.Error.
#[track_caller]
fn rejected(answer: &[MiningOwned]) -> String {
    match answer {
        [MiningOwned::SubmitSharesError(error)] => error.error_code.as_utf8_or_hex(),
        other => panic!("not a rejection: {other:?}"),
    }
}

/// Counts and sums of an acknowledgement.
#[track_caller]
fn acknowledged(messages: &[MiningOwned]) -> (u32, u32, u64) {
    match messages {
        [MiningOwned::SubmitSharesSuccess(success)] => (
            success.last_sequence_number,
            success.new_submits_accepted_count,
            success.new_shares_sum,
        ),
        other => panic!("not an acknowledgement: {other:?}"),
    }
}

fn close_channel(channel_id: u32) -> MiningOwned {
    let close = CloseChannel {
        channel_id,
        reason_code: Str0255::try_from("done").unwrap(),
    };
    MiningOwned::CloseChannel(close.into_owned())
}

fn update_channel(channel_id: u32, hashes: f32, maximum_target: &[u8; 32]) -> MiningOwned {
    let update = UpdateChannel {
        channel_id,
        nominal_hash_rate: hashes,
        maximum_target: U256::from(maximum_target),
    };
    MiningOwned::UpdateChannel(update.into_owned())
}
