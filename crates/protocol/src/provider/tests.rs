use std::time::Instant;

use super::*;
use crate::frame::{FrameHeader, HEADER_LEN};
use crate::message::template::{
    RequestTransactionDataErrorOwned, RequestTransactionDataSuccessOwned,
};
use crate::message::{IsSv2Message, Message, text};
use crate::testing::{new_template, plan, said, set_new_prev_hash};

fn now() -> Now {
    Now {
        instant: Instant::now(),
        unix: 1_800_000_000,
    }
}

fn receive(client: &mut ProviderClient, message: TemplateDistributionOwned) -> Vec<ProviderEvent> {
    let mut bytes = Vec::new();
    message::encode(message, &mut bytes);
    let (header, payload) = bytes.split_at_mut(HEADER_LEN);
    let header = FrameHeader::from_bytes((&*header).try_into().unwrap());
    let mut out = Outbox::default();
    client.received(now(), Frame { header, payload }, &mut out);
    assert!(out.frames().is_empty());
    assert!(!out.is_closing());
    out.take_events().collect()
}

fn template(id: u64, future: bool) -> TemplateDistributionOwned {
    TemplateDistributionOwned::NewTemplate(new_template(id, future).into_owned())
}

fn tip(id: u64) -> TemplateDistributionOwned {
    TemplateDistributionOwned::SetNewPrevHash(set_new_prev_hash(id, 1).into_owned())
}

fn solution(session: u64) -> Solution {
    Solution {
        session,
        template_id: 3,
        version: 0x2000_0020,
        ntime: 5,
        nonce: 6,
        coinbase: vec![7; 100],
        hash: [0; 32],
        height: None,
    }
}

#[test]
fn constraints_come_first_and_cover_what_is_added() {
    // TPC-02, 03
    let frame = ProviderClient::new(plan()).connected();
    assert_eq!(frame[..6], [0, 0, 0x70, 6, 0, 0]);
    // The pool's P2WPKH output and the largest a miner can ask for.
    assert_eq!(frame[6..], [31 + 51, 0, 0, 0, 4, 0]);
}

#[test]
fn templates_and_tips_become_work() {
    let mut client = ProviderClient::new(plan());
    client.connected();
    assert!(receive(&mut client, template(1, true)).is_empty());
    let events = receive(&mut client, tip(1));
    assert!(matches!(&events[..], [ProviderEvent::Work(work)] if work.template.id == 1));
    let events = receive(&mut client, template(2, false));
    assert!(matches!(&events[..], [ProviderEvent::Work(work)] if work.template.id == 2));
}

#[test]
fn what_makes_no_sense_is_ignored() {
    // TPC-16
    let mut client = ProviderClient::new(plan());
    client.connected();
    receive(&mut client, template(1, true));
    for message in [tip(999), template(5, false)] {
        let events = receive(&mut client, message);
        assert!(
            matches!(&events[..], [ProviderEvent::Ignored(_)]),
            "{events:?}"
        );
    }
}

#[test]
fn a_solution_is_submitted_whole_and_at_once() {
    // TPC-11, 12, 13
    let mut client = ProviderClient::new(plan());
    client.connected();
    let mut out = Outbox::default();
    client.input(now(), ProviderInput::Solve(solution(1)), &mut out);
    let bytes = out.frames().clone();
    assert_eq!(bytes[..3], [0, 0, 0x76]);
    assert_eq!(bytes[6..14], 3u64.to_le_bytes());
    assert_eq!(bytes[14..18], 0x2000_0020u32.to_le_bytes());
    assert_eq!(bytes[18..22], 5u32.to_le_bytes());
    assert_eq!(bytes[22..26], 6u32.to_le_bytes());
    assert_eq!(bytes[28..], [7; 100]);
    assert!(matches!(
        out.take_events().next(),
        Some(ProviderEvent::Submitted(_))
    ));
}

#[test]
fn a_solution_of_an_earlier_connection_is_not_sent_to_this_one() {
    let mut client = ProviderClient::new(plan());
    client.connected();
    client.connected();
    let mut out = Outbox::default();
    client.input(now(), ProviderInput::Solve(solution(1)), &mut out);
    assert!(out.frames().is_empty());
    assert!(matches!(
        out.take_events().next(),
        Some(ProviderEvent::Lost(_))
    ));
}

/// Asks for the transactions of template 1 and returns what is said and what happens.
fn request(client: &mut ProviderClient, session: u64) -> (Vec<Message>, Vec<ProviderEvent>) {
    let mut out = Outbox::default();
    let input = ProviderInput::RequestTransactions {
        session,
        template_id: 1,
    };
    client.input(now(), input, &mut out);
    let said = said(std::mem::take(out.frames()));
    (said, out.take_events().collect())
}

#[test]
fn transactions_come_as_the_provider_sent_them() {
    // JDC-11, TPC-14
    let mut client = ProviderClient::new(plan());
    client.connected();
    let (said, events) = request(&mut client, 1);
    assert!(events.is_empty());
    assert!(matches!(
        said[..],
        [Message::TemplateDistribution(
            TemplateDistributionOwned::RequestTransactionData(RequestTransactionData {
                template_id: 1
            })
        )]
    ));
    let success = RequestTransactionDataSuccessOwned {
        template_id: 1,
        excess_data: vec![5; 5].try_into().unwrap(),
        transaction_list: vec![vec![1, 2, 3].try_into().unwrap()].try_into().unwrap(),
    };
    let success = TemplateDistributionOwned::RequestTransactionDataSuccess(success);
    match &receive(&mut client, success)[..] {
        [
            ProviderEvent::Transactions {
                session: 1,
                template_id: 1,
                transactions,
            },
        ] => {
            assert_eq!(transactions.excess_data, [5; 5]);
            assert_eq!(transactions.get(0), Some(&[1, 2, 3][..]));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_provider_may_keep_its_transactions() {
    // TPC-15
    let mut client = ProviderClient::new(plan());
    client.connected();
    let error = RequestTransactionDataErrorOwned {
        template_id: 1,
        error_code: text("zzz-unknown"),
    };
    let error = TemplateDistributionOwned::RequestTransactionDataError(error);
    let refused = receive(&mut client, error);
    let (said, late) = request(&mut client, 0);
    assert!(said.is_empty(), "it has never heard of that template");
    for (events, asked) in [(refused, 1), (late, 0)] {
        assert!(matches!(
            events[..],
            [ProviderEvent::NoTransactions { session, template_id: 1, .. }] if session == asked
        ));
    }
}

#[test]
fn constraints_may_change() {
    // TPC-04
    let mut client = ProviderClient::new(plan());
    let constraints = Constraints {
        size: 0x120,
        sigops: 4,
    };
    client.constrain(constraints);
    assert_eq!(client.connected()[6..], [0x20, 1, 0, 0, 4, 0]);
    let mut out = Outbox::default();
    let more = Constraints {
        size: 0x220,
        sigops: 4,
    };
    client.input(now(), ProviderInput::Constrain(more), &mut out);
    assert_eq!(out.frames()[6..], [0x20, 2, 0, 0, 4, 0]);
    assert_eq!(client.connected()[6..], [0x20, 2, 0, 0, 4, 0]);
}

#[test]
fn no_message_of_this_half_is_a_channel_message() {
    // FRAME-06
    let message = TemplateDistributionOwned::CoinbaseOutputConstraints(CoinbaseOutputConstraints {
        coinbase_output_max_additional_size: 0,
        coinbase_output_max_additional_sigops: 0,
    });
    assert!(!message.channel_bit());
}
