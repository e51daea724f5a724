//! The program, and the upstreams that a test plays.

use protocol::message::common::Protocol;
use protocol::message::mining::{
    NewExtendedMiningJobOwned, OpenExtendedMiningChannelOwned,
    OpenExtendedMiningChannelSuccessOwned, SetNewPrevHashOwned, SubmitSharesErrorOwned,
    SubmitSharesExtendedOwned, SubmitSharesSuccess,
};
use protocol::message::{Message, MiningOwned, option, text};
use protocol::target::Target;
use regtest::{Fake, LIMIT, Line, Program, Sv1Miner, free_port};

pub(crate) const NTIME: u32 = 1_800_000_000;
/// No hash is a block.
pub(crate) const N_BITS: u32 = 0x1700_ffff;
/// What extranonces begin with that an upstream gives; so many bytes follow.
pub(crate) const PREFIX: [u8; 3] = [0xaa, 0xbb, 0xcc];
pub(crate) const SIZE: u16 = 10;
pub(crate) const CHANNEL: u32 = 7;
pub(crate) const GROUP: u32 = 1;

/// Upstreams, best first, and the program.
pub(crate) struct Site {
    pub(crate) pools: Vec<Fake>,
    pub(crate) program: Program,
}

impl Site {
    /// With so many upstreams and these keys.
    pub(crate) async fn start(upstreams: usize, plain: &str) -> Self {
        let accounts: Vec<String> = (0..upstreams).map(|at| format!("farm{at}")).collect();
        let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
        Self::with(&accounts, plain).await
    }

    /// With an upstream for each of these accounts.
    pub(crate) async fn with(accounts: &[&str], plain: &str) -> Self {
        let mut pools = Vec::new();
        for _ in accounts {
            pools.push(Fake::start(Protocol::MiningProtocol).await);
        }
        let mut keys = format!(
            "{plain}\n[downstream_difficulty_config]\nmin_individual_miner_hashrate = 10.0\n"
        );
        for (account, pool) in accounts.iter().zip(&pools) {
            keys += &format!(
                "[[upstreams]]\naddress = \"{}\"\nport = {}\nauthority_pubkey = \"{}\"\n\
                 user_identity = \"{account}\"\n",
                pool.address.host,
                pool.address.port,
                pool.authority.public_text(),
            );
        }
        let program = Program::start_plain(env!("CARGO_BIN_EXE_translator"), free_port(), &keys);
        Self { pools, program }
    }

    /// The next connection to an upstream, with a channel for all miners and a first job.
    pub(crate) async fn working(&mut self, pool: usize) -> Upstream {
        let mut upstream = self.connected(pool).await;
        upstream.open_next(CHANNEL).await;
        upstream.job(CHANNEL, 1).await;
        upstream.tip(CHANNEL, 1, 1).await;
        upstream
    }

    /// The next connection to an upstream; what is negotiated is granted.
    pub(crate) async fn connected(&mut self, pool: usize) -> Upstream {
        let (line, flags) = self.pools[pool].connection().await;
        let mut upstream = Upstream { line, flags };
        upstream.grant().await;
        upstream
    }

    pub(crate) async fn miner(&self, user: &str) -> Sv1Miner {
        Sv1Miner::join(self.program.address(), user).await
    }

