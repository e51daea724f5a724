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
        (
            Message::Mining(MiningOwned::SubmitSharesSuccess(
                mining::SubmitSharesSuccess {
                    channel_id: 1,
                    last_sequence_number: 2,
                    new_submits_accepted_count: 3,
                    new_shares_sum: 4,
                },
            )),
            [0, 0x80, 0x1c, 20, 0, 0],
        ),
        (
            Message::Mining(MiningOwned::SetNewPrevHash(mining::SetNewPrevHashOwned {
                channel_id: 1,
                job_id: 2,
                prev_hash: [3; 32].into(),
                min_ntime: 4,
                nbits: 5,
            })),
            [0, 0x80, 0x20, 48, 0, 0],
        ),
        (
            Message::Mining(MiningOwned::UpdateChannel(mining::UpdateChannelOwned {
                channel_id: 1,
                nominal_hash_rate: 2.0,
                maximum_target: [3; 32].into(),
            })),
            [0, 0x80, 0x16, 40, 0, 0],
        ),
        (
            Message::TemplateDistribution(template_prev_hash()),
            [0, 0, 0x72, 80, 0, 0],
        ),
        (
            Message::TemplateDistribution(TemplateDistributionOwned::CoinbaseOutputConstraints(
                template::CoinbaseOutputConstraints {
                    coinbase_output_max_additional_size: 1,
                    coinbase_output_max_additional_sigops: 2,
                },
            )),
            [0, 0, 0x70, 6, 0, 0],
        ),
    ];
    for (message, header) in cases {
        let mut out = vec![0xee];
        encode(message, &mut out);
        assert_eq!(out[1..7], header);
        assert_eq!(out.len(), 1 + 6 + usize::from(header[3]));
    }
}

/// The frame of a message: its header, and its payload.
fn framed(message: impl IsSv2Message + GetSize + Encodable) -> (FrameHeader, Vec<u8>) {
    let mut bytes = Vec::new();
    encode(message, &mut bytes);
    let (header, payload) = bytes.split_first_chunk().unwrap();
    (FrameHeader::from_bytes(*header), payload.to_vec())
}

fn job(min_ntime: Option<u32>) -> MiningOwned {
    MiningOwned::NewMiningJob(mining::NewMiningJobOwned {
        channel_id: 0x0403_0201,
        job_id: 7,
        min_ntime: option(min_ntime),
        version: 0x2000_0000,
        merkle_root: [9; 32].into(),
    })
}

fn new_template() -> TemplateDistributionOwned {
    TemplateDistributionOwned::NewTemplate(template::NewTemplateOwned {
        template_id: 1,
        future_template: false,
        version: 0,
        coinbase_tx_version: 0,
        coinbase_prefix: vec![].try_into().unwrap(),
        coinbase_tx_input_sequence: 0,
        coinbase_tx_value_remaining: 0,
        coinbase_tx_outputs_count: 0,
        coinbase_tx_outputs: vec![].try_into().unwrap(),
        coinbase_tx_locktime: 0,
        merkle_path: Vec::new().try_into().unwrap(),
    })
}

fn template_prev_hash() -> TemplateDistributionOwned {
    TemplateDistributionOwned::SetNewPrevHash(template::SetNewPrevHashOwned {
        template_id: 1,
        prev_hash: [1; 32].into(),
        header_timestamp: 0,
        n_bits: 0,
        target: [2; 32].into(),
    })
}

#[test]
fn template_distribution_knows_no_channels() {
    // FRAME-06
    let request = template::RequestTransactionData { template_id: 1 };
    let error = template::RequestTransactionDataErrorOwned {
        template_id: 1,
        error_code: text("template-id-not-found"),
    };
    let solution = template::SubmitSolutionOwned {
        template_id: 1,
        version: 0,
        header_timestamp: 0,
        header_nonce: 0,
        coinbase_tx: vec![0; 60].try_into().unwrap(),
    };
    for message in [
        new_template(),
        template_prev_hash(),
        TemplateDistributionOwned::RequestTransactionData(request),
        TemplateDistributionOwned::RequestTransactionDataError(error),
        TemplateDistributionOwned::SubmitSolution(solution),
    ] {
        let (header, _) = framed(message);
        assert_eq!((header.extension, header.channel_msg), (0, false));
    }
}

