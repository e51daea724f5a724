use stratum_core::binary_sv2::Seq064K;

use super::*;
use crate::message;

/// The answer's payload, after its header was checked.
fn answer(extensions: &Extensions, requested: &[u16]) -> (Granted, u8, Vec<u8>) {
    let request = RequestExtensions {
        request_id: 0x0807,
        requested_extensions: Seq064K::new(requested.to_vec()).unwrap(),
    };
    let (granted, message) = extensions.answer(&request);
    let mut frame = Vec::new();
    message::encode(message, &mut frame);
    // The bit of channel messages is clear, the request's id has two bytes.
    assert_eq!(frame[..2], [1, 0]);
    assert_eq!(frame[6..8], [7, 8]);
    (granted, frame[2], frame[8..].to_vec())
}

#[test]
fn only_registered_extensions_are_known() {
    // EXT-11: 0x4000 to 0x7fff are free for experiments, all below are given out.
    let known = [NEGOTIATION, WORKER_TRACKING];
    assert_eq!(known, [1, 2]);
    assert!(
        Extensions::default()
            .supported
            .iter()
            .all(|id| known.contains(id))
    );
}

#[test]
fn the_supported_part_of_what_was_asked_for_is_granted() {
    // EXT-01, 02, 04
    let (granted, kind, list) = answer(&Extensions::default(), &[2, 0x4001, 2]);
    assert_eq!((kind, &list[..]), (1, &[1, 0, 2, 0][..]));
    assert!(granted.has(WORKER_TRACKING) && !granted.has(0x4001));
    let (granted, kind, list) = answer(&Extensions::default(), &[]);
    assert_eq!(
        (granted, kind, &list[..]),
        (Granted::default(), 1, &[0, 0][..])
    );
}

#[test]
fn if_nothing_is_supported_everything_is_named() {
    // EXT-05
    let (granted, kind, lists) = answer(&Extensions::default(), &[0x4001, 0x4002]);
    assert_eq!(granted, Granted::default());
    assert_eq!((kind, &lists[..]), (2, &[2, 0, 1, 0x40, 2, 0x40, 0, 0][..]));
}

#[test]
fn what_is_required_and_was_not_asked_for_is_named() {
    // EXT-06
    let extensions = Extensions {
        required: vec![2],
        ..Extensions::default()
    };
    let (granted, kind, lists) = answer(&extensions, &[3]);
    assert_eq!((kind, &lists[..]), (2, &[1, 0, 3, 0, 1, 0, 2, 0][..]));
    assert_eq!(extensions.missing(&granted), Some(2));
    let (granted, kind, _) = answer(&extensions, &[3, 2]);
    assert_eq!(kind, 1);
    assert_eq!(extensions.missing(&granted), None);
}

#[test]
fn a_worker_s_name_is_little_endian() {
    // EXT-13, T-05: byte by byte.
    let tail = *b"\x02\x00\x01\x05\x00rig-7";
    assert_eq!(worker(&tail), Ok(Some(&b"rig-7"[..])));
    let big_endian = *b"\x00\x02\x01\x00\x05rig-7";
    assert_eq!(worker(&big_endian), Ok(None));
}

#[test]
fn a_worker_s_name_is_found_wherever_it_stands() {
    // EXT-14
    let name = &b"\x02\x00\x01\x03\x00rig"[..];
    let other = &b"\x01\x40\x09\x02\x00zz"[..];
    for tail in [[name, other].concat(), [other, name].concat()] {
        assert_eq!(worker(&tail), Ok(Some(&b"rig"[..])));
    }
    assert_eq!(worker(other), Ok(None));
    assert_eq!(worker(b"\x02\x00\x01\x00\x00"), Ok(None));
}

#[test]
fn a_name_that_is_too_long_is_an_error_and_bytes_that_are_no_field_are_not() {
    // EXT-15, FRAME-15
    let long = [&b"\x02\x00\x01\x21\x00"[..], &[b'x'; 33]].concat();
    assert_eq!(worker(&long), Err(TooLong(33)));
    let longest = [&b"\x02\x00\x01\x20\x00"[..], &[b'x'; 32]].concat();
    assert_eq!(worker(&longest), Ok(Some(&[b'x'; 32][..])));
    for len in 0..longest.len() {
        assert_eq!(worker(&longest[..len]), Ok(None));
    }
    assert_eq!(worker(&[0xff; 15]), Ok(None));
}

#[test]
fn a_request_for_every_extension_there_is_is_answered() {
    let all: Vec<u16> = (0..=65_534).collect();
    let (granted, kind, _) = answer(&Extensions::default(), &all);
    assert_eq!(kind, 1);
    assert!(granted.has(2));
}

#[test]
fn a_name_is_shortened_to_its_worker_and_then_cut() {
    // EXT-16, T-45
    let address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let long = "x".repeat(40);
    for (name, short) in [
        ("farm.rig7", "farm.rig7"),
        (&format!("{address}.rig7")[..], "rig7"),
        (address, &address[..32]),
        (&format!("{address}."), &address[..32]),
        (&format!("a.{long}"), &format!("a.{long}")[..32]),
        (&"\u{e9}".repeat(20), &"\u{e9}".repeat(16)),
    ] {
        assert_eq!(short_name(name), short);
        let mut field = Vec::new();
        name_worker(name, &mut field);
        assert_eq!(worker(&field), Ok(Some(short.as_bytes())));
    }
}
