//! One table per rule of SV2 chapter 6. A client is stepped by messages and by what the node says;
//! what it is sent and what is asked of the role is compared.

mod declaration;
mod frame;
mod missing;
mod pool;
mod solution;
mod tip;
mod token;

use bitcoin::CompactTarget;
use bitcoin::Target;
use protocol::frame::{FrameHeader, HEADER_LEN};
use protocol::message::declaration::{
    AllocateMiningJobTokenOwned, DeclareMiningJobOwned, ProvideMissingTransactionsSuccessOwned,
    PushSolutionOwned,
};
use protocol::message::{JobDeclarationOwned, Message, encode, text};
use rand::SeedableRng;

use super::*;
use crate::testing::transaction;

const NOW: u64 = 1_800_000_000;
const REGTEST_BITS: u32 = 0x207f_ffff;
const VERSION: u32 = 0x2000_0000;
const EXTRANONCE_LEN: u8 = 8;
/// The height that jobs are for unless a test says otherwise.
const NEXT: u32 = 102;
const MISSING_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(300);
const LIFETIME: Duration = Duration::from_secs(3600);

fn payout() -> ScriptBuf {
    let mut script = vec![0, 20];
    script.extend([0x11; 20]);
    ScriptBuf::from(script)
}

fn secret() -> Secret {
    Secret::new(&[7; 32])
}

fn policy() -> Policy {
    Policy {
        secret: secret(),
        payout: payout(),
        network: Network::Regtest,
        token_lifetime: LIFETIME,
        tokens_per_minute: 120,
        max_declarations: 4,
        missing_timeout: MISSING_TIMEOUT,
        idle: IDLE,
    }
}

/// The block below `height`, named by one byte.
fn tip(name: u8, height: u32) -> NodeView {
    NodeView::At(Tip {
        hash: [name; 32],
        height: height - 1,
        n_bits: REGTEST_BITS,
        median_time: 1_700_000_000,
    })
}

fn away() -> NodeView {
    NodeView::Away {
        reason: "cannot reach the node".to_owned(),
    }
}

/// One output of `sats` to `script`.
fn output(sats: u64, script: &[u8]) -> Vec<u8> {
    let mut bytes = sats.to_le_bytes().to_vec();
    bytes.push(script.len() as u8);
    bytes.extend_from_slice(script);
    bytes
}

/// The parts of a coinbase with witness for `height`, below 128, with these outputs.
fn coinbase(height: u32, outputs: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
    let mut prefix = vec![2, 0, 0, 0, 0, 1, 1];
    prefix.extend([0; 32]);
    prefix.extend([0xff; 4]);
    prefix.push(4 + EXTRANONCE_LEN);
    prefix.extend([1, height as u8, b'h', b'i']);
    let mut suffix = vec![0xfe, 0xff, 0xff, 0xff, outputs.len() as u8];
    suffix.extend(outputs.concat());
    suffix.extend([1, 32]);
    suffix.extend([0; 32]);
    suffix.extend((height - 1).to_le_bytes());
    (prefix, suffix)
}

/// A declaration of `transactions` at [`NEXT`], which pays the pool.
fn job(request_id: u32, transactions: &[Arc<Transaction>]) -> DeclareMiningJobOwned {
    let (prefix, suffix) = coinbase(NEXT, &[output(50, payout().as_bytes())]);
    let wtxids: Vec<_> = transactions
        .iter()
        .map(|known| known.wtxid().into())
        .collect();
    DeclareMiningJobOwned {
        request_id,
        mining_job_token: Vec::new().try_into().unwrap(),
        version: VERSION,
        coinbase_tx_prefix: prefix.try_into().unwrap(),
        coinbase_tx_suffix: suffix.try_into().unwrap(),
        wtxid_list: wtxids.try_into().unwrap(),
        excess_data: Vec::new().try_into().unwrap(),
    }
}

fn numbered(numbers: impl IntoIterator<Item = u32>) -> Vec<Arc<Transaction>> {
    numbers.into_iter().map(transaction).collect()
}

/// A connection, its clock, and what came out of it.
struct Client {
    server: DeclarationServer,
    /// Who it says it is.
    user: &'static str,
    now: Now,
    out: Out,
}

