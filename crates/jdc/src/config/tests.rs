use std::io::Write;

use daemon::config::Problems;
use protocol::keys::AuthorityKey;

use super::*;

fn read(text: &str) -> Result<Config, Problems> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut reader = Reader::load(Some(file.path()), "JDC", std::iter::empty())?;
    let config = Config::read(&Options::default(), &mut reader);
    reader.finish()?;
    Ok(config.unwrap())
}

/// With two upstreams.
pub(crate) fn config() -> Config {
    read(&good()).unwrap()
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

const TXIDS: [&str; 2] = [
    "1111111111111111111111111111111111111111111111111111111111111111",
    "2222222222222222222222222222222222222222222222222222222222222222",
];
const NODE: &str =
    "[node]\nrpc_address = \"127.0.0.1:18443\"\nrpc_user = \"u\"\nrpc_password = \"p\"\n";

fn choosing(selection: &str) -> String {
    format!("{}[selection]\n{selection}", good())
}

#[test]
fn a_selection_is_read() {
    let config = read(&good()).unwrap();
    assert!(config.selection.is_all() && config.node.is_none());
    let [one, other] = TXIDS;
    let text = choosing(&format!(
        "min_fee_rate = 2.5\nmax_weight = 1000000\npinned = [\"{one}\"]\nbanned = [\"{other}\"]\n"
    ));
    let config = read(&format!("{text}{NODE}")).unwrap();
    let selection = config.selection;
    assert_eq!(selection.min_fee_rate.to_sat_per_kwu(), 625);
    assert_eq!(selection.max_weight, 1_000_000);
    assert_eq!(selection.pinned, [one.parse().unwrap()].into());
    assert_eq!(selection.banned, [other.parse().unwrap()].into());
    assert!(config.node.is_some());
}

#[test]
fn whoever_chooses_transactions_needs_a_node() {
    check(&choosing("min_fee_rate = 1.0\n"), "node", "missing");
    assert!(read(&choosing("min_fee_rate = 0.0\n")).is_ok());
}

#[test]
fn each_problem_of_a_selection_is_named() {
    let [one, _] = TXIDS;
    let both = format!("pinned = [\"{one}\"]\nbanned = [\"{one}\"]\n");
    let cases = [
        (
            "min_fee_rate = -1.0\n",
            "selection.min_fee_rate",
            "must be 0",
        ),
        ("max_weight = 4000001\n", "selection.max_weight", "4000000"),
        ("max_weight = 9999\n", "selection.max_weight", "10000"),
        ("pinned = [\"zz\"]\n", "selection.pinned", "expected a txid"),
        ("banned = [\"11\"]\n", "selection.banned", "expected a txid"),
        (&both, "selection.pinned", "banned as well"),
        ("pined = []\n", "selection.pined", "selection.pinned"),
    ];
    for (selection, key, what) in cases {
        check(&format!("{}{NODE}", choosing(selection)), key, what);
    }
}

#[test]
fn own_outputs_are_read_and_checked() {
    let with = |outputs: &str| format!("{}{outputs}", good());
    let output = |script: &str, percent: &str| {
        format!("[[coinbase_outputs]]\nscript = \"{script}\"\n{percent}\n")
    };
    let data = output("raw(6a020102)", "");
    let paid = output(
        "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)",
        "percent = 30",
    );
    let config = read(&with(&format!("{data}{paid}"))).unwrap();
    let percents: Vec<u8> = config.kit.outputs.iter().map(|own| own.percent).collect();
    assert_eq!(percents, [0, 30]);
    let other = output("addr(bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4)", "");
    let long = output(&format!("raw({})", "6a".repeat(4_001)), "");
    let much = output("raw(51)", "percent = 80");
    for (outputs, key, what) in [
        (
            other,
            "coinbase_outputs[0].script",
            "not an address of regtest",
        ),
        (output("zz", ""), "coinbase_outputs[0].script", "descriptor"),
        (
            output("raw(51)", "percent = 101"),
            "coinbase_outputs[0].percent",
            "0 to 100",
        ),
        (
            output("raw(51)", "sats = 1"),
            "coinbase_outputs[0].sats",
            "unknown key",
        ),
        (much.repeat(2), "coinbase_outputs", "160 percent"),
        (data.repeat(17), "coinbase_outputs", "at most 16"),
        (long, "coinbase_outputs", "at most 4000"),
    ] {
        check(&with(&outputs), key, what);
    }
}
