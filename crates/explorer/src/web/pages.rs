//! The pages.

use axum::Router;
use axum::extract::{Path, Query};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::ask::Ask;
use super::html;
use crate::archive::Missing;
use crate::text;
use crate::view::App;
use crate::view::address::AddressView;
use crate::view::block::BlockView;
use crate::view::home::{Blocks, Home};
use crate::view::lab::{About, NodeView};
use crate::view::mempool::MempoolView;
use crate::view::mining::{Miners, WorkerView};
use crate::view::search::Search;
use crate::view::tips::Tips;
use crate::view::transaction::TxView;
use crate::view::work::{Declarations, Work};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(home))
        .route("/blocks", get(blocks))
        .route("/block/{id}", get(block))
        .route("/tx/{txid}", get(transaction))
        .route("/address/{address}", get(address))
        .route("/mempool", get(mempool))
        .route("/search", get(search))
        .route("/tips", get(tips))
        .route("/work", get(work))
        .route("/miners", get(miners))
        .route("/worker", get(worker))
        .route("/declarations", get(declarations))
        .route("/node", get(node))
        .route("/about", get(about))
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct From {
    #[serde(default)]
    offset: usize,
}

async fn home(ask: Ask) -> Response {
    let view = Home::of(&ask.app);
    ask.show("Home", Ok(view), |frame, view| html::Home { frame, view })
}

async fn blocks(ask: Ask, Query(from): Query<From>) -> Response {
    let view = Blocks::of(&ask.app, from.offset);
    ask.show("Blocks", Ok(view), |frame, view| html::Blocks {
        frame,
        view,
    })
}

async fn block(ask: Ask, Path(id): Path<String>, Query(from): Query<From>) -> Response {
    let view = BlockView::of(&ask.app, &id, from.offset).await;
    let title = match &view {
        Ok(view) => format!("Block {}", view.block.height),
        Err(_) => String::new(),
    };
    ask.show(&title, view, |frame, view| html::Block { frame, view })
}

async fn transaction(ask: Ask, Path(txid): Path<String>) -> Response {
    let view = TxView::of(&ask.app, &txid).await;
    let title = format!("Transaction {}", text::short(&txid));
    ask.show(&title, view, |frame, view| html::Transaction {
        frame,
        view,
    })
}

async fn address(ask: Ask, Path(address): Path<String>, Query(from): Query<From>) -> Response {
    let view = AddressView::of(&ask.app, &address, from.offset).await;
    let title = format!("Address {}", text::short(&address));
    ask.show(&title, view, |frame, view| html::Address { frame, view })
}

async fn mempool(ask: Ask, Query(from): Query<From>) -> Response {
    let view = MempoolView::of(&ask.app, from.offset);
    ask.show("Mempool", Ok(view), |frame, view| html::Mempool {
        frame,
        view,
    })
}

/// What somebody looks for.
#[derive(Debug, Clone, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    q: String,
}

async fn search(ask: Ask, Query(query): Query<Wanted>) -> Response {
    let view = Search::of(&ask.app, &query.q).await;
    if let Some(elsewhere) = ask.goes_to(view.only()) {
        return elsewhere;
    }
    ask.show("Search", Ok(view), |frame, view| html::Search {
        frame,
        view,
    })
}

async fn tips(ask: Ask) -> Response {
    let view = Tips::of(&ask.app);
    ask.show("Tips and reorganisations", Ok(view), |frame, view| {
        html::Tips { frame, view }
    })
}

async fn work(ask: Ask) -> Response {
    let view = Work::of(&ask.app);
    ask.show("Templates and jobs", Ok(view), |frame, view| html::Work {
        frame,
        view,
    })
}

async fn miners(ask: Ask) -> Response {
    let view = Miners::of(&ask.app);
    ask.show("Miners", Ok(view), |frame, view| html::Miners {
        frame,
        view,
    })
}

/// Of whom.
#[derive(Debug, Clone, Default, Deserialize)]
struct Name {
    #[serde(default)]
    name: String,
}

async fn worker(ask: Ask, Query(query): Query<Name>) -> Response {
    let view = WorkerView::of(&ask.app, &query.name);
    ask.show("Worker", Ok(view), |frame, view| html::Worker {
        frame,
        view,
    })
}

async fn declarations(ask: Ask) -> Response {
    let view = Declarations::of(&ask.app);
    ask.show("Declarations", Ok(view), |frame, view| html::Declarations {
        frame,
        view,
    })
}

async fn node(ask: Ask) -> Response {
    let view = NodeView::of(&ask.app);
    ask.show("Node and peers", Ok(view), |frame, view| html::Node {
        frame,
        view,
    })
}

async fn about(ask: Ask) -> Response {
    let view = About::of(&ask.app);
    ask.show("About the lab", Ok(view), |frame, view| html::About {
        frame,
        view,
    })
}

/// Whatever there is no page for.
pub(super) async fn no_page(ask: Ask, uri: Uri) -> Response {
    let what = format!("no page {}; the API is described at /api/v1", uri.path());
    ask.refuse(&Missing::not_found(what))
}
