//! A miner that means well: a share every tenth of a second.

use std::time::Duration;

use daemon::wire::TcpConnection;
use protocol::message::mining::{OpenStandardMiningChannelOwned, SubmitSharesStandard};
use protocol::message::{self, AnyMessage, MiningOwned, Received, text};
use regtest::LIMIT;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::stopwatch::Stopwatch;

/// Between two shares.
const PERIOD: Duration = Duration::from_millis(100);
pub(super) struct Miner {
    connection: TcpConnection,
    channel_id: u32,
    job_id: u32,
    version: u32,
    ntime: u32,
}

impl Miner {
    /// Opens a channel whose target every hash meets, and waits for its first job.
    pub(super) async fn open(connection: TcpConnection) -> Self {
        let mut miner = Self {
            connection,
            channel_id: 0,
            job_id: 0,
            version: 0,
            ntime: 0,
        };
        let open = OpenStandardMiningChannelOwned {
            request_id: 1,
            user_identity: text("honest"),
            // At a thousand shares a minute less than a hash for each.
            nominal_hash_rate: 1.0,
            max_target: [0xff; 32].into(),
        };
        miner
            .say(MiningOwned::OpenStandardMiningChannel(open))
            .await;
        while miner.ntime == 0 {
            match miner.hear().await {
                MiningOwned::OpenStandardMiningChannelSuccess(success) => {
                    miner.channel_id = success.channel_id;
                }
                MiningOwned::NewMiningJob(job) => {
                    (miner.job_id, miner.version) = (job.job_id, job.version);
                }
                MiningOwned::SetNewPrevHash(tip) => miner.ntime = tip.min_ntime,
                other => panic!("{other:?}"),
            }
        }
        miner
    }

    /// Mines until it is over. Every share must be accepted.
    pub(super) async fn run(
        &mut self,
        number: usize,
        stopwatch: &Stopwatch,
        over: CancellationToken,
    ) {
        // Not all at once.
        tokio::time::sleep(PERIOD / 50 * number as u32).await;
        let mut pace = interval(PERIOD);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for sequence_number in 0.. {
            pace.tick().await;
            if over.is_cancelled() {
                return;
            }
            let running = stopwatch.start();
            self.share(sequence_number).await;
            stopwatch.stop(&running);
        }
    }

    async fn share(&mut self, sequence_number: u32) {
        let share = SubmitSharesStandard {
            channel_id: self.channel_id,
            sequence_number,
            job_id: self.job_id,
            nonce: sequence_number,
            ntime: self.ntime,
            version: self.version,
        };
        self.say(MiningOwned::SubmitSharesStandard(share)).await;
        match timeout(LIMIT, self.hear()).await {
            Ok(MiningOwned::SubmitSharesSuccess(success)) => {
                assert_eq!(success.last_sequence_number, sequence_number);
                assert_eq!(success.new_submits_accepted_count, 1);
            }
            Ok(other) => panic!("not an acknowledgement: {other:?}"),
            Err(_) => panic!("a share was lost"),
        }
    }

    async fn say(&mut self, message: MiningOwned) {
        let mut frame = Vec::new();
        message::encode(message, &mut frame);
        self.connection.send(&frame).await.unwrap();
    }

    async fn hear(&mut self) -> MiningOwned {
        let frame = self.connection.receive().await.unwrap();
        match message::decode(frame).unwrap() {
            Received::Message(AnyMessage::Mining(message)) => message.into_owned(),
            other => panic!("{other:?}"),
        }
    }
}
