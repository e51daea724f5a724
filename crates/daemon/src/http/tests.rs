use axum::extract::Path;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use super::*;

/// What `/answer` tells.
#[derive(Serialize, ToSchema)]
struct Answer {
    to: u32,
}

/// The answer to a question
#[utoipa::path(get, path = "/api/v1/answer/{to}", responses((status = OK, body = Answer)))]
async fn answer(Path(to): Path<u32>) -> Json<Answer> {
    Json(Answer { to })
}

struct Fixture {
    address: SocketAddr,
    health: watch::Sender<Health>,
    shutdown: Shutdown,
}

impl Fixture {
    async fn start() -> Self {
        let (health, health_seen) = watch::channel(Health::not_ready("no cheese"));
        let shutdown = Shutdown::default();
        let page = Page {
            role: "mouse",
            health: health_seen,
            metrics: Registry::default(),
            status: Box::new(|| Map::from_iter([("holes".to_owned(), json!(3))])),
            routes: Routes::new().routes(routes!(answer)),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            address: serve(address, page, &shutdown).await.unwrap(),
            health,
            shutdown,
        }
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        let url = format!("http://{}{path}", self.address);
        reqwest::get(url).await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        self.get(path).await.json().await.unwrap()
    }
}

#[tokio::test]
async fn readiness_is_a_status_code_with_a_reason() {
    let fixture = Fixture::start().await;
    let answer = fixture.get("/healthz").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body, json!({ "ready": false, "reason": "no cheese" }));
    fixture.health.send_replace(Health::Ready);
    let answer = fixture.get("/healthz").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body, json!({ "ready": true }));
    fixture.shutdown.finish().await;
}

#[tokio::test]
async fn a_program_that_runs_is_healthy_to_sris_clients_whether_or_not_it_is_ready() {
    let fixture = Fixture::start().await;
    let body = fixture.json("/api/v1/health").await;
    assert_eq!(body["status"], "ok");
    assert!(body["timestamp"].as_u64().unwrap() > 1_700_000_000);
}

#[tokio::test]
async fn status_is_what_all_roles_have_and_what_only_this_one_has() {
    let fixture = Fixture::start().await;
    let mut body = fixture.json("/api/v1/status").await;
    assert!(body["uptime_secs"].take().is_u64());
    assert!(body["version"].take().is_string());
    let expected = json!({
        "role": "mouse", "version": null, "uptime_secs": null,
        "ready": false, "reason": "no cheese", "holes": 3,
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn every_role_tells_how_long_it_has_been_running() {
    let fixture = Fixture::start().await;
    let answer = fixture.get("/metrics").await;
    let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = answer.text().await.unwrap();
    assert!(text.contains("\nsv2_uptime_seconds "), "{text}");
}

#[tokio::test]
async fn what_is_not_there_is_told_in_sris_shape() {
    let fixture = Fixture::start().await;
    let answer = fixture.get("/api/v1/server").await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    let body: Value = answer.json().await.unwrap();
    assert!(body["error"].as_str().unwrap().contains("/api/v1/server"));
}

#[tokio::test]
async fn the_index_and_the_document_list_every_route() {
    let fixture = Fixture::start().await;
    let index = fixture.json("/").await;
    assert_eq!(index, fixture.json("/api/v1").await);
    assert_eq!(index["service"], "mouse");
    let endpoints = index["endpoints"].as_object().unwrap();
    assert_eq!(endpoints["/api/v1/answer/{to}"], "The answer to a question");

    let document = fixture.json("/api/v1/openapi.json").await;
    assert_eq!(document, fixture.json("/api-docs/openapi.json").await);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.keys().eq(endpoints.keys()), "{endpoints:?} {paths:?}");
    for path in endpoints.keys() {
        let answer = fixture.get(&path.replace("{to}", "42")).await;
        assert_ne!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
}
