use proptest::prelude::*;

use super::*;
use crate::noise::Encryptor;
use crate::testing;

fn header(msg_type: u8, len: usize) -> FrameHeader {
    FrameHeader {
        extension: 0,
        channel_msg: msg_type.is_multiple_of(2),
        msg_type,
        len,
    }
}

fn sealed(encryptor: &mut Encryptor, frames: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut wire = Vec::new();
    for (msg_type, payload) in frames {
        encryptor.seal_frame(
            header(*msg_type, payload.len()).to_bytes(),
            payload,
            &mut wire,
        );
    }
    wire
}

/// Feeds `wire` in pieces of the given sizes (cycled) and collects the frames.
fn read_in_pieces(reader: &mut FrameReader, wire: &[u8], sizes: &[usize]) -> Vec<(u8, Vec<u8>)> {
    let (mut frames, mut rest) = (Vec::new(), wire);
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, later) = rest.split_at((*size).min(rest.len()));
        reader.push(piece);
        rest = later;
        while let Some(frame) = reader.next_frame().unwrap() {
            frames.push((frame.header.msg_type, frame.payload.to_vec()));
        }
    }
    frames
}

#[test]
fn the_channel_bit_is_the_highest_of_the_extension_type() {
    // FRAME-01, 02, 04
    let job = FrameHeader::from_bytes([0x00, 0x80, 0x15, 0x2d, 0, 0]);
    assert_eq!((job.extension, job.channel_msg), (0, true));
    assert_eq!((job.msg_type, job.len), (0x15, 45));
    let extension = FrameHeader::from_bytes([0xbc, 0x8a, 1, 0, 0, 0]);
    assert_eq!((extension.extension, extension.channel_msg), (0x0abc, true));
    assert_eq!(job.to_bytes(), [0x00, 0x80, 0x15, 0x2d, 0, 0]);
}

#[test]
fn one_byte_at_a_time_gives_the_same_frames_as_one_write() {
    // NOISE-22
    let frames: Vec<(u8, Vec<u8>)> = (0..50).map(|i| (i, vec![i; usize::from(i) * 7])).collect();
    let (mut sender, receiver) = testing::one_way();
    let wire = sealed(&mut sender, &frames);
    let mut reader = FrameReader::new(receiver, MAX_PAYLOAD);
    assert_eq!(read_in_pieces(&mut reader, &wire, &[1]), frames);

    let (mut sender, receiver) = testing::one_way();
    let wire = sealed(&mut sender, &frames);
    let mut reader = FrameReader::new(receiver, MAX_PAYLOAD);
    assert_eq!(read_in_pieces(&mut reader, &wire, &[usize::MAX]), frames);
}

#[test]
fn the_length_in_a_header_is_that_of_the_plaintext() {
    // NOISE-18, 19: a SetTarget of 36 bytes takes 22 + 52 on the wire.
    let (mut sender, receiver) = testing::one_way();
    let frames = [(0x21, vec![3; 36]), (0x21, vec![4; 36])];
    let wire = sealed(&mut sender, &frames);
    assert_eq!(wire.len(), 2 * 74);
    let mut reader = FrameReader::new(receiver, MAX_PAYLOAD);
    reader.push(&wire[..74]);
    assert_eq!(reader.next_frame().unwrap().unwrap().header.len, 36);
    assert_eq!(read_in_pieces(&mut reader, &wire[74..], &[74]), frames[1..]);
}

#[test]
fn an_empty_payload_has_no_block_of_its_own() {
    // NOISE-21
    let (mut sender, receiver) = testing::one_way();
    let frames = [(9, Vec::new()), (10, vec![1])];
    let wire = sealed(&mut sender, &frames);
    assert_eq!(wire.len(), 22 + 22 + 17);
    let mut reader = FrameReader::new(receiver, MAX_PAYLOAD);
    assert_eq!(read_in_pieces(&mut reader, &wire, &[5]), frames);
}

#[test]
fn a_frame_over_the_limit_is_refused_before_its_payload() {
    // FRAME-16
    let (mut sender, receiver) = testing::one_way();
    let mut wire = Vec::new();
    sender.seal_frame(header(1, MAX_PAYLOAD).to_bytes(), &[], &mut wire);
    let mut reader = FrameReader::new(receiver, 1000);
    reader.push(&wire);
    let expected = FrameError::TooLong {
        len: MAX_PAYLOAD,
        max: 1000,
    };
    assert_eq!(reader.next_frame().unwrap_err(), expected);
}

#[test]
fn an_announced_length_alone_takes_no_memory() {
    // FRAME-16
    let (mut sender, receiver) = testing::one_way();
    let mut wire = Vec::new();
    sender.seal_frame(header(1, MAX_PAYLOAD).to_bytes(), &[], &mut wire);
    let mut reader = FrameReader::new(receiver, MAX_PAYLOAD);
    reader.push(&wire);
    assert!(reader.next_frame().unwrap().is_none());
    assert!(reader.buffer.capacity() <= 2 * wire.len());
}

#[test]
fn who_waits_keeps_no_memory() {
    // FRAME-16
    let (mut sender, receiver) = testing::one_way();
    let frames = [(1, vec![7; 1 << 20]), (2, vec![1; 10])];
    let wire = sealed(&mut sender, &frames);
    let mut reader = FrameReader::new(receiver, MAX_PAYLOAD);
    assert_eq!(read_in_pieces(&mut reader, &wire, &[1000]), frames);
    assert_eq!(reader.buffer.capacity(), 0);
}

#[test]
fn an_altered_bit_ends_the_stream() {
    // NOISE-11
    for at in [3, 30] {
        let (mut sender, receiver) = testing::one_way();
        let mut wire = sealed(&mut sender, &[(1, vec![5; 40])]);
        wire[at] ^= 4;
        let mut reader = FrameReader::new(receiver, MAX_PAYLOAD);
        reader.push(&wire);
        assert_eq!(reader.next_frame().unwrap_err(), FrameError::Decrypt);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_gives_the_same_frames(
        lens in proptest::collection::vec(prop_oneof![0usize..200, 65_510..65_530usize], 1..6),
        sizes in proptest::collection::vec(1usize..5000, 1..8),
    ) {
        let frames: Vec<(u8, Vec<u8>)> =
            lens.iter().enumerate().map(|(i, len)| (i as u8, vec![i as u8; *len])).collect();
        let (mut sender, receiver) = testing::one_way();
        let wire = sealed(&mut sender, &frames);
        let mut reader = FrameReader::new(receiver, MAX_PAYLOAD);
        prop_assert_eq!(read_in_pieces(&mut reader, &wire, &sizes), frames);
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
        let (_, receiver) = testing::one_way();
        let mut reader = FrameReader::new(receiver, MAX_PAYLOAD);
        for chunk in bytes.chunks(97) {
            reader.push(chunk);
            if reader.next_frame().is_err() {
                break;
            }
        }
    }
}
