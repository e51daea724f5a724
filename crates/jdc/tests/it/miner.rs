//! A miner that a test plays.

use protocol::coinbase::{Header, merkle_root, sha256d};
use protocol::message::mining::{
    NewExtendedMiningJobOwned, OpenExtendedMiningChannelOwned, SubmitSharesExtendedOwned,
};
use protocol::message::{Message, MiningOwned, text};
use regtest::Program;

use crate::site::{N_BITS, NTIME};
use regtest::Line;

/// With one extended channel.
pub(crate) struct Miner {
    line: Line,
    channel_id: u32,
    extranonce_prefix: Vec<u8>,
    extranonce_size: usize,
    /// The newest job.
    pub(crate) job: Option<NewExtendedMiningJobOwned>,
}

impl Miner {
    /// As soon as the program lets miners in.
    pub(crate) async fn connect(program: &Program) -> Self {
        let (line, flags) = Line::dial(program, 0).await;
        assert_eq!(flags, 0, "the program requires nothing");
        let mut miner = Self {
            line,
            channel_id: 0,
            extranonce_prefix: Vec::new(),
            extranonce_size: 0,
            job: None,
        };
        miner
            .say(MiningOwned::OpenExtendedMiningChannel(
                OpenExtendedMiningChannelOwned {
                    request_id: 1,
                    // Whom it says it is for is none of the program's business.
                    user_identity: text("sri/solo/nonsense"),
                    nominal_hash_rate: 1.0,
                    max_target: [0xff; 32].into(),
                    min_extranonce_size: 8,
                },
            ))
            .await;
        match miner.hear().await {
            MiningOwned::OpenExtendedMiningChannelSuccess(success) => {
                miner.channel_id = success.channel_id;
                miner.extranonce_prefix = success.extranonce_prefix.as_bytes().to_vec();
                miner.extranonce_size = usize::from(success.extranonce_size);
            }
            other => panic!("{other:?}"),
        }
        miner.next_job().await;
        miner
    }

    async fn say(&mut self, message: MiningOwned) {
        self.line.say(message).await;
    }

    async fn hear(&mut self) -> MiningOwned {
        match self.line.hear().await {
            Message::Mining(message) => message,
            other => panic!("{other:?}"),
        }
    }

    /// Waits for the next job that can be mined, past whatever comes before.
    pub(crate) async fn next_job(&mut self) {
        loop {
            match self.hear().await {
                MiningOwned::NewExtendedMiningJob(job) => {
                    let is_future = job.min_ntime.as_ref().is_none();
                    self.job = Some(job);
                    if !is_future {
                        return;
                    }
                }
                MiningOwned::SetNewPrevHash(_) => return,
                _ => {}
            }
        }
    }

    /// Submits a share on the newest job.
    async fn submit(&mut self, nonce: u32) {
        let job = self.job.as_ref().unwrap();
        let share = SubmitSharesExtendedOwned {
            channel_id: self.channel_id,
            sequence_number: nonce,
            job_id: job.job_id,
            nonce,
            ntime: NTIME,
            version: job.version,
            extranonce: self.extranonce().try_into().unwrap(),
        };
        self.say(MiningOwned::SubmitSharesExtended(share)).await;
    }

    fn extranonce(&self) -> Vec<u8> {
        vec![0xee; self.extranonce_size]
    }

    /// Waits until so many shares are acknowledged.
    async fn acknowledged(&mut self, count: u32) {
        let mut acknowledged = 0;
        while acknowledged < count {
            match self.hear().await {
                MiningOwned::SubmitSharesSuccess(success) => {
                    acknowledged += success.new_submits_accepted_count;
                }
                MiningOwned::SubmitSharesError(error) => panic!("{error:?}"),
                _ => {}
            }
        }
    }

    /// Submits shares as fast as they are taken, `at_once` before it looks at the answers. Every one
    /// is acknowledged.
    pub(crate) async fn flood(&mut self, nonces: std::ops::Range<u32>, at_once: usize) {
        let nonces: Vec<u32> = nonces.collect();
        for some in nonces.chunks(at_once) {
            for nonce in some {
                self.submit(*nonce).await;
            }
            self.acknowledged(some.len() as u32).await;
        }
    }

    /// Submits a share on the newest job and waits until it is acknowledged. Returns the block
    /// hash, on this tip.
    pub(crate) async fn share(&mut self, nonce: u32, tip: u8) -> [u8; 32] {
        self.submit(nonce).await;
        self.acknowledged(1).await;
        let job = self.job.clone().unwrap();
        let extranonce = self.extranonce();
        let coinbase = [
            job.coinbase_tx_prefix.as_bytes(),
            &self.extranonce_prefix,
            &extranonce,
            job.coinbase_tx_suffix.as_bytes(),
        ]
        .concat();
        let path: Vec<[u8; 32]> = job
            .merkle_path
            .iter()
            .map(|node| *node.as_array())
            .collect();
        Header {
            version: job.version,
            prev_hash: &[tip; 32],
            merkle_root: &merkle_root(sha256d(&coinbase), &path),
            ntime: NTIME,
            n_bits: N_BITS,
            nonce,
        }
        .hash()
    }
}
