//! What a client has no business to say.

use stratum_core::binary_sv2::Sv2OptionOwned;
use stratum_core::job_declaration_sv2::AllocateMiningJobTokenOwned;
use stratum_core::mining_sv2::NewMiningJobOwned;
use stratum_core::template_distribution_sv2::RequestTransactionData;

use super::*;
use crate::message::{JobDeclarationOwned, Message, TemplateDistributionOwned};

impl Miner {
    /// What is said in answer to a frame of any kind.
    fn hear(&mut self, extension: u16, msg_type: u8, payload: &[u8]) -> Vec<MiningOwned> {
        let header = FrameHeader {
            extension,
            channel_msg: false,
            msg_type,
            len: payload.len(),
        };
        let mut bytes = [&header.to_bytes()[..], payload].concat();
        self.send_frame(&mut bytes)
    }

    fn hear_message(&mut self, message: Message) -> Vec<MiningOwned> {
        let mut bytes = Vec::new();
        message::encode(message, &mut bytes);
        self.send_frame(&mut bytes)
    }
}

#[test]
fn unknown_types_and_extensions_are_ignored_and_the_next_request_is_answered() {
    // FRAME-04, 08, 17, EXT-09, 10
    let mut miner = Miner::new(0);
    for (extension, msg_type) in [
        (0, 0x7f),
        (0, 0x1e),
        (0, 0x05),
        (0x4abc, 0x00),
        (0x4abc, 0x1a),
    ] {
        assert!(miner.hear(extension, msg_type, &[0; 60]).is_empty());
        let ignored = matches!(miner.events.pop(), Some(ServerEvent::Ignored(_)));
        assert!(ignored, "type {msg_type:#x} of extension {extension:#x}");
    }
    // Of extension 1 it knows three.
    assert!(miner.hear(1, 0x07, &[0; 6]).is_empty());
    assert_eq!(miner.closed, None);
    miner.open_standard(4.0);
}

#[test]
fn a_message_of_another_role_closes_the_connection_and_says_so() {
    // CONN-14 among them: a second SetupConnection.
    let setup = setup::Request {
        protocol: stratum_core::common_messages_sv2::Protocol::MiningProtocol,
        flags: 0,
        endpoint_host: String::new(),
        endpoint_port: 0,
        role: "test",
        device_id: String::new(),
    };
    let request = RequestTransactionData { template_id: 1 };
    let token = AllocateMiningJobTokenOwned {
        user_identifier: text("alice"),
        request_id: 1,
    };
    for message in [
        setup.message(),
        Message::TemplateDistribution(TemplateDistributionOwned::RequestTransactionData(request)),
        Message::JobDeclaration(JobDeclarationOwned::AllocateMiningJobToken(token)),
    ] {
        let mut miner = Miner::new(0);
        assert!(miner.hear_message(message).is_empty());
        let reason = miner.closed.unwrap();
        assert!(reason.contains("another protocol"), "{reason}");
    }
}

#[test]
fn what_only_a_server_says_is_ignored() {
    let mut miner = Miner::new(0);
    let job = NewMiningJobOwned {
        channel_id: 2,
        job_id: 1,
        min_ntime: Sv2OptionOwned::new(None),
        version: 1,
        merkle_root: [0; 32].into(),
    };
    assert!(miner.send(MiningOwned::NewMiningJob(job)).is_empty());
    assert!(matches!(miner.events[..], [ServerEvent::Ignored(_)]));
    assert_eq!(miner.closed, None);
}

#[test]
fn every_truncation_of_every_request_closes_the_connection() {
    // FRAME-14
    let extended = SubmitSharesExtended {
        channel_id: 2,
        sequence_number: 0,
        job_id: 1,
        nonce: 0,
        ntime: 0,
        version: 0,
        extranonce: (&[1; 16][..]).try_into().unwrap(),
    };
    let standard = SubmitSharesStandard {
        channel_id: 2,
        sequence_number: 0,
        job_id: 1,
        nonce: 0,
        ntime: 0,
        version: 0,
    };
    for request in [
        open_standard(1, 4.0, &[0xff; 32]),
        open_extended(1, 4.0, &[0xff; 32], 8),
        update_channel(2, 4.0, &[0xff; 32]),
        close_channel(2),
        MiningOwned::SubmitSharesStandard(standard),
        MiningOwned::SubmitSharesExtended(extended.into_owned()),
    ] {
        let mut whole = Vec::new();
        message::encode(request, &mut whole);
        let (header, payload) = whole.split_at(HEADER_LEN);
        for len in 0..payload.len() {
            let mut miner = Miner::new(0);
            assert!(miner.hear(0, header[2], &payload[..len]).is_empty());
            assert!(miner.closed.is_some(), "type {:#x}, {len} bytes", header[2]);
        }
    }
    let mut miner = Miner::new(0);
    assert!(miner.hear(1, 0, &[0]).is_empty());
    assert!(miner.closed.is_some(), "RequestExtensions");
}
