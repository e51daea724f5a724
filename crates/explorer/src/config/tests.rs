use std::io::Write;

use daemon::config::Problems;

use super::*;

fn read(text: &str) -> Result<Config, Problems> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut reader = Reader::load(Some(file.path()), "EXPLORER", std::iter::empty())?;
    let config = Config::read(&mut reader);
    reader.finish()?;
    Ok(config.unwrap())
}

const GOOD: &str = r#"
listen_address = "127.0.0.1:3002"
[node]
rpc_address = "127.0.0.1:18443"
rpc_user = "reader"
rpc_password = "secret"
[[services]]
name = "pool"
kind = "pool"
address = "127.0.0.1:9090"
links = ["btc-node"]
[[services]]
name = "cpuminer"
kind = "mining-device"
address = "miner.example:9096"
links = ["pool"]
"#;

/// The one problem with `text` begins with `key` and says `what`.
#[track_caller]
fn check(text: &str, key: &str, what: &str) {
    let problems = read(text).unwrap_err();
    let [line] = problems.lines() else {
        panic!("not one problem:\n{problems}");
    };
    assert!(line.starts_with(key) && line.contains(what), "{line}");
}

#[test]
fn services_are_kept_in_their_order_and_actions_are_off() {
    let config = read(GOOD).unwrap();
    let names: Vec<_> = config.services.iter().map(|peer| &peer.name).collect();
    assert_eq!(names, ["pool", "cpuminer"]);
    assert_eq!(config.services[1].kind, Kind::MiningDevice);
    assert_eq!(config.node.name, "btc-node");
    assert!(config.actions.is_none());
    assert_eq!(config.max_blocks, 100_000);
}

#[test]
fn a_node_is_enough() {
    let alone = GOOD.split("[[services]]").next().unwrap();
    assert!(read(alone).unwrap().services.is_empty());
}

#[test]
fn actions_may_have_a_user_of_their_own() {
    let text = format!("{GOOD}[actions]\nenabled = true\nrpc_user = \"w\"\nrpc_password = \"p\"\n");
    let actions = read(&text).unwrap().actions.unwrap();
    assert!(format!("{:?}", actions.rpc).contains("\"w\""));
    let half = format!("{GOOD}[actions]\nenabled = true\nrpc_user = \"w\"\n");
    check(&half, "actions", "give both or neither");
}

#[test]
fn every_wrong_key_is_named_with_its_service() {
    let kind = GOOD.replace("kind = \"pool\"", "kind = \"poool\"");
    check(&kind, "services[0].kind", "mining-device");
    let address = GOOD.replace("miner.example:9096", "miner.example");
    check(&address, "services[1].address", "host:port");
    let unknown = GOOD.replace("links = [\"pool\"]", "link = [\"pool\"]");
    check(&unknown, "services[1].link", "unknown key");
    let link = GOOD.replace("links = [\"pool\"]", "links = [\"poool\"]");
    check(&link, "services[1].links", "is no service");
    let twice = GOOD.replace("name = \"cpuminer\"", "name = \"btc-node\"");
    check(&twice, "services[1].name", "taken");
}
