use std::fs;

use tempfile::TempDir;

use super::super::log::Log;
use super::super::samples::{accepted, commit, rejected, source};
use super::*;

/// A segment of three commits; returns where each begins, and the end.
fn written(directory: &Path) -> Vec<usize> {
    let mut log = Log::create(directory, 1, 1).unwrap();
    let alice = source(2, "alice", None);
    let mut places = vec![HEADER_LEN];
    for number in 1..=3 {
        let records = [accepted(&alice, number), rejected(&alice, "stale-share")];
        commit(&mut log, &records);
        places.push(log.position().offset as usize);
    }
    places
}

/// Reads segment 1 and counts its commits.
fn read(directory: &Path) -> Result<(u64, usize), SegmentError> {
    let mut segment = Segment::open(directory, 1)?.expect("it has a header");
    let mut commits = 0;
    while segment.next()?.is_some() {
        commits += 1;
    }
    Ok((commits, segment.rest()))
}

#[test]
fn a_last_commit_cut_at_any_byte_is_as_if_never_written() {
    let directory = TempDir::new().unwrap();
    let places = written(directory.path());
    let file = path(directory.path(), 1);
    let whole = fs::read(&file).unwrap();
    assert_eq!(read(directory.path()).unwrap(), (3, 0));
    for len in places[2]..places[3] {
        fs::write(&file, &whole[..len]).unwrap();
        assert_eq!(read(directory.path()).unwrap(), (2, len - places[2]));
        // The file may have its length already, but not its bytes.
        let mut zeros = whole.clone();
        zeros[len..].fill(0);
        fs::write(&file, &zeros).unwrap();
        assert_eq!(read(directory.path()).unwrap(), (2, places[3] - places[2]));
        zeros[places[2]..len].fill(0);
        zeros[len..].copy_from_slice(&whole[len..]);
        if len > places[2] {
            fs::write(&file, &zeros).unwrap();
            assert_eq!(read(directory.path()).unwrap().0, 2);
        }
    }
}

#[test]
fn a_wrong_bit_before_the_last_commit_is_damage() {
    let directory = TempDir::new().unwrap();
    let places = written(directory.path());
    let file = path(directory.path(), 1);
    let whole = fs::read(&file).unwrap();
    for at in HEADER_LEN..places[2] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&file, &bytes).unwrap();
        let SegmentError::Damage(damage) = read(directory.path()).unwrap_err() else {
            panic!("byte {at}");
        };
        let commit = if at < places[1] { 0 } else { 1 };
        assert_eq!(damage.offset as usize, places[commit], "byte {at}");
        assert_eq!(damage.file, file);
        let expected = format!(
            "commit {} does not match its checksum, yet commit {} follows",
            commit + 1,
            if commit == 0 { 2 } else { 3 }
        );
        assert_eq!(damage.what, expected, "byte {at}");
    }
}

#[test]
fn a_commit_out_of_order_is_damage() {
    let directory = TempDir::new().unwrap();
    let places = written(directory.path());
    let file = path(directory.path(), 1);
    let mut bytes = fs::read(&file).unwrap();
    bytes.drain(places[0]..places[1]);
    fs::write(&file, &bytes).unwrap();
    let error = read(directory.path()).unwrap_err().to_string();
    let expected = format!(
        "{}: at byte 28: commit 2 stands where 1 is due; bring the ledger's directory back from a \
         copy, or move it away to begin a new ledger",
        file.display()
    );
    assert_eq!(error, expected);
}

#[test]
fn a_header_cut_short_is_no_segment_yet() {
    let directory = TempDir::new().unwrap();
    written(directory.path());
    let file = path(directory.path(), 1);
    let whole = fs::read(&file).unwrap();
    for len in 0..HEADER_LEN {
        fs::write(&file, &whole[..len]).unwrap();
        assert!(Segment::open(directory.path(), 1).unwrap().is_none());
    }
    fs::write(&file, [0; HEADER_LEN]).unwrap();
    assert!(Segment::open(directory.path(), 1).unwrap().is_none());
}

#[test]
fn a_wrong_bit_in_the_header_is_damage() {
    let directory = TempDir::new().unwrap();
    written(directory.path());
    let file = path(directory.path(), 1);
    let whole = fs::read(&file).unwrap();
    for at in 0..HEADER_LEN {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&file, &bytes).unwrap();
        let error = Segment::open(directory.path(), 1).unwrap_err();
        // A wrong version looks like a newer one.
        assert_eq!(
            matches!(error, SegmentError::Newer { .. }),
            (8..12).contains(&at)
        );
    }
}

#[test]
fn a_newer_format_is_refused() {
    let directory = TempDir::new().unwrap();
    written(directory.path());
    let file = path(directory.path(), 1);
    let mut bytes = fs::read(&file).unwrap();
    bytes[8] = 2;
    fs::write(&file, &bytes).unwrap();
    let error = Segment::open(directory.path(), 1).unwrap_err().to_string();
    let expected = format!(
        "{}: format 2 is newer than the 1 that this program knows; use the program that wrote it, \
         or a newer one",
        file.display()
    );
    assert_eq!(error, expected);
}
