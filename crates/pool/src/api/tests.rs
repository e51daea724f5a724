mod schema;

use std::net::SocketAddr;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use daemon::http::{Feed, Happening, Health, Page};
use daemon::shutdown::Shutdown;
use ledger::{Found, Judged, Ledger, Origin, Outcome, Record, Settings, Share, Source, Verdict};
use prometheus_client::registry::Registry;
use protocol::error_code;
use protocol::server::ChannelKind;
use regtest::Events;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::event::{self, PoolEvent};
use crate::stats::Connection;
use crate::stats::tests::{connect, open, share, worker};

const EXTENDED: ChannelKind = ChannelKind::Extended {
    extranonce_size: 16,
};

/// A ledger with 4 accepted and 2 rejected shares of 3 workers and one block, whose writer has ended.
/// Its newest shares are one of each of alice.
async fn filled() -> (TempDir, Ledger) {
    let directory = TempDir::new().unwrap();
    let settings = Settings {
        directory: directory.path().to_owned(),
        keep: 1 << 30,
    };
    let (ledger, recorders, closed) = ledger::open(&settings, 1, CancellationToken::new()).unwrap();
    let source = |channel_id, user: &str, worker: Option<&str>| {
        let peer = ([10, 10, 0, 10], 50_000).into();
        let worker = worker.map(str::to_owned);
        Arc::new(Source::new(peer, channel_id, user.to_owned(), worker))
    };
    let (alice, rig) = (source(2, "alice", None), source(3, "bob", Some("rig,1")));
    let time_ms = 1_700_000_000_000;
    let share = |source: &Arc<Source>, outcome| {
        let source = Arc::clone(source);
        let job_id = 3;
        Record::Share(Share {
            source,
            time_ms,
            job_id,
            outcome,
        })
    };
    let hash = |number| BlockHash::from_byte_array([number; 32]);
    let accepted = |number| Outcome::Accepted {
        hash: hash(number),
        hashes: 1000.5,
    };
    let stale = || Outcome::Rejected {
        reason: "stale-share".into(),
    };
    let found = Record::Found(Box::new(Found {
        hash: hash(2),
        height: Some(102),
        source: Arc::clone(&rig),
        time_ms,
        job_id: 3,
        origin: Origin::Template(7),
    }));
    let judged = Record::Judged(Box::new(Judged {
        hash: hash(2),
        time_ms,
        verdict: Verdict::Accepted,
        reason: None,
    }));
    let mut recorder = recorders.recorder();
    let records = [
        share(&alice, accepted(1)),
        found,
        share(&rig, accepted(2)),
        judged,
        share(&source(2, "\"carol\"", None), stale()),
        share(&alice, accepted(3)),
        share(&alice, accepted(4)),
        share(&alice, stale()),
    ];
    for record in records {
        recorder.record(record);
    }
    recorder.hand_over();
    drop((recorder, recorders));
    closed.await.unwrap();
    (directory, ledger)
}

/// What a pool serves, and what it has to tell.
struct Site {
    address: SocketAddr,
    stats: Arc<Stats>,
    feed: Feed<PoolEvent>,
    shutdown: Shutdown,
    _directory: TempDir,
}

impl Site {
    async fn start() -> Self {
        let (stats, feed) = (Arc::new(Stats::default()), Feed::default());
        let (directory, ledger) = filled().await;
        let shutdown = Shutdown::default();
        let (_, health) = watch::channel(Health::Ready);
        let page = Page {
            role: "pool",
            health,
            metrics: Registry::default(),
            status: Box::new(serde_json::Map::new),
            routes: Api::new(Arc::clone(&stats), &Policy::default())
                .routes()
                .merge(event::routes(feed.clone()))
                .merge(history::routes(ledger)),
        };
        let address = ([127, 0, 0, 1], 0).into();
        Self {
            address: daemon::http::serve(address, page, &shutdown).await.unwrap(),
            stats,
            feed,
            shutdown,
            _directory: directory,
        }
    }

    async fn get(&self, path: &str) -> Response {
        let url = format!("http://{}{path}", self.address);
        reqwest::get(url).await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }
}

/// A client with both kinds of channel, of which the standard one has id 2.
fn miner(stats: &Arc<Stats>) -> Connection {
    let mut connection = connect(stats);
    open(&mut connection, 2, "alice", ChannelKind::Standard);
    open(&mut connection, 3, "bob", EXTENDED);
    for number in 0..12 {
        connection.accepted((2, number), share(), Some(&worker("w")));
    }
    connection.rejected(2, error_code::STALE_SHARE, None);
    connection.rejected(2, error_code::STALE_SHARE, None);
    connection.rejected(2, error_code::DUPLICATE_SHARE, Some(&worker("v")));
    connection.found_block(2);
    connection
}

