use proptest::prelude::*;

use super::*;
use crate::dialogue::{Dialogue, Turn};
use crate::message::{FromMiner, FromServer, Unreadable, from_miner, from_server};

fn call(line: &str) -> Call<'_> {
    match from_miner(line.as_bytes()) {
        Ok(FromMiner::Call(_, call)) => call,
        other => panic!("{line}: {other:?}"),
    }
}

fn written(call: &Call<'_>) -> String {
    let mut out = Vec::new();
    call.write(&Id::Number(1), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn all_that_firmware_says_is_understood() {
    // PROXY-14, 23
    for dialogue in Dialogue::all() {
        let mut turns = dialogue.turns.iter().peekable();
        while let Some(turn) = turns.next() {
            let Turn::Miner(line) = turn else { continue };
            let refused =
                matches!(turns.peek(), Some(Turn::Server(answer)) if answer.contains("expected"));
            let read = from_miner(line.as_bytes());
            assert_eq!(read.is_err(), refused, "{}: {line}", dialogue.name);
            if let Ok(FromMiner::Call(_, call)) = read {
                let again = written(&call);
                assert_eq!(self::call(again.trim_end()), call, "{}", dialogue.name);
            }
        }
    }
}

#[test]
fn every_answer_in_the_dialogues_has_a_call_before_it() {
    for dialogue in Dialogue::all() {
        let mut ids = Vec::new();
        for turn in &dialogue.turns {
            match turn {
                Turn::Miner(line) => match from_miner(line.as_bytes()) {
                    Ok(FromMiner::Call(id, _)) => ids.push(id),
                    Ok(FromMiner::Reply(..)) => {}
                    Err(error) => ids.push(error.id().clone()),
                },
                Turn::Server(line) => {
                    if let FromServer::Reply(id, _) = from_server(line.as_bytes()).unwrap() {
                        let at = ids.iter().position(|found| *found == id);
                        ids.remove(at.unwrap_or_else(|| panic!("{}: {line}", dialogue.name)));
                    }
                }
            }
        }
        assert_eq!(ids, [], "{}: not answered", dialogue.name);
    }
}

#[test]
fn extensions_are_asked_for_with_their_options() {
    // PROXY-19
    let call = call(
        r#"{"id":1,"method":"mining.configure","params":[["minimum-difficulty","version-rolling","info","warp"],
        {"minimum-difficulty.value":"2048","version-rolling.mask":"0xC00000","version-rolling.min-bit-count":"2","info.hw-version":7}]}"#,
    );
    let info = Info {
        hw_version: "7".into(),
        ..Info::default()
    };
    let expected = Configure {
        version_rolling: Some(VersionRolling {
            mask: 0x00c0_0000,
            min_bit_count: 2,
        }),
        minimum_difficulty: Some(2048.0),
        subscribe_extranonce: false,
        info: Some(info),
        unknown: vec!["warp".into()],
    };
    assert_eq!(call, Call::Configure(expected));
}

#[test]
fn version_rolling_without_options_means_all_bits() {
    let lines = [
        r#"{"id":1,"method":"mining.configure","params":[["version-rolling"]]}"#,
        r#"{"id":1,"method":"mining.configure","params":[["version-rolling"],{}]}"#,
        r#"{"id":1,"method":"mining.configure","params":[["version-rolling"],null]}"#,
    ];
    for line in lines {
        let Call::Configure(configure) = call(line) else {
            panic!("{line}");
        };
        assert_eq!(configure.version_rolling.unwrap().mask, u32::MAX);
    }
    for line in [
        r#"{"id":1,"method":"mining.configure","params":[]}"#,
        r#"{"id":1,"method":"mining.configure"}"#,
    ] {
        assert_eq!(call(line), Call::Configure(Configure::default()));
    }
}

#[test]
fn an_extension_named_twice_is_asked_for_once() {
    let line = r#"{"id":1,"method":"mining.configure","params":[["version-rolling","version-rolling"],{"version-rolling.mask":"2000"}]}"#;
    let Call::Configure(configure) = call(line) else {
        panic!("{line}");
    };
    assert_eq!(configure.version_rolling.unwrap().mask, 0x2000);
}

