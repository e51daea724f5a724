use axum::body::BodyDataStream;
use axum::http::StatusCode;
use futures_util::StreamExt;

use super::*;

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Weather {
    Rain { drops: usize },
    Sun,
}

impl Happening for Weather {
    const NAMES: &'static [&'static str] = &["rain", "sun"];

    fn name(&self) -> &'static str {
        match self {
            Self::Rain { .. } => "rain",
            Self::Sun => "sun",
        }
    }
}

fn wanted(types: &str) -> Wanted {
    Wanted {
        types: Some(types.to_owned()),
    }
}

fn listen(feed: &Feed<Weather>, wanted: &Wanted) -> BodyDataStream {
    feed.listen(wanted).unwrap().into_body().into_data_stream()
}

/// The fields of the next thing that is sent, without the time.
async fn next(heard: &mut BodyDataStream) -> String {
    let bytes = heard.next().await.unwrap().unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    match text.split_once(r#""at_ms":"#) {
        Some((before, after)) => {
            let (at, after) = after.split_once(',').unwrap();
            assert!(at.parse::<u64>().unwrap() > 1_700_000_000_000);
            format!("{before}{after}")
        }
        None => text,
    }
}

#[tokio::test]
async fn nothing_is_made_for_nobody() {
    let feed = Feed::<Weather>::default();
    feed.tell(|| unreachable!("nobody listens"));
    drop(listen(&feed, &Wanted::default()));
    feed.tell(|| unreachable!("nobody listens any more"));
}

#[tokio::test]
async fn listeners_hear_what_happens_in_order() {
    let feed = Feed::default();
    let mut heard = listen(&feed, &Wanted::default());
    feed.tell(|| Weather::Rain { drops: 7 });
    feed.tell(|| Weather::Sun);
    let rain = "event: rain\ndata: {\"type\":\"rain\",\"drops\":7}\n\n";
    assert_eq!(next(&mut heard).await, rain);
    let sun = "event: sun\ndata: {\"type\":\"sun\"}\n\n";
    assert_eq!(next(&mut heard).await, sun);
}

#[tokio::test]
async fn a_listener_hears_only_what_it_wants() {
    let feed = Feed::default();
    let mut sun = listen(&feed, &wanted("sun"));
    let mut both = listen(&feed, &wanted("sun,rain"));
    feed.tell(|| Weather::Rain { drops: 1 });
    feed.tell(|| Weather::Sun);
    assert!(next(&mut sun).await.starts_with("event: sun"));
    assert!(next(&mut both).await.starts_with("event: rain"));
}

#[tokio::test]
async fn a_name_that_is_none_is_refused_with_those_that_are() {
    let refused = Feed::<Weather>::default().listen(&wanted("sun,snow"));
    let response = refused.unwrap_err().into_response();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let body = response.into_body().into_data_stream().next().await;
    let text = String::from_utf8(body.unwrap().unwrap().to_vec()).unwrap();
    assert!(
        text.contains("snow") && text.contains("rain, sun"),
        "{text}"
    );
}

#[tokio::test]
async fn a_slow_listener_loses_the_oldest_and_is_told_how_many() {
    let feed = Feed::default();
    let mut heard = listen(&feed, &Wanted::default());
    for drops in 0..KEPT + 10 {
        feed.tell(|| Weather::Rain { drops });
    }
    let missed = next(&mut heard).await;
    let (name, data) = missed.trim_end().split_once('\n').unwrap();
    assert_eq!(name, "event: missed");
    let data: serde_json::Value = serde_json::from_str(&data["data: ".len()..]).unwrap();
    assert_eq!(data["count"], 10);
    assert!(next(&mut heard).await.contains(r#""drops":10"#));
}

#[tokio::test(start_paused = true)]
async fn silence_is_broken_by_comments() {
    let feed = Feed::<Weather>::default();
    let mut heard = listen(&feed, &Wanted::default());
    for _ in 0..3 {
        assert_eq!(next(&mut heard).await, ":\n\n");
    }
}

#[tokio::test]
async fn there_is_an_end_to_the_listeners() {
    let feed = Feed::<Weather>::default();
    let mut all: Vec<_> = (0..MAX_LISTENERS)
        .map(|_| listen(&feed, &Wanted::default()))
        .collect();
    let turned_away = feed.listen(&Wanted::default()).unwrap_err().into_response();
    assert_eq!(turned_away.status(), StatusCode::SERVICE_UNAVAILABLE);
    all.pop();
    assert!(feed.listen(&Wanted::default()).is_ok());
}
