//! The program, and all it is connected to.

use std::time::{Duration, Instant};

use protocol::message::common::Protocol;
use protocol::message::declaration::{
    AllocateMiningJobTokenSuccessOwned, DeclareMiningJobOwned, DeclareMiningJobSuccessOwned,
};
use protocol::message::mining::{
    OpenExtendedMiningChannelSuccessOwned, SetCustomMiningJobOwned, SetCustomMiningJobSuccess,
};
use protocol::message::template::{
    NewTemplateOwned, RequestTransactionDataSuccessOwned, SetNewPrevHashOwned,
};
use protocol::message::{JobDeclarationOwned, Message, MiningOwned, TemplateDistributionOwned};
use regtest::{Program, free_port};

use regtest::{Fake, LIMIT, Line, want};

/// Whom the program's blocks pay.
pub(crate) const REWARD: &str = "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)";
/// The pool's channel for the program.
pub(crate) const CHANNEL: u32 = 7;
/// What the pool's extranonces begin with; 16 bytes follow.
pub(crate) const PREFIX: [u8; 3] = [9; 3];
pub(crate) const N_BITS: u32 = 0x207f_ffff;
pub(crate) const NTIME: u32 = 1_800_000_000;

/// Servers for one upstream, and the program.
pub(crate) struct Site {
    pub(crate) provider: Fake,
    pub(crate) pool: Fake,
    pub(crate) jds: Fake,
    pub(crate) program: Program,
}

/// The connections of a program that is working.
pub(crate) struct Lines {
    pub(crate) provider: Line,
    pub(crate) pool: Line,
    pub(crate) jds: Line,
    pub(crate) flags: [u32; 3],
}

impl Site {
    pub(crate) async fn start(mode: &str) -> Self {
        Self::with(mode, "").await
    }

    /// With these keys besides.
    pub(crate) async fn with(mode: &str, plain: &str) -> Self {
        let provider = Fake::start(Protocol::TemplateDistributionProtocol).await;
        let pool = Fake::start(Protocol::MiningProtocol).await;
        let jds = Fake::start(Protocol::JobDeclarationProtocol).await;
        let keys = format!(
            r#"
mode = "{mode}"
coinbase_reward_script = "{REWARD}"
shares_per_minute = 60.0
share_batch_size = 1
{plain}
[template_provider]
address = "{}"
public_key = "{}"
[[upstreams]]
authority_pubkey = "{}"
pool_address = "{}"
pool_port = {}
jds_authority_pubkey = "{}"
jds_address = "{}"
jds_port = {}
user_identity = "farm"
"#,
            provider.address,
            provider.authority.public_text(),
            pool.authority.public_text(),
            pool.address.host,
            pool.address.port,
            jds.authority.public_text(),
            jds.address.host,
            jds.address.port,
        );
        let program = Program::start(env!("CARGO_BIN_EXE_jdc"), free_port(), &keys);
        Self {
            provider,
            pool,
            jds,
            program,
        }
    }

    /// Everything connected, and a first template given.
    pub(crate) async fn working(&mut self) -> Lines {
        let (pool, pool_flags) = self.open_channel().await;
        let (jds, jds_flags) = self.give_tokens().await;
        let (mut provider, provider_flags) = self.provider.connection().await;
        want!(
            provider.hear().await,
            TemplateDistribution::CoinbaseOutputConstraints
        );
        give_template(&mut provider, 1, 1).await;
        Lines {
            provider,
            pool,
            jds,
            flags: [pool_flags, jds_flags, provider_flags],
        }
    }

    /// Waits until what the program tells over HTTP contains this: it may come later than what it
    /// is about.
    pub(crate) async fn wait_for(&self, path: &str, fact: &str) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let told = self.program.get(path);
            if told.contains(fact) {
                return;
            }
            assert!(Instant::now() < deadline, "no {fact} in {told}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn open_channel(&mut self) -> (Line, u32) {
        let (mut pool, flags) = self.pool.connection().await;
        let open = want!(pool.hear().await, Mining::OpenExtendedMiningChannel);
        assert_eq!(open.user_identity.as_utf8_or_hex(), "farm");
        let success = OpenExtendedMiningChannelSuccessOwned {
            request_id: open.request_id,
            channel_id: CHANNEL,
            target: [0xff; 32].into(),
            extranonce_size: 16,
            extranonce_prefix: PREFIX.to_vec().try_into().unwrap(),
            group_channel_id: 1,
        };
        pool.say(MiningOwned::OpenExtendedMiningChannelSuccess(success))
            .await;
        (pool, flags)
    }

