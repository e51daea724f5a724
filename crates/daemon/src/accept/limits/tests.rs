use super::*;
use crate::config::Problems;

fn read(keys: &[(&str, &str)]) -> Result<Limits, Problems> {
    let variables = keys
        .iter()
        .map(|(key, value)| (format!("POOL__{}", key.to_uppercase()), (*value).to_owned()));
    let mut reader = Reader::load(None, "POOL", variables)?;
    let limits = Limits::read(&mut reader, Limits::default());
    reader.finish().map(|()| limits)
}

#[test]
fn every_limit_has_a_key_and_a_default() {
    assert_eq!(read(&[]), Ok(Limits::default()));
    let all = [
        ("max_connections", "1"),
        ("max_connections_per_address", "2"),
        ("max_handshakes", "3"),
        ("handshake_timeout_sec", "4"),
        ("setup_timeout_sec", "5"),
        ("idle_timeout_sec", "6"),
        ("max_frame_bytes", "7000"),
        ("max_messages_per_second", "8"),
        ("max_unread_bytes", "90000"),
        ("unread_timeout_sec", "10"),
    ];
    let expected = Limits {
        max_connections: 1,
        max_connections_per_address: 2,
        max_handshakes: 3,
        handshake: Duration::from_secs(4),
        setup: Duration::from_secs(5),
        idle: Duration::from_secs(6),
        max_payload: 7000,
        max_messages_per_second: 8,
        max_unread: 90_000,
        stall: Duration::from_secs(10),
    };
    assert_eq!(read(&all), Ok(expected));
}

#[test]
fn a_limit_nobody_could_live_with_is_named() {
    for (key, value, bounds) in [
        ("max_connections", "0", "1 to 16777216"),
        ("max_connections", "16777217", "1 to 16777216"),
        ("max_handshakes", "0", "1 to 16777216"),
        ("handshake_timeout_sec", "0", "1 to 86400"),
        ("setup_timeout_sec", "86401", "1 to 86400"),
        ("idle_timeout_sec", "0", "1 to 86400"),
        ("max_frame_bytes", "1000", "1293 to 16777215"),
        ("max_frame_bytes", "16777216", "1293 to 16777215"),
        ("max_unread_bytes", "65535", "65536 to 1073741824"),
        ("unread_timeout_sec", "0", "1 to 86400"),
    ] {
        let problems = read(&[(key, value)]).unwrap_err();
        assert_eq!(
            problems.lines(),
            [format!("{key}: {value}: must be {bounds}")]
        );
    }
}

#[test]
fn every_limit_is_shown_before_it_is_reached() {
    let reached = Reached::default();
    let mut registry = Registry::default();
    reached.register(&mut registry);
    reached.count(Limit::Idle);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for limit in Limit::ALL {
        let count = u64::from(limit == Limit::Idle);
        let line = format!(
            "sv2_limits_reached_total{{limit=\"{}\"}} {count}\n",
            limit.name()
        );
        assert!(text.contains(&line), "{text}");
    }
}