/// The schema of what `path` answers.
fn described<'a>(document: &'a Value, path: &str, kind: &str) -> &'a Value {
    let content = &document["paths"][path]["get"]["responses"]["200"]["content"];
    &content[kind]["schema"]
}

#[tokio::test]
async fn every_route_tells_what_the_document_says() {
    let site = Site::start().await;
    let _miner = miner(&site.stats);
    let document = site.json("/api/v1/openapi.json").await;
    let paths = document["paths"].as_object().unwrap();
    let mut checked = 0;
    for path in paths.keys() {
        let schema = described(&document, path, "application/json");
        if schema.is_null() {
            continue;
        }
        let filled = path
            .replace("{client_id}", "1")
            .replace("{channel_id}", "2");
        let value = site.json(&filled).await;
        let differences = schema::differences(&document, schema, &value);
        assert!(differences.is_empty(), "{path}: {differences:#?}");
        let nothing = schema::differences(&document, schema, &json!({}));
        assert!(
            nothing.is_empty() == (path == "/api/v1/openapi.json"),
            "{path}"
        );
        checked += 1;
    }
    // All but the metrics and the events.
    assert_eq!(checked, paths.len() - 2);
    site.shutdown.finish().await;
}

#[tokio::test]
async fn every_event_is_as_the_document_says() {
    let site = Site::start().await;
    let document = site.json("/api/v1/openapi.json").await;
    let schema = described(&document, "/api/v1/events", "text/event-stream");
    let mut events = Events::of(site.get("/api/v1/events").await);
    for event in event::tests::all() {
        let name = event.name();
        site.feed.tell(|| event);
        let (told, mut data) = events.next().await;
        assert_eq!(told, name);
        let at_ms = data.as_object_mut().unwrap().remove("at_ms").unwrap();
        assert!(at_ms.is_u64());
        let differences = schema::differences(&document, schema, &data);
        assert!(differences.is_empty(), "{name}: {differences:#?}");
    }
    site.shutdown.finish().await;
}

#[tokio::test]
async fn all_that_sri_s_clients_read_is_there_and_right() {
    let site = Site::start().await;
    let _miner = miner(&site.stats);
    let has = |value: &Value, expected: Value| {
        for (name, expected) in expected.as_object().unwrap() {
            assert_eq!(&value[name], expected, "{name} of {value:#}");
        }
    };
    let summary = json!({
        "total_clients": 1, "total_channels": 2, "extended_channels": 1, "standard_channels": 1,
        "total_hashrate": 2e6,
    });
    let global = site.json("/api/v1/global").await;
    has(&global["sv2_clients"], summary);
    assert!(global["uptime_secs"].is_u64());
    assert!(global["server"].is_null() && global["sv1_clients"].is_null());

    let client = json!({
        "client_id": 1, "client_kind": "miner", "total_hashrate": 2e6,
        "extended_channels_count": 1, "standard_channels_count": 1,
    });
    let clients = site.json("/api/v1/clients").await;
    has(&clients, json!({ "offset": 0, "limit": 25, "total": 1 }));
    has(&clients["items"][0], client.clone());
    has(&site.json("/api/v1/clients/1").await, client);

    let channels = site.json("/api/v1/clients/1/channels").await;
    let page = json!({
        "client_id": 1, "offset": 0, "limit": 25, "total_extended": 1, "total_standard": 1,
    });
    has(&channels, page);
    let channel = &channels["standard_channels"][0];
    let expected = json!({
        "channel_id": 2, "user_identity": "alice", "nominal_hashrate": 1e6,
        "stable_hashrate": false, "extranonce_prefix_hex": "010203040002",
        "requested_max_target_hex": "f".repeat(64), "expected_shares_per_minute": 6.0,
        "shares_accepted": 12, "shares_rejected": 3,
        "shares_rejected_by_reason": { "stale-share": 2, "duplicate-share": 1 },
        "last_share_sequence_number": 11, "last_batch_accepted": 2, "last_batch_work_sum": 0,
        "share_batch_size": 10, "blocks_found": 1,
    });
    has(channel, expected);
    assert!(
        channel["target_hex"]
            .as_str()
            .unwrap()
            .starts_with("000001ad")
    );
    let work = channel["share_work_sum"].as_f64().unwrap();
    assert!((work - 12.0 * 1e7 / 4_295_032_833.0).abs() < 1e-9);
    assert!(channel["best_diff"].as_f64().unwrap() > work / 12.0);
    let extended = &channels["extended_channels"][0];
    let sizes = json!({ "full_extranonce_size": 22, "rollable_extranonce_size": 16 });
    has(extended, sizes);
}

