//! Listening to what happens in a role, and being refused.

use std::net::SocketAddr;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use daemon::http::{Feed, Happening, Wanted};
use regtest::Node;
use serde::Serialize;
use serde_json::{Value, json};

use crate::site::Site;

/// What happens in the pool of these tests.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Told {
    TemplateReceived {
        template_id: u64,
        height: u64,
        is_future: bool,
    },
}

impl Happening for Told {
    const NAMES: &'static [&'static str] = &["template_received"];

    fn name(&self) -> &'static str {
        "template_received"
    }
}

/// A pool without miners that tells of itself as ours do.
async fn pool(feed: &Feed<Told>) -> SocketAddr {
    async fn listen(State(feed): State<Feed<Told>>) -> Response {
        match feed.listen(&Wanted::default()) {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        }
    }
    let nothing = || async { Json(json!({"total": 0, "items": []})) };
    let router = Router::new()
        .route("/api/v1/status", get(async || Json(json!({"ready": true}))))
        .route("/api/v1/minutes", get(async || Json(json!([]))))
        .route("/api/v1/events", get(listen))
        .fallback(nothing)
        .with_state(feed.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    address
}

fn keys(pool: SocketAddr) -> String {
    format!("[[services]]\nname = \"pool\"\nkind = \"pool\"\naddress = \"{pool}\"\n")
}

/// Waits until the explorer says this of how it hears the pool.
async fn hears(site: &Site, state: &str) -> Value {
    let about = site
        .until("/api/v1/about", |about| {
            about["services"][0]["hearing"]["state"] == state
        })
        .await;
    about["services"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_at_a_feed_says_so_and_tries_again() {
    let node = Node::with_blocks(1).await;
    let feed = Feed::<Told>::default();
    let mut others = Vec::new();
    while let Ok(place) = feed.listen(&Wanted::default()) {
        others.push(place);
    }
    let site = Site::ready(&node, &keys(pool(&feed).await)).await;
    let pool = hears(&site, "refused").await;
    assert_eq!(pool["state"], "ready", "{pool}");
    let reason = pool["hearing"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("503") && reason.contains("listen already"),
        "{reason}"
    );
    for page in ["/about", "/work"] {
        let text = site.page(page).await;
        assert!(
            text.contains("does not tell what happens"),
            "{page}: {text}"
        );
        assert!(text.contains("every second"), "{page}: {text}");
    }

    // One of the others leaves.
    drop(others.pop());
    hears(&site, "live").await;
    assert!(!site.page("/work").await.contains("does not tell"));
    feed.tell(|| Told::TemplateReceived {
        template_id: 7,
        height: 2,
        is_future: false,
    });
    site.until("/api/v1/work", |work| {
        work["pools"][0]["templates"][0]["template_id"] == 7
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_another_make_is_shown_without_events() {
    let node = Node::with_blocks(1).await;
    let router = Router::new().route("/api/v1/status", get(async || Json(json!({}))));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    let site = Site::ready(&node, &keys(address)).await;
    let pool = hears(&site, "refused").await;
    assert_eq!(pool["state"], "ready", "{pool}");
    assert!(
        pool["hearing"]["reason"].as_str().unwrap().contains("404"),
        "{pool}"
    );
    site.page("/miners").await;
}
