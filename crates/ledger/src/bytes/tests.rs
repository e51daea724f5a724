use super::super::record::Verdict;
use super::super::samples::{accepted, found, judged, rejected, source};
use super::*;

/// A commit of `records`, each with a source of its own.
fn payload(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, record) in (0..).zip(records) {
        let source = match record {
            Record::Share(share) => &share.source,
            Record::Found(found) => &found.source,
            Record::Judged(_) => &source(0, "nobody", None),
        };
        put_source(source, number, &mut bytes);
        put(record, number, &mut bytes);
    }
    bytes
}

fn read(payload: &[u8]) -> Result<Vec<Record>, Malformed> {
    let mut sources = Vec::new();
    let mut reader = Records::new(payload, 1, &mut sources);
    std::iter::from_fn(|| reader.next().transpose()).collect()
}

fn all_kinds() -> Vec<Record> {
    let plain = source(2, "alice", None);
    let worker = source(u32::MAX, "", Some("größer"));
    vec![
        accepted(&plain, 1),
        rejected(&worker, "stale-share"),
        found(&plain, u64::MAX, Origin::Template(u64::MAX)),
        found(&worker, 0, Origin::Declared(vec![0, 255])),
        found(&worker, 0, Origin::Declared(Vec::new())),
        judged(1, Verdict::Accepted, None),
        judged(2, Verdict::Unknown, Some("")),
        judged(3, Verdict::Stale, Some("another block is at its height")),
        judged(4, Verdict::Rejected, Some("why")),
    ]
}

#[test]
fn every_record_is_read_as_it_was_written() {
    let records = all_kinds();
    let read = read(&payload(&records)).unwrap();
    let shown = |records: &[Record]| serde_json::to_string_pretty(records).unwrap();
    assert_eq!(shown(&read), shown(&records));
}

#[test]
fn a_source_keeps_the_number_that_its_segment_knows_it_by() {
    let mut bytes = Vec::new();
    let known = source(2, "alice", None);
    for number in 0..3 {
        put_source(&known, number, &mut bytes);
    }
    put(&accepted(&known, 1), 2, &mut bytes);
    let records = read(&bytes).unwrap();
    let [Record::Share(share)] = &*records else {
        panic!("{records:?}");
    };
    assert_eq!(share.source.number_in(1), Some(2));
    assert_eq!(share.source.number_in(2), None);
}

#[test]
fn text_that_is_too_long_is_cut_between_characters() {
    let long = "ß".repeat(40_000);
    let read = read(&payload(&[judged(1, Verdict::Rejected, Some(&long))])).unwrap();
    let [Record::Judged(judged)] = &*read else {
        panic!("{read:?}");
    };
    assert_eq!(judged.reason.as_deref(), Some(&*"ß".repeat(32_767)));
}

#[test]
fn a_record_cut_anywhere_is_an_error_or_one_record_less() {
    for record in all_kinds() {
        let whole = payload(&[record]);
        let source_only = (1..whole.len()).filter(|len| read(&whole[..*len]).is_ok());
        // Only the definition of its source makes sense alone.
        assert_eq!(source_only.count(), 1, "{whole:?}");
    }
}

#[test]
fn bytes_that_say_nothing_are_named() {
    let mut early = Vec::new();
    put_source(&source(2, "alice", None), 1, &mut early);
    let mut unknown = Vec::new();
    put(&accepted(&source(2, "alice", None), 1), 9, &mut unknown);
    let mut verdict = Vec::new();
    put(&judged(1, Verdict::Unknown, None), 0, &mut verdict);
    verdict[41] = 4;
    let mut text = Vec::new();
    put_source(&source(2, "alice", None), 0, &mut text);
    let user = text.windows(5).position(|bytes| bytes == b"alice").unwrap();
    text[user] = 0xff;
    let mut peer = Vec::new();
    put_source(&source(2, "alice", None), 0, &mut peer);
    peer[11] = b'x';
    let table = [
        (vec![99], "there is no record with tag 99"),
        (early, "source 1 is defined where 0 is due"),
        (unknown, "source 9 is not defined"),
        (verdict, "there is no verdict 4"),
        (text, "a text is not UTF-8"),
        (peer, "\"x0.10.0.10:50000\" is no address"),
    ];
    for (bytes, expected) in table {
        assert_eq!(read(&bytes).unwrap_err().to_string(), expected);
    }
}