    /// Waits until what the program tells over HTTP contains this.
    pub(crate) async fn wait_for(&self, path: &str, fact: &str) {
        let deadline = std::time::Instant::now() + LIMIT;
        loop {
            let told = self.program.get(path);
            if told.contains(fact) {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "no {fact} in {told}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

/// One connection of the program to an upstream.
pub(crate) struct Upstream {
    pub(crate) line: Line,
    pub(crate) flags: u32,
}

impl Upstream {
    /// EXT-03: nothing else is said before the answer.
    async fn grant(&mut self) {
        let (extension, msg_type, payload) = self.line.hear_frame().await;
        assert_eq!((extension, msg_type), (1, 0));
        // One extension, 2, for the request of the same number.
        assert_eq!(payload[2..], [1, 0, 2, 0]);
        self.line.say_raw(1, 1, &payload).await;
    }

    pub(crate) async fn say(&mut self, message: MiningOwned) {
        self.line.say(message).await;
    }

    pub(crate) async fn hear(&mut self) -> MiningOwned {
        match self.line.hear().await {
            Message::Mining(message) => message,
            other => panic!("{other:?}"),
        }
    }

    /// The next request for a channel, past whatever comes before.
    pub(crate) async fn request(&mut self) -> OpenExtendedMiningChannelOwned {
        loop {
            if let MiningOwned::OpenExtendedMiningChannel(open) = self.hear().await {
                return open;
            }
        }
    }

    /// Opens the channel asked for next.
    pub(crate) async fn open_next(&mut self, channel_id: u32) -> OpenExtendedMiningChannelOwned {
        let open = self.request().await;
        self.open(open.request_id, channel_id, &PREFIX).await;
        open
    }

    pub(crate) async fn open(&mut self, request_id: u32, channel_id: u32, prefix: &[u8]) {
        let success = OpenExtendedMiningChannelSuccessOwned {
            request_id,
            channel_id,
            target: easy().to_le_bytes().into(),
            extranonce_size: SIZE,
            extranonce_prefix: prefix.to_vec().try_into().unwrap(),
            group_channel_id: GROUP,
        };
        self.say(MiningOwned::OpenExtendedMiningChannelSuccess(success))
            .await;
    }

    /// A job for a tip to come.
    pub(crate) async fn job(&mut self, channel_id: u32, job_id: u32) {
        self.say(job(channel_id, job_id, None)).await;
    }

    /// A job for the present tip.
    pub(crate) async fn better_job(&mut self, channel_id: u32, job_id: u32) {
        self.say(job(channel_id, job_id, Some(NTIME))).await;
    }

    pub(crate) async fn tip(&mut self, channel_id: u32, job_id: u32, tip: u8) {
        let message = SetNewPrevHashOwned {
            channel_id,
            job_id,
            prev_hash: [tip; 32].into(),
            min_ntime: NTIME,
            nbits: N_BITS,
        };
        self.say(MiningOwned::SetNewPrevHash(message)).await;
    }

    /// The next share, past whatever comes before.
    pub(crate) async fn share(&mut self) -> SubmitSharesExtendedOwned {
        loop {
            if let MiningOwned::SubmitSharesExtended(share) = self.hear().await {
                return share;
            }
        }
    }

    pub(crate) async fn accept(&mut self, share: &SubmitSharesExtendedOwned) {
        let success = SubmitSharesSuccess {
            channel_id: share.channel_id,
            last_sequence_number: share.sequence_number,
            new_submits_accepted_count: 1,
            new_shares_sum: 1,
        };
        self.say(MiningOwned::SubmitSharesSuccess(success)).await;
    }

    pub(crate) async fn reject(&mut self, share: &SubmitSharesExtendedOwned, code: &str) {
        let error = SubmitSharesErrorOwned {
            channel_id: share.channel_id,
            sequence_number: share.sequence_number,
            error_code: text(code),
        };
        self.say(MiningOwned::SubmitSharesError(error)).await;
    }
}

/// Every fourth hash is a share.
pub(crate) fn easy() -> Target {
    Target::one_in(4.0).unwrap()
}

fn job(channel_id: u32, job_id: u32, min_ntime: Option<u32>) -> MiningOwned {
    MiningOwned::NewExtendedMiningJob(NewExtendedMiningJobOwned {
        channel_id,
        job_id,
        min_ntime: option(min_ntime),
        version: 0x2000_0000,
        version_rolling_allowed: true,
        merkle_path: vec![[8; 32].into(), [9; 32].into()].try_into().unwrap(),
        coinbase_tx_prefix: coinbase_prefix(job_id).try_into().unwrap(),
        coinbase_tx_suffix: SUFFIX.to_vec().try_into().unwrap(),
    })
}

/// What stands behind the extranonce.
pub(crate) const SUFFIX: [u8; 19] = [
    0xff, 0xff, 0xff, 0xff, // sequence
    1, 100, 0, 0, 0, 0, 0, 0, 0, 1, 0x51, // a hundred satoshis to anybody
    0, 0, 0, 0, // lock time
];

/// What stands in front of it, another one for each job.
pub(crate) fn coinbase_prefix(job_id: u32) -> Vec<u8> {
    let mut prefix = vec![2, 0, 0, 0, 1];
    prefix.extend([0; 32]);
    prefix.extend([0xff; 4]);
    prefix.push(4 + PREFIX.len() as u8 + SIZE as u8);
    prefix.extend(job_id.to_le_bytes());
    prefix
}
