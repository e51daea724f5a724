//! What the explorer serves: pages for people, the same as text and JSON, and what wallets ask for.

mod actions;
mod api;
mod ask;
mod assets;
mod esplora;
mod html;
mod pages;
mod plain;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use daemon::http::Routes;

use crate::event;
use crate::view::App;

/// Nothing but our own files, and no script or style within a page: whatever a coinbase or a name
/// says, it is text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Pages, and what is asked for by other names than ours.
pub(crate) fn site(app: &App) -> Router {
    Router::new()
        .merge(pages::routes())
        .merge(actions::pages())
        .merge(esplora::routes())
        .fallback(pages::no_page)
        .with_state(app.clone())
        .merge(assets::routes())
        .layer(middleware::from_fn(protect))
}

/// The API.
pub(crate) fn routes(app: &App) -> Routes {
    api::routes()
        .merge(actions::routes())
        .with_state(app.clone())
        .merge(event::routes(app.feed.clone()))
}

/// Tells browsers what a page may do.
async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
