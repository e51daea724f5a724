//! Style, script and icon: part of the program.

use axum::Router;
use axum::http::{HeaderName, header};
use axum::routing::get;

const STYLE: &str = include_str!("../../assets/style.css");
const SCRIPT: &str = include_str!("../../assets/script.js");
const ICON: &str = include_str!("../../assets/icon.svg");

/// Browsers may keep them for as long as the program is the same.
const CACHE: &str = "max-age=3600";

type Asset = ([(HeaderName, &'static str); 2], &'static str);

pub(super) fn routes() -> Router {
    Router::new()
        .route(
            "/assets/style.css",
            get(async || asset("text/css; charset=utf-8", STYLE)),
        )
        .route(
            "/assets/script.js",
            get(async || asset("text/javascript; charset=utf-8", SCRIPT)),
        )
        .route(
            "/assets/icon.svg",
            get(async || asset("image/svg+xml", ICON)),
        )
}

fn asset(kind: &'static str, text: &'static str) -> Asset {
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, CACHE)];
    (headers, text)
}

/// Of what an address of an asset ends with, so that another program's is fetched anew: FNV-1a.
pub(super) const fn version() -> u32 {
    let mut hash = 0x811c_9dc5;
    let texts = [STYLE.as_bytes(), SCRIPT.as_bytes()];
    let mut text = 0;
    while text < texts.len() {
        let mut place = 0;
        while place < texts[text].len() {
            hash = (hash ^ texts[text][place] as u32).wrapping_mul(0x0100_0193);
            place += 1;
        }
        text += 1;
    }
    hash
}
