//! A user of the node's RPC who can only read: what roles that only read are given.

use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};

/// What it may call: all that the explorer and the pool ask.
pub const READING: [&str; 13] = [
    "getblock",
    "getblockchaininfo",
    "getblockhash",
    "getblockheader",
    "getchaintips",
    "getindexinfo",
    "getmempoolinfo",
    "getnetworkinfo",
    "getpeerinfo",
    "getrawmempool",
    "getrawtransaction",
    "scantxoutset",
    "waitfornewblock",
];

/// The lines of a node's `bitcoin.conf` that let `user` in, for [`READING`] and nothing else.
/// The password itself is not in them.
pub fn reader_lines(user: &str, password: &str) -> String {
    // A salt need not be random, only another one for each password.
    let salt = &keyed(b"salt", &[user, password].concat())[..32];
    let hash = keyed(salt.as_bytes(), password);
    let methods = READING.join(",");
    // Without the last line the first whitelist shuts out everybody who has none.
    format!("rpcauth={user}:{salt}${hash}\nrpcwhitelist={user}:{methods}\nrpcwhitelistdefault=0\n")
}

/// HMAC-SHA-256, as hexadecimal digits.
fn keyed(key: &[u8], text: &str) -> String {
    let mut engine = HmacEngine::<sha256::Hash>::new(key);
    engine.input(text.as_bytes());
    Hmac::from_engine(engine)
        .to_byte_array()
        .map(|byte| format!("{byte:02x}"))
        .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_holds_a_hash_that_bitcoin_core_can_check_and_no_password() {
        let hash = keyed(b"f7efda5c189b999524f151318c0c86", "rt125");
        let by_python = "841f654908fa4a9af8a78a446889b1d160c29731373a7d8a45bd9d918b8912d1";
        assert_eq!(hash, by_python);
        let lines = reader_lines("reader", "hunter2");
        assert!(!lines.contains("hunter2"), "{lines}");
        let (salt, hash) = lines.split_once(':').unwrap().1.split_once('$').unwrap();
        assert_eq!(
            hash.lines().next().unwrap(),
            keyed(salt.as_bytes(), "hunter2")
        );
        assert_ne!(lines, reader_lines("reader", "hunter3"));
    }

    #[test]
    fn whoever_reads_changes_nothing() {
        for method in READING {
            let reads = ["get", "scan", "wait"]
                .iter()
                .any(|verb| method.starts_with(verb));
            assert!(reads, "{method}");
        }
    }

    #[test]
    fn the_documentation_lists_what_is_read() {
        let text = include_str!("../../../../docs/configuration.md");
        let list = format!("rpcwhitelist=USER:{}`", READING.join(","));
        assert!(text.contains(&list), "{list}");
    }
}