#[test]
fn missing_parameters_are_empty_where_one_can_do_without() {
    // PROXY-14
    let subscribe = |agent: &'static str, session: Option<&'static str>| Call::Subscribe {
        agent: agent.into(),
        session: session.map(Into::into),
    };
    let authorize = |user: &'static str, password: &'static str| Call::Authorize {
        user: user.into(),
        password: password.into(),
    };
    let cases = [
        (
            r#"{"id":1,"method":"mining.subscribe"}"#,
            subscribe("", None),
        ),
        (
            r#"{"id":1,"method":"mining.subscribe","params":{}}"#,
            subscribe("", None),
        ),
        (
            r#"{"id":1,"method":"mining.subscribe","params":[null]}"#,
            subscribe("", None),
        ),
        (
            r#"{"id":1,"method":"mining.subscribe","params":["a",null]}"#,
            subscribe("a", None),
        ),
        (
            r#"{"id":1,"method":"mining.subscribe","params":["a","s"]}"#,
            subscribe("a", Some("s")),
        ),
        (
            r#"{"id":1,"method":"mining.authorize","params":[]}"#,
            authorize("", ""),
        ),
        (
            r#"{"id":1,"method":"mining.authorize","params":["u"]}"#,
            authorize("u", ""),
        ),
        (
            r#"{"id":1,"method":"mining.authorize","params":["u",123]}"#,
            authorize("u", "123"),
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(call(line), expected, "{line}");
    }
}

#[test]
fn a_share_has_five_parameters_or_six() {
    // PROXY-20
    let submit = |version_bits| {
        Call::Submit(Submit {
            user: "u".into(),
            job_id: "j".into(),
            extranonce2: Extranonce::new(&[0, 0, 1, 2]).unwrap(),
            ntime: 0x6500_0001,
            nonce: 0xbeef,
            version_bits,
        })
    };
    let line = |rest: &str| {
        format!(r#"{{"id":1,"method":"mining.submit","params":["u","j","00000102",{rest}]}}"#)
    };
    let cases = [
        (r#""65000001","0000beef""#, None),
        (r#""65000001","beef""#, None),
        (r#""65000001","0xBEEF",null"#, None),
        (r#""65000001","0000beef","""#, None),
        (r#"1694498817,48879,"02000000""#, Some(0x0200_0000)),
        (r#""65000001","0000beef","0","extra""#, Some(0)),
    ];
    for (rest, bits) in cases {
        assert_eq!(call(&line(rest)), submit(bits), "{rest}");
    }
}

#[test]
fn a_share_that_cannot_be_read_says_what_is_wrong() {
    // PROXY-23
    let cases = [
        (r#"[]"#, "job id"),
        (r#"["u"]"#, "job id"),
        (r#"["u","j",null,"0","0"]"#, "extranonce2"),
        (r#"["u","j","abc","0","0"]"#, "extranonce2"),
        (r#"["u","j","00","-1","0"]"#, "ntime"),
        (r#"["u","j","00","0","100000000"]"#, "nonce"),
        (r#"["u","j","00","0",-1]"#, "nonce"),
        (r#"["u","j","00","0","0",{}]"#, "version bits"),
    ];
    for (params, what) in cases {
        let line = format!(r#"{{"id":"x","method":"mining.submit","params":{params}}}"#);
        let error = from_miner(line.as_bytes()).unwrap_err();
        assert_eq!(error.id(), &Id::Other("\"x\"".into()));
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("mining.submit: {what}")),
            "{text}"
        );
    }
}

#[test]
fn suggestions_are_above_zero_and_finite() {
    // FRAME-13
    let suggest = |value: &str| {
        format!(r#"{{"id":1,"method":"mining.suggest_difficulty","params":[{value}]}}"#)
    };
    for (value, difficulty) in [("512", 512.0), ("1e-9", 1e-9), ("\"0.5\"", 0.5)] {
        assert_eq!(call(&suggest(value)), Call::SuggestDifficulty(difficulty));
    }
    for value in ["0", "-1", "\"nan\"", "\"inf\"", "null", "[]", "\"much\""] {
        let error = from_miner(suggest(value).as_bytes()).map(drop).unwrap_err();
        assert!(matches!(error, Unreadable::Params { .. }), "{value}");
    }
}

#[test]
fn a_suggested_target_is_read_the_way_people_write_numbers() {
    let suggest = |digits: &str| {
        format!(r#"{{"id":1,"method":"mining.suggest_target","params":["{digits}"]}}"#)
    };
    let mut bytes = [0; 32];
    bytes[26..28].copy_from_slice(&[0xff, 0xff]);
    let target = Target::from_le_bytes(bytes);
    for digits in [
        format!("00000000ffff{}", "0".repeat(52)),
        format!("ffff{}", "0".repeat(52)),
    ] {
        assert_eq!(call(&suggest(&digits)), Call::SuggestTarget(target));
    }
    for digits in ["", "00", "xyz", &"0".repeat(65)] {
        assert!(from_miner(suggest(digits).as_bytes()).is_err(), "{digits}");
    }
}

#[test]
fn what_is_no_call_is_told_from_what_is_no_json() {
    for line in [
        "",
        "{",
        "GET / HTTP/1.1",
        "{\"id\":1}}",
        "\u{feff}{}",
        "{\"id\":\"\\ud800\"}",
    ] {
        let error = from_miner(line.as_bytes()).unwrap_err();
        assert!(matches!(error, Unreadable::Json(_)), "{line}: {error}");
    }
    assert!(matches!(
        from_miner(b"{\"a\":\"\xff\"}"),
        Err(Unreadable::Json(_))
    ));
    for line in [
        "{}",
        "[]",
        "7",
        "null",
        "\"text\"",
        r#"{"id":1,"method":7}"#,
        r#"{"id":1}"#,
    ] {
        let error = from_miner(line.as_bytes()).unwrap_err();
        assert!(matches!(error, Unreadable::Neither(_)), "{line}: {error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(line: Vec<u8>) {
        let _ = from_miner(&line);
        let _ = from_server(&line);
    }

    #[test]
    fn a_share_comes_out_as_it_went_in(
        user in ".{0,20}",
        job_id in ".{0,20}",
        extranonce2 in proptest::collection::vec(any::<u8>(), 0..=32),
        ntime: u32,
        nonce: u32,
        version_bits: Option<u32>,
    ) {
        let submit = Call::Submit(Submit {
            user: user.into(),
            job_id: job_id.into(),
            extranonce2: Extranonce::new(&extranonce2).unwrap(),
            ntime,
            nonce,
            version_bits,
        });
        let line = written(&submit);
        prop_assert_eq!(line.matches('\n').count(), 1);
        prop_assert_eq!(call(line.trim_end()), submit);
    }
}
