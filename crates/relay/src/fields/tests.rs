use protocol::extension;
use protocol::frame::{Frame, FrameHeader, HEADER_LEN};
use protocol::message::{self, ExtensionsOwned, Message, Received};
use serde_json::json;

use super::*;

/// A payload in which every byte tells where it stands.
fn sample(layout: &Layout) -> Vec<u8> {
    let mut payload = Vec::new();
    for (_, kind) in layout.fields {
        fill(kind, &mut payload);
    }
    payload
}

fn fill(kind: &Kind, payload: &mut Vec<u8>) {
    let width = match kind {
        Kind::Bool => return payload.push(1),
        // Of the protocols there are only 0 to 2.
        Kind::U8 => return payload.push(2),
        Kind::U16 => 2,
        Kind::U32 | Kind::F32 => 4,
        Kind::U64 => 8,
        Kind::Hash => 32,
        Kind::Text => return payload.extend(b"\x03abc"),
        Kind::Bytes(width) => {
            payload.extend(count_bytes(*width, 3).unwrap());
            3
        }
        Kind::List(width, kind) => {
            payload.extend(count_bytes(*width, 2).unwrap());
            fill(kind, payload);
            return fill(kind, payload);
        }
        Kind::Maybe(kind) => {
            payload.push(1);
            return fill(kind, payload);
        }
    };
    for _ in 0..width {
        payload.push(payload.len() as u8);
    }
}

/// The message as the codec shows it, and what it makes of it again.
fn through_the_codec(layout: &Layout, payload: &[u8]) -> (String, Vec<u8>) {
    let mut payload = payload.to_vec();
    let header = FrameHeader {
        extension: layout.extension,
        channel_msg: false,
        msg_type: layout.msg_type,
        len: payload.len(),
    };
    let frame = Frame {
        header,
        payload: &mut payload,
    };
    let message = match layout.extension {
        extension::NEGOTIATION => {
            let message = message::negotiation(frame).unwrap().unwrap().into_owned();
            Message::Extensions(ExtensionsOwned::ExtensionsNegotiation(message))
        }
        _ => match message::decode(frame).unwrap() {
            Received::Message(message) => message.into_owned(),
            Received::Unknown { .. } => panic!("the codec does not know {}", layout.name),
        },
    };
    let shown = format!("{message:?}");
    let mut out = Vec::new();
    message::encode(message, &mut out);
    (shown, out[HEADER_LEN..].to_vec())
}

#[test]
fn every_layout_is_the_codecs() {
    for layout in LAYOUTS {
        let payload = sample(layout);
        let (shown, again) = through_the_codec(layout, &payload);
        assert_eq!(again, payload, "{}", layout.name);
        let mut rest = shown.as_str();
        for (name, _) in layout.fields {
            let found = rest.find(&format!("{name}: "));
            let at = found.unwrap_or_else(|| panic!("{}.{name} in {shown}", layout.name));
            rest = &rest[at + name.len()..];
        }
    }
}

#[test]
fn no_type_of_the_codec_is_missing() {
    for extension in 0..=1 {
        for msg_type in 0..=u8::MAX {
            let header = FrameHeader {
                extension,
                channel_msg: false,
                msg_type,
                len: 0,
            };
            let frame = Frame {
                header,
                payload: &mut [],
            };
            let is_known = match extension {
                extension::NEGOTIATION => !matches!(message::negotiation(frame), Ok(None)),
                _ => !matches!(message::decode(frame), Ok(Received::Unknown { .. })),
            };
            assert_eq!(
                layout(extension, msg_type).is_some(),
                is_known,
                "{msg_type:#x}"
            );
        }
    }
}

#[test]
fn every_field_is_found_where_it_was_read() {
    for layout in LAYOUTS {
        let payload = sample(layout);
        let fields = layout.read(&payload);
        let mut end = 0;
        for (name, value) in &fields.0 {
            let range = layout.locate(name, &payload).unwrap();
            assert_eq!(range.start, end, "{}.{name}", layout.name);
            end = range.end;
            assert_eq!(layout.encode(name, value), Ok(payload[range].to_vec()));
        }
        assert_eq!(end, payload.len(), "{}", layout.name);
    }
}

#[test]
fn values_look_as_people_write_them() {
    let layout = layout(0, 0x20).unwrap();
    let mut payload = [1u32.to_le_bytes(), 2u32.to_le_bytes()].concat();
    let mut hash = [0; 32];
    hash[31] = 0xab;
    payload.extend(hash);
    payload.extend([3u32.to_le_bytes(), 0x207f_ffff_u32.to_le_bytes()].concat());
    payload.extend([7, 7]);
    assert_eq!(
        serde_json::to_string(&layout.read(&payload)).unwrap(),
        format!(
            r#"{{"channel_id":1,"job_id":2,"prev_hash":"ab{}","min_ntime":3,"nbits":545259519,"tlv":"0707"}}"#,
            "00".repeat(31)
        )
    );
}

#[test]
fn what_is_cut_short_is_shown_as_far_as_it_goes() {
    let layout = layout(0, 0x1c).unwrap();
    let fields = layout.read(&[1, 0, 0, 0, 9, 9]);
    assert_eq!(fields.get("channel_id"), Some(&json!(1)));
    assert_eq!(fields.get("malformed"), Some(&json!("0909")));
}

#[test]
fn long_values_are_abbreviated() {
    let layout = layout(0, 0x74).unwrap();
    let transaction = [vec![0x2c, 1, 0], vec![5; 300]].concat();
    let mut payload = vec![0; 10];
    payload.extend(40u16.to_le_bytes());
    payload.extend(transaction.repeat(40));
    let list = layout.read(&payload);
    let list = list.get("transaction_list").unwrap().as_array().unwrap();
    assert_eq!(list.len(), MAX_ITEMS + 1);
    assert_eq!(list[MAX_ITEMS], json!("… 40 in all"));
    assert!(list[0].as_str().unwrap().ends_with("… 300 bytes"));
}

#[test]
fn a_value_that_does_not_fit_is_refused() {
    for (kind, value) in [
        (Kind::U8, json!(256)),
        (Kind::U64, json!(1.5)),
        (Kind::Bool, json!(1)),
        (Kind::Text, json!("x".repeat(256))),
        (Kind::Bytes(1), json!("00".repeat(256))),
        (Kind::Bytes(1), json!("0")),
        (Kind::List(1, &Kind::U32), json!([-1])),
    ] {
        assert_eq!(kind.write(&value), None, "{kind:?} {value}");
    }
    assert_eq!(Kind::Maybe(&Kind::U8).write(&json!(null)), Some(vec![0]));
    assert_eq!(Kind::U64.write(&json!(u64::MAX)), Some(vec![255; 8]));
}
