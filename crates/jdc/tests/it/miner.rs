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

    /// Submits a share on the newest job and waits until it is acknowledged. Returns the block
    /// hash, on this tip.
    pub(crate) async fn share(&mut self, nonce: u32, tip: u8) -> [u8; 32] {
        let job = self.job.clone().unwrap();
        let extranonce = vec![0xee; self.extranonce_size];
        self.say(MiningOwned::SubmitSharesExtended(
            SubmitSharesExtendedOwned {
                channel_id: self.channel_id,
                sequence_number: nonce,
                job_id: job.job_id,
                nonce,
                ntime: NTIME,
                version: job.version,
                extranonce: extranonce.clone().try_into().unwrap(),
            },
        ))
        .await;
        loop {
            match self.hear().await {
                MiningOwned::SubmitSharesSuccess(_) => break,
                MiningOwned::SubmitSharesError(error) => panic!("{error:?}"),
                _ => {}
            }
        }
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
