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
        let space = reader.space();
        let count = (*size).min(rest.len()).min(space.len());
        space[..count].copy_from_slice(&rest[..count]);
        reader.filled(count);
        rest = &rest[count..];
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
    reader.space()[..74].copy_from_slice(&wire[..74]);
    reader.filled(74);
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
    reader.space()[..22].copy_from_slice(&wire);
    reader.filled(22);
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
    reader.space()[..22].copy_from_slice(&wire);
    reader.filled(22);
    assert!(reader.next_frame().unwrap().is_none());
    reader.space();
    assert!(reader.buffer.capacity() <= BUSY_ROOM);
}

#[test]
fn memory_of_a_large_frame_is_given_back() {
    // FRAME-16
    let (mut sender, receiver) = testing::one_way();
    let frames = [(1, vec![7; 1 << 20]), (2, vec![1; 10])];
    let wire = sealed(&mut sender, &frames);
    let mut reader = FrameReader::new(receiver, MAX_PAYLOAD);
    assert_eq!(read_in_pieces(&mut reader, &wire, &[1000]), frames);
    reader.space();
    assert!(reader.buffer.capacity() <= BUSY_ROOM);
}

#[test]
fn an_altered_bit_ends_the_stream() {
    // NOISE-11
    for at in [3, 30] {
        let (mut sender, receiver) = testing::one_way();
        let mut wire = sealed(&mut sender, &[(1, vec![5; 40])]);
        wire[at] ^= 4;
        let mut reader = FrameReader::new(receiver, MAX_PAYLOAD);
        reader.space()[..wire.len()].copy_from_slice(&wire);
        reader.filled(wire.len());
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
            reader.space()[..chunk.len()].copy_from_slice(chunk);
            reader.filled(chunk.len());
            if reader.next_frame().is_err() {
                break;
            }
        }
    }
}

/// Reads so many bytes of small frames at once, and hands them all out.
fn read_at_once(reader: &mut FrameReader, sender: &mut Encryptor, bytes: usize) {
    let frame = (1, vec![0; 41]);
    let wire = sealed(sender, &vec![frame; bytes / 79]);
    read_in_pieces(reader, &wire, &[usize::MAX]);
}

#[test]
fn who_fills_the_room_gets_more_until_it_is_quiet_again() {
    let (mut sender, receiver) = testing::one_way();
    let mut reader = FrameReader::new(receiver, 1000);
    read_at_once(&mut reader, &mut sender, 79);
    assert_eq!(reader.space().len(), QUIET_ROOM);
    read_at_once(&mut reader, &mut sender, 3 * QUIET_ROOM);
    assert_eq!(reader.space().len(), BUSY_ROOM);
    for _ in 1..QUIET_READS {
        read_at_once(&mut reader, &mut sender, 79);
    }
    read_at_once(&mut reader, &mut sender, QUIET_ROOM);
    assert_eq!(
        reader.space().len(),
        BUSY_ROOM,
        "one larger read in between"
    );
    for _ in 0..QUIET_READS {
        read_at_once(&mut reader, &mut sender, 79);
    }
    assert_eq!(reader.space().len(), QUIET_ROOM);
    assert!(reader.buffer.capacity() < BUSY_ROOM);
}
