use bitcoin::consensus::encode::serialize;
use bitcoin::{Amount, ScriptBuf, TxOut};
use stratum_core::binary_sv2::B016MOwned;
use stratum_core::common_messages_sv2::ReconnectOwned;
use stratum_core::job_declaration_sv2::{
    AllocateMiningJobTokenSuccessOwned, DeclareMiningJobErrorOwned, DeclareMiningJobOwned,
    DeclareMiningJobSuccessOwned, ProvideMissingTransactionsOwned,
};

use super::*;
use crate::message::{CommonMessagesOwned, Message};
use crate::testing::{hear, said};

/// A client, and the server a test plays.
struct Play {
    client: DeclarationClient,
    out: Out,
    now: Now,
    /// Tokens asked for and not given.
    asked: Vec<u32>,
    given: u8,
}

impl Play {
    /// Connected, both tokens given.
    fn stocked() -> Self {
        let mut play = Self::connected();
        play.give();
        play.give();
        assert!(play.asked.is_empty());
        play
    }

    fn connected() -> Self {
        let now = Now {
            instant: Instant::now(),
            unix: 1_800_000_000,
        };
        let mut client = DeclarationClient::new("miner".to_owned());
        let first = client.connected(now);
        let mut play = Self {
            client,
            out: Out::default(),
            now,
            asked: Vec::new(),
            given: 0,
        };
        play.note(said(first));
        play
    }

    /// Notes requests for tokens; returns what else was said.
    fn note(&mut self, said: Vec<Message>) -> Vec<JobDeclarationOwned> {
        let mut others = Vec::new();
        for message in said {
            match message {
                Message::JobDeclaration(JobDeclarationOwned::AllocateMiningJobToken(request)) => {
                    assert_eq!(request.user_identifier.as_utf8_or_hex(), "miner");
                    self.asked.push(request.request_id);
                }
                Message::JobDeclaration(other) => others.push(other),
                other => panic!("{other:?}"),
            }
        }
        others
    }

    fn said(&mut self) -> Vec<JobDeclarationOwned> {
        let frames = std::mem::take(self.out.frames());
        self.note(said(frames))
    }

    fn hear(&mut self, message: JobDeclarationOwned) -> Vec<DeclarationEvent> {
        hear(&mut self.client, self.now, message, &mut self.out);
        self.out.take_events().collect()
    }

    fn tell(&mut self, input: DeclarationInput) -> Vec<DeclarationEvent> {
        self.client.input(self.now, input, &mut self.out);
        self.out.take_events().collect()
    }

    /// Answers the oldest request for a token.
    fn give(&mut self) -> Vec<DeclarationEvent> {
        self.give_for(&payout(1))
    }

    fn give_for(&mut self, payout: &PayoutScripts) -> Vec<DeclarationEvent> {
        let outputs: Vec<TxOut> = payout
            .iter()
            .map(|script| TxOut {
                value: Amount::ZERO,
                script_pubkey: script.clone(),
            })
            .collect();
        self.give_outputs(serialize(&outputs))
    }

    fn give_outputs(&mut self, outputs: Vec<u8>) -> Vec<DeclarationEvent> {
        self.given += 1;
        let request_id = self.asked.remove(0);
        let events = self.hear(token(request_id, self.given, outputs));
        let frames = std::mem::take(self.out.frames());
        let others = self.note(said(frames.clone()));
        for message in others {
            message::encode(message, self.out.frames());
        }
        events
    }

