use proptest::prelude::*;

use super::*;
use crate::dialogue::{Dialogue, Turn};
use crate::message::{FromServer, from_server};

fn notice(line: &str) -> Result<Notice<'_>, String> {
    match from_server(line.as_bytes()) {
        Ok(FromServer::Notice(_, notice)) => Ok(notice),
        Ok(other) => panic!("{line}: {other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

fn job() -> Notify {
    Notify {
        job_id: "b".into(),
        prev_hash: std::array::from_fn(|i| i as u8),
        coinb1: vec![1, 2],
        coinb2: vec![3],
        merkle_path: vec![[0xee; 32], [0xdd; 32]],
        version: 0x2000_0000,
        n_bits: 0x207f_ffff,
        ntime: 0x0500_0001,
        clean_jobs: true,
    }
}

#[test]
fn what_servers_say_in_the_dialogues_is_written_the_same_way() {
    for dialogue in Dialogue::all() {
        for turn in &dialogue.turns {
            let Turn::Server(line) = turn else { continue };
            let Ok(FromServer::Notice(id, notice)) = from_server(line.as_bytes()) else {
                continue;
            };
            let mut again = Vec::new();
            notice.write(&id, &mut again);
            assert_eq!(String::from_utf8(again).unwrap().trim_end(), *line);
        }
    }
}

#[test]
fn a_job_is_written_in_the_dialect_s_orders() {
    // PROXY-15
    let line = Notice::Notify(job()).line();
    let expected = format!(
        r#"{{"id":null,"method":"mining.notify","params":["b","{}","0102","03",["{}","{}"],"20000000","207fffff","05000001",true]}}"#,
        "03020100070605040b0a09080f0e0d0c13121110171615141b1a19181f1e1d1c",
        "ee".repeat(32),
        "dd".repeat(32),
    );
    assert_eq!(String::from_utf8(line).unwrap().trim_end(), expected);
    assert_eq!(notice(&expected), Ok(Notice::Notify(job())));
}

#[test]
fn the_previous_hash_has_the_words_of_what_people_read_in_reverse() {
    // PROXY-15: the genesis block's.
    let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Bitcoin).block_hash();
    let header_order: [u8; 32] = *bitcoin::hashes::Hash::as_byte_array(&genesis);
    let mut digits = Vec::new();
    hexadecimal::write(&word_swapped(header_order), &mut digits);
    let read = genesis.to_string();
    let words: String = (0..8).rev().map(|i| &read[8 * i..8 * i + 8]).collect();
    assert_eq!(String::from_utf8(digits).unwrap(), words);
}

#[test]
fn difficulties_have_no_exponent() {
    // Some firmware reads digits and a point, and nothing else.
    let line = |difficulty| String::from_utf8(Notice::SetDifficulty(difficulty).line()).unwrap();
    assert!(line(1e-9).contains("[0.000000001]"));
    assert!(line(2e14).contains("[200000000000000]"));
    assert!(line(0.5).contains("[0.5]"));
    for difficulty in [1e-9, 0.1 + 0.2, 46_566.128_730_773_93, 1e15] {
        assert_eq!(
            notice(line(difficulty).trim_end()),
            Ok(Notice::SetDifficulty(difficulty))
        );
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let cases = [
        r#"{"id":null,"method":"mining.set_difficulty","params":[0]}"#,
        r#"{"id":null,"method":"mining.set_difficulty","params":[]}"#,
        r#"{"id":null,"method":"mining.set_extranonce","params":["aa"]}"#,
        r#"{"id":null,"method":"mining.set_extranonce","params":["aa",99]}"#,
        r#"{"id":null,"method":"mining.set_version_mask","params":["x"]}"#,
        r#"{"id":null,"method":"mining.notify","params":["1"]}"#,
        r#"{"id":null,"method":"mining.notify","params":["1","00","","",[],"1","1","1",true]}"#,
        r#"{"id":null,"method":"client.reconnect","params":["h",70000]}"#,
    ];
    for line in cases {
        assert!(notice(line).is_err(), "{line}");
    }
}

#[test]
fn a_reconnect_says_what_changes() {
    let reconnect = |host: Option<&'static str>, port, wait| Notice::Reconnect {
        host: host.map(Into::into),
        port,
        wait,
    };
    let cases = [
        ("[]", reconnect(None, None, 0)),
        ("null", reconnect(None, None, 0)),
        (r#"["",0,5]"#, reconnect(None, None, 5)),
        (r#"["h","3333","1"]"#, reconnect(Some("h"), Some(3333), 1)),
    ];
    for (params, expected) in cases {
        let line = format!(r#"{{"id":null,"method":"client.reconnect","params":{params}}}"#);
        assert_eq!(notice(&line), Ok(expected));
    }
}

proptest! {
    #[test]
    fn a_job_comes_out_as_it_went_in(
        job_id in ".{0,12}",
        prev_hash: [u8; 32],
        coinb1: Vec<u8>,
        coinb2: Vec<u8>,
        merkle_path in proptest::collection::vec(any::<[u8; 32]>(), 0..14),
        version: u32,
        n_bits: u32,
        ntime: u32,
        clean_jobs: bool,
    ) {
        let job = Notice::Notify(Notify {
            job_id, prev_hash, coinb1, coinb2, merkle_path, version, n_bits, ntime, clean_jobs,
        });
        let line = String::from_utf8(job.line()).unwrap();
        prop_assert_eq!(line.matches('\n').count(), 1);
        prop_assert_eq!(notice(line.trim_end()), Ok(job));
    }
}
