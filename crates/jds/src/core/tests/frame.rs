//! Frames that are not what they should be, and large ones.

use proptest::prelude::*;
use protocol::message::declaration::AllocateMiningJobTokenSuccessOwned;

use super::*;

/// Of every message a client sends.
const CLIENT_TYPES: [u8; 4] = [0x50, 0x56, 0x57, 0x60];

fn header(msg_type: u8, len: usize) -> FrameHeader {
    FrameHeader {
        extension: 0,
        channel_msg: false,
        msg_type,
        len,
    }
}

fn payload(message: JobDeclarationOwned) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(Message::JobDeclaration(message), &mut bytes);
    bytes.split_off(HEADER_LEN)
}

#[test]
fn what_means_nothing_here_is_ignored() {
    // FRAME-17, EXT-08, EXT-09: a server's message, one of another protocol, and what nobody knows.
    let servers = AllocateMiningJobTokenSuccessOwned {
        request_id: 1,
        mining_job_token: vec![].try_into().unwrap(),
        coinbase_outputs: vec![].try_into().unwrap(),
    };
    let servers = payload(JobDeclarationOwned::AllocateMiningJobTokenSuccess(servers));
    let mut client = Client::full_template();
    for (extension, msg_type, mut payload) in [
        (0, 0x51, servers),
        (0, 0x70, vec![0; 6]),
        (0, 0x7f, b"junk".to_vec()),
        (1, 0x00, b"junk".to_vec()),
        (0x4abc, 0x57, b"junk".to_vec()),
    ] {
        let header = FrameHeader {
            extension,
            ..header(msg_type, payload.len())
        };
        let step = client.send_frame(header, &mut payload);
        assert!(step.is_quiet(), "{extension:#x} {msg_type:#x}: {step:?}");
        assert!(matches!(step.events[..], [Event::Ignored { .. }]));
    }
    assert_eq!(client.ask(1).sent.len(), 1);
}

#[test]
fn the_channel_bit_and_bytes_behind_the_fields_make_no_difference() {
    // FRAME-07, FRAME-15: PushSolution had the bit once.
    let mut client = Client::full_template();
    let mut push = payload(JobDeclarationOwned::PushSolution(PushSolutionOwned {
        extranonce: vec![3; 8].try_into().unwrap(),
        prev_hash: [1; 32].into(),
        nonce: 0,
        ntime: 0,
        nbits: REGTEST_BITS,
        version: VERSION,
    }));
    push.extend([0xee; 15]);
    let header = FrameHeader {
        channel_msg: true,
        ..header(0x60, push.len())
    };
    let step = client.send_frame(header, &mut push);
    assert!(matches!(step.events[..], [Event::NotSolved { .. }]));
}

#[test]
fn every_truncated_message_closes_the_connection() {
    // FRAME-14, JDS-26
    let mut declaration = job(5, &numbered([1, 2]));
    declaration.mining_job_token = vec![1; 58].try_into().unwrap();
    let whole = [
        payload(JobDeclarationOwned::AllocateMiningJobToken(
            AllocateMiningJobTokenOwned {
                user_identifier: text("alice"),
                request_id: 1,
            },
        )),
        payload(JobDeclarationOwned::ProvideMissingTransactionsSuccess(
            ProvideMissingTransactionsSuccessOwned {
                request_id: 5,
                transaction_list: vec![vec![1; 9].try_into().unwrap()].try_into().unwrap(),
            },
        )),
        payload(JobDeclarationOwned::DeclareMiningJob(declaration)),
        payload(JobDeclarationOwned::PushSolution(PushSolutionOwned {
            extranonce: vec![3; 8].try_into().unwrap(),
            prev_hash: [1; 32].into(),
            nonce: 0,
            ntime: 0,
            nbits: 0,
            version: 0,
        })),
    ];
    for (msg_type, whole) in CLIENT_TYPES.into_iter().zip(whole) {
        for len in 0..whole.len() {
            let mut cut = whole[..len].to_vec();
            let step = Client::full_template().send_frame(header(msg_type, len), &mut cut);
            assert!(step.closed.is_some(), "{msg_type:#x} cut to {len}");
        }
    }
}

#[test]
fn an_extranonce_longer_than_its_type_closes_the_connection() {
    // JDS-26, FRAME-12
    let mut push = vec![33; 34 + 32 + 16];
    let step = Client::full_template().send_frame(header(0x60, push.len()), &mut push);
    assert!(step.closed.is_some());
}

#[test]
fn a_declaration_of_thousands_fits_and_so_does_the_question_for_them() {
    // JDS-29
    let transactions = numbered(0..5_000);
    let mut client = Client::full_template();
    let step = client.declare(job(5, &transactions));
    let step = client.look_up(&step, &[]);
    let [Sent::Missing { positions, .. }] = &step.sent[..] else {
        panic!("{step:?}");
    };
    assert!(positions.iter().copied().eq(0..5_000));
}

proptest! {
    /// Never a panic, whatever comes.
    #[test]
    fn no_bytes_do_more_than_close_the_connection(
        frames in prop::collection::vec(
            (prop::sample::select(&CLIENT_TYPES), prop::collection::vec(any::<u8>(), 0..300)),
            1..20,
        ),
    ) {
        let mut client = Client::full_template();
        for (msg_type, mut payload) in frames {
            let step = client.send_frame(header(msg_type, payload.len()), &mut payload);
            if step.closed.is_some() {
                break;
            }
        }
    }

    /// Declarations that are nearly right get further.
    #[test]
    fn no_declaration_does_more_than_get_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        known in any::<bool>(),
    ) {
        let mut client = Client::full_template();
        let transactions = numbered(0..3);
        let mut declaration = job(5, &transactions);
        declaration.mining_job_token = client.token().try_into().unwrap();
        let mut bytes = payload(JobDeclarationOwned::DeclareMiningJob(declaration));
        // Behind the token.
        for (at, byte) in changes {
            let len = bytes.len() - 63;
            bytes[63 + at.index(len)] = byte;
        }
        let step = client.send_frame(header(0x57, bytes.len()), &mut bytes);
        if let [.., Event::Lookup { .. }] = &step.events[..] {
            let known = if known { transactions.clone() } else { Vec::new() };
            let step = client.look_up(&step, &known);
            if let [.., Event::Propose { block, .. }] = &step.events[..] {
                prop_assert!(block.to_hex().len() > 160);
                client.judge(&step, Judgement::Valid);
            } else {
                client.provide(5, &[transactions[0].bytes().to_vec(), vec![1; 90]]);
            }
        }
    }
}
