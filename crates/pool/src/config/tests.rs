use std::io::Write;

use daemon::config::Problems;

use protocol::keys::AuthorityKey;

use super::*;

fn read(text: &str) -> Result<Config, Problems> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut reader = Reader::load(Some(file.path()), "POOL", std::iter::empty())?;
    let config = Config::read(&mut reader);
    reader.finish()?;
    Ok(config.unwrap())
}

fn good() -> String {
    let key = AuthorityKey::generate(&mut rand::thread_rng());
    format!(
        r#"
listen_address = "127.0.0.1:34254"
monitoring_address = "127.0.0.1:9090"
authority_public_key = "{public}"
authority_secret_key = "{secret}"
coinbase_reward_script = "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)"
pool_signature = "/lab/"
[template_provider]
address = "127.0.0.1:8442"
public_key = "{public}"
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
    assert_eq!(config.plan.signature, b"/lab/");
    assert_eq!(config.plan.reward_script.len(), 22);
    assert!(config.node.is_none());
    assert_eq!(config.upstream.request.endpoint_port, 8442);
}

#[test]
fn vardiff_is_on_except_where_devices_are_paced() {
    let regtest = good();
    let signet = format!("network = \"signet\"\n{regtest}").replace(
        "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
        "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
    );
    let vardiff = |text: &str| read(text).unwrap().policy.vardiff;
    assert!(!vardiff(&regtest));
    assert!(vardiff(&format!("enable_vardiff = true\n{regtest}")));
    assert!(vardiff(&signet));
    assert!(!vardiff(&format!("enable_vardiff = false\n{signet}")));
}

#[test]
fn each_wrong_value_is_named() {
    let good = good();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from));
        good.replace(from, to)
    };
    check(
        &with("bcrt1qw508", "bcrt1qw509"),
        "coinbase_reward_script",
        "bcrt1qw509",
    );
    check(
        &format!("network = \"testnet4\"\n{good}"),
        "coinbase_reward_script",
        "testnet4",
    );
    check(
        &format!("supported_extensions = [2, 3]\n{good}"),
        "supported_extensions",
        "3",
    );
    check(
        &format!("supported_extensions = []\nrequired_extensions = [2]\n{good}"),
        "required_extensions",
        "must be in supported_extensions",
    );
    check(
        &format!("network = \"moon\"\n{good}"),
        "network",
        "expected mainnet",
    );
    check(
        &with("addr(", "what("),
        "coinbase_reward_script",
        "descriptor",
    );
    check(
        &with("/lab/", &"x".repeat(90)),
        "pool_signature",
        "at most 68",
    );
    check(
        &with("127.0.0.1:8442", "tp"),
        "template_provider.address",
        "host:port",
    );
    check(
        &format!("shares_per_minute = 0\n{good}"),
        "shares_per_minute",
        "above 0",
    );
    check(
        &format!("share_batch_size = 0\n{good}"),
        "share_batch_size",
        "at least 1",
    );
}

#[test]
fn a_secret_that_does_not_fit_the_public_key_is_a_problem_but_is_not_shown() {
    let other = AuthorityKey::generate(&mut rand::thread_rng()).secret_text();
    let good = good();
    let secret = good
        .lines()
        .find(|line| line.starts_with("authority_secret"))
        .unwrap();
    let text = good.replace(secret, &format!("authority_secret_key = \"{other}\""));
    check(&text, "authority_public_key", "belongs to");
    assert!(!read(&text).unwrap_err().to_string().contains(&other));
}

#[test]
fn an_incomplete_node_section_is_a_problem() {
    let text = format!("{}[node]\nrpc_address = \"127.0.0.1:1\"\n", good());
    let problems = read(&text).unwrap_err();
    assert_eq!(
        problems.lines(),
        ["node.rpc_user: missing", "node.rpc_password: missing"]
    );
}

#[test]
fn custom_jobs_are_taken_with_a_secret_only_and_it_is_never_shown() {
    // POOL-75
    assert!(read(&good()).unwrap().policy.job_declaration.is_none());
    let with = |secret: &str| format!("{}[job_declaration]\nsecret = \"{secret}\"\n", good());
    let secret = "5a".repeat(32);
    let policy = read(&with(&secret)).unwrap().policy;
    assert!(policy.job_declaration.is_some());
    assert!(!format!("{policy:?}").contains(&secret));
    let short = &secret[..62];
    check(&with(short), "job_declaration.secret", "64 hexadecimal");
    let problems = read(&with(short)).unwrap_err().to_string();
    assert!(!problems.contains(short));
}
