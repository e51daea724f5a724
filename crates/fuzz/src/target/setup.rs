//! SetupConnection: a server's judgement of a client's first frame, and a client's of the answer.

use protocol::error_code;
use protocol::extension::NEGOTIATION;
use protocol::frame::Frame;
use protocol::message::common::{Protocol, SetupConnectionErrorOwned, SetupConnectionSuccess};
use protocol::message::{CommonMessagesOwned, Message, text};
use protocol::server;
use protocol::setup::{Answer, Offer, Request};

use crate::script::{Line, Script, frame, line};

const PROTOCOLS: [Protocol; 3] = [
    Protocol::MiningProtocol,
    Protocol::JobDeclarationProtocol,
    Protocol::TemplateDistributionProtocol,
];

/// A script of first frames.
pub(crate) fn run(bytes: &[u8]) {
    for line in Script(bytes) {
        let Line::Frame(header, payload) = line else {
            continue;
        };
        for protocol in PROTOCOLS {
            let mut payload = payload.clone();
            let payload = &mut payload[..];
            judge(protocol, Frame { header, payload });
        }
        let mut payload = payload;
        let payload = &mut payload[..];
        // Whatever it is: an answer, a refusal, or neither.
        let _ = request(PROTOCOLS[0]).read_answer(Frame { header, payload });
    }
}

fn judge(protocol: Protocol, received: Frame<'_>) {
    let offer = Offer {
        protocol,
        supported_flags: server::SUPPORTED_FLAGS,
        success_flags: server::success_flags,
    };
    match offer.answer(received) {
        Answer::Accept(message, client) => {
            assert_eq!(client.flags & !server::SUPPORTED_FLAGS, 0);
            assert!(answered(protocol, message).is_ok());
        }
        Answer::Refuse(message, code) => {
            let Message::Common(CommonMessagesOwned::SetupConnectionError(error)) = &message else {
                panic!("not a refusal: {message:?}");
            };
            // CONN-07
            let is_for_flags = code == error_code::UNSUPPORTED_FEATURE_FLAGS;
            assert_eq!(error.flags != 0, is_for_flags, "{message:?}");
            assert!(answered(protocol, message).is_err());
        }
        Answer::Close(_) => {}
    }
}

/// What our own client makes of our server's answer.
fn answered(protocol: Protocol, answer: Message) -> Result<(), String> {
    let frame = frame(answer);
    let Some(Line::Frame(header, mut payload)) = Script(&frame).next() else {
        panic!("no frame: {frame:02x?}");
    };
    let payload = &mut payload[..];
    let read = request(protocol).read_answer(Frame { header, payload });
    read.map(drop).map_err(|refused| refused.to_string())
}

fn request(protocol: Protocol) -> Request {
    Request {
        protocol,
        flags: 0b111,
        endpoint_host: "pool.example".to_owned(),
        endpoint_port: 34254,
        role: "fuzz",
        device_id: String::new(),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = PROTOCOLS
        .map(|protocol| frame(request(protocol).message()))
        .to_vec();
    let mut unknown = seeds[0].clone();
    unknown[protocol::frame::HEADER_LEN] = 9;
    seeds.push(unknown);
    let success = SetupConnectionSuccess {
        used_version: 2,
        flags: 1,
    };
    let error = SetupConnectionErrorOwned {
        flags: 2,
        error_code: text(error_code::UNSUPPORTED_FEATURE_FLAGS),
    };
    for answer in [
        CommonMessagesOwned::SetupConnectionSuccess(success),
        CommonMessagesOwned::SetupConnectionError(error),
    ] {
        seeds.push(frame(Message::Common(answer)));
    }
    seeds.push(line(NEGOTIATION, 0, &[0; 8]));
    seeds
}
