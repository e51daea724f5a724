use serde_json::{Value, json};

use super::*;

/// As Bitcoin Core answers.
fn answer() -> Value {
    let transaction = |id: char, depends: &[u8]| {
        json!({
            "data": "0200ff",
            "txid": id.to_string().repeat(64),
            "hash": "b".repeat(64),
            "depends": depends,
            "fee": 1_000,
            "sigops": 4,
            "weight": 400
        })
    };
    json!({
        "capabilities": ["proposal"],
        "version": 0x2000_0000,
        "rules": ["csv", "!segwit", "taproot"],
        "vbavailable": {},
        "vbrequired": 0,
        "previousblockhash": "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
        "transactions": [transaction('1', &[]), transaction('2', &[1])],
        "coinbaseaux": {},
        "coinbasevalue": 5_000_002_000_u64,
        "longpollid": "0f9188f1",
        "target": "7fffff0000000000000000000000000000000000000000000000000000000000",
        "mintime": 1_600_000_000,
        "mutable": ["time", "transactions", "prevblock"],
        "noncerange": "00000000ffffffff",
        "sigoplimit": 80_000,
        "sizelimit": 4_000_000,
        "weightlimit": 4_000_000,
        "curtime": 1_700_000_000,
        "bits": "207fffff",
        "height": 102,
        "default_witness_commitment": "6a24aa21a9ed"
    })
}

fn parsed(answer: Value) -> Result<NodeTemplate, String> {
    template(serde_json::from_value(answer).unwrap()).map_err(|error| error.to_string())
}

#[test]
fn answer_is_taken_over_with_places_counted_from_zero() {
    let template = parsed(answer()).unwrap();
    assert_eq!(template.height, 102);
    assert_eq!(template.bits.to_consensus(), 0x207f_ffff);
    assert_eq!(template.coinbase_value, 5_000_002_000);
    assert_eq!(template.limits.weight, 4_000_000);
    assert_eq!(template.limits.sigops, 80_000);
    let [parent, child] = template.transactions.as_slice() else {
        panic!("{template:?}");
    };
    assert_eq!(*parent.data, [2, 0, 255]);
    assert_eq!(parent.txid.to_string(), "1".repeat(64));
    assert_eq!(parent.wtxid.to_string(), "b".repeat(64));
    assert!(parent.candidate.depends.is_empty());
    assert_eq!(child.candidate.depends, [0]);
}

#[track_caller]
fn check_refused(place: &str, value: Value, problem: &str) {
    let mut answer = answer();
    *answer.pointer_mut(place).unwrap() = value;
    let error = parsed(answer).unwrap_err();
    assert!(
        error.contains("getblocktemplate") && error.contains(problem),
        "{error}"
    );
}

#[test]
fn answer_that_makes_no_sense_is_refused_by_the_name_of_its_field() {
    check_refused("/bits", json!("207fffffff"), "bits");
    check_refused("/previousblockhash", json!("00"), "previousblockhash");
    check_refused("/height", json!(-1), "height");
    check_refused("/coinbasevalue", json!(-1), "coinbasevalue");
    check_refused("/curtime", json!(1_u64 << 32), "curtime");
    check_refused("/longpollid", Value::Null, "longpollid");
    check_refused("/transactions/0/data", json!("0"), "transaction 0: data");
    check_refused("/transactions/1/hash", json!("zz"), "transaction 1: hash");
    check_refused("/transactions/1/fee", json!(-1), "transaction 1: fee");
    check_refused("/transactions/1/sigops", json!(-1), "transaction 1: sigops");
    for depends in [0, 2, 3, -1] {
        check_refused(
            "/transactions/1/depends",
            json!([depends]),
            "transaction 1: depends",
        );
    }
}
