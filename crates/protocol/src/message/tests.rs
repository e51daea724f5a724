use proptest::prelude::*;
use stratum_core::common_messages_sv2::SetupConnectionSuccess;
use stratum_core::mining_sv2::{SetTarget, SubmitSharesStandard};

use super::*;

fn frame(extension: u16, msg_type: u8, payload: &mut [u8]) -> Frame<'_> {
    Frame {
        header: FrameHeader {
            extension,
            channel_msg: false,
            msg_type,
            len: payload.len(),
        },
        payload,
    }
}

#[test]
fn fixed_size_messages_have_the_lengths_and_bits_of_the_spec() {
    // FRAME-01, 02, 03, 18; NOISE-18 builds on the 36 bytes of SetTarget.
    let cases: Vec<(Message, [u8; 6])> = vec![
        (
            Message::Common(CommonMessagesOwned::SetupConnectionSuccess(
                SetupConnectionSuccess {
                    used_version: 2,
                    flags: 0,
                },
            )),
            [0, 0, 0x01, 6, 0, 0],
        ),
        (
            Message::Mining(MiningOwned::SetTarget(
                SetTarget {
                    channel_id: 1,
                    maximum_target: (&[7; 32]).into(),
                }
                .into_owned(),
            )),
            [0, 0x80, 0x21, 36, 0, 0],
        ),
        (
            Message::Mining(MiningOwned::SubmitSharesStandard(SubmitSharesStandard {
                channel_id: 1,
                sequence_number: 2,
                job_id: 3,
                nonce: 4,
                ntime: 5,
                version: 6,
            })),
            [0, 0x80, 0x1a, 24, 0, 0],
        ),
    ];
    for (message, header) in cases {
        let mut out = vec![0xee];
        encode(message, &mut out);
        assert_eq!(out[1..7], header);
        assert_eq!(out.len(), 1 + 6 + usize::from(header[3]));
    }
}

#[test]
fn integers_are_little_endian() {
    // FRAME-09
    let share = SubmitSharesStandard {
        channel_id: 0x0102_0304,
        sequence_number: 0,
        job_id: 0,
        nonce: 0,
        ntime: 0,
        version: 0x2000_0000,
    };
    let mut out = Vec::new();
    encode(
        Message::Mining(MiningOwned::SubmitSharesStandard(share)),
        &mut out,
    );
    assert_eq!(out[6..10], [4, 3, 2, 1]);
    assert_eq!(out[26..30], [0, 0, 0, 0x20]);
}

#[test]
fn an_extension_message_is_never_taken_for_a_core_message() {
    // FRAME-08, EXT-09
    let mut payload = [1, 2, 3];
    assert!(matches!(
        decode(frame(0x4abc, 0x00, &mut payload)).unwrap(),
        Received::Unknown {
            extension: 0x4abc,
            msg_type: 0
        }
    ));
    assert!(matches!(
        decode(frame(1, 0x00, &mut payload)).unwrap(),
        Received::Unknown { extension: 1, .. }
    ));
}

#[test]
fn an_unknown_core_type_is_reported_as_unknown() {
    // FRAME-17, 19
    for msg_type in [0x05, 0x1e, 0x26, 0x52, 0x61, 0x77, 0x7f, 0xff] {
        assert!(matches!(
            decode(frame(0, msg_type, &mut [0; 64])).unwrap(),
            Received::Unknown { .. }
        ));
    }
}

#[test]
fn bytes_behind_the_known_fields_are_ignored() {
    // FRAME-15
    let mut payload = [1; 24 + 15];
    let Received::Message(AnyMessage::Mining(Mining::SubmitSharesStandard(share))) =
        decode(frame(0, 0x1a, &mut payload)).unwrap()
    else {
        panic!("not a share");
    };
    assert_eq!(share.channel_id, 0x0101_0101);
}

#[test]
fn every_truncation_is_an_error_and_no_panic() {
    // FRAME-14: a share with an extranonce of 8 bytes.
    let mut whole = vec![0; 24];
    whole.push(8);
    whole.extend([1; 8]);
    for len in 0..whole.len() {
        assert!(
            decode(frame(0, 0x1b, &mut whole.clone()[..len])).is_err(),
            "{len} bytes"
        );
    }
    assert!(decode(frame(0, 0x1b, &mut whole)).is_ok());
}

#[test]
fn an_extranonce_over_32_bytes_is_malformed() {
    // FRAME-12
    let mut payload = vec![0; 24];
    payload.push(33);
    payload.extend([0; 33]);
    assert!(decode(frame(0, 0x1b, &mut payload)).is_err());
}

#[test]
fn a_long_text_is_cut_between_characters() {
    assert_eq!(text("pool").as_bytes(), b"pool");
    let long = "é".repeat(200);
    assert_eq!(text(&long).len(), 254);
}

proptest! {
    #[test]
    fn no_bytes_panic_the_decoder(
        extension in prop_oneof![Just(0u16), Just(1u16), any::<u16>()],
        msg_type in any::<u8>(),
        mut payload in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = decode(frame(extension, msg_type, &mut payload));
    }
}