#[tokio::test]
async fn lists_come_in_parts() {
    let site = Site::start().await;
    let miners: Vec<_> = (0..130).map(|_| connect(&site.stats)).collect();
    let ids = async |path: &str| -> Vec<u64> {
        let items = site.json(path).await["items"].take();
        let items = items.as_array().unwrap().iter();
        items
            .map(|item| item["client_id"].as_u64().unwrap())
            .collect()
    };
    let cases = [
        ("", 1..26),
        ("?limit=1000", 1..101),
        ("?offset=100&limit=100", 101..131),
        ("?offset=1000", 0..0),
    ];
    for (query, expected) in cases {
        let path = format!("/api/v1/clients{query}");
        assert_eq!(ids(&path).await, expected.collect::<Vec<_>>(), "{query}");
    }
    drop(miners);
    assert!(ids("/api/v1/clients").await.is_empty());
}

#[tokio::test]
async fn the_workers_behind_a_channel_are_told_by_name() {
    let site = Site::start().await;
    let _miner = miner(&site.stats);
    let workers = site.json("/api/v1/clients/1/channels/2/workers").await;
    assert_eq!(workers["total"], 2);
    let of = |at: usize| {
        let worker = &workers["items"][at];
        let counts = ["worker", "shares_accepted", "shares_rejected"];
        counts.map(|name| worker[name].clone())
    };
    assert_eq!(of(0), [json!("v"), json!(0), json!(1)]);
    assert_eq!(of(1), [json!("w"), json!(12), json!(0)]);
    let channels = site.json("/api/v1/clients/1/channels").await;
    assert_eq!(channels["standard_channels"][0]["workers"], 2);
}

#[tokio::test]
async fn the_newest_shares_are_told_with_their_worth_or_their_fault() {
    let site = Site::start().await;
    let recent = site.json("/api/v1/shares/recent?limit=1").await;
    assert_eq!((&recent["total"], &recent["limit"]), (&json!(6), &json!(1)));
    let newest = &recent["items"][0];
    assert_eq!(newest["user_identity"], "alice");
    assert_eq!(newest["error_code"], "stale-share");
    assert!(newest["hash"].is_null() && newest["accepted"] == false);
    let before = site.json("/api/v1/shares/recent?offset=1").await["items"][0].take();
    assert!(before["error_code"].is_null() && before["accepted"] == true);
    let difficulty = before["difficulty"].as_f64().unwrap();
    assert!((difficulty * 4_295_032_833.0 - 1000.5).abs() < 1e-6);
    assert_eq!(before["hash"].as_str().unwrap().len(), 64);
}

#[tokio::test]
async fn workers_and_minutes_are_told_since_the_ledger_was_begun() {
    let site = Site::start().await;
    let workers = site.json("/api/v1/workers").await;
    assert_eq!(workers["total"], 3);
    let items = workers["items"].as_array().unwrap();
    let alice = items.iter().find(|item| item["user"] == "alice").unwrap();
    assert_eq!(
        (&alice["accepted"], &alice["rejected"]["stale-share"]),
        (&json!(3), &json!(1))
    );
    let rig = items.iter().find(|item| item["worker"] == "rig,1").unwrap();
    assert_eq!((&rig["user"], &rig["accepted"]), (&json!("bob"), &json!(1)));

    let minutes = site.json("/api/v1/minutes?since_ms=0").await;
    let sum = |name: &str| -> u64 {
        let minutes = minutes.as_array().unwrap().iter();
        minutes.map(|minute| minute[name].as_u64().unwrap()).sum()
    };
    assert_eq!((sum("accepted"), sum("rejected")), (4, 2));
    assert_eq!(
        site.json("/api/v1/minutes").await,
        json!([]),
        "it was long ago"
    );
}

#[tokio::test]
async fn what_is_not_there_is_a_404_that_says_so() {
    let site = Site::start().await;
    let _miner = miner(&site.stats);
    let cases = [
        ("/api/v1/clients/7", "client 7"),
        ("/api/v1/clients/7/channels", "client 7"),
        ("/api/v1/clients/1/channels/9/workers", "channel 9"),
        ("/api/v1/server", "/api/v1/server"),
    ];
    for (path, named) in cases {
        let response = site.get(path).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        let body: Value = response.json().await.unwrap();
        assert!(body["error"].as_str().unwrap().contains(named), "{body}");
    }
}
