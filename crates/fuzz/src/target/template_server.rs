//! A template provider's core for one client.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::consensus::serialize;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use protocol::message::template::{
    CoinbaseOutputConstraints, RequestTransactionData, SubmitSolutionOwned,
};
use protocol::message::{Message, TemplateDistributionOwned};
use template_provider::core::{Event, TemplateServer};
use template_provider::source::{self, MAX_UNANSWERED, Request, Template, TemplateKey, Verdict};

use crate::script::{Line, Script, frame, number, world};
use crate::stage::{Stage, beginning};

// What happens around it.
const TIME: u8 = 0;
const TEMPLATE: u8 = 1;
const ANSWER: u8 = 2;
const LOST: u8 = 3;
const BACK: u8 = 4;

/// A script.
pub(crate) fn run(bytes: &[u8]) {
    play(bytes, |_| {});
}

fn play(bytes: &[u8], mut on_event: impl FnMut(&Event)) {
    let now = beginning();
    let core = TemplateServer::connected(now, Duration::from_secs(300));
    let mut stage = Stage::new(core, now);
    let mut constraints = None;
    let mut unanswered = Vec::new();
    let mut keys = 0;
    for line in Script(bytes) {
        let step = match line {
            Line::Frame(header, payload) => stage.hear(header, payload),
            Line::World(TIME, payload) => {
                stage.pass(Duration::from_millis(number(&payload) % 1_000_000))
            }
            Line::World(TEMPLATE, payload) => {
                let Some(constraints) = constraints else {
                    continue;
                };
                keys += 1;
                stage.tell(source::Event::Template {
                    key: TemplateKey(keys),
                    constraints,
                    template: Arc::new(template(&payload)),
                })
            }
            Line::World(ANSWER, payload) => match unanswered.pop() {
                Some(request) => stage.tell(answer(request, payload)),
                None => continue,
            },
            Line::World(LOST, _) => stage.tell(source::Event::NodeLost {
                reason: "killed".to_owned(),
            }),
            Line::World(BACK, _) => stage.tell(source::Event::NodeBack),
            Line::World(..) => continue,
        };
        for said in &step.said {
            assert!(is_a_server_s(said), "a server does not say {said}");
        }
        for event in step.events {
            on_event(&event);
            match event {
                Event::Request(Request::Constraints(new)) => constraints = Some(new),
                Event::Request(Request::Release(_)) => {}
                Event::Request(request) => unanswered.push(request),
                _ => {}
            }
        }
        assert!(unanswered.len() <= MAX_UNANSWERED);
        if step.is_closed {
            return;
        }
    }
}

fn is_a_server_s(message: &Message) -> bool {
    use TemplateDistributionOwned as Of;
    let Message::TemplateDistribution(message) = message else {
        return false;
    };
    matches!(
        message,
        Of::NewTemplate(_)
            | Of::SetNewPrevHash(_)
            | Of::RequestTransactionDataSuccess(_)
            | Of::RequestTransactionDataError(_)
    )
}

/// On the tip that the payload names. What it is longer by goes into fields whose length the
/// node decides.
fn template(payload: &[u8]) -> Template {
    Template {
        version: 0x2000_0000,
        coinbase_tx_version: 2,
        coinbase_prefix: payload.to_vec(),
        coinbase_tx_input_sequence: 0xffff_fffe,
        coinbase_tx_value_remaining: 5_000_000_000,
        coinbase_tx_outputs_count: 1,
        coinbase_tx_outputs: payload.repeat(20),
        coinbase_tx_locktime: 101,
        merkle_path: vec![[7; 32]; payload.len() / 2],
        prev_hash: [number(payload) as u8; 32],
        header_timestamp: 1_700_000_000,
        n_bits: 0x207f_ffff,
        target: [0xff; 32],
    }
}

fn answer(request: Request, payload: Vec<u8>) -> source::Event {
    match request {
        Request::TransactionData { template_id, .. } => source::Event::TransactionData {
            template_id,
            transactions: match payload.is_empty() {
                true => Err("gone".to_owned()),
                false => Ok(vec![payload; 3]),
            },
        },
        Request::Submit { solution, .. } => source::Event::Verdict {
            template_id: solution.template_id,
            block_hash: solution.block_hash,
            verdict: Verdict::Accepted,
        },
        Request::Constraints(_) | Request::Release(_) => source::Event::NodeBack,
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let constraints = CoinbaseOutputConstraints {
        coinbase_output_max_additional_size: 100,
        coinbase_output_max_additional_sigops: 4,
    };
    let set = frame(TemplateDistributionOwned::CoinbaseOutputConstraints(
        constraints,
    ));
    let data = |template_id| {
        let request = RequestTransactionData { template_id };
        frame(TemplateDistributionOwned::RequestTransactionData(request))
    };
    let at_work = [set.clone(), world(TEMPLATE, &[1, 102])].concat();
    let minute = world(TIME, &60_000u32.to_le_bytes());
    vec![
        [at_work.clone(), data(1), world(ANSWER, &[5; 9]), data(2)].concat(),
        [
            at_work.clone(),
            solution(1),
            world(ANSWER, &[]),
            solution(9),
        ]
        .concat(),
        [
            at_work.clone(),
            world(TEMPLATE, &[2, 103]),
            minute.clone(),
            data(1),
        ]
        .concat(),
        [
            at_work.clone(),
            world(LOST, &[]),
            data(1),
            world(BACK, &[]),
            solution(1),
        ]
        .concat(),
        [
            at_work,
            set,
            world(TEMPLATE, &[1; 200]),
            data(2),
            world(ANSWER, &[]),
        ]
        .concat(),
        [minute.repeat(6), world(BACK, &[])].concat(),
    ]
}

fn solution(template_id: u64) -> Vec<u8> {
    let input = TxIn {
        previous_output: OutPoint::null(),
        script_sig: ScriptBuf::from_bytes(vec![1, 102, 0]),
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&[[0; 32]]),
    };
    let output = TxOut {
        value: Amount::from_sat(1),
        script_pubkey: ScriptBuf::new(),
    };
    let coinbase = Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![input],
        output: vec![output],
    };
    let submit = SubmitSolutionOwned {
        template_id,
        version: 0x2000_0000,
        header_timestamp: 1_700_000_001,
        header_nonce: 5,
        coinbase_tx: serialize(&coinbase).try_into().expect("a coinbase fits"),
    };
    frame(TemplateDistributionOwned::SubmitSolution(submit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_get_as_far_as_a_verdict() {
        let (mut sent, mut data, mut judged) = (0, 0, 0);
        for seed in seeds() {
            play(&seed, |event| match event {
                Event::TemplateSent { .. } => sent += 1,
                Event::TransactionDataSent { .. } => data += 1,
                Event::SolutionJudged { .. } => judged += 1,
                _ => {}
            });
        }
        assert!(sent > 0 && data > 0 && judged > 0);
    }
}
