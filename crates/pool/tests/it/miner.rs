//! A miner whose target every hash meets, so that it need not search.

use daemon::wire::TcpConnection;
use protocol::message::common::Protocol;
use protocol::message::mining::{
    OpenStandardMiningChannelOwned, SubmitSharesStandard, SubmitSharesSuccess,
};
use protocol::message::{self, AnyMessage, Mining, MiningOwned, Received, text};
use protocol::target::Target;
use regtest::{LIMIT, Program};
use tokio::time::timeout;

/// A connection with one channel.
pub(crate) struct Miner {
    connection: TcpConnection,
    channel_id: u32,
    job_id: u32,
    version: u32,
    ntime: u32,
    /// Shares sent.
    sent: u32,
    /// Shares acknowledged.
    pub(crate) acknowledged: u32,
}

impl Miner {
    /// Connects and waits for work.
    pub(crate) async fn start(pool: &Program) -> Self {
        let upstream = pool.upstream(Protocol::MiningProtocol);
        let (connection, _) = pool.connect(&upstream).await.unwrap();
        let mut miner = Self {
            connection,
            channel_id: 0,
            job_id: 0,
            version: 0,
            ntime: 0,
            sent: 0,
            acknowledged: 0,
        };
        let open = OpenStandardMiningChannelOwned {
            request_id: 1,
            user_identity: text("alice"),
            // Less than a hash for each share.
            nominal_hash_rate: 0.001,
            max_target: Target::MAX.to_le_bytes().into(),
        };
        miner
            .send(MiningOwned::OpenStandardMiningChannel(open))
            .await;
        while miner.ntime == 0 {
            assert!(miner.hear().await, "the pool left");
        }
        miner
    }

    /// Sends that many shares.
    pub(crate) async fn submit(&mut self, count: u32) {
        for _ in 0..count {
            let share = SubmitSharesStandard {
                channel_id: self.channel_id,
                sequence_number: self.sent,
                job_id: self.job_id,
                nonce: self.sent,
                ntime: self.ntime,
                version: self.version,
            };
            self.sent += 1;
            self.send(MiningOwned::SubmitSharesStandard(share)).await;
        }
    }

    /// Takes in one message; `false` when the connection is over.
    pub(crate) async fn hear(&mut self) -> bool {
        let frame = timeout(LIMIT, self.connection.receive()).await;
        let Ok(frame) = frame.expect("nothing comes") else {
            return false;
        };
        let Ok(Received::Message(AnyMessage::Mining(message))) = message::decode(frame) else {
            panic!("not of this protocol");
        };
        match message {
            Mining::OpenStandardMiningChannelSuccess(opened) => self.channel_id = opened.channel_id,
            Mining::NewMiningJob(job) => (self.job_id, self.version) = (job.job_id, job.version),
            Mining::SetNewPrevHash(tip) => self.ntime = tip.min_ntime,
            Mining::SubmitSharesSuccess(SubmitSharesSuccess {
                new_submits_accepted_count,
                ..
            }) => self.acknowledged += new_submits_accepted_count,
            Mining::SubmitSharesError(refused) => {
                panic!("{}", refused.error_code.as_utf8_or_hex());
            }
            _ => {}
        }
        true
    }

    async fn send(&mut self, message: MiningOwned) {
        let mut bytes = Vec::new();
        message::encode(message, &mut bytes);
        self.connection.send(&bytes).await.unwrap();
    }
}
