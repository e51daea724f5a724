use std::collections::BTreeMap;

use prometheus_client::encoding::text::encode;
use protocol::error_code;
use protocol::server::ChannelKind;

use super::*;
use crate::stats::tests::{connect, open, share};

const EXTENDED: ChannelKind = ChannelKind::Extended {
    extranonce_size: 16,
};

/// Every series and its value, beside a ledger with these totals.
fn scrape_with(totals: Totals, stats: &Arc<Stats>, max_series: usize) -> BTreeMap<String, f64> {
    let mut registry = Registry::default();
    let (_, totals) = watch::channel(Arc::new(totals));
    Metrics::register(&mut registry, Arc::clone(stats), totals, max_series);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let series = text.lines().filter(|line| !line.starts_with('#'));
    series
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Beside an empty one.
fn scrape(stats: &Arc<Stats>, max_series: usize) -> BTreeMap<String, f64> {
    scrape_with(Totals::default(), stats, max_series)
}

#[test]
fn series_are_named_and_labelled_as_sris_are() {
    let stats = Arc::new(Stats::default());
    let mut connection = connect(&stats);
    open(&mut connection, 2, "alice", ChannelKind::Standard);
    open(&mut connection, 3, "bob", EXTENDED);
    for number in 0..5 {
        connection.accepted((2, number), share(), None);
    }
    connection.rejected(3, error_code::STALE_SHARE, None);
    let totals = Totals {
        accepted: 105,
        hashes: 1e9,
        rejected: [("stale-share", 21), ("of-another-version", 1)]
            .map(|(reason, count)| (reason.to_owned(), count))
            .into(),
        blocks: 4,
        verdicts: [(Verdict::Accepted, 4), (Verdict::Stale, 1)].into(),
    };
    let series = scrape_with(totals, &stats, 10);
    let of = |name: &str| {
        *series
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {series:#?}"))
    };
    let expected = [
        ("sv2_clients_total", 1.0),
        (r#"sv2_client_channels{channel_type="standard"}"#, 1.0),
        (r#"sv2_client_channels{channel_type="extended"}"#, 1.0),
        ("sv2_client_hashrate_total", 2e6),
        (
            r#"sv2_client_channel_hashrate{client_id="1",channel_id="2",user_identity="alice"}"#,
            1e6,
        ),
        (
            r#"sv2_client_shares_accepted_total{client_id="1",channel_id="2",user_identity="alice"}"#,
            5.0,
        ),
        (
            r#"sv2_client_shares_rejected_total{client_id="1",channel_id="3",user_identity="bob",error_code="stale-share"}"#,
            1.0,
        ),
        // Of all time: the ledger's.
        ("sv2_client_blocks_found_total", 4.0),
        (r#"sv2_pool_blocks_judged_total{verdict="accepted"}"#, 4.0),
        (r#"sv2_pool_blocks_judged_total{verdict="stale"}"#, 1.0),
        (r#"sv2_pool_blocks_judged_total{verdict="unknown"}"#, 0.0),
        ("sv2_pool_shares_accepted_total", 105.0),
        (
            r#"sv2_pool_shares_rejected_total{error_code="stale-share"}"#,
            21.0,
        ),
        (
            r#"sv2_pool_shares_rejected_total{error_code="of-another-version"}"#,
            1.0,
        ),
        (
            r#"sv2_pool_shares_rejected_total{error_code="duplicate-share"}"#,
            0.0,
        ),
        ("sv2_pool_hashes_total", 1e9),
        ("sv2_pool_channels_without_series", 0.0),
    ];
    for (name, value) in expected {
        assert!((of(name) - value).abs() < 1e-6, "{name}");
    }
    assert!(of(r#"sv2_pool_hashrate{window="1m"}"#) > 0.0);
}

#[test]
fn a_channel_s_series_end_with_it() {
    let stats = Arc::new(Stats::default());
    let mut connection = connect(&stats);
    open(&mut connection, 2, "alice", ChannelKind::Standard);
    connection.accepted((2, 1), share(), None);
    drop(connection);
    let series = scrape(&stats, 10);
    assert!(
        !series.keys().any(|name| name.contains("alice")),
        "{series:#?}"
    );
}

#[test]
fn only_so_many_channels_have_series_of_their_own() {
    let stats = Arc::new(Stats::default());
    let mut miners: Vec<_> = (0..5).map(|_| connect(&stats)).collect();
    for miner in &mut miners {
        for channel_id in 2..4 {
            open(miner, channel_id, "alice", ChannelKind::Standard);
            miner.accepted((channel_id, 1), share(), None);
        }
    }
    for max_series in [0, 3, 10, 100] {
        let series = scrape(&stats, max_series);
        let prefix = "sv2_client_shares_accepted_total{";
        let own = series
            .keys()
            .filter(|name| name.starts_with(prefix))
            .count();
        assert_eq!(own, max_series.min(10));
        let without = series["sv2_pool_channels_without_series"];
        assert!((without - (10 - own) as f64).abs() < 1e-9);
    }
}

#[test]
fn a_name_cannot_break_out_of_its_label() {
    let stats = Arc::new(Stats::default());
    let mut connection = connect(&stats);
    let name = "a\"} 7\nsv2_clients_total 99\n# EOF\n\\";
    open(&mut connection, 2, name, ChannelKind::Standard);
    let mut registry = Registry::default();
    Metrics::register(&mut registry, stats, watch::channel(Arc::default()).1, 10);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    assert_eq!(text.matches("\nsv2_clients_total ").count(), 1, "{text}");
    assert_eq!(text.matches("\n# EOF\n").count(), 1, "{text}");
    assert!(
        text.contains(r#"user_identity="a\"} 7\nsv2_clients_total 99\n# EOF\n\\""#),
        "{text}"
    );
}