    /// Declares `job` and returns what the server gets.
    fn declare(&mut self, job: u64) -> DeclareMiningJobOwned {
        let events = self.tell(DeclarationInput::Declare(declaration(job)));
        assert!(matches!(events[..], [DeclarationEvent::Sent { job: j }] if j == job));
        match self.said().pop() {
            Some(JobDeclarationOwned::DeclareMiningJob(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    fn pass(&mut self, time: Duration) -> Option<String> {
        self.now.instant += time;
        if self
            .client
            .deadline()
            .is_some_and(|due| due <= self.now.instant)
        {
            self.client.wake(self.now, &mut self.out);
        }
        self.out.take_close()
    }
}

fn payout(n: u8) -> PayoutScripts {
    [ScriptBuf::from_bytes(vec![n; 22])].into()
}

fn token(request_id: u32, number: u8, outputs: Vec<u8>) -> JobDeclarationOwned {
    JobDeclarationOwned::AllocateMiningJobTokenSuccess(AllocateMiningJobTokenSuccessOwned {
        request_id,
        mining_job_token: vec![number; 8].try_into().unwrap(),
        coinbase_outputs: outputs.try_into().unwrap(),
    })
}

fn declaration(job: u64) -> Declaration {
    Declaration {
        job,
        payout: payout(1),
        version: 0x2000_0000,
        coinbase_tx_prefix: vec![0xaa; 60],
        coinbase_tx_suffix: vec![0xbb; 90],
        transactions: Arc::new(TransactionData::garbage(5)),
    }
}

fn missing(request_id: u32, positions: &[u16]) -> JobDeclarationOwned {
    JobDeclarationOwned::ProvideMissingTransactions(ProvideMissingTransactionsOwned {
        request_id,
        unknown_tx_position_list: positions.to_vec().try_into().unwrap(),
    })
}

fn success(request_id: u32) -> JobDeclarationOwned {
    JobDeclarationOwned::DeclareMiningJobSuccess(DeclareMiningJobSuccessOwned {
        request_id,
        new_mining_job_token: vec![0xee; 20].try_into().unwrap(),
    })
}

fn error(request_id: u32, code: &str) -> JobDeclarationOwned {
    JobDeclarationOwned::DeclareMiningJobError(DeclareMiningJobErrorOwned {
        request_id,
        error_code: text(code),
        error_details: b"why".to_vec().try_into().unwrap(),
    })
}

#[test]
fn two_tokens_are_held_ready() {
    let mut play = Play::connected();
    assert_eq!(play.asked.len(), 2);
    let events = play.give();
    assert!(matches!(&events[..], [DeclarationEvent::Payout(p)] if *p == payout(1)));
    assert!(play.give().is_empty(), "the same payout is no news");
    assert!(play.asked.is_empty());
    play.declare(1);
    assert_eq!(play.asked.len(), 1);
}

#[test]
fn a_job_is_declared_with_all_that_is_in_the_block() {
    // JDC-06, 09, 34
    let mut play = Play::stocked();
    let first = play.declare(1);
    let data = TransactionData::garbage(5);
    let wtxids: Vec<[u8; 32]> = first.wtxid_list.iter().map(|id| *id.as_array()).collect();
    assert_eq!(wtxids, data.wtxids());
    assert_eq!(first.excess_data.as_bytes(), data.excess_data);
    assert_eq!(first.coinbase_tx_prefix.as_bytes(), [0xaa; 60]);
    assert_eq!(first.coinbase_tx_suffix.as_bytes(), [0xbb; 90]);
    assert_eq!(first.version, 0x2000_0000);
    let second = play.declare(2);
    assert_eq!(first.mining_job_token.as_bytes(), [1; 8]);
    assert_eq!(second.mining_job_token.as_bytes(), [2; 8]);
    assert_ne!(first.request_id, second.request_id);
}

#[test]
fn what_is_written_by_hand_has_the_codecs_bytes() {
    let mut play = Play::stocked();
    play.tell(DeclarationInput::Declare(declaration(1)));
    let frames = std::mem::take(play.out.frames());
    let mut encoded = Vec::new();
    for message in said(frames.clone()) {
        message::encode(message, &mut encoded);
    }
    assert_eq!(frames, encoded);
    // FRAME-06: no message of this protocol is a channel message.
    assert_eq!(frames[..3], [0, 0, 0x57]);
}

#[test]
fn missing_transactions_are_provided_in_the_order_asked_for() {
    // JDC-12
    let mut play = Play::stocked();
    let request_id = play.declare(7).request_id;
    let events = play.hear(missing(request_id, &[3, 0]));
    assert!(matches!(
        events[..],
        [DeclarationEvent::Provided {
            job: 7,
            transactions: 2
        }]
    ));
    let frames = std::mem::take(play.out.frames());
    let mut encoded = Vec::new();
    for message in said(frames.clone()) {
        message::encode(message, &mut encoded);
    }
    assert_eq!(frames, encoded);
    match &said(frames)[..] {
        [
            Message::JobDeclaration(JobDeclarationOwned::ProvideMissingTransactionsSuccess(answer)),
        ] => {
            assert_eq!(answer.request_id, request_id);
            let list: Vec<&[u8]> = answer
                .transaction_list
                .iter()
                .map(B016MOwned::as_bytes)
                .collect();
            assert_eq!(list, [&[3, 3, 3, 3][..], &[0][..]]);
        }
        other => panic!("{other:?}"),
    }
    // A second round is answered too (T-22).
    assert_eq!(play.hear(missing(request_id, &[1])).len(), 1);
}

#[test]
fn nothing_is_provided_for_what_was_not_declared() {
    // JDC-13, T-50
    let mut play = Play::stocked();
    let request_id = play.declare(7).request_id;
    play.tell(DeclarationInput::Take {
        job: 8,
        payout: payout(1),
    });
    play.said();
    for (request_id, positions) in [
        (request_id + 1, [0]),
        (request_id + 9, [0]),
        (request_id, [5]),
    ] {
        let events = play.hear(missing(request_id, &positions));
        assert!(
            matches!(events[..], [DeclarationEvent::Ignored(_)]),
            "{events:?}"
        );
        assert!(play.said().is_empty());
    }
    play.hear(success(request_id));
    let events = play.hear(missing(request_id, &[0]));
    assert!(matches!(events[..], [DeclarationEvent::Ignored(_)]));
    assert!(play.said().is_empty());
}

#[test]
fn answers_are_told_apart_by_request() {
    // JDC-14, JDS-17, CONN-20
    let mut play = Play::stocked();
    let (first, second) = (play.declare(1).request_id, play.declare(2).request_id);
    let events = play.hear(success(second));
    assert!(matches!(
        &events[..],
        [DeclarationEvent::Declared { job: 2, token }] if token[..] == [0xee; 20]
    ));
    let events = play.hear(error(first, "zzz-unknown"));
    assert!(matches!(
        &events[..],
        [DeclarationEvent::Refused { job: 1, code, details }]
            if code == "zzz-unknown" && details == "why"
    ));
    for again in [success(second), error(first, "zzz"), success(99)] {
        let events = play.hear(again);
        assert!(matches!(events[..], [DeclarationEvent::Ignored(_)]));
    }
}

#[test]
fn a_job_waits_for_a_token_when_there_is_none() {
    let mut play = Play::connected();
    assert!(
        play.tell(DeclarationInput::Declare(declaration(1)))
            .is_empty()
    );
    assert!(play.said().is_empty());
    let events = play.give();
    assert!(matches!(
        events[..],
        [
            DeclarationEvent::Payout(_),
            DeclarationEvent::Sent { job: 1 }
        ]
    ));
    assert_eq!(play.said().len(), 1);
}

#[test]
fn a_token_can_be_taken_without_a_declaration() {
    // JDC-13, 14: coinbase-only
    let mut play = Play::stocked();
    let events = play.tell(DeclarationInput::Take {
        job: 4,
        payout: payout(1),
    });
    assert!(matches!(
        &events[..],
        [DeclarationEvent::Taken { job: 4, token }] if token[..] == [1; 8]
    ));
    assert!(play.said().is_empty(), "nothing but a request for a token");
    assert_eq!(play.asked.len(), 1);
}

#[test]
fn a_new_payout_makes_tokens_and_jobs_for_the_old_one_worthless() {
    let mut play = Play::stocked();
    play.declare(1);
    let events = play.give_for(&payout(2));
    assert!(matches!(&events[..], [DeclarationEvent::Payout(p)] if *p == payout(2)));
    assert_eq!(play.asked.len(), 1, "the old token is replaced");
    // Built before its sender heard of it: dropped without a word.
    assert!(
        play.tell(DeclarationInput::Declare(declaration(2)))
            .is_empty()
    );
    assert!(play.said().is_empty());
    let declaration = Declaration {
        payout: payout(2),
        ..declaration(3)
    };
    let events = play.tell(DeclarationInput::Declare(declaration));
    assert!(matches!(events[..], [DeclarationEvent::Sent { job: 3 }]));
}

#[test]
fn a_server_that_never_makes_up_its_mind_is_left() {
    let mut play = Play::stocked();
    for change in 0..MAX_PAYOUTS {
        assert!(play.out.take_close().is_none(), "{change}");
        play.tell(DeclarationInput::Take {
            job: 1,
            payout: payout(1 + (change % 2) as u8),
        });
        play.said();
        play.give_for(&payout(1 + ((change + 1) % 2) as u8));
    }
    assert!(play.out.take_close().is_some());
}

#[test]
fn outputs_that_pay_nobody_end_the_connection() {
    for outputs in [vec![], vec![0], vec![1, 2, 3]] {
        let mut play = Play::connected();
        play.give_outputs(outputs);
        assert!(play.out.take_close().is_some());
    }
}

#[test]
fn a_server_that_gives_no_token_is_left() {
    // JDC-26
    let mut play = Play::connected();
    play.give();
    let almost = TOKEN_PATIENCE - Duration::from_millis(1);
    assert_eq!(play.pass(almost), None);
    let reason = play.pass(Duration::from_millis(1)).unwrap();
    assert!(reason.contains("no token"), "{reason}");
}

#[test]
fn a_server_that_says_nothing_of_a_job_is_left() {
    // JDC-27
    let mut play = Play::stocked();
    let request_id = play.declare(1).request_id;
    play.give();
    let almost = DECLARATION_PATIENCE - Duration::from_millis(1);
    assert_eq!(play.pass(almost), None);
    // A question is a sign of life.
    play.hear(missing(request_id, &[0]));
    assert_eq!(play.pass(almost), None);
    assert!(play.pass(Duration::from_millis(1)).is_some());
}

#[test]
fn what_the_server_cannot_look_at_yet_waits() {
    let mut play = Play::stocked();
    let mut request_ids = Vec::new();
    for job in 0..MAX_OPEN as u64 {
        request_ids.push(play.declare(job).request_id);
        play.give();
    }
    let events = play.tell(DeclarationInput::Declare(declaration(9)));
    assert!(events.is_empty() && play.said().is_empty());
    while !play.asked.is_empty() {
        assert!(play.give().is_empty(), "a token does not help");
    }
    let refused = JobDeclarationOwned::DeclareMiningJobError(DeclareMiningJobErrorOwned {
        request_id: request_ids[2],
        error_code: message::text("zzz"),
        error_details: Vec::new().try_into().unwrap(),
    });
    let events = play.hear(refused);
    assert!(
        matches!(
            events[..],
            [
                DeclarationEvent::Refused { job: 2, .. },
                DeclarationEvent::Sent { job: 9 }
            ]
        ),
        "{events:?}"
    );
}

#[test]
fn a_token_that_was_held_long_is_replaced() {
    let mut play = Play::stocked();
    assert_eq!(play.pass(Duration::from_secs(119)), None);
    assert!(play.said().is_empty() && play.asked.is_empty());
    assert_eq!(play.pass(Duration::from_secs(1)), None);
    assert!(play.said().is_empty());
    assert_eq!(play.asked.len(), 2);
    play.give();
    let declared = play.declare(1);
    assert_eq!(declared.mining_job_token.as_bytes(), [3; 8]);
}

#[test]
fn a_solution_is_passed_on_whole() {
    // JDC-21
    let mut play = Play::stocked();
    play.tell(DeclarationInput::PushSolution(PushedSolution {
        extranonce: vec![5; 22],
        prev_hash: [6; 32],
        nonce: 7,
        ntime: 8,
        n_bits: 9,
        version: 10,
    }));
    match &play.said()[..] {
        [JobDeclarationOwned::PushSolution(pushed)] => {
            assert_eq!(pushed.extranonce.as_bytes(), [5; 22]);
            assert_eq!(*pushed.prev_hash.as_array(), [6; 32]);
            let fields = (pushed.nonce, pushed.ntime, pushed.nbits, pushed.version);
            assert_eq!(fields, (7, 8, 9, 10));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_makes_no_sense_is_ignored() {
    // T-50
    let mut play = Play::stocked();
    let unasked = token(999, 9, vec![0]);
    let wrong_way = JobDeclarationOwned::DeclareMiningJob(play.declare(1));
    for message in [unasked, wrong_way] {
        let events = play.hear(message);
        assert!(matches!(events[..], [DeclarationEvent::Ignored(_)]));
        assert!(!play.out.is_closing());
    }
}

#[test]
fn a_server_may_ask_to_reconnect() {
    // CONN-15
    let mut play = Play::stocked();
    let message = CommonMessagesOwned::Reconnect(ReconnectOwned {
        new_host: text("other"),
        new_port: 1,
    });
    hear(&mut play.client, play.now, message, &mut play.out);
    let events: Vec<DeclarationEvent> = play.out.take_events().collect();
    assert!(matches!(
        &events[..],
        [DeclarationEvent::Reconnect { host, port: 1 }] if host == "other"
    ));
    assert!(play.out.is_closing());
}
