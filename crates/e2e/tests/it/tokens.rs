//! Job tokens at a real pool: one use each, and none of somebody else's making.

use daemon::wire::TcpConnection;
use protocol::message::common::Protocol;
use protocol::message::declaration::AllocateMiningJobTokenOwned;
use protocol::message::mining::{OpenExtendedMiningChannelOwned, SetCustomMiningJobOwned};
use protocol::message::{
    AnyMessage, JobDeclaration, JobDeclarationOwned, Message, Mining, MiningOwned, Received,
    decode, encode, text,
};
use protocol::setup::REQUIRES_WORK_SELECTION;
use protocol::token::{Scope, Secret, Token};
use regtest::{LIMIT, Program};
use serde_json::Value;
use tokio::time::timeout;

use crate::farm::{Farm, SECRET};

/// A client of the pool that selects its work.
struct Pool {
    connection: TcpConnection,
    channel_id: u32,
}

async fn say(connection: &mut TcpConnection, message: Message) {
    let mut bytes = Vec::new();
    encode(message, &mut bytes);
    connection.send(&bytes).await.unwrap();
}

impl Pool {
    async fn connect(pool: &Program) -> Self {
        let mut upstream = pool.upstream(Protocol::MiningProtocol);
        upstream.request.flags = REQUIRES_WORK_SELECTION;
        let (connection, _) = pool.connect(&upstream).await.unwrap();
        let mut pool = Self {
            connection,
            channel_id: 0,
        };
        let open = OpenExtendedMiningChannelOwned {
            request_id: 1,
            user_identity: text("thief"),
            nominal_hash_rate: 1.0,
            max_target: [0xff; 32].into(),
            min_extranonce_size: 8,
        };
        let open = MiningOwned::OpenExtendedMiningChannel(open);
        pool.channel_id = pool.ask(open).await.unwrap();
        pool
    }

    /// The id of what was asked for, or why there is none.
    async fn ask(&mut self, message: MiningOwned) -> Result<u32, String> {
        say(&mut self.connection, Message::Mining(message)).await;
        loop {
            let frame = timeout(LIMIT, self.connection.receive());
            let frame = frame.await.expect("the pool says nothing").unwrap();
            let Ok(Received::Message(AnyMessage::Mining(message))) = decode(frame) else {
                continue;
            };
            match message {
                Mining::OpenExtendedMiningChannelSuccess(success) => return Ok(success.channel_id),
                Mining::SetCustomMiningJobSuccess(success) => return Ok(success.job_id),
                Mining::SetCustomMiningJobError(error) => {
                    return Err(error.error_code.as_utf8_or_hex());
                }
                _ => {}
            }
        }
    }

    /// A job without transactions that pays the pool everything.
    async fn set(&mut self, template: &Value, token: &[u8], payout: &[u8]) -> Result<u32, String> {
        let number = |key: &str| template[key].as_u64().unwrap();
        let hex = |key: &str| template[key].as_str().unwrap().to_owned();
        let prev_hash: bitcoin::BlockHash = hex("previousblockhash").parse().unwrap();
        let [low, high, ..] = number("height").to_le_bytes();
        let mut outputs = vec![1];
        outputs.extend(number("coinbasevalue").to_le_bytes());
        outputs.push(payout.len() as u8);
        outputs.extend(payout);
        let job = SetCustomMiningJobOwned {
            channel_id: self.channel_id,
            request_id: 2,
            token: token.to_vec().try_into().unwrap(),
            version: 0x2000_0000,
            prev_hash: (*AsRef::<[u8; 32]>::as_ref(&prev_hash)).into(),
            min_ntime: number("curtime") as u32,
            nbits: u32::from_str_radix(&hex("bits"), 16).unwrap(),
            coinbase_tx_version: 2,
            coinbase_prefix: vec![2, low, high].try_into().unwrap(),
            coinbase_tx_input_n_sequence: 0xffff_ffff,
            coinbase_tx_outputs: outputs.try_into().unwrap(),
            coinbase_tx_locktime: 0,
            merkle_path: Vec::new().try_into().unwrap(),
        };
        self.ask(MiningOwned::SetCustomMiningJob(job)).await
    }
}

/// A token for a job that nobody has to be shown, and the script it must pay.
async fn token(jds: &Program) -> (Vec<u8>, Vec<u8>) {
    let upstream = jds.upstream(Protocol::JobDeclarationProtocol);
    let (mut connection, _) = jds.connect(&upstream).await.unwrap();
    let request = AllocateMiningJobTokenOwned {
        user_identifier: text("thief"),
        request_id: 1,
    };
    let request = JobDeclarationOwned::AllocateMiningJobToken(request);
    say(&mut connection, Message::JobDeclaration(request)).await;
    let frame = timeout(LIMIT, connection.receive()).await.unwrap().unwrap();
    match decode(frame) {
        Ok(Received::Message(AnyMessage::JobDeclaration(
            JobDeclaration::AllocateMiningJobTokenSuccess(success),
        ))) => {
            let outputs = success.coinbase_outputs.as_bytes();
            let script = outputs[10..].to_vec();
            (success.mining_job_token.as_bytes().to_vec(), script)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_used_or_forged_is_refused_by_the_pool() {
    // JDS-06, JDS-31, T-19
    const REFUSED: &str = "invalid-mining-job-token";
    let mut farm = Farm::start("solo", 1).await;
    let template = farm.node.block_template().await;
    let upstream = &farm.upstreams[0];
    let (good, payout) = token(&upstream.jds).await;
    let mut pool = Pool::connect(&upstream.pool).await;
    for at in [0, 1, 10, 26, 57] {
        let mut forged = good.clone();
        forged[at] ^= 1;
        let refused = pool.set(&template, &forged, &payout).await.unwrap_err();
        assert_eq!(refused, REFUSED, "byte {at}");
    }
    let self_made = Token {
        scope: Scope::CoinbaseOnly,
        expires: u64::MAX,
        id: [7; 16],
    };
    let script = bitcoin::ScriptBuf::from(payout.clone());
    let commitment = protocol::token::Commitment::payout([script.as_script()]);
    for (secret, is_good) in [("00".repeat(32), false), (SECRET.to_owned(), true)] {
        let secret: Secret = secret.parse().unwrap();
        let bytes = self_made.issue(&secret, &commitment);
        let set = pool.set(&template, &bytes, &payout).await;
        assert_eq!(set.is_ok(), is_good, "{set:?}");
    }
    pool.set(&template, &good, &payout).await.unwrap();
    let again = pool.set(&template, &good, &payout).await.unwrap_err();
    assert_eq!(again, REFUSED, "used before");
    let mut other = Pool::connect(&upstream.pool).await;
    let elsewhere = other.set(&template, &good, &payout).await.unwrap_err();
    assert_eq!(elsewhere, REFUSED, "used before, on another connection");
    // Also at the pool that comes back in place of one that was killed.
    let upstream = &mut farm.upstreams[0];
    upstream.pool.crash();
    upstream.pool.wait_for_health(0);
    let upstream = &farm.upstreams[0];
    let mut other = Pool::connect(&upstream.pool).await;
    let later = other.set(&template, &good, &payout).await.unwrap_err();
    assert_eq!(later, REFUSED, "used before, at the pool before this one");
    let (next, _) = token(&upstream.jds).await;
    other.set(&template, &next, &payout).await.unwrap();
    // Good for the pool's own script only.
    let (fresh, _) = token(&upstream.jds).await;
    let own = other.set(&template, &fresh, &[0x51]).await.unwrap_err();
    assert_eq!(own, "invalid-coinbase-tx-outputs");
}