#[test]
fn a_channel_message_begins_with_its_channel_and_counts_those_bytes() {
    // FRAME-05
    let channel_id = 0x0403_0201;
    let close = mining::CloseChannelOwned {
        channel_id,
        reason_code: text("bye"),
    };
    let error = mining::SubmitSharesErrorOwned {
        channel_id,
        sequence_number: 1,
        error_code: text("stale-share"),
    };
    let prefix = mining::SetExtranoncePrefixOwned {
        channel_id,
        extranonce_prefix: vec![5; 3].try_into().unwrap(),
    };
    let cases = [
        (job(None), 45),
        (job(Some(1)), 49),
        (MiningOwned::CloseChannel(close), 8),
        (MiningOwned::SubmitSharesError(error), 9 + 11),
        (MiningOwned::SetExtranoncePrefix(prefix), 8),
    ];
    for (message, len) in cases {
        let (header, payload) = framed(message);
        assert!(header.channel_msg);
        assert_eq!(payload[..4], [1, 2, 3, 4]);
        assert_eq!((header.len, payload.len()), (len, len));
    }
}

#[test]
fn the_channel_bit_as_older_peers_set_it_is_tolerated() {
    // FRAME-07: 0x15 and 0x23 without it, 0x60 with it.
    let taken = mining::SetCustomMiningJobSuccess {
        channel_id: 1,
        request_id: 2,
        job_id: 3,
    };
    let taken = MiningOwned::SetCustomMiningJobSuccess(taken);
    for (message, bit) in [(job(None), true), (taken, true)] {
        let (mut header, mut payload) = framed(message);
        assert_eq!(header.channel_msg, bit);
        header.channel_msg = !bit;
        let payload = &mut payload[..];
        let frame = Frame { header, payload };
        assert!(matches!(
            decode(frame).unwrap(),
            Received::Message(AnyMessage::Mining(_))
        ));
    }
    // Extranonce, prev-hash, nonce, time, bits, version.
    let mut payload = [&[0][..], &[7; 32 + 4 * 4]].concat();
    let mut push = frame(0, 0x60, &mut payload);
    push.header.channel_msg = true;
    assert!(matches!(
        decode(push).unwrap(),
        Received::Message(AnyMessage::JobDeclaration(_))
    ));
}

#[test]
fn of_a_bool_only_the_lowest_bit_counts() {
    // FRAME-10
    for (byte, expected) in [(0x00, false), (0x01, true), (0x03, true), (0xfe, false)] {
        let (header, mut payload) = framed(new_template());
        payload[8] = byte;
        let payload = &mut payload[..];
        match decode(Frame { header, payload }).unwrap() {
            Received::Message(AnyMessage::TemplateDistribution(
                TemplateDistribution::NewTemplate(new),
            )) => assert_eq!(new.future_template, expected, "0x{byte:02x}"),
            other => panic!("{other:?}"),
        }
        let job = mining::NewExtendedMiningJobOwned {
            channel_id: 1,
            job_id: 1,
            min_ntime: option(None),
            version: 0,
            version_rolling_allowed: false,
            merkle_path: Vec::new().try_into().unwrap(),
            coinbase_tx_prefix: vec![].try_into().unwrap(),
            coinbase_tx_suffix: vec![].try_into().unwrap(),
        };
        let (header, mut payload) = framed(MiningOwned::NewExtendedMiningJob(job));
        payload[13] = byte;
        let payload = &mut payload[..];
        match decode(Frame { header, payload }).unwrap() {
            Received::Message(AnyMessage::Mining(Mining::NewExtendedMiningJob(job))) => {
                assert_eq!(job.version_rolling_allowed, expected, "0x{byte:02x}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_option_holds_nothing_or_one_value() {
    // FRAME-11
    for count in 0..=255 {
        let (header, mut payload) = framed(job(Some(1)));
        payload[8] = count;
        let payload = &mut payload[..];
        let result = decode(Frame { header, payload });
        assert_eq!(result.is_ok(), count <= 1, "{count}");
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
