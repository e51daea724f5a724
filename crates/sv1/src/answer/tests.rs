use super::*;
use crate::message::{FromServer, Reply, from_server};

fn written(answer: &Answer<'_>, id: &Id) -> String {
    let mut out = Vec::new();
    answer.write(id, &mut out);
    String::from_utf8(out).unwrap()
}

fn reply(line: &str) -> Reply<'_> {
    match from_server(line.as_bytes()) {
        Ok(FromServer::Reply(_, reply)) => reply,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn answers_have_result_and_error_both() {
    // PROXY-23
    let cases = [
        (Answer::True, r#"{"id":4,"result":true,"error":null}"#),
        (Answer::Pong, r#"{"id":4,"result":"pong","error":null}"#),
        (
            Answer::Rejected(Rejection::stale()),
            r#"{"id":4,"result":null,"error":[21,"Job not found",null]}"#,
        ),
        (
            Answer::Rejected(Rejection::other("no \"such\" thing")),
            r#"{"id":4,"result":null,"error":[20,"no \"such\" thing",null]}"#,
        ),
    ];
    for (answer, line) in cases {
        assert_eq!(written(&answer, &Id::Number(4)), format!("{line}\n"));
    }
}

#[test]
fn reasons_have_the_numbers_all_firmware_knows() {
    // PROXY-23
    let rejections = [
        Rejection::other("x"),
        Rejection::stale(),
        Rejection::duplicate(),
        Rejection::low_difficulty(),
        Rejection::unauthorized(),
        Rejection::not_subscribed(),
    ];
    for (code, rejection) in (20..).zip(rejections) {
        assert_eq!(rejection.code, code);
        let line = written(&Answer::Rejected(rejection.clone()), &Id::Null);
        assert_eq!(reply(line.trim_end()), Err(rejection));
    }
}

#[test]
fn errors_of_any_shape_are_read() {
    let read =
        |error: &str| reply(&format!(r#"{{"id":1,"result":false,"error":{error}}}"#)).map(drop);
    let error = |code, message: &'static str| {
        Err(Rejection {
            code,
            message: message.into(),
        })
    };
    assert_eq!(read(r#"[23,"above target"]"#), error(23, "above target"));
    assert_eq!(read(r#"{"code":-2,"message":"stale"}"#), error(-2, "stale"));
    assert_eq!(read(r#""boom""#), error(20, "boom"));
    assert_eq!(read("[]"), error(20, ""));
    assert_eq!(read("null"), Ok(()));
    assert_eq!(read("false"), Ok(()));
}

#[test]
fn a_subscription_names_session_and_extranonce() {
    // PROXY-14
    let subscribed = Subscribed {
        session: "5e55".into(),
        extranonce1: Extranonce::new(&[0xaa, 0, 1]).unwrap(),
        extranonce2_size: 4,
    };
    let line = written(&Answer::Subscribed(subscribed.clone()), &Id::Number(1));
    let expected = r#"{"id":1,"result":[[["mining.set_difficulty","5e55"],["mining.notify","5e55"]],"aa0001",4],"error":null}"#;
    assert_eq!(line.trim_end(), expected);
    let read = reply(line.trim_end()).unwrap();
    assert_eq!(Subscribed::read(read), Ok(subscribed));
}

#[test]
fn subscriptions_of_any_shape_are_read() {
    let cases = [
        (r#"[[["mining.notify","s"]],"aa",4]"#, "s"),
        (r#"[["mining.notify","s"],"aa","4"]"#, "s"),
        (r#"[[["mining.notify",7]],"aa",4]"#, "7"),
        (r#"[[],"aa",4]"#, ""),
        (r#"[null,"aa",4]"#, ""),
    ];
    for (result, session) in cases {
        let read = Subscribed::read(Json::parse(result.as_bytes()).unwrap()).unwrap();
        assert_eq!((&*read.session, read.extranonce2_size), (session, 4));
        assert_eq!(&*read.extranonce1, &[0xaa]);
    }
    for result in [
        "null",
        "[[],\"a\",4]",
        "[[],\"aa\"]",
        "[[],\"aa\",33]",
        "[[],\"aa\",-1]",
    ] {
        assert!(Subscribed::read(Json::parse(result.as_bytes()).unwrap()).is_err());
    }
}

#[test]
fn extensions_are_granted_or_refused_each() {
    // PROXY-19
    let configured = |version_mask| Configured {
        version_mask,
        minimum_difficulty: Some(true),
        unknown: vec!["warp".into()],
        ..Configured::default()
    };
    let cases = [
        (
            configured(Some(0x1fff_ffe0)),
            r#"{"version-rolling":true,"version-rolling.mask":"1fffffe0","minimum-difficulty":true,"warp":false}"#,
        ),
        (
            configured(Some(0)),
            r#"{"version-rolling":false,"minimum-difficulty":true,"warp":false}"#,
        ),
        (
            configured(None),
            r#"{"minimum-difficulty":true,"warp":false}"#,
        ),
        (Configured::default(), "{}"),
    ];
    for (configured, result) in cases {
        let line = written(&Answer::Configured(configured.clone()), &Id::Null);
        let expected = format!("{{\"id\":null,\"result\":{result},\"error\":null}}\n");
        assert_eq!(line, expected);
        let read = Configured::read(Json::parse(result.as_bytes()).unwrap());
        let known = Configured {
            unknown: Vec::new(),
            ..configured
        };
        assert_eq!(read, known);
    }
}

#[test]
fn an_extension_that_is_granted_without_its_mask_is_not() {
    let read = |text: &str| Configured::read(Json::parse(text.as_bytes()).unwrap()).version_mask;
    assert_eq!(read(r#"{"version-rolling":true}"#), Some(0));
    assert_eq!(read(r#"{"version-rolling":"no, sorry"}"#), Some(0));
    assert_eq!(read("null"), None);
}
