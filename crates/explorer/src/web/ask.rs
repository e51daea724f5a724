//! A request for something to look at, and the answer in the form that is wanted.

use std::convert::Infallible;

use askama::Template;
use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use daemon::http::Problem;
use serde::Serialize;
use tracing::error;

use super::{assets, html, plain};
use crate::archive::Missing;
use crate::node::Reach;
use crate::view::{App, target};

/// In which form an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Html,
    Json,
    Text,
}

impl Form {
    /// Browsers say that they take HTML; who takes anything is shown text.
    fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT);
        let accept = accept
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        match accept {
            _ if accept.contains("text/html") => Self::Html,
            _ if accept.contains("application/json") => Self::Json,
            _ => Self::Text,
        }
    }
}

/// Somebody asks for a page.
pub(super) struct Ask {
    pub(super) app: App,
    form: Form,
    path: String,
}

impl FromRequestParts<App> for Ask {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self {
            app: app.clone(),
            form: Form::of(&parts.headers),
            path: parts.uri.path().to_owned(),
        })
    }
}

/// What is around each page.
pub(super) struct Frame {
    pub(super) title: String,
    /// The page's place in the navigation.
    pub(super) active: String,
    pub(super) lab: String,
    pub(super) network: String,
    /// How the difficulty of its blocks changes.
    pub(super) rule: &'static str,
    pub(super) node: String,
    pub(super) reach: Reach,
    pub(super) height: Option<u32>,
    pub(super) since_ms: u64,
    pub(super) has_actions: bool,
    /// Services that are away.
    pub(super) away: Vec<String>,
    pub(super) version: u32,
}

impl Frame {
    fn of(app: &App, title: &str, path: &str) -> Self {
        let mut away = Vec::new();
        app.board.each(|service| {
            if service.state.name() == "away" {
                away.push(service.name().to_owned());
            }
        });
        let follow = app.follow.borrow().clone();
        Self {
            title: title.to_owned(),
            active: path.split('/').nth(1).unwrap_or_default().to_owned(),
            lab: app.config.lab_name.clone(),
            network: app.config.network.to_core_arg().to_owned(),
            rule: target::rule(app.config.network),
            node: app.config.node.name.clone(),
            reach: follow.reach,
            height: app.chain.borrow().tip().map(|tip| tip.height),
            since_ms: follow.since_ms,
            has_actions: app.config.actions.is_some(),
            away,
            version: assets::version(),
        }
    }

    /// For the navigation.
    pub(super) fn is(&self, place: &str) -> bool {
        self.active == place
    }
}

impl Ask {
    pub(super) fn frame(&self, title: &str) -> Frame {
        Frame::of(&self.app, title, &self.path)
    }

    /// Shows `view` in the form that is wanted.
    pub(super) fn show<V: Serialize, T: Template>(
        self,
        title: &str,
        view: Result<V, Missing>,
        page: impl FnOnce(Frame, V) -> T,
    ) -> Response {
        let view = match view {
            Ok(view) => view,
            Err(missing) => return self.refuse(&missing),
        };
        match self.form {
            Form::Html => render(StatusCode::OK, &page(self.frame(title), view)),
            Form::Json => Json(view).into_response(),
            Form::Text => match serde_json::to_value(&view) {
                Ok(value) => plain::render(&value).into_response(),
                Err(error) => {
                    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
                }
            },
        }
    }

    /// Says why there is nothing to show.
    pub(super) fn refuse(self, missing: &Missing) -> Response {
        let status = status(missing);
        match self.form {
            Form::Html => {
                let frame = self.frame("Nothing to show");
                let reason = missing.to_string();
                render(status, &html::Nothing { frame, reason })
            }
            Form::Json => problem(missing).into_response(),
            Form::Text => (status, format!("{missing}\n")).into_response(),
        }
    }

    /// Sends a browser elsewhere; others are shown what there is.
    pub(super) fn goes_to(&self, url: Option<&str>) -> Option<Response> {
        let url = url.filter(|_| self.form == Form::Html)?;
        Some(Redirect::to(url).into_response())
    }
}

fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(problem) => {
            error!(%problem, "a page cannot be made");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "this page cannot be made",
            )
                .into_response()
        }
    }
}

fn status(missing: &Missing) -> StatusCode {
    match missing {
        Missing::NotFound(_) => StatusCode::NOT_FOUND,
        Missing::BadRequest(_) => StatusCode::BAD_REQUEST,
        Missing::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Missing::Forbidden(_) => StatusCode::FORBIDDEN,
    }
}

/// The same for programs.
pub(super) fn problem(missing: &Missing) -> Problem {
    let text = missing.to_string();
    match missing {
        Missing::NotFound(_) => Problem::not_found(text),
        Missing::BadRequest(_) => Problem::bad_request(text),
        Missing::Unavailable(_) => Problem::unavailable(text),
        Missing::Forbidden(_) => Problem::forbidden(text),
    }
}