    /// Two of them, which pay `OP_TRUE`.
    pub(crate) async fn give_tokens(&mut self) -> (Line, u32) {
        let (mut jds, flags) = self.jds.connection().await;
        for number in 1..=2 {
            give_token(&mut jds, number).await;
        }
        (jds, flags)
    }
}

pub(crate) async fn give_token(jds: &mut Line, number: u8) {
    let request = want!(jds.hear().await, JobDeclaration::AllocateMiningJobToken);
    assert_eq!(request.user_identifier.as_utf8_or_hex(), "farm");
    let mut outputs = vec![1];
    outputs.extend([0; 8]);
    outputs.extend([1, 0x51]);
    let success = AllocateMiningJobTokenSuccessOwned {
        request_id: request.request_id,
        mining_job_token: vec![number; 8].try_into().unwrap(),
        coinbase_outputs: outputs.try_into().unwrap(),
    };
    jds.say(JobDeclarationOwned::AllocateMiningJobTokenSuccess(success))
        .await;
}

/// A template on a new tip, which no hash is a block for.
pub(crate) async fn give_template(provider: &mut Line, template_id: u64, tip: u8) {
    provider.say(template(template_id)).await;
    let tip = SetNewPrevHashOwned {
        template_id,
        prev_hash: [tip; 32].into(),
        header_timestamp: NTIME,
        n_bits: N_BITS,
        target: [0; 32].into(),
    };
    provider
        .say(TemplateDistributionOwned::SetNewPrevHash(tip))
        .await;
}

fn template(template_id: u64) -> TemplateDistributionOwned {
    TemplateDistributionOwned::NewTemplate(NewTemplateOwned {
        template_id,
        future_template: true,
        version: 0x2000_0000,
        coinbase_tx_version: 2,
        coinbase_prefix: vec![1, 102].try_into().unwrap(),
        coinbase_tx_input_sequence: 0xffff_fffe,
        coinbase_tx_value_remaining: 5_000_000_000,
        coinbase_tx_outputs_count: 0,
        coinbase_tx_outputs: vec![].try_into().unwrap(),
        coinbase_tx_locktime: 101,
        merkle_path: vec![[0xaa; 32].into()].try_into().unwrap(),
    })
}

/// Answers the request for the transactions of the newest template: there are three.
pub(crate) async fn give_transactions(provider: &mut Line) -> u64 {
    let request = want!(
        provider.hear().await,
        TemplateDistribution::RequestTransactionData
    );
    let transactions: Vec<_> = (0..3u8).map(|n| vec![n; 70].try_into().unwrap()).collect();
    let success = RequestTransactionDataSuccessOwned {
        template_id: request.template_id,
        excess_data: vec![5; 5].try_into().unwrap(),
        transaction_list: transactions.try_into().unwrap(),
    };
    provider
        .say(TemplateDistributionOwned::RequestTransactionDataSuccess(
            success,
        ))
        .await;
    request.template_id
}

/// The next declaration.
pub(crate) async fn hear_declaration(jds: &mut Line) -> DeclareMiningJobOwned {
    want!(jds.hear().await, JobDeclaration::DeclareMiningJob)
}

pub(crate) async fn accept_declaration(jds: &mut Line, request_id: u32) {
    let success = DeclareMiningJobSuccessOwned {
        request_id,
        new_mining_job_token: vec![0xdd; 8].try_into().unwrap(),
    };
    jds.say(JobDeclarationOwned::DeclareMiningJobSuccess(success))
        .await;
}

/// The next custom job; changes of the hash rate before it are passed over.
pub(crate) async fn hear_job(pool: &mut Line) -> SetCustomMiningJobOwned {
    loop {
        match pool.hear().await {
            Message::Mining(MiningOwned::UpdateChannel(_)) => {}
            other => return want!(other, Mining::SetCustomMiningJob),
        }
    }
}

pub(crate) async fn accept_job(pool: &mut Line, request_id: u32, job_id: u32) {
    let success = SetCustomMiningJobSuccess {
        channel_id: CHANNEL,
        request_id,
        job_id,
    };
    pool.say(MiningOwned::SetCustomMiningJobSuccess(success))
        .await;
}
