use std::io::Write;

use daemon::config::Problems;
use protocol::keys::AuthorityKey;

use super::*;

fn read(text: &str) -> Result<Config, Problems> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut reader = Reader::load(Some(file.path()), "JDC", std::iter::empty())?;
    let config = Config::read(&mut reader);
    reader.finish()?;
    Ok(config.unwrap())
}

fn good() -> String {
    let key = AuthorityKey::generate(&mut rand::thread_rng());
    format!(
        r#"
listen_address = "127.0.0.1:34265"
monitoring_address = "127.0.0.1:9091"
authority_public_key = "{public}"
authority_secret_key = "{secret}"
coinbase_reward_script = "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)"
[template_provider]
address = "127.0.0.1:8442"
public_key = "{public}"
[[upstreams]]
authority_pubkey = "{public}"
pool_address = "127.0.0.1"
pool_port = 34254
jds_address = "jds.example"
jds_port = 34264
user_identity = "farm"
[[upstreams]]
authority_pubkey = "{public}"
pool_address = "127.0.0.2"
pool_port = 34254
jds_address = "127.0.0.3"
jds_port = 34264
jds_authority_pubkey = "{other}"
user_identity = "farm.2"
"#,
        public = key.public_text(),
        secret = key.secret_text(),
        other = AuthorityKey::generate(&mut rand::thread_rng()).public_text(),
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
    assert_eq!(config.mode, Mode::FullTemplate);
    assert!(config.kit.signature.is_empty());
    assert_eq!(config.policy.network, None);
    assert_eq!(config.provider.max_payload, MAX_PAYLOAD);
    let [first, second] = &config.upstreams[..] else {
        panic!("{:?}", config.upstreams);
    };
    assert_eq!(first.pool.address.to_string(), "127.0.0.1:34254");
    assert_eq!(first.jds.address.to_string(), "jds.example:34264");
    assert_eq!(first.user_identity, "farm");
    assert_eq!(first.pool.authority, first.jds.authority);
    assert_ne!(second.pool.authority, second.jds.authority);
}

#[test]
fn flags_follow_the_mode() {
    // JDC-01, 02, 03
    for (mode, flags) in [
        ("full-template", 1),
        ("FULLTEMPLATE", 1),
        ("coinbase-only", 0),
        ("COINBASEONLY", 0),
    ] {
        let config = read(&format!("mode = \"{mode}\"\n{}", good())).unwrap();
        let upstream = &config.upstreams[0];
        assert_eq!(upstream.jds.request.flags, flags, "{mode}");
        assert_eq!(upstream.jds.request.protocol as u8, 1);
        assert_eq!(upstream.pool.request.flags, 0b110);
        assert_eq!(upstream.pool.request.protocol as u8, 0);
        assert_eq!(config.provider.request.flags, 0);
        assert_eq!(config.provider.request.protocol as u8, 2);
    }
}

#[test]
fn solo_mode_needs_no_upstream() {
    let text = good();
    let (head, _) = text.split_once("[[upstreams]]").unwrap();
    for mode in ["solo", "SOLOMINING"] {
        let config = read(&format!("mode = \"{mode}\"\n{head}")).unwrap();
        assert_eq!(config.mode, Mode::Solo);
        assert!(config.upstreams.is_empty());
    }
    assert!(read(&format!("mode = \"solo\"\nupstreams = []\n{head}")).is_ok());
    check(
        &format!("upstreams = []\n{head}"),
        "upstreams",
        "there is none",
    );
    check(head, "upstreams", "missing");
    let config = read(&format!("mode = \"solo\"\n{text}")).unwrap();
    assert!(config.upstreams.is_empty(), "nobody is dialled");
    // Those that are there are checked all the same.
    check(
        &format!(
            "mode = \"solo\"\n{}",
            text.replace(
                "pool_port = 34254\njds_address = \"jds",
                "pool_port = 0\njds_address = \"jds"
            )
        ),
        "upstreams[0].pool_port",
        "1 to 65535",
    );
}

#[test]
fn each_wrong_value_is_named() {
    let cases = [
        (
            "user_identity = \"farm\"\n",
            "",
            "upstreams[0].user_identity",
            "missing",
        ),
        (
            "user_identity = \"farm\"\n",
            "user_identity = 5\n",
            "upstreams[0].user_identity",
            "expected a text",
        ),
        (
            "user_identity = \"farm.2\"\n",
            "user_identity = \"x\"\nuser = \"y\"\n",
            "upstreams[1].user",
            "unknown key",
        ),
        (
            "jds_port = 34264\nuser",
            "jds_port = 65536\nuser",
            "upstreams[0].jds_port",
            "1 to 65535",
        ),
        (
            "pool_address = \"127.0.0.2\"",
            "pool_address = \"\"",
            "upstreams[1].pool_address",
            "expected a text",
        ),
        (
            "jds_authority_pubkey = \"",
            "jds_authority_pubkey = \"x",
            "upstreams[1].jds_authority_pubkey",
            "",
        ),
        (
            "coinbase_reward_script = \"addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)\"\n",
            "",
            "coinbase_reward_script",
            "missing",
        ),
    ];
    for (from, to, key, what) in cases {
        let text = good();
        assert!(text.contains(from), "{from}");
        check(&text.replacen(from, to, 1), key, what);
    }
    check(
        &format!("mode = \"half\"\n{}", good()),
        "mode",
        "full-template, coinbase-only or solo",
    );
}

#[test]
fn a_signature_must_leave_room_for_any_pools_extranonce() {
    // T-25
    let with = |len: usize| format!("jdc_signature = \"{}\"\n{}", "x".repeat(len), good());
    assert_eq!(read(&with(MAX_SIGNATURE)).unwrap().kit.signature.len(), 58);
    check(&with(MAX_SIGNATURE + 1), "jdc_signature", "at most 58");
}

#[test]
fn every_problem_is_told_at_once() {
    let text = good()
        .replace("pool_port = 34254", "pool_port = -1")
        .replace("user_identity = ", "user = ");
    let problems = read(&text).unwrap_err();
    let keys: Vec<&str> = problems
        .lines()
        .iter()
        .filter_map(|line| line.split(':').next())
        .collect();
    let expected = ["pool_port", "user_identity", "user"];
    for (number, key) in (0..2).flat_map(|n| expected.map(|key| (n, key))) {
        let key = format!("upstreams[{number}].{key}");
        assert!(keys.contains(&key.as_str()), "{key} not in {keys:?}");
    }
}