impl Client {
    fn with(policy: Policy, flags: u32, node: NodeView) -> Self {
        let now = Now {
            instant: Instant::now(),
            unix: NOW,
        };
        let ids = StdRng::seed_from_u64(1);
        Self {
            server: DeclarationServer::new(Arc::new(policy), flags, node, ids, now),
            user: "alice",
            now,
            out: Outbox::default(),
        }
    }

    fn full_template() -> Self {
        Self::with(policy(), DECLARE_TX_DATA, tip(1, NEXT))
    }

    fn coinbase_only() -> Self {
        Self::with(policy(), 0, tip(1, NEXT))
    }

    #[track_caller]
    fn send(&mut self, message: JobDeclarationOwned) -> Step {
        let mut bytes = Vec::new();
        encode(Message::JobDeclaration(message), &mut bytes);
        let (header, payload) = bytes.split_first_chunk_mut::<HEADER_LEN>().unwrap();
        self.send_frame(FrameHeader::from_bytes(*header), payload)
    }

    fn send_frame(&mut self, header: FrameHeader, payload: &mut [u8]) -> Step {
        self.server
            .received(self.now, Frame { header, payload }, &mut self.out);
        self.step()
    }

    fn ask(&mut self, request_id: u32) -> Step {
        self.send(JobDeclarationOwned::AllocateMiningJobToken(
            AllocateMiningJobTokenOwned {
                user_identifier: text(self.user),
                request_id,
            },
        ))
    }

    /// A token of this connection.
    #[track_caller]
    fn token(&mut self) -> Vec<u8> {
        match &self.ask(9_999).sent[..] {
            [Sent::Token { token, .. }] => token.clone(),
            other => panic!("no token: {other:?}"),
        }
    }

    /// Declares with a fresh token.
    #[track_caller]
    fn declare(&mut self, mut job: DeclareMiningJobOwned) -> Step {
        job.mining_job_token = self.token().try_into().unwrap();
        self.send(JobDeclarationOwned::DeclareMiningJob(job))
    }

    /// The node's mempool holds `known`, and nothing else, when the lookup of `step` arrives.
    #[track_caller]
    fn look_up(&mut self, step: &Step, known: &[Arc<Transaction>]) -> Step {
        let (number, wtxids) = step.lookup();
        let find = |wtxid| known.iter().find(|known| known.wtxid() == wtxid).cloned();
        let transactions = wtxids.iter().map(|wtxid| find(*wtxid)).collect();
        self.input(Input::Found {
            number,
            transactions,
        })
    }

    #[track_caller]
    fn judge(&mut self, step: &Step, judgement: Judgement) -> Step {
        let number = step.proposal().0;
        self.input(Input::Judged { number, judgement })
    }

    /// What the node has where the job was to be; `None` when it does not say.
    #[track_caller]
    fn mined(&mut self, step: &Step, block: Option<bitcoin::Block>) -> Step {
        let [.., Event::Overtaken { number, .. }] = step.events[..] else {
            panic!("no block is asked for: {step:?}");
        };
        let block = block.map(Arc::new);
        self.input(Input::Mined { number, block })
    }

    /// Declares `transactions`, all of them known and valid, and returns the new token.
    #[track_caller]
    fn declared(&mut self, request_id: u32, transactions: &[Arc<Transaction>]) -> Vec<u8> {
        let mut step = self.declare(job(request_id, transactions));
        if !transactions.is_empty() {
            step = self.look_up(&step, transactions);
        }
        match &self.judge(&step, Judgement::Valid).sent[..] {
            [Sent::Declared { token, .. }] => token.clone(),
            other => panic!("not declared: {other:?}"),
        }
    }

    fn provide(&mut self, request_id: u32, transactions: &[Vec<u8>]) -> Step {
        let list = transactions
            .iter()
            .map(|bytes| bytes.clone().try_into().unwrap());
        self.send(JobDeclarationOwned::ProvideMissingTransactionsSuccess(
            ProvideMissingTransactionsSuccessOwned {
                request_id,
                transaction_list: list.collect::<Vec<_>>().try_into().unwrap(),
            },
        ))
    }

    fn push(&mut self, solution: PushSolutionOwned) -> Step {
        self.send(JobDeclarationOwned::PushSolution(solution))
    }

    fn input(&mut self, input: Input) -> Step {
        self.server.input(self.now, input, &mut self.out);
        self.step()
    }

    fn node(&mut self, node: NodeView) -> Step {
        self.input(Input::Node(node))
    }

