//! What a declared job is worth at a pool, asked of the pool's own rules.

use bitcoin::hex::FromHex;
use protocol::coinbase::{CoinbasePlan, merkle_path};
use protocol::message::mining::{OpenExtendedMiningChannelOwned, SetCustomMiningJobOwned};
use protocol::message::template::NewTemplate;
use protocol::message::{Mining, MiningOwned};
use protocol::server::{self, ExtranonceSpace, MiningServer, ServerEvent, ServerInput};
use protocol::setup::REQUIRES_WORK_SELECTION;
use protocol::target::Target;
use protocol::work::{PrevHash, Template, Work};

use super::*;

/// A pool on the same tip with the same secret, and one channel of a client that selects its work.
struct Pool {
    server: MiningServer,
    channel_id: u32,
    now: Now,
}

impl Pool {
    fn new() -> Self {
        Self::known_as("alice")
    }

    fn known_as(user: &str) -> Self {
        let policy = server::Policy {
            job_declaration: Some(secret()),
            network: Some(Network::Regtest),
            vardiff: false,
            ..server::Policy::default()
        };
        let space = ExtranonceSpace::new(&[1, 2], 4).unwrap();
        let mut pool = Self {
            server: MiningServer::new(Arc::new(policy), REQUIRES_WORK_SELECTION, space, work()),
            channel_id: 0,
            now: Now {
                instant: Instant::now(),
                unix: NOW,
            },
        };
        let open = OpenExtendedMiningChannelOwned {
            request_id: 1,
            user_identity: text(user),
            nominal_hash_rate: 1.0,
            max_target: [0xff; 32].into(),
            min_extranonce_size: 4,
        };
        let answer = pool.send(MiningOwned::OpenExtendedMiningChannel(open));
        pool.channel_id = answer.channel_id.expect("the channel is open");
        pool
    }

    fn send(&mut self, message: MiningOwned) -> Answer {
        let mut bytes = Vec::new();
        encode(Message::Mining(message), &mut bytes);
        let (header, payload) = bytes.split_first_chunk_mut::<HEADER_LEN>().unwrap();
        let header = FrameHeader::from_bytes(*header);
        let mut out = Outbox::default();
        self.server
            .received(self.now, Frame { header, payload }, &mut out);
        let shown = out.take_events().find_map(|event| match event {
            ServerEvent::TokenShown { id, .. } => Some(id),
            _ => None,
        });
        if let Some(id) = shown {
            let input = ServerInput::TokenSpent { id, is_first: true };
            self.server.input(self.now, input, &mut out);
        }
        Answer::read(out.frames())
    }

    /// Shows the pool the job of [`job`] with these transactions.
    fn set(&mut self, token: Vec<u8>, transactions: &[Arc<Transaction>]) -> Answer {
        self.set_paying(&[output(50, payout().as_bytes())], token, transactions)
    }

    fn set_paying(
        &mut self,
        outputs: &[Vec<u8>],
        token: Vec<u8>,
        transactions: &[Arc<Transaction>],
    ) -> Answer {
        let path = merkle_path(transactions.iter().map(|known| known.txid()));
        let path: Vec<_> = path.iter().map(Into::into).collect();
        let outputs = [vec![outputs.len() as u8], outputs.concat()].concat();
        self.send(MiningOwned::SetCustomMiningJob(SetCustomMiningJobOwned {
            channel_id: self.channel_id,
            request_id: 9,
            token: token.try_into().unwrap(),
            version: VERSION,
            prev_hash: [1; 32].into(),
            min_ntime: NOW as u32,
            nbits: REGTEST_BITS,
            coinbase_tx_version: 2,
            coinbase_prefix: vec![1, NEXT as u8, b'h', b'i'].try_into().unwrap(),
            coinbase_tx_input_n_sequence: 0xffff_fffe,
            coinbase_tx_outputs: outputs.try_into().unwrap(),
            coinbase_tx_locktime: NEXT - 1,
            merkle_path: path.try_into().unwrap(),
        }))
    }
}

/// What a pool says, as far as it matters here.
#[derive(Debug, Default)]
struct Answer {
    channel_id: Option<u32>,
    job_id: Option<u32>,
    error: Option<String>,
}

impl Answer {
    fn read(frames: &mut [u8]) -> Self {
        let mut answer = Self::default();
        let mut rest = frames;
        while let Some((header, tail)) = rest.split_first_chunk_mut::<HEADER_LEN>() {
            let header = FrameHeader::from_bytes(*header);
            let (payload, tail) = tail.split_at_mut(header.len);
            match decode(Frame { header, payload }) {
                Ok(Received::Message(AnyMessage::Mining(message))) => match message {
                    Mining::OpenExtendedMiningChannelSuccess(success) => {
                        answer.channel_id = Some(success.channel_id);
                    }
                    Mining::SetCustomMiningJobSuccess(success) => {
                        answer.job_id = Some(success.job_id);
                    }
                    Mining::SetCustomMiningJobError(error) => {
                        answer.error = Some(error.error_code.as_utf8_or_hex());
                    }
                    _ => {}
                },
                other => panic!("{other:?}"),
            }
            rest = tail;
        }
        answer
    }
}

