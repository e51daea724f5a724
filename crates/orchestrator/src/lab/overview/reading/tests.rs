use serde_json::json;

use super::*;

#[test]
fn a_pool_tells_shares_of_all_its_miners() {
    let answers = Answers {
        global: json!({"sv2_clients": {
            "total_clients": 2, "shares_accepted": 12, "hashrate_1m": 5.5, "blocks_found": 3,
            "shares_rejected_by_reason": {"stale-share": 4},
        }}),
        status: json!({"shares_accepted": 1000, "clients": 2}),
        ..Answers::default()
    };
    let expected = Mining {
        miners: Some(2),
        hashrate: 5.5,
        accepted: 12,
        rejected: [("stale-share".to_owned(), 4)].into(),
        blocks: 3,
    };
    assert_eq!(mining(&answers), Some(expected));
}

#[test]
fn a_client_of_pools_tells_reasons_in_its_metrics_only() {
    let answers = Answers {
        status: json!({"shares_accepted": 7, "clients": 2, "blocks_found": 1}),
        clients: json!({"items": [{"hashrate_1m": 1.0}, {"hashrate_1m": 2.5}, {}]}),
        metrics: "\
# TYPE sv2_client_shares_rejected counter
sv2_client_shares_rejected_total{reason=\"stale-share\"} 3
sv2_client_shares_rejected_total{client_id=\"1\",error_code=\"duplicate-share\"} 2
sv2_client_shares_rejected_total{reason=\"none\"} 0
sv2_client_shares_accepted_total 7
"
        .to_owned(),
        ..Answers::default()
    };
    let told = mining(&answers).unwrap();
    assert_eq!((told.hashrate, told.miners), (3.5, Some(2)));
    let expected = [
        ("duplicate-share".to_owned(), 2),
        ("stale-share".to_owned(), 3),
    ];
    assert_eq!(told.rejected, expected.into());
}

#[test]
fn a_miner_tells_of_itself() {
    let answers = Answers {
        status: json!({"shares_accepted": 7, "hashrate": 9.0, "shares_rejected": {"x": 1}}),
        ..Answers::default()
    };
    let told = mining(&answers).unwrap();
    assert_eq!((told.miners, told.hashrate), (None, 9.0));
    assert_eq!(told.rejected, [("x".to_owned(), 1)].into());
}

#[test]
fn a_translator_counts_miners_of_the_older_protocol() {
    let answers = Answers {
        status: json!({"shares_accepted": 7, "sv1_clients": 3, "hashrate": 8.0}),
        metrics: "sv1_client_shares_rejected_total{reason=\"stale\"} 2\n".to_owned(),
        ..Answers::default()
    };
    let told = mining(&answers).unwrap();
    assert_eq!((told.miners, told.hashrate), (Some(3), 8.0));
    assert_eq!(told.rejected, [("stale".to_owned(), 2)].into());
}

#[test]
fn what_the_relay_does_to_a_link_is_named() {
    let link: Link = serde_json::from_value(json!({
        "name": "jdc:pool", "protocol": "sv2", "connections": 1, "messages_total": 0,
        "bytes_up_total": 0, "bytes_down_total": 0, "rules": [{"type": "drop"}],
        "faults": [{"fault": "delay", "delay_ms": 200}, {"fault": "loss"}],
    }))
    .unwrap();
    assert_eq!(disturbances(&link), ["delay", "loss", "rule"]);
}

#[test]
fn whoever_says_nothing_of_shares_has_none() {
    for status in [Value::Null, json!({}), json!({"shares_accepted": "many"})] {
        let answers = Answers {
            status,
            ..Answers::default()
        };
        assert_eq!(mining(&answers), None);
    }
}

#[test]
fn a_connection_is_found_by_the_other_end_s_address() {
    let sockets = ["10.10.0.5:34254".to_owned(), "10.10.0.5:9090".to_owned()];
    let status = json!({"links": [
        {"address": "10.10.0.3:8442", "stage": "open"},
        {"address": "10.10.0.5:34254", "stage": "handshake", "failure": "gone"},
    ]});
    let expected = Some((Stage::Handshake, Some("gone".to_owned())));
    assert_eq!(link(&status, &sockets, false), expected);
    assert_eq!(link(&json!({}), &sockets, false), None);
    assert_eq!(link(&Value::Null, &sockets, true), None);
}

#[test]
fn why_it_failed_once_says_nothing_of_a_connection_that_is_open() {
    let status = json!({"links": [{"address": "a:1", "stage": "open", "failure": "old"}]});
    assert_eq!(
        link(&status, &["a:1".to_owned()], false),
        Some((Stage::Open, None))
    );
}

#[test]
fn the_node_s_state_is_its_connection_s() {
    for (node, expected) in [
        (json!({"state": "serving"}), (Stage::Open, None)),
        (json!({"state": "ready"}), (Stage::Open, None)),
        (json!({"state": "syncing"}), (Stage::Handshake, None)),
        (
            json!({"state": "away", "reason": "refused"}),
            (Stage::Disconnected, Some("refused".to_owned())),
        ),
    ] {
        let status = json!({"node": node});
        assert_eq!(link(&status, &[], true), Some(expected));
        assert_eq!(link(&status, &[], false), None);
    }
}

#[test]
fn templates_have_an_age_and_what_is_known_of_them() {
    let status = json!({"work": {"height": 9, "value_remaining": 5, "received_ms": 900}});
    let told = template("pool", &status, 1_000).unwrap();
    assert_eq!((told.height, told.value), (Some(9), Some(5)));
    assert_eq!((told.age_ms, told.fees), (Some(100), None));
    assert_eq!(told.left_out, None);
    let choosing = json!({"work": {"left_out": 3}, "selection": {"max_weight": 10000}});
    assert_eq!(template("jdc", &choosing, 0).unwrap().left_out, Some(3));
    let taking_all = json!({"work": {"left_out": 0}, "selection": null});
    assert_eq!(template("jdc", &taking_all, 0).unwrap().left_out, None);
    assert_eq!(template("pool", &json!({"work": null}), 0), None);
    assert_eq!(template("pool", &Value::Null, 0), None);
}

#[test]
fn blocks_without_a_template_of_the_pool_were_declared() {
    let answer = json!({"items": [
        {"height": 2, "hash": "0b", "time_ms": 2, "user": "farm", "template_id": null,
         "verdict": "accepted"},
        {"height": 1, "hash": "0a", "time_ms": 1, "user": "lab", "worker": "w",
         "template_id": 7, "verdict": null},
        {"height": 0},
    ]});
    let told = blocks("pool", &answer);
    assert_eq!(told.len(), 2);
    assert!(told[0].declared && !told[1].declared);
    assert_eq!(told[0].verdict.as_deref(), Some("accepted"));
    assert_eq!(told[1].worker.as_deref(), Some("w"));
    assert_eq!(blocks("pool", &Value::Null), []);
}
