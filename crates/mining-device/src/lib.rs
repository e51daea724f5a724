//! A miner on the CPU that speaks Stratum V2.
//!
//! - [`kernel`]: double SHA-256 over the nonces of one header, as fast as the CPU allows;
//! - [`work`]: the headers one assignment gives, one after the other;
//! - [`hasher`]: threads that search them, at the pace asked for;
//! - `session`: the connection to the pool, dialled again for ever.
//!
//! ```text
//!   pool ◀──▶ session (one task: protocol::client) ──assignment──▶ hasher threads
//!                          ▲                                           │
//!                          └───────────── mpsc: shares ────────────────┘
//! ```

mod config;
pub mod hasher;
pub mod kernel;
mod metrics;
mod session;
mod stats;
pub mod work;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::extract::{Query, State};
use axum::routing::post;
use axum::{Json, Router};
use daemon::config::Reader;
use daemon::http::{Health, Page};
use daemon::role::Role;
use daemon::shutdown::Shutdown;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

pub use config::{Config, Options};
use hasher::{Hasher, Speed};
use session::Session;
use stats::Stats;

/// Shares found and not yet sent. Far more than a pool asks for; when it is full the pool is away
/// or does not read, and further shares are dropped.
const MAX_FOUND: usize = 256;

/// The role.
#[derive(Debug, Clone, Copy)]
pub struct MiningDevice;

impl Role for MiningDevice {
    const NAME: &'static str = "mining-device";
    const ABOUT: &'static str = "Stratum V2 CPU miner";
    const ENV_PREFIX: &'static str = "MINING_DEVICE";
    type Options = Options;
    type Config = Config;

    fn configure(options: &Options, reader: &mut Reader) -> Option<Config> {
        Config::read(options, reader)
    }

    fn monitoring_address(config: &Config) -> Option<SocketAddr> {
        config.monitoring_address
    }

    async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
        let (found, shares) = mpsc::channel(MAX_FOUND);
        let speed = Speed {
            threads: config.threads,
            kernel: config.kernel,
            max_hashrate: config.max_hashrate,
            share_interval: config.share_interval,
        };
        let hasher = Arc::new(Hasher::start(speed, found).context("starting the hashing threads")?);
        let stats = Stats::new(
            config.kernel.name(),
            config.threads,
            std::time::Instant::now(),
        );
        let (stats, stats_seen) = watch::channel(stats);
        let (health, health_seen) = watch::channel(Health::not_ready("starting"));
        if let Some(address) = config.monitoring_address {
            let mut registry = Registry::default();
            metrics::register(&mut registry, stats_seen.clone());
            let routes = Router::new()
                .route("/api/v1/mine", post(mine))
                .with_state(Arc::clone(&hasher));
            let seen = stats_seen.clone();
            let page = Page {
                role: Self::NAME,
                health: health_seen,
                metrics: registry,
                status: Box::new(move || match serde_json::to_value(&*seen.borrow()) {
                    Ok(Value::Object(map)) => map,
                    _ => serde_json::Map::new(),
                }),
                routes,
            };
            daemon::http::serve(address, page, &shutdown).await?;
        }
        let session = Session {
            upstream: config.upstream,
            request: config.request,
            until_blocks: config.until_blocks,
            hasher,
            stats,
            health,
            shutdown,
        };
        session.run(shares).await;
        report(&stats_seen.borrow(), config.report_file.as_deref())
    }
}

/// Tells what was done, for people and programs alike.
fn report(stats: &Stats, file: Option<&std::path::Path>) -> anyhow::Result<()> {
    let text = serde_json::to_string(stats)?;
    println!("{text}");
    if let Some(file) = file {
        std::fs::write(file, format!("{text}\n"))
            .with_context(|| format!("writing the report to {}", file.display()))?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct MineQuery {
    #[serde(default = "one")]
    blocks: u64,
}

fn one() -> u64 {
    1
}

/// `POST /api/v1/mine?blocks=N`: the next shares come without rest between them. On regtest a
/// share is a block.
async fn mine(State(hasher): State<Arc<Hasher>>, Query(query): Query<MineQuery>) -> Json<Value> {
    hasher.release(query.blocks);
    Json(json!({ "released": query.blocks }))
}
