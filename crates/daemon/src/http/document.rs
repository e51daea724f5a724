//! The routes, described: an index for people, an OpenAPI document for programs.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{Info, OpenApi};

use super::Served;

/// What there is to ask for. Made of the routes' own descriptions.
pub(super) struct Document {
    index: Index,
    /// Serialised once.
    openapi: String,
}

/// What there is to ask for.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Index {
    /// The role.
    service: &'static str,
    version: &'static str,
    /// What each route tells, by path; with the method in front where it is not GET.
    endpoints: BTreeMap<String, String>,
}

impl Document {
    pub(super) fn new(role: &'static str, mut openapi: OpenApi) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        openapi.info = Info::new(format!("Stratum V2 lab: {role}"), version.to_owned());
        let index = Index {
            service: role,
            version,
            endpoints: endpoints(&openapi),
        };
        Self {
            index,
            openapi: openapi.to_json().expect("a document of strings and maps"),
        }
    }
}

fn endpoints(openapi: &OpenApi) -> BTreeMap<String, String> {
    let mut endpoints = BTreeMap::new();
    for (path, item) in &openapi.paths.paths {
        for (method, operation) in [("", &item.get), ("POST ", &item.post)] {
            if let Some(operation) = operation {
                let summary = operation.summary.clone().unwrap_or_default();
                endpoints.insert(format!("{method}{path}"), summary);
            }
        }
    }
    endpoints
}

/// What there is to ask for; the same at `/api/v1`
#[utoipa::path(
    get, path = "/", tag = "role",
    responses((status = OK, description = "The routes", body = Index))
)]
pub(super) async fn index(State(served): State<Arc<Served>>) -> Json<Index> {
    Json(served.document.index.clone())
}

/// This API as an OpenAPI document; the same at `/api-docs/openapi.json`
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "role",
    responses((status = OK, description = "OpenAPI 3.1", body = serde_json::Value))
)]
pub(super) async fn openapi(State(served): State<Arc<Served>>) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, served.document.openapi.clone()).into_response()
}
