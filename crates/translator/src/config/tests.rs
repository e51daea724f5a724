use std::io::Write;

use daemon::config::Problems;
use protocol::keys::AuthorityKey;

use super::*;

fn read(text: &str) -> Result<Config, Problems> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut reader = Reader::load(Some(file.path()), "TRANSLATOR", std::iter::empty())?;
    let config = Config::read(&mut reader);
    reader.finish()?;
    Ok(config.unwrap())
}

/// With `plain` keys and `tables` added.
fn text(plain: &str, tables: &str) -> String {
    let key = AuthorityKey::generate(&mut rand::thread_rng());
    format!(
        r#"
listen_address = "127.0.0.1:34255"
monitoring_address = "127.0.0.1:9092"
{plain}
{tables}
[[upstreams]]
address = "pool.example"
port = 34254
authority_pubkey = "{public}"
user_identity = "farm"
[[upstreams]]
address = "127.0.0.2"
port = 34265
authority_pubkey = "{public}"
user_identity = "farm.2"
"#,
        public = key.public_text(),
    )
}

/// The one problem names `key` and `what`.
#[track_caller]
fn check(text: &str, key: &str, what: &str) {
    let problems = read(text).unwrap_err();
    let [line] = problems.lines() else {
        panic!("not one problem:\n{problems}");
    };
    assert!(line.starts_with(key) && line.contains(what), "{line}");
}

#[test]
fn little_has_to_be_said() {
    let config = read(&text("", "")).unwrap();
    assert!(config.is_aggregated);
    assert_eq!(config.policy.extranonce2_size, 4);
    assert_eq!(config.policy.keep_alive, Some(Duration::from_secs(60)));
    let [first, second] = &config.upstreams[..] else {
        panic!("{:?}", config.upstreams);
    };
    assert_eq!(first.upstream.address.to_string(), "pool.example:34254");
    // PROXY-01: bit 0 is REQUIRES_STANDARD_JOBS.
    assert_eq!(first.upstream.request.flags & 1, 0);
    assert_eq!(first.terms.payout, None);
    assert_eq!(second.terms.user_identity, "farm.2");
}

#[test]
fn everything_can_be_said() {
    let plain = r#"
aggregate_channels = false
downstream_extranonce2_size = 8
verify_payout = true
network = "signet"
supported_extensions = []
max_past_jobs = 3
max_connections = 20000
"#;
    let tables = r#"
[downstream_difficulty_config]
min_individual_miner_hashrate = 10_000_000_000_000.0
shares_per_minute = 12.0
enable_vardiff = false
job_keepalive_interval_secs = 0
min_difficulty = 0.5
max_difficulty = 4096.0
"#;
    let config = read(&text(plain, tables)).unwrap();
    assert!(!config.is_aggregated);
    let policy = &config.policy;
    assert_eq!((policy.extranonce2_size, policy.max_jobs), (8, 3));
    assert_eq!(
        (policy.least_hash_rate, policy.shares_per_minute),
        (1e13, 12.0)
    );
    assert_eq!((policy.vardiff, policy.keep_alive), (false, None));
    assert_eq!(policy.wishes, 0.5..=4096.0);
    assert_eq!(config.limits.max_connections, 20_000);
    assert!(config.extensions.supported.is_empty());
}

#[test]
fn whom_an_account_wants_to_be_paid_is_read_when_it_is_verified() {
    let address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let with = |plain: &str, account: &str| {
        text(plain, "").replacen("\"farm\"", &format!("{account:?}"), 1)
    };
    let config = read(&with("verify_payout = true", address)).unwrap();
    assert!(config.upstreams[0].terms.payout.is_some());
    assert_eq!(config.upstreams[1].terms.payout, None);
    let config = read(&with("", address)).unwrap();
    assert_eq!(config.upstreams[0].terms.payout, None);
    let wrong = with("verify_payout = true\nnetwork = \"mainnet\"", address);
    check(&wrong, "upstreams[0].user_identity", "names no payout");
}

#[test]
fn each_mistake_is_named() {
    let difficulty = |line: &str| text("", &format!("[downstream_difficulty_config]\n{line}"));
    for (text, key, what) in [
        (
            text("downstream_extranonce2_size = 1", ""),
            "downstream_extranonce2_size",
            "2 to 8",
        ),
        (
            text("downstream_extranonce2_size = 16", ""),
            "downstream_extranonce2_size",
            "2 to 8",
        ),
        (text("max_past_jobs = 0", ""), "max_past_jobs", "1 to 256"),
        (
            text("supported_extensions = [7]", ""),
            "supported_extensions",
            "7",
        ),
        (
            text("agregate_channels = true", ""),
            "agregate_channels",
            "did you mean aggregate_channels",
        ),
        (
            difficulty("shares_per_minute = 0.0"),
            "downstream_difficulty_config.shares_per_minute",
            "above 0",
        ),
        (
            difficulty("min_individual_miner_hashrate = -1.0"),
            "downstream_difficulty_config.min_individual_miner_hashrate",
            "above 0",
        ),
        (
            difficulty("min_difficulty = 2.0\nmax_difficulty = 1.0"),
            "downstream_difficulty_config.min_difficulty",
            "not be above",
        ),
        (
            difficulty("job_keepalive_interval_secs = 9999"),
            "downstream_difficulty_config.job_keepalive_interval_secs",
            "0 to 3600",
        ),
        (
            text("", "").replace("port = 34265", "port = 0"),
            "upstreams[1].port",
            "1 to 65535",
        ),
        (
            text("", "").replace("user_identity = \"farm\"", "user_identity = \"\""),
            "upstreams[0].user_identity",
            "text",
        ),
    ] {
        check(&text, key, what);
    }
    let none = "listen_address = \"127.0.0.1:1\"\nmonitoring_address = \"127.0.0.1:2\"\n";
    check(none, "upstreams", "missing");
    check(
        &format!("{none}upstreams = []"),
        "upstreams",
        "there is none",
    );
}
