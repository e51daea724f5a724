//! The pool above a translator or a job declarator client under test: opens every channel, takes
//! every share and every custom job, and has a new tip whenever the scenario says so.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use daemon::clock;
use protocol::coinbase::{Coinbase, CoinbaseFields, sha256d};
use protocol::core::{Core, Now};
use protocol::frame::Frame;
use protocol::message::mining::{
    NewExtendedMiningJobOwned, OpenExtendedMiningChannelSuccessOwned, SetCustomMiningJobSuccess,
    SetNewPrevHashOwned, SetTargetOwned, SubmitSharesSuccess,
};
use protocol::message::{self, AnyMessage, Mining, MiningOwned, Received};
use protocol::target::Target;

use crate::played::{Out, Tip};

/// Transactions of a full block make a path of this length.
const MERKLE_DEPTH: u32 = 12;
/// As hard as on the main network.
const N_BITS: u32 = 0x1702_3a04;
/// Bytes in front of what a channel may choose, as our pool has them.
const PREFIX_LEN: usize = 6;
/// Shares of one acknowledgement.
const BATCH: u32 = 10;
/// How long the last shares wait for more.
const BATCH_TIME: Duration = Duration::from_millis(100);

/// What it knows.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// Whether the work is the client's to select.
    is_theirs: bool,
    custom_jobs: u32,
    /// It was sent so far.
    shares: Arc<AtomicU64>,
    channels: Vec<Channel>,
    tip: u32,
    /// When shares that wait for others are acknowledged.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Channel {
    id: u32,
    /// Bytes of its whole extranonce.
    extranonce_len: usize,
    /// Not acknowledged, and the newest of them.
    unanswered: u32,
    newest: u32,
}

impl Pool {
    /// Counts the shares it is sent there.
    pub(crate) fn counting(shares: Arc<AtomicU64>) -> Self {
        Self {
            shares,
            ..Self::default()
        }
    }

    /// Whose clients select their work.
    pub(crate) fn of_custom_jobs() -> Self {
        Self {
            is_theirs: true,
            ..Self::default()
        }
    }

    fn mining(&mut self, now: Now, message: Mining<'_>, out: &mut Out) {
        match message {
            Mining::OpenExtendedMiningChannel(request) => {
                // 1 is the group.
                let id = self.channels.len() as u32 + 2;
                let mut prefix = [0; PREFIX_LEN];
                prefix[PREFIX_LEN - 4..].copy_from_slice(&id.to_be_bytes());
                let success = OpenExtendedMiningChannelSuccessOwned {
                    request_id: request.request_id,
                    channel_id: id,
                    target: Target::MAX.to_le_bytes().into(),
                    extranonce_size: request.min_extranonce_size,
                    extranonce_prefix: prefix.to_vec().try_into().expect("6 bytes fit"),
                    group_channel_id: 1,
                };
                out.send(MiningOwned::OpenExtendedMiningChannelSuccess(success));
                let channel = Channel {
                    id,
                    extranonce_len: PREFIX_LEN + usize::from(request.min_extranonce_size),
                    unanswered: 0,
                    newest: 0,
                };
                if !self.is_theirs {
                    channel.work(self.tip.max(1), out);
                }
                self.channels.push(channel);
            }
            Mining::SetCustomMiningJob(job) => {
                self.custom_jobs += 1;
                out.send(MiningOwned::SetCustomMiningJobSuccess(
                    SetCustomMiningJobSuccess {
                        channel_id: job.channel_id,
                        request_id: job.request_id,
                        job_id: self.custom_jobs,
                    },
                ));
            }
            Mining::UpdateChannel(update) => {
                out.send(MiningOwned::SetTarget(SetTargetOwned {
                    channel_id: update.channel_id,
                    maximum_target: Target::MAX.to_le_bytes().into(),
                }));
            }
            Mining::SubmitSharesExtended(share) => {
                self.shares.fetch_add(1, Ordering::Relaxed);
                let find = |channel: &&mut Channel| channel.id == share.channel_id;
                if let Some(channel) = self.channels.iter_mut().find(find) {
                    channel.unanswered += 1;
                    channel.newest = share.sequence_number;
                    channel.acknowledge(BATCH, out);
                    self.due.get_or_insert(now.instant + BATCH_TIME);
                }
            }
            _ => {}
        }
    }
}

impl Channel {
    /// When there are so many at least.
    fn acknowledge(&mut self, least: u32, out: &mut Out) {
        if self.unanswered >= least {
            out.send(MiningOwned::SubmitSharesSuccess(SubmitSharesSuccess {
                channel_id: self.id,
                last_sequence_number: self.newest,
                new_submits_accepted_count: std::mem::take(&mut self.unanswered),
                new_shares_sum: 0,
            }));
        }
    }

    /// A future job with the sizes of today's blocks, and its tip.
    fn work(&self, tip: u32, out: &mut Out) {
        let sibling = |depth: u32| sha256d(&[tip, depth].map(u32::to_le_bytes).concat()).into();
        let path: Vec<_> = (0..MERKLE_DEPTH).map(sibling).collect();
        let coinbase = coinbase(self.extranonce_len);
        out.send(MiningOwned::NewExtendedMiningJob(
            NewExtendedMiningJobOwned {
                channel_id: self.id,
                job_id: tip,
                min_ntime: message::option(None),
                version: 0x2000_0000,
                version_rolling_allowed: true,
                merkle_path: path.try_into().expect("12 hashes fit"),
                coinbase_tx_prefix: coinbase.prefix.try_into().expect("fits"),
                coinbase_tx_suffix: coinbase.suffix.try_into().expect("fits"),
            },
        ));
        out.send(MiningOwned::SetNewPrevHash(SetNewPrevHashOwned {
            channel_id: self.id,
            job_id: tip,
            prev_hash: sha256d(&tip.to_le_bytes()).into(),
            min_ntime: clock::unix() as u32,
            nbits: N_BITS,
        }));
    }
}

/// A transaction indeed: the reference refuses the shares of jobs whose coinbase it cannot read.
fn coinbase(extranonce_len: usize) -> Coinbase {
    // Two of them: what is paid, and what commits to the witnesses.
    let mut outputs = vec![2];
    outputs.extend(312_500_000u64.to_le_bytes());
    outputs.extend([22, 0, 20]);
    outputs.extend([7; 20]);
    outputs.extend([0; 8]);
    outputs.extend([38, 0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed]);
    outputs.extend([9; 32]);
    Coinbase::new(&CoinbaseFields {
        version: 2,
        // BIP-0034: height 900,000; then a name, as pools have one.
        script_sig: b"\x03\xa0\xbb\x0d\x10a pool of a load",
        extranonce_len,
        sequence: 0xffff_fffe,
        outputs: &outputs,
        locktime: 0,
        has_witness_commitment: true,
    })
}

impl Core for Pool {
    type Input = Tip;
    type Event = Infallible;

    fn received(&mut self, now: Now, frame: Frame<'_>, out: &mut Out) {
        if let Ok(Received::Message(AnyMessage::Mining(message))) = message::decode(frame) {
            self.mining(now, message, out);
        }
    }

    fn input(&mut self, _now: Now, tip: Tip, out: &mut Out) {
        self.tip += 1;
        for channel in &self.channels {
            channel.work(self.tip, out);
        }
        tip.now();
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn wake(&mut self, _now: Now, out: &mut Out) {
        self.due = None;
        for channel in &mut self.channels {
            channel.acknowledge(1, out);
        }
    }
}
