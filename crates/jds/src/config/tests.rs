use std::io::Write;

use daemon::config::Problems;
use protocol::keys::AuthorityKey;

use super::*;

const SECRET: &str = "job_declaration.secret";
const SECRET_TEXT: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn read(text: &str) -> Result<Config, Problems> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut reader = Reader::load(Some(file.path()), "JDS", std::iter::empty())?;
    let config = Config::read(&mut reader);
    reader.finish()?;
    Ok(config.unwrap())
}

fn good() -> String {
    let key = AuthorityKey::generate(&mut rand::thread_rng());
    format!(
        r#"
listen_address = "127.0.0.1:34264"
monitoring_address = "127.0.0.1:9093"
authority_public_key = "{public}"
authority_secret_key = "{secret}"
coinbase_reward_script = "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)"
[node]
rpc_address = "127.0.0.1:18443"
rpc_user = "lab"
rpc_password = "hunter2"
[job_declaration]
secret = "{SECRET_TEXT}"
"#,
        public = key.public_text(),
        secret = key.secret_text(),
    )
}

/// The one problem with `text` names `key` and `what`.
#[track_caller]
fn check(text: &str, key: &str, what: &str) {
    let problems = read(text).unwrap_err();
    let [line] = problems.lines() else {
        panic!("not one problem:\n{problems}");
    };
    assert!(line.starts_with(key) && line.contains(what), "{line}");
}

#[test]
fn a_whole_configuration_is_read() {
    let config = read(&good()).unwrap();
    assert_eq!(config.policy.payout.len(), 22);
    assert_eq!(config.policy.token_lifetime, Duration::from_secs(86_400));
    assert_eq!(config.limits.max_connections, 256);
    // The transactions of a full block in one message.
    assert!(config.limits.max_payload > crate::block::MAX_BLOCK);
}

#[test]
fn each_wrong_value_is_named() {
    let good = good();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from));
        good.replace(from, to)
    };
    let add = |line: &str| format!("{good}{line}\n");
    check(
        &with("bcrt1qw508", "bcrt1qw509"),
        REWARD_SCRIPT,
        "bcrt1qw509",
    );
    let long = format!("raw({})", "6a".repeat(10_001));
    let script = "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)";
    check(&with(script, &long), REWARD_SCRIPT, "10001 bytes");
    check(
        &with("rpc_user = \"lab\"\n", ""),
        "node.rpc_user",
        "missing",
    );
    let secret = format!("secret = \"{SECRET_TEXT}\"\n");
    check(&with(&secret, ""), SECRET, "missing");
    let keys = [
        ("token_lifetime_sec", "59", "60 to"),
        ("tokens_per_minute", "0", "1 to"),
        ("max_declarations", "65", "1 to 64"),
        ("missing_timeout_sec", "0", "1 to"),
    ];
    for (key, value, what) in keys {
        check(
            &add(&format!("{key} = {value}")),
            &format!("job_declaration.{key}"),
            what,
        );
    }
}

#[test]
fn a_secret_that_is_none_is_a_problem_but_is_not_shown() {
    let wrong = SECRET_TEXT.replace("ff", "fg");
    let text = good().replace(SECRET_TEXT, &wrong);
    check(&text, SECRET, "64 hexadecimal digits");
    assert!(!read(&text).unwrap_err().to_string().contains(&wrong));
    assert!(!format!("{:?}", read(&good()).unwrap()).contains(SECRET_TEXT));
}
