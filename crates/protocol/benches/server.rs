//! What a pool's rules cost: a share from frame to answer, and new work for one connection.
//! Nothing is sealed or sent here.
//!
//! `cargo bench -p protocol --bench server`
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::sync::Arc;
use std::time::Instant;

use divan::Bencher;
use divan::counter::ItemsCount;
use protocol::coinbase::{CoinbasePlan, sha256d};
use protocol::core::{Core, Now, Outbox};
use protocol::frame::{Frame, FrameHeader, HEADER_LEN};
use protocol::message::mining::{
    MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED, MESSAGE_TYPE_SUBMIT_SHARES_STANDARD,
    OpenExtendedMiningChannelOwned, OpenStandardMiningChannelOwned,
};
use protocol::message::template::{NewTemplateOwned, SetNewPrevHashOwned};
use protocol::message::{
    self, AnyMessage, Mining, MiningOwned, Received, TemplateDistribution,
    TemplateDistributionOwned, text,
};
use protocol::server::{ExtranonceSpace, MiningServer, Policy, ServerEvent, ServerInput};
use protocol::target::Target;
use protocol::work::{Work, WorkTracker};

/// Shares of one round; they come in reads of [`READ`].
const SHARES: u32 = 1024;
const READ: u32 = 64;

const UNIX: u32 = 1_800_000_000;
/// No share is a block.
const N_BITS: u32 = 0x1702_3a04;

fn main() {
    divan::main();
}

fn now() -> Now {
    Now {
        instant: Instant::now(),
        unix: u64::from(UNIX),
    }
}

/// A template provider's tracker, fed with its messages.
fn new_tip(tracker: &mut WorkTracker, id: u32) -> Work {
    let mut outputs = vec![0; 8];
    outputs.extend([0x26, 0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed]);
    outputs.extend([0xcc; 32]);
    let path: Vec<_> = (0..12u8).map(|depth| sha256d(&[depth]).into()).collect();
    let mut frames = Vec::new();
    let template = NewTemplateOwned {
        template_id: u64::from(id),
        future_template: true,
        version: 0x2000_0000,
        coinbase_tx_version: 2,
        coinbase_prefix: vec![3, 0xa0, 0xbb, 0x0d].try_into().unwrap(),
        coinbase_tx_input_sequence: 0xffff_fffe,
        coinbase_tx_value_remaining: 312_500_000,
        coinbase_tx_outputs_count: 1,
        coinbase_tx_outputs: outputs.try_into().unwrap(),
        coinbase_tx_locktime: 0,
        merkle_path: path.try_into().unwrap(),
    };
    message::encode(
        TemplateDistributionOwned::NewTemplate(template),
        &mut frames,
    );
    let tip = SetNewPrevHashOwned {
        template_id: u64::from(id),
        prev_hash: sha256d(&id.to_le_bytes()).into(),
        header_timestamp: UNIX,
        n_bits: N_BITS,
        target: Target::from_compact(N_BITS).to_le_bytes().into(),
    };
    message::encode(TemplateDistributionOwned::SetNewPrevHash(tip), &mut frames);
    each_frame(&mut frames, |frame| match message::decode(frame).unwrap() {
        Received::Message(AnyMessage::TemplateDistribution(message)) => match message {
            TemplateDistribution::NewTemplate(template) => tracker.new_template(&template).unwrap(),
            TemplateDistribution::SetNewPrevHash(tip) => tracker.set_new_prev_hash(&tip).unwrap(),
            _ => unreachable!("only these two are made above"),
        },
        _ => unreachable!("only these two are made above"),
    });
    tracker.work().unwrap()
}

