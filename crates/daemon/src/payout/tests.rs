use std::io::Write;

use super::*;

const WPKH: &str = "0014751e76e8199196d454941c45d1b3a323f1433bd6";
const KEY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

/// The script, or the one problem there is.
fn read(text: &str) -> Result<String, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut reader = Reader::load(Some(file.path()), "POOL", std::iter::empty()).unwrap();
    let network = network(&mut reader);
    let script = reward_script(&mut reader, network);
    match reader.finish() {
        Ok(()) => Ok(script.unwrap().to_hex_string()),
        Err(problems) => {
            let [line] = problems.lines() else {
                panic!("not one problem:\n{problems}");
            };
            Err(line.clone())
        }
    }
}

#[test]
fn a_descriptor_with_one_script_is_that_script() {
    for (network, descriptor) in [
        (
            "regtest",
            "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)",
        ),
        ("signet", "addr(tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx)"),
        ("mainnet", &format!("raw({WPKH})")),
        ("testnet4", &format!("wpkh({KEY})")),
    ] {
        let text = format!("network = {network:?}\ncoinbase_reward_script = {descriptor:?}");
        assert_eq!(read(&text), Ok(WPKH.to_owned()), "{descriptor}");
    }
}

#[test]
fn what_is_no_script_of_the_network_is_one_problem() {
    let ours = "coinbase_reward_script = \"addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)\"";
    for (text, fault) in [
        ("", "coinbase_reward_script: missing"),
        ("coinbase_reward_script = 7", "invalid type"),
        ("coinbase_reward_script = \"\"", "not an output descriptor"),
        ("coinbase_reward_script = \"raw(0)\"", "odd"),
        ("coinbase_reward_script = \"addr(bcrt1qx)\"", "bcrt1qx"),
        (
            &format!("network = \"signet\"\n{ours}"),
            "see the key network",
        ),
        (&format!("network = \"moon\"\n{ours}"), "expected mainnet"),
    ] {
        let problem = read(text).unwrap_err();
        assert!(problem.contains(fault), "{problem}");
    }
}
