use proptest::prelude::*;

use super::*;
use crate::message::{self, AnyMessage, Mining, Received};

fn frame(msg_type: u8, payload: &mut [u8]) -> Frame<'_> {
    Frame {
        header: FrameHeader {
            extension: 0,
            channel_msg: true,
            msg_type,
            len: payload.len(),
        },
        payload,
    }
}

/// What the codec says of the same bytes: fields and extranonce.
fn by_the_codec(msg_type: u8, mut payload: Vec<u8>) -> Option<([u32; 6], Vec<u8>)> {
    let Ok(Received::Message(AnyMessage::Mining(message))) =
        message::decode(frame(msg_type, &mut payload))
    else {
        return None;
    };
    match message {
        Mining::SubmitSharesStandard(share) => Some((
            [
                share.channel_id,
                share.sequence_number,
                share.job_id,
                share.nonce,
                share.ntime,
                share.version,
            ],
            Vec::new(),
        )),
        Mining::SubmitSharesExtended(share) => Some((
            [
                share.channel_id,
                share.sequence_number,
                share.job_id,
                share.nonce,
                share.ntime,
                share.version,
            ],
            share.extranonce.as_bytes().to_vec(),
        )),
        other => panic!("{other}"),
    }
}

fn by_hand(msg_type: u8, mut payload: Vec<u8>) -> Option<([u32; 6], Vec<u8>)> {
    let frame = frame(msg_type, &mut payload);
    let submission = Submission::read(&frame, false).unwrap().ok()?;
    let share = submission.share;
    assert_eq!(submission.is_standard, msg_type == 0x1a);
    Some((
        [
            submission.channel_id,
            submission.sequence_number,
            share.job_id,
            share.nonce,
            share.ntime,
            share.version,
        ],
        share.extranonce.to_vec(),
    ))
}

#[test]
fn other_messages_are_left_alone() {
    for msg_type in (0..=u8::MAX).filter(|msg_type| !matches!(msg_type, 0x1a | 0x1b)) {
        assert!(Submission::read(&frame(msg_type, &mut [0; 60]), false).is_none());
    }
    let mut other = frame(0x1b, &mut []);
    other.header.extension = 1;
    assert!(Submission::read(&other, false).is_none());
}

proptest! {
    #[test]
    fn any_bytes_mean_what_they_mean_to_the_codec(
        msg_type in 0x1au8..=0x1b,
        mut payload in prop::collection::vec(any::<u8>(), 0..70),
        len in 0u8..40,
    ) {
        // FRAME-12, 14, 15: truncated, with a tail, with an impossible length.
        if let Some(at) = payload.get_mut(24) {
            *at = len;
        }
        prop_assert_eq!(by_hand(msg_type, payload.clone()), by_the_codec(msg_type, payload));
    }
}
