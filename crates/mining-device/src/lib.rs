//! A miner on the CPU that speaks Stratum V2 and Stratum V1.
//!
//! - [`kernel`]: double SHA-256 over the nonces of one header, as fast as the CPU allows;
//! - [`work`]: the headers one assignment gives, one after the other;
//! - [`hasher`]: threads that search them, at the pace asked for;
//! - `session`: the connection to a Stratum V2 pool, dialled again for ever; `miner`: one of those
//!   to a Stratum V1 server;
//! - `board`: what all connections have done, and whether the device is ready.
//!
//! ```text
//!   pool   ◀──▶ session (one task: protocol::client) ──assignment──▶ hasher threads
//!   server ◀──▶ miner (a task each: sv1::client) ──────assignment──▶    │
//!                          ▲                                            │
//!                          └───────────── mpsc: shares ─────────────────┘
//! ```

mod board;
mod config;
pub mod hasher;
pub mod kernel;
mod metrics;
mod miner;
mod session;
mod stats;
pub mod work;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Json;
use axum::extract::{Query, State};
use daemon::config::Reader;
use daemon::dial::{HostPort, Link};
use daemon::http::{Health, Page, Routes, routes};
use daemon::role::{NoVerbs, Role};
use daemon::shutdown::Shutdown;
use prometheus_client::registry::Registry;
use protocol::target::Target;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};
use tracing::info;
use utoipa::{IntoParams, ToSchema};

use board::Board;
pub use config::{Config, Nominal, Options, Pool, StratumV1, StratumV2};
use hasher::{Hasher, Speed};
use kernel::Search;
use miner::Crew;
use session::Session;
use stats::Stats;

/// Shares found and not yet sent. Far more than a pool asks for; when it is full the pool is away
/// or does not read, and further shares are dropped.
const MAX_FOUND: usize = 256;

/// How long the hash rate is measured when none is declared.
const MEASURED_FOR: Duration = Duration::from_millis(20);

/// The role.
#[derive(Debug, Clone, Copy)]
pub struct MiningDevice;

impl Role for MiningDevice {
    const NAME: &'static str = "mining-device";
    const ABOUT: &'static str = "CPU miner for Stratum V2 and V1";
    const ENV_PREFIX: &'static str = "MINING_DEVICE";
    type Options = Options;
    type Verb = NoVerbs;
    type Config = Config;

    fn configure(options: &Options, reader: &mut Reader) -> Option<Config> {
        Config::read(options, reader)
    }

    fn monitoring_address(config: &Config) -> Option<SocketAddr> {
        config.monitoring_address
    }

    async fn run(mut config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
        if let Pool::V2(pool) = &mut config.pool
            && let Nominal::Measured { multiplier } = pool.nominal
        {
            let rate = measured_hashrate(&config.speed) * multiplier / config.channels as f64;
            pool.request.nominal_hash_rate = rate as f32;
            info!(rate, "declaring the measured hash rate for each channel");
        }
        let (found, shares) = mpsc::channel(MAX_FOUND);
        let speed = config.speed;
        let hasher = Arc::new(Hasher::start(speed, found).context("starting the hashing threads")?);
        let stats = Stats::new(speed.kernel.name(), speed.threads, Instant::now());
        let (stats, stats_seen) = watch::channel(stats);
        let (health, health_seen) = watch::channel(Health::not_ready("starting"));
        let (link, link_seen) = watch::channel(Link::default());
        if let Some(address) = config.monitoring_address {
            let mut registry = Registry::default();
            metrics::register(&mut registry, stats_seen.clone());
            let routes = Routes::new()
                .routes(routes!(mine))
                .with_state(Arc::clone(&hasher));
            let seen = stats_seen.clone();
            let pool = match &config.pool {
                Pool::V2(pool) => Some((pool.upstream.address.clone(), link_seen)),
                // As many connections as there are miners; each tells its own in the log.
                Pool::V1(_) => None,
            };
            let page = Page {
                role: Self::NAME,
                health: health_seen,
                metrics: registry,
                status: status(seen, pool),
                routes,
            };
            daemon::http::serve(address, page, &shutdown).await?;
        }
        let board = Arc::new(Board {
            stats,
            health,
            good: watch::Sender::new(0),
            until_blocks: config.until_blocks,
            until_shares: config.until_shares,
            stop: shutdown.stop().clone(),
        });
        let settling = Arc::clone(&board).keep_settled(Arc::clone(&hasher));
        shutdown.spawn(settling);
        match config.pool {
            Pool::V2(pool) => {
                let session = Session {
                    upstream: pool.upstream,
                    requests: vec![pool.request; config.channels],
                    hasher: Arc::clone(&hasher),
                    link,
                    board: Arc::clone(&board),
                };
                session.run(shares).await;
            }
            Pool::V1(pool) => {
                let crew = Crew {
                    pool,
                    size: config.channels as u32,
                    hasher: Arc::clone(&hasher),
                    board: Arc::clone(&board),
                };
                crew.run(shares, &shutdown).await;
            }
        }
        board.settle(&hasher);
        report(&stats_seen.borrow(), config.report_file.as_deref())
    }
}

/// The role's part of `/api/v1/status`.
fn status(
    stats: watch::Receiver<Stats>,
    pool: Option<(HostPort, watch::Receiver<Link>)>,
) -> Box<dyn Fn() -> Map<String, Value> + Send + Sync> {
    Box::new(move || {
        let mut status = match serde_json::to_value(&*stats.borrow()) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        };
        if let Some((address, link)) = &pool {
            let link = link.borrow().to("pool", address);
            status.insert("links".to_owned(), json!([link]));
        }
        status
    })
}

/// What this device can do with the limits it was given, from a few milliseconds of hashing.
fn measured_hashrate(speed: &Speed) -> f64 {
    let search = Search::new(&[0; 80], Target::from_le_bytes([0; 32]));
    let (began, mut hashes) = (Instant::now(), 0.0);
    while began.elapsed() < MEASURED_FOR {
        hashes += f64::from(speed.kernel.scan(&search, 0, 1 << 14).hashed);
    }
    let each = hashes / began.elapsed().as_secs_f64() * f64::from(speed.cpu_percent) / 100.0;
    let all = each * speed.threads as f64;
    speed.max_hashrate.map_or(all, |cap| all.min(cap))
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

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MineQuery {
    /// How many; 1 unless given.
    #[serde(default = "one")]
    blocks: u64,
}

fn one() -> u64 {
    1
}

/// What was asked for is on its way.
#[derive(Serialize, ToSchema)]
struct Released {
    /// Blocks.
    released: u64,
}

/// Find the next blocks without rest, and as fast as the machine can whatever the cap
#[utoipa::path(
    post, path = "/api/v1/mine", tag = "mining-device", params(MineQuery),
    responses((status = OK, description = "Begun", body = Released))
)]
async fn mine(State(hasher): State<Arc<Hasher>>, Query(query): Query<MineQuery>) -> Json<Released> {
    let released = query.blocks;
    hasher.hurry(released);
    Json(Released { released })
}