    fn pass(&mut self, time: Duration) -> Step {
        self.now.instant += time;
        self.now.unix += time.as_secs();
        let is_due = |due| due <= self.now.instant;
        if self.server.deadline().is_some_and(is_due) {
            self.server.wake(self.now, &mut self.out);
        }
        self.step()
    }

    fn step(&mut self) -> Step {
        let mut rest = std::mem::take(self.out.frames());
        let mut rest = rest.as_mut_slice();
        let mut sent = Vec::new();
        while let Some((header, tail)) = rest.split_first_chunk_mut::<HEADER_LEN>() {
            let header = FrameHeader::from_bytes(*header);
            let (payload, tail) = tail.split_at_mut(header.len);
            sent.push(Sent::read(Frame { header, payload }));
            rest = tail;
        }
        Step {
            sent,
            events: self.out.take_events().collect(),
            closed: self.out.take_close(),
        }
    }
}

/// What one step brought.
#[derive(Debug)]
struct Step {
    sent: Vec<Sent>,
    events: Vec<Event>,
    closed: Option<String>,
}

impl Step {
    #[track_caller]
    fn lookup(&self) -> (u64, &[[u8; 32]]) {
        match &self.events[..] {
            [.., Event::Lookup { number, wtxids }] => (*number, wtxids),
            other => panic!("nothing is looked up: {other:?} {:?}", self.sent),
        }
    }

    #[track_caller]
    fn proposal(&self) -> (u64, &Block) {
        match &self.events[..] {
            [.., Event::Propose { number, block }] => (*number, block),
            other => panic!("nothing is proposed: {other:?} {:?}", self.sent),
        }
    }

    /// The one answer is a refusal with this code, and its details hold this text.
    #[track_caller]
    fn is_refused(&self, request_id: u32, code: &str, details: &str) {
        let [
            Sent::Refused {
                request_id: id,
                code: found,
                details: text,
            },
        ] = &self.sent[..]
        else {
            panic!("not refused: {:?}", self.sent);
        };
        assert_eq!((*id, found.as_str()), (request_id, code), "{text}");
        assert!(text.contains(details), "{text}");
        let report = self.report();
        let refusal = report.refusal.as_ref().unwrap();
        assert_eq!((report.request_id, refusal.code), (request_id, code));
    }

    #[track_caller]
    fn report(&self) -> &Report {
        let report = self.events.iter().find_map(|event| match event {
            Event::Decided(report) => Some(report),
            _ => None,
        });
        report.expect("a declaration was answered")
    }

    fn is_quiet(&self) -> bool {
        self.sent.is_empty() && self.closed.is_none()
    }
}

/// What the client reads.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sent {
    Token {
        request_id: u32,
        token: Vec<u8>,
        outputs: Vec<u8>,
    },
    Missing {
        request_id: u32,
        positions: Vec<u16>,
    },
    Declared {
        request_id: u32,
        token: Vec<u8>,
    },
    Refused {
        request_id: u32,
        code: String,
        details: String,
    },
}

impl Sent {
    fn read(frame: Frame<'_>) -> Self {
        // JDS-29, FRAME-06
        assert!(!frame.header.channel_msg);
        let Ok(Received::Message(AnyMessage::JobDeclaration(message))) = decode(frame) else {
            panic!("the server sent something that is not of its protocol");
        };
        match message {
            JobDeclaration::AllocateMiningJobTokenSuccess(given) => Self::Token {
                request_id: given.request_id,
                token: given.mining_job_token.as_bytes().to_vec(),
                outputs: given.coinbase_outputs.as_bytes().to_vec(),
            },
            JobDeclaration::ProvideMissingTransactions(missing) => Self::Missing {
                request_id: missing.request_id,
                positions: missing.unknown_tx_position_list.as_slice().to_vec(),
            },
            JobDeclaration::DeclareMiningJobSuccess(declared) => Self::Declared {
                request_id: declared.request_id,
                token: declared.new_mining_job_token.as_bytes().to_vec(),
            },
            JobDeclaration::DeclareMiningJobError(error) => Self::Refused {
                request_id: error.request_id,
                code: error.error_code.as_utf8_or_hex(),
                details: String::from_utf8(error.error_details.as_bytes().to_vec()).unwrap(),
            },
            other => panic!("a server does not send {other}"),
        }
    }
}

fn regtest_target() -> Target {
    Target::from_compact(CompactTarget::from_consensus(REGTEST_BITS))
}
