//! A job declarator client's core for its job declarator server.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::consensus::serialize;
use bitcoin::{Amount, ScriptBuf, TxOut};
use protocol::declaration::client::{
    Declaration, DeclarationClient, DeclarationEvent, DeclarationInput, PayoutScripts,
    PushedSolution,
};
use protocol::message::declaration::{
    AllocateMiningJobTokenSuccessOwned, DeclareMiningJobErrorOwned, DeclareMiningJobSuccessOwned,
    ProvideMissingTransactionsOwned,
};
use protocol::message::{JobDeclarationOwned, Message, text};
use protocol::transactions::TransactionData;

use crate::script::{Line, Script, frame, number, world};
use crate::stage::{Stage, beginning};

// What happens around it.
const TIME: u8 = 0;
const DECLARE: u8 = 1;
const TAKE: u8 = 2;
const PUSH: u8 = 3;

/// A script.
pub(crate) fn run(bytes: &[u8]) {
    play(bytes, |_| {});
}

fn play(bytes: &[u8], mut on_event: impl FnMut(&DeclarationEvent)) {
    let now = beginning();
    let mut client = DeclarationClient::new("miner".to_owned());
    client.connected(now);
    let mut stage = Stage::new(client, now);
    let mut payout: PayoutScripts = Arc::from([]);
    let mut declared = 0;
    for line in Script(bytes) {
        let step = match line {
            Line::Frame(header, payload) => stage.hear(header, payload),
            Line::World(TIME, payload) => {
                stage.pass(Duration::from_millis(number(&payload) % 200_000))
            }
            Line::World(DECLARE, suffix) => {
                stage.tell(DeclarationInput::Declare(declaration(&payout, suffix)))
            }
            Line::World(TAKE, _) => stage.tell(DeclarationInput::Take {
                job: 2,
                payout: Arc::clone(&payout),
            }),
            Line::World(PUSH, extranonce) => {
                stage.tell(DeclarationInput::PushSolution(PushedSolution {
                    extranonce,
                    prev_hash: [1; 32],
                    nonce: 2,
                    ntime: 3,
                    n_bits: 4,
                    version: 5,
                }))
            }
            Line::World(..) => continue,
        };
        for said in &step.said {
            assert!(is_a_client_s(said), "a client does not say {said}");
        }
        for event in step.events {
            on_event(&event);
            match event {
                DeclarationEvent::Payout(scripts) => payout = scripts,
                DeclarationEvent::Sent { .. } => declared += 1,
                DeclarationEvent::Declared { .. } | DeclarationEvent::Refused { .. } => {
                    assert!(declared > 0, "an answer to nothing");
                    declared -= 1;
                }
                _ => {}
            }
        }
        if step.is_closed {
            return;
        }
    }
}

fn is_a_client_s(message: &Message) -> bool {
    use JobDeclarationOwned as Of;
    let Message::JobDeclaration(message) = message else {
        return false;
    };
    matches!(
        message,
        Of::AllocateMiningJobToken(_)
            | Of::DeclareMiningJob(_)
            | Of::ProvideMissingTransactionsSuccess(_)
            | Of::PushSolution(_)
    )
}

fn declaration(payout: &PayoutScripts, coinbase_tx_suffix: Vec<u8>) -> Declaration {
    Declaration {
        job: 1,
        payout: Arc::clone(payout),
        version: 0x2000_0000,
        coinbase_tx_prefix: vec![2; 60],
        coinbase_tx_suffix,
        transactions: Arc::new(TransactionData::default()),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let token = |request_id, script: u8| {
        let output = TxOut {
            value: Amount::ZERO,
            script_pubkey: ScriptBuf::from_bytes(vec![0, 1, script]),
        };
        let success = AllocateMiningJobTokenSuccessOwned {
            request_id,
            mining_job_token: vec![7; 58].try_into().expect("58 bytes fit"),
            coinbase_outputs: serialize(&vec![output])
                .try_into()
                .expect("one output fits"),
        };
        frame(JobDeclarationOwned::AllocateMiningJobTokenSuccess(success))
    };
    let tokens = [token(1, 1), token(2, 1)].concat();
    let declared = |request_id| {
        let success = DeclareMiningJobSuccessOwned {
            request_id,
            new_mining_job_token: vec![8; 58].try_into().expect("58 bytes fit"),
        };
        frame(JobDeclarationOwned::DeclareMiningJobSuccess(success))
    };
    let refused = |request_id| {
        let error = DeclareMiningJobErrorOwned {
            request_id,
            error_code: text("invalid-job-param-value-version"),
            error_details: vec![9; 3].try_into().expect("3 bytes fit"),
        };
        frame(JobDeclarationOwned::DeclareMiningJobError(error))
    };
    let missing = |request_id, positions: Vec<u16>| {
        let request = ProvideMissingTransactionsOwned {
            request_id,
            unknown_tx_position_list: positions.try_into().expect("few fit"),
        };
        frame(JobDeclarationOwned::ProvideMissingTransactions(request))
    };
    let declare = world(DECLARE, &[3; 40]);
    vec![
        [
            tokens.clone(),
            declare.clone(),
            missing(3, vec![]),
            declared(3),
        ]
        .concat(),
        [
            tokens.clone(),
            declare.clone(),
            missing(3, vec![0]),
            refused(3),
            declared(3),
        ]
        .concat(),
        [
            declare.clone(),
            world(TAKE, &[]),
            tokens.clone(),
            token(3, 2),
        ]
        .concat(),
        [
            tokens,
            world(PUSH, &[1; 22]),
            world(TIME, &[0xff; 3]),
            declare,
        ]
        .concat(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_get_as_far_as_declared_jobs() {
        let (mut declared, mut refused, mut provided) = (0, 0, 0);
        for seed in seeds() {
            play(&seed, |event| match event {
                DeclarationEvent::Declared { .. } => declared += 1,
                DeclarationEvent::Refused { .. } => refused += 1,
                DeclarationEvent::Provided { .. } => provided += 1,
                _ => {}
            });
        }
        assert!(declared > 0 && refused > 0 && provided > 0);
    }
}