fn work() -> Work {
    let plan = CoinbasePlan {
        reward_script: payout(),
        signature: Vec::new(),
        extranonce_len: usize::from(EXTRANONCE_LEN),
    };
    let prefix = [1, NEXT as u8];
    let template = NewTemplate {
        template_id: 1,
        future_template: true,
        version: VERSION,
        coinbase_tx_version: 2,
        coinbase_prefix: prefix[..].try_into().unwrap(),
        coinbase_tx_input_sequence: u32::MAX,
        coinbase_tx_value_remaining: 50,
        coinbase_tx_outputs_count: 0,
        coinbase_tx_outputs: [][..].try_into().unwrap(),
        coinbase_tx_locktime: 0,
        merkle_path: Vec::new().try_into().unwrap(),
    };
    Work {
        prev_hash: Arc::new(PrevHash {
            prev_hash: [1; 32],
            header_timestamp: NOW as u32,
            n_bits: REGTEST_BITS,
            target: Target::from_compact(REGTEST_BITS),
        }),
        template: Arc::new(Template::new(0, &template, &Arc::new(plan))),
        futures: Vec::new(),
        past: Arc::new([]),
    }
}

#[test]
fn the_pool_takes_a_declared_job_with_its_token_and_no_other_job() {
    // JDS-31, JDC-14
    let transactions = numbered(0..3);
    let token = Client::full_template().declared(5, &transactions);
    let mut pool = Pool::new();
    let other = pool.set(token.clone(), &transactions[..2]);
    assert_eq!(other.error.as_deref(), Some("invalid-mining-job-token"));
    let taken = pool.set(token, &transactions);
    assert!(taken.job_id.is_some(), "{taken:?}");
}

#[test]
fn the_pool_takes_an_undeclared_job_with_a_token_of_coinbase_only_mode_alone() {
    // SV2 6.3.1, JDC-14
    let mut pool = Pool::new();
    let full_template = Client::full_template().token();
    let refused = pool.set(full_template, &[]);
    assert_eq!(refused.error.as_deref(), Some("invalid-mining-job-token"));
    let taken = pool.set(Client::coinbase_only().token(), &[]);
    assert!(taken.job_id.is_some(), "{taken:?}");
}

#[test]
fn what_is_declared_the_pool_takes_and_what_it_would_not_take_is_not_declared() {
    // JDS-19, JDS-31, T-18
    const MINER: &str = "sri/donate/20/bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let mut miner = vec![0, 20];
    miner.extend(<[u8; 20]>::from_hex("751e76e8199196d454941c45d1b3a323f1433bd6").unwrap());
    let (pool, own) = (payout(), vec![0x51]);
    for (user, outputs, is_fine) in [
        ("alice", vec![(50, pool.to_bytes())], true),
        ("alice", vec![(0, own.clone()), (50, pool.to_bytes())], true),
        (
            "alice",
            vec![(20, pool.to_bytes()), (30, pool.to_bytes())],
            true,
        ),
        (
            "alice",
            vec![(1, own.clone()), (49, pool.to_bytes())],
            false,
        ),
        ("alice", vec![(50, own.clone())], false),
        ("alice", vec![(0, pool.to_bytes())], false),
        (
            MINER,
            vec![(10, pool.to_bytes()), (40, miner.clone())],
            true,
        ),
        (MINER, vec![(50, pool.to_bytes())], true),
        (
            MINER,
            vec![(9, pool.to_bytes()), (41, miner.clone())],
            false,
        ),
        (MINER, vec![(50, miner.clone())], false),
        ("alice", vec![(10, pool.to_bytes()), (40, miner)], false),
    ] {
        let outputs: Vec<Vec<u8>> = outputs
            .iter()
            .map(|(sats, script)| output(*sats, script))
            .collect();
        let mut client = Client::full_template();
        client.user = user;
        let mut declaration = job(5, &[]);
        let (_, suffix) = coinbase(NEXT, &outputs);
        declaration.coinbase_tx_suffix = suffix.try_into().unwrap();
        let step = client.declare(declaration);
        let mut is_declared = false;
        // The pool is asked in any case, with a token that is good for every job that it pays.
        let mut token = Client::coinbase_only().token();
        if step.sent.is_empty() {
            let judged = client.judge(&step, Judgement::Valid);
            let [Sent::Declared { token: given, .. }] = &judged.sent[..] else {
                panic!("{judged:?}");
            };
            (is_declared, token) = (true, given.clone());
        }
        let answer = Pool::known_as(user).set_paying(&outputs, token, &[]);
        assert_eq!(is_declared, is_fine, "{user} {step:?}");
        assert_eq!(answer.job_id.is_some(), is_fine, "{user} {answer:?}");
        let code = (!is_fine).then_some("invalid-coinbase-tx-outputs");
        assert_eq!(answer.error.as_deref(), code, "{user}");
    }
}
