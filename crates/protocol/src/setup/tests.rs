use super::*;
use crate::frame::HEADER_LEN;

const OFFER: Offer = Offer {
    protocol: Protocol::MiningProtocol,
    supported_flags: 0b111,
    success_flags: |flags| {
        if flags & REQUIRES_WORK_SELECTION != 0 {
            REQUIRES_EXTENDED_CHANNELS
        } else {
            0
        }
    },
};

/// A SetupConnection payload with everything adjustable, also what the codec would not write.
fn payload(protocol: u8, versions: (u16, u16), flags: u32, text: &[u8]) -> Vec<u8> {
    let mut bytes = vec![protocol];
    bytes.extend(versions.0.to_le_bytes());
    bytes.extend(versions.1.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    let string = |bytes: &mut Vec<u8>| {
        bytes.push(text.len() as u8);
        bytes.extend(text);
    };
    string(&mut bytes);
    bytes.extend(34254u16.to_le_bytes());
    for _ in 0..4 {
        string(&mut bytes);
    }
    bytes
}

fn answer_to(mut payload: Vec<u8>) -> Answer {
    answer_to_type(0, 0, &mut payload)
}

fn answer_to_type(extension: u16, msg_type: u8, payload: &mut [u8]) -> Answer {
    OFFER.answer(Frame {
        header: FrameHeader {
            extension,
            channel_msg: false,
            msg_type,
            len: payload.len(),
        },
        payload,
    })
}

/// The error's flags and code, as a client reads them off the wire.
#[track_caller]
fn refusal(answer: Answer) -> (u32, String) {
    let Answer::Refuse(message, _) = answer else {
        panic!("not refused: {answer:?}");
    };
    match read(message) {
        Err(Refused::ByServer { code, flags }) => (flags, code),
        other => panic!("not an error on the wire: {other:?}"),
    }
}

fn read(message: Message) -> Result<Accepted, Refused> {
    let mut bytes = Vec::new();
    message::encode(message, &mut bytes);
    let (header, payload) = bytes.split_at_mut(HEADER_LEN);
    request(0).read_answer(Frame {
        header: FrameHeader::from_bytes((&*header).try_into().unwrap()),
        payload,
    })
}

fn request(flags: u32) -> Request {
    Request {
        protocol: Protocol::MiningProtocol,
        flags,
        endpoint_host: "127.0.0.1".into(),
        endpoint_port: 1,
        role: "test",
        device_id: String::new(),
    }
}

#[test]
fn a_protocol_not_served_here_is_refused_with_an_answer() {
    // CONN-02, 04, 07
    for protocol in [1, 2, 3, 255] {
        let answer = answer_to(payload(protocol, (2, 2), 0, b"x"));
        assert_eq!(refusal(answer), (0, "unsupported-protocol".into()));
    }
}

#[test]
fn version_2_must_be_in_the_range_asked_for() {
    // CONN-05, 07
    for range in [(2, 2), (1, 5)] {
        assert!(matches!(
            answer_to(payload(0, range, 0, b"x")),
            Answer::Accept(..)
        ));
    }
    for range in [(3, 3), (1, 1), (3, 2)] {
        let answer = answer_to(payload(0, range, 0, b"x"));
        assert_eq!(refusal(answer), (0, "protocol-version-mismatch".into()));
    }
}

#[test]
fn the_error_names_exactly_the_unsupported_flags() {
    // CONN-06: probing with all bits, then asking for the rest.
    let answer = answer_to(payload(0, (2, 2), u32::MAX, b"x"));
    let (lacking, code) = refusal(answer);
    assert_eq!(
        (lacking, code.as_str()),
        (!0b111, "unsupported-feature-flags")
    );
    assert!(matches!(
        answer_to(payload(0, (2, 2), !lacking, b"x")),
        Answer::Accept(..)
    ));
}

#[test]
fn success_flags_are_requirements_of_the_server_not_an_echo() {
    // POOL-02, 03
    for (asked, answered) in [(0, 0), (1, 0), (4, 0), (5, 0), (2, 2), (6, 2)] {
        let Answer::Accept(message, client) = answer_to(payload(0, (2, 2), asked, b"x")) else {
            panic!("refused flags {asked}");
        };
        assert_eq!(client.flags, asked);
        assert_eq!(read(message), Ok(Accepted { flags: answered }));
    }
}

#[test]
fn strings_of_0_and_255_bytes_of_anything_are_legal() {
    // CONN-13
    for text in [vec![], vec![0xff; 255]] {
        assert!(matches!(
            answer_to(payload(0, (2, 2), 0, &text)),
            Answer::Accept(..)
        ));
    }
}

#[test]
fn any_other_first_message_closes() {
    // CONN-01, EXT-08
    let mut bytes = payload(0, (2, 2), 0, b"x");
    for (extension, msg_type) in [(0, 0x10), (0, 0x70), (1, 0), (0, 0xff)] {
        assert!(matches!(
            answer_to_type(extension, msg_type, &mut bytes),
            Answer::Close(_)
        ));
    }
}

#[test]
fn every_truncation_closes() {
    // FRAME-14
    let whole = payload(0, (2, 2), 0, b"abc");
    for len in 0..whole.len() {
        assert!(matches!(answer_to(whole[..len].to_vec()), Answer::Close(_)));
    }
}

#[test]
fn our_own_request_is_accepted_and_names_its_vendor() {
    // CONN-12, DEV-01, TPC-01
    let mut bytes = Vec::new();
    message::encode(request(1).message(), &mut bytes);
    assert_eq!(bytes[..3], [0, 0, 0]);
    let Answer::Accept(_, client) = answer_to(bytes[HEADER_LEN..].to_vec()) else {
        panic!("refused");
    };
    assert_eq!(client.vendor, "sv2-lab");
    assert_eq!((client.flags, client.device_id.as_str()), (1, ""));
}

#[test]
fn an_unknown_refusal_code_is_reported_as_it_is() {
    // CONN-20
    let error = SetupConnectionErrorOwned {
        flags: 0,
        error_code: text("zzz-unknown"),
    };
    let message = Message::Common(CommonMessagesOwned::SetupConnectionError(error));
    let refused = read(message).unwrap_err();
    assert!(refused.to_string().contains("zzz-unknown"));
}
