//! The same as the pages show, as JSON with a description.

use axum::Json;
use axum::extract::{Path, Query, State};
use daemon::http::{Problem, Routes, routes};
use serde::Deserialize;
use utoipa::IntoParams;

use super::ask::problem;
use crate::archive::Missing;
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

pub(super) fn routes() -> Routes<App> {
    Routes::new()
        .routes(routes!(home))
        .routes(routes!(blocks))
        .routes(routes!(block))
        .routes(routes!(transaction))
        .routes(routes!(address))
        .routes(routes!(mempool))
        .routes(routes!(search))
        .routes(routes!(tips))
        .routes(routes!(work))
        .routes(routes!(miners))
        .routes(routes!(worker))
        .routes(routes!(declarations))
        .routes(routes!(node))
        .routes(routes!(about))
}

type Answer<T> = Result<Json<T>, Problem>;

fn answer<T>(view: Result<T, Missing>) -> Answer<T> {
    view.map(Json).map_err(|missing| problem(&missing))
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct From {
    /// Items to leave out first.
    #[serde(default)]
    offset: usize,
}

/// The tip, the newest blocks, and the lab at work
#[utoipa::path(
    get, path = "/api/v1/home", tag = "explorer",
    responses((status = OK, description = "Now", body = Home))
)]
async fn home(State(app): State<App>) -> Json<Home> {
    Json(Home::of(&app))
}

/// Blocks of the chain, the newest first
#[utoipa::path(
    get, path = "/api/v1/blocks", tag = "explorer", params(From),
    responses((status = OK, description = "In parts", body = Blocks))
)]
async fn blocks(State(app): State<App>, Query(from): Query<From>) -> Json<Blocks> {
    Json(Blocks::of(&app, from.offset))
}

/// A block by its height or hash: header, coinbase, transactions, and how it came to be
#[utoipa::path(
    get, path = "/api/v1/blocks/{id}", tag = "explorer", params(("id" = String, Path), From),
    responses(
        (status = OK, description = "The block", body = BlockView),
        (status = NOT_FOUND, description = "There is none", body = Problem),
        (status = SERVICE_UNAVAILABLE, description = "The node is away", body = Problem),
    )
)]
async fn block(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(from): Query<From>,
) -> Answer<BlockView> {
    answer(BlockView::of(&app, &id, from.offset).await)
}

/// A transaction
#[utoipa::path(
    get, path = "/api/v1/transactions/{txid}", tag = "explorer", params(("txid" = String, Path)),
    responses(
        (status = OK, description = "The transaction", body = TxView),
        (status = NOT_FOUND, description = "There is none", body = Problem),
        (status = SERVICE_UNAVAILABLE, description = "The node is away", body = Problem),
    )
)]
async fn transaction(State(app): State<App>, Path(txid): Path<String>) -> Answer<TxView> {
    answer(TxView::of(&app, &txid).await)
}

/// An address: balance, history, coins
#[utoipa::path(
    get, path = "/api/v1/addresses/{address}", tag = "explorer",
    params(("address" = String, Path), From),
    responses(
        (status = OK, description = "The address", body = AddressView),
        (status = BAD_REQUEST, description = "It is none", body = Problem),
    )
)]
async fn address(
    State(app): State<App>,
    Path(address): Path<String>,
    Query(from): Query<From>,
) -> Answer<AddressView> {
    answer(AddressView::of(&app, &address, from.offset).await)
}

/// Transactions that wait
#[utoipa::path(
    get, path = "/api/v1/mempool", tag = "explorer", params(From),
    responses((status = OK, description = "In parts", body = MempoolView))
)]
async fn mempool(State(app): State<App>, Query(from): Query<From>) -> Json<MempoolView> {
    Json(MempoolView::of(&app, from.offset))
}

/// What somebody looks for.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// A height, hash, transaction id, address, worker or job id.
    #[serde(default)]
    q: String,
}

/// Blocks, transactions, addresses, workers and jobs of that name
#[utoipa::path(
    get, path = "/api/v1/search", tag = "explorer", params(Wanted),
    responses((status = OK, description = "What was found", body = Search))
)]
async fn search(State(app): State<App>, Query(wanted): Query<Wanted>) -> Json<Search> {
    Json(Search::of(&app, &wanted.q).await)
}

/// Branches beside the chain, and how the chain turned
#[utoipa::path(
    get, path = "/api/v1/tips", tag = "explorer",
    responses((status = OK, description = "Now", body = Tips))
)]
async fn tips(State(app): State<App>) -> Json<Tips> {
    Json(Tips::of(&app))
}

/// Templates and jobs: what each role works on
#[utoipa::path(
    get, path = "/api/v1/work", tag = "explorer",
    responses((status = OK, description = "Now", body = Work))
)]
async fn work(State(app): State<App>) -> Json<Work> {
    Json(Work::of(&app))
}

/// Everybody who mines, with shares and hash rates
#[utoipa::path(
    get, path = "/api/v1/miners", tag = "explorer",
    responses((status = OK, description = "Now", body = Miners))
)]
async fn miners(State(app): State<App>) -> Json<Miners> {
    Json(Miners::of(&app))
}

/// Of whom.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Name {
    /// Of the worker or the account.
    #[serde(default)]
    name: String,
}

/// A worker, or an account: its totals, shares and blocks
#[utoipa::path(
    get, path = "/api/v1/worker", tag = "explorer", params(Name),
    responses((status = OK, description = "Now", body = WorkerView))
)]
async fn worker(State(app): State<App>, Query(query): Query<Name>) -> Json<WorkerView> {
    Json(WorkerView::of(&app, &query.name))
}

/// What was declared, as job declarator servers and clients tell it
#[utoipa::path(
    get, path = "/api/v1/declarations", tag = "explorer",
    responses((status = OK, description = "The newest", body = Declarations))
)]
async fn declarations(State(app): State<App>) -> Json<Declarations> {
    Json(Declarations::of(&app))
}

/// The node and its peers
#[utoipa::path(
    get, path = "/api/v1/node", tag = "explorer",
    responses((status = OK, description = "As it said last", body = NodeView))
)]
async fn node(State(app): State<App>) -> Json<NodeView> {
    Json(NodeView::of(&app))
}

/// The lab: services, versions, addresses
#[utoipa::path(
    get, path = "/api/v1/about", tag = "explorer",
    responses((status = OK, description = "Now", body = About))
)]
async fn about(State(app): State<App>) -> Json<About> {
    Json(About::of(&app))
}
