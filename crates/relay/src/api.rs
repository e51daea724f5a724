//! What one can ask the relay, and ask of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use daemon::http::{Feed, Part, Problem, Routes, Wanted, Window, routes};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::fault::Fault;
use crate::line::{Line, LineShown};
use crate::rule::Rule;
use crate::timeline::{LinkEvent, Seen};

/// The links, by name.
type Lines = BTreeMap<String, Arc<Line>>;

#[derive(Clone)]
struct Api {
    lines: Arc<Lines>,
    feed: Feed<LinkEvent>,
}

/// Where it is told of, and told.
pub(crate) fn routes(lines: Lines, feed: Feed<LinkEvent>) -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(disturb))
        .routes(routes!(rule))
        .routes(routes!(heal))
        .routes(routes!(messages))
        .routes(routes!(listen))
        .with_state(Api {
            lines: Arc::new(lines),
            feed,
        })
}

impl Api {
    fn line(&self, name: &str) -> Result<&Arc<Line>, Problem> {
        self.lines.get(name).ok_or_else(|| {
            let names: Vec<_> = self.lines.keys().map(String::as_str).collect();
            Problem::not_found(format!(
                "there is no link '{name}'; there are {}",
                names.join(", ")
            ))
        })
    }
}

/// The links, with what passed and what they are asked to do
#[utoipa::path(
    get, path = "/api/v1/links", tag = "relay",
    responses((status = OK, description = "By name", body = Vec<LineShown>))
)]
async fn list(State(api): State<Api>) -> Json<Vec<LineShown>> {
    Json(api.lines.values().map(|line| line.shown()).collect())
}

/// A fault, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
struct Disturbance {
    #[serde(flatten)]
    fault: Fault,
    /// Milliseconds after which it is over by itself; until it is healed unless given.
    for_ms: Option<u64>,
}

/// Disturb what passes; a fault takes the place of one of its kind
#[utoipa::path(
    post, path = "/api/v1/links/{link}/faults", tag = "relay",
    params(("link" = String, Path, description = "CLIENT:SERVER")),
    request_body = Disturbance,
    responses(
        (status = OK, description = "Begun", body = LineShown),
        (status = NOT_FOUND, description = "No such link", body = Problem),
        (status = BAD_REQUEST, description = "No such fault", body = Problem),
    )
)]
async fn disturb(
    State(api): State<Api>,
    Path(link): Path<String>,
    Json(asked): Json<Disturbance>,
) -> Result<Json<LineShown>, Problem> {
    let line = api.line(&link)?;
    asked.fault.check().map_err(Problem::bad_request)?;
    let lasts = asked.for_ms.map(Duration::from_millis);
    line.disturb(asked.fault, lasts)
        .map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(Json(line.shown()))
}

/// A rule, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
struct Ruling {
    #[serde(flatten)]
    rule: Rule,
    /// Milliseconds after which it is over by itself; until it is healed unless given.
    for_ms: Option<u64>,
}

/// Drop or change messages of one type
#[utoipa::path(
    post, path = "/api/v1/links/{link}/rules", tag = "relay",
    params(("link" = String, Path, description = "CLIENT:SERVER")),
    request_body = Ruling,
    responses(
        (status = OK, description = "Begun", body = LineShown),
        (status = NOT_FOUND, description = "No such link", body = Problem),
        (status = BAD_REQUEST, description = "No such message, field or value", body = Problem),
    )
)]
async fn rule(
    State(api): State<Api>,
    Path(link): Path<String>,
    Json(Ruling { rule, for_ms }): Json<Ruling>,
) -> Result<Json<LineShown>, Problem> {
    let line = api.line(&link)?;
    if line.settings.protocol != crate::config::Protocol::Sv2 {
        return Err(Problem::bad_request(format!(
            "the link {link} carries no Stratum V2, so it has no messages to drop or change"
        )));
    }
    rule.check().map_err(Problem::bad_request)?;
    line.rule(rule, for_ms.map(Duration::from_millis))
        .map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(Json(line.shown()))
}

/// Let everything pass as it comes
#[utoipa::path(
    post, path = "/api/v1/links/{link}/heal", tag = "relay",
    params(("link" = String, Path, description = "CLIENT:SERVER")),
    responses(
        (status = OK, description = "Healed", body = LineShown),
        (status = NOT_FOUND, description = "No such link", body = Problem),
    )
)]
async fn heal(
    State(api): State<Api>,
    Path(link): Path<String>,
) -> Result<Json<LineShown>, Problem> {
    let line = api.line(&link)?;
    line.heal();
    Ok(Json(line.shown()))
}

/// The newest messages of a link, newest first
#[utoipa::path(
    get, path = "/api/v1/links/{link}/messages", tag = "relay",
    params(("link" = String, Path, description = "CLIENT:SERVER"), Window),
    responses(
        (status = OK, description = "The newest thousand, in parts", body = Part<Seen>),
        (status = NOT_FOUND, description = "No such link", body = Problem),
    )
)]
async fn messages(
    State(api): State<Api>,
    Path(link): Path<String>,
    Query(window): Query<Window>,
) -> Result<Json<Part<Arc<Seen>>>, Problem> {
    Ok(Json(api.line(&link)?.timeline().part(window)))
}

/// What passes from now on, as server-sent events
#[utoipa::path(
    get, path = "/api/v1/events", tag = "relay", params(Wanted),
    responses((
        status = OK, description = "Messages; `missed` with a `count` to who reads too slowly",
        body = Seen, content_type = "text/event-stream",
    ))
)]
async fn listen(State(api): State<Api>, Query(wanted): Query<Wanted>) -> Result<Response, Problem> {
    api.feed.listen(&wanted)
}

/// The counts of all links, for Prometheus.
#[derive(Debug)]
pub(crate) struct Counts(pub(crate) Lines);

impl Collector for Counts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counted = |line: &Arc<Line>| (line.name().to_owned(), line.counts());
        let counts: Vec<_> = self.0.values().map(counted).collect();
        let one = ConstCounter::new(0u64);
        let mut bytes = encoder.encode_descriptor(
            "relay_bytes",
            "Bytes that went on",
            None,
            one.metric_type(),
        )?;
        for (link, (up, down, ..)) in &counts {
            for (direction, value) in [("up", *up), ("down", *down)] {
                let labels = [("link", link.as_str()), ("direction", direction)];
                ConstCounter::new(value).encode(bytes.encode_family(&labels)?)?;
            }
        }
        let mut messages = encoder.encode_descriptor(
            "relay_messages",
            "Messages that came",
            None,
            one.metric_type(),
        )?;
        for (link, (_, _, count, _)) in &counts {
            let labels = [("link", link.as_str())];
            ConstCounter::new(*count).encode(messages.encode_family(&labels)?)?;
        }
        let mut open = encoder.encode_descriptor(
            "relay_connections",
            "Connections that are open",
            None,
            ConstGauge::new(0i64).metric_type(),
        )?;
        for (link, (.., count)) in &counts {
            let labels = [("link", link.as_str())];
            ConstGauge::new(i64::try_from(*count).unwrap_or(i64::MAX))
                .encode(open.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