fn each_frame(mut frames: &mut [u8], mut each: impl FnMut(Frame<'_>)) {
    while let Some((header, rest)) = frames.split_first_chunk_mut::<HEADER_LEN>() {
        let header = FrameHeader::from_bytes(*header);
        let (payload, rest) = rest.split_at_mut(header.len);
        each(Frame { header, payload });
        frames = rest;
    }
}

/// The pool's layout.
fn space() -> ExtranonceSpace {
    ExtranonceSpace::new(&[0, 0, 0, 1], 16).unwrap()
}

fn tracker() -> WorkTracker {
    WorkTracker::new(CoinbasePlan {
        reward_script: vec![
            0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
        ]
        .into(),
        signature: b"a pool under load test".to_vec(),
        extranonce_len: space().extranonce_len(),
    })
}

/// A connection with one channel, on the work it was opened with.
struct Connection {
    server: MiningServer,
    out: Outbox<ServerEvent>,
    channel_id: u32,
    job_id: u32,
}

impl Connection {
    fn open(work: Work, is_standard: bool) -> Self {
        let policy = Arc::new(Policy {
            shares_per_minute: 1000.0,
            vardiff: false,
            ..Policy::default()
        });
        let mut server = MiningServer::new(policy, 0, space(), work);
        let max_target = Target::MAX.to_le_bytes().into();
        let mut frames = Vec::new();
        let request = if is_standard {
            MiningOwned::OpenStandardMiningChannel(OpenStandardMiningChannelOwned {
                request_id: 0,
                user_identity: text("bench"),
                nominal_hash_rate: 1.0,
                max_target,
            })
        } else {
            MiningOwned::OpenExtendedMiningChannel(OpenExtendedMiningChannelOwned {
                request_id: 0,
                user_identity: text("bench"),
                nominal_hash_rate: 1.0,
                max_target,
                min_extranonce_size: 8,
            })
        };
        message::encode(request, &mut frames);
        let mut out = Outbox::default();
        each_frame(&mut frames, |frame| server.received(now(), frame, &mut out));
        let (mut channel_id, mut job_id) = (0, 0);
        each_frame(out.frames(), |frame| {
            if let Ok(Received::Message(AnyMessage::Mining(Mining::SetNewPrevHash(tip)))) =
                message::decode(frame)
            {
                (channel_id, job_id) = (tip.channel_id, tip.job_id);
            }
        });
        let mut connection = Self {
            server,
            out,
            channel_id,
            job_id,
        };
        connection.sent();
        connection
    }

    /// What the edge of a role does after each read.
    fn sent(&mut self) {
        self.out.frames().clear();
        self.out.take_events().for_each(drop);
    }

    /// Plaintext frames, none like another.
    fn shares(&self, is_standard: bool) -> Vec<u8> {
        let mut frames = Vec::new();
        let msg_type = match is_standard {
            true => MESSAGE_TYPE_SUBMIT_SHARES_STANDARD,
            false => MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED,
        };
        for number in 0..SHARES {
            message::encode_with(msg_type, true, &mut frames, |payload| {
                let (channel, job) = (self.channel_id, self.job_id);
                for field in [channel, number, job, number, UNIX, 0x2000_0000] {
                    payload.extend_from_slice(&field.to_le_bytes());
                }
                if !is_standard {
                    payload.push(16);
                    payload.extend_from_slice(&[0; 16]);
                }
            });
        }
        frames
    }
}

#[divan::bench(args = ["extended", "standard"])]
fn share(bencher: Bencher, kind: &str) {
    let is_standard = kind == "standard";
    let work = new_tip(&mut tracker(), 1);
    bencher
        .counter(ItemsCount::new(SHARES))
        .with_inputs(|| {
            let connection = Connection::open(work.clone(), is_standard);
            let shares = connection.shares(is_standard);
            (connection, shares)
        })
        .bench_local_refs(|(connection, shares)| {
            let (now, mut count) = (now(), 0);
            each_frame(shares, |frame| {
                let Connection { server, out, .. } = connection;
                server.received(now, frame, out);
                count += 1;
                if count % READ == 0 {
                    connection.sent();
                }
            });
        });
}

/// A new tip and its template: the frames of job and SetNewPrevHash for one connection.
#[divan::bench(args = ["extended", "standard"])]
fn new_work(bencher: Bencher, kind: &str) {
    let mut tracker = tracker();
    let mut connection = Connection::open(new_tip(&mut tracker, 1), kind == "standard");
    let works = [2, 3].map(|id| new_tip(&mut tracker, id));
    let mut turn = 0;
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| {
        turn += 1;
        let Connection { server, out, .. } = &mut connection;
        let work = works[turn % 2].clone();
        server.input(now(), ServerInput::Work(work), out);
        connection.sent();
    });
}
