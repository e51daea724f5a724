//! The frame reader: what was sealed comes out however it is cut, and garbage comes to an end.

use protocol::frame::{FrameError, FrameHeader, FrameReader};

use super::noise;
use crate::script::{Line, Script, line};

/// Payload bytes that are accepted.
const MAX_PAYLOAD: usize = 600;

type Frames = Vec<(FrameHeader, Vec<u8>)>;

/// The first byte says whether the rest is sealed first, and into which pieces it is cut.
pub(crate) fn run(bytes: &[u8]) {
    let mut script = Script(bytes);
    let first = script.byte();
    let (mut sender, receiver) = noise::session();
    let mut reader = FrameReader::new(receiver, MAX_PAYLOAD);
    let piece = 1 + usize::from(first >> 1) * 7;
    if first & 1 != 0 {
        let (frames, _) = read(&mut reader, script.0, piece);
        assert!(frames.is_empty(), "garbage was decrypted: {frames:?}");
        return;
    }
    let mut wire = Vec::new();
    let mut sent = Frames::new();
    for line in script {
        if let Line::Frame(header, payload) = line {
            sender.seal_frame(header.to_bytes(), &payload, &mut wire);
            sent.push((header, payload));
        }
    }
    let accepted = sent
        .iter()
        .take_while(|(header, _)| header.len <= MAX_PAYLOAD);
    let accepted = accepted.count();
    let expected = sent.get(accepted).map(|(header, _)| FrameError::TooLong {
        len: header.len,
        max: MAX_PAYLOAD,
    });
    let (frames, ended) = read(&mut reader, &wire, piece);
    assert_eq!(frames, sent[..accepted]);
    assert_eq!(ended, expected);
}

/// Feeds the reader pieces of that size, until it has all or will have no more.
fn read(reader: &mut FrameReader, wire: &[u8], piece: usize) -> (Frames, Option<FrameError>) {
    let (mut frames, mut rest) = (Frames::new(), wire);
    loop {
        match reader.next_frame() {
            Ok(Some(frame)) => frames.push((frame.header, frame.payload.to_vec())),
            Ok(None) if rest.is_empty() => return (frames, None),
            Ok(None) => {
                let (next, later) = rest.split_at(piece.min(rest.len()));
                reader.push(next);
                rest = later;
            }
            Err(error) => return (frames, Some(error)),
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let frames = [
        line(0, 0x1a, &[1; 24]),
        line(0x4abc, 0, &[]),
        line(0x8000, 0x1f, &[2; 500]),
        line(0, 0x70, &[3; MAX_PAYLOAD + 1]),
    ]
    .concat();
    let seed = |first: u8| [&[first][..], &frames].concat();
    [0, 2, 254, 1].map(seed).to_vec()
}
