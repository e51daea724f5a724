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
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Json;
use axum::extract::{Query, State};
use daemon::config::Reader;
use daemon::http::{Health, Page, Routes, routes};
use daemon::role::{NoVerbs, Role};
use daemon::shutdown::Shutdown;
use prometheus_client::registry::Registry;
use protocol::target::Target;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tracing::info;
use utoipa::{IntoParams, ToSchema};

pub use config::{Config, Nominal, Options};
use hasher::{Hasher, Speed};
use kernel::Search;
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
    const ABOUT: &'static str = "Stratum V2 CPU miner";
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
        if let Nominal::Measured { multiplier } = config.nominal {
            let rate = measured_hashrate(&config.speed) * multiplier / config.channels as f64;
            config.request.nominal_hash_rate = rate as f32;
            info!(rate, "declaring the measured hash rate for each channel");
        }
        let (found, shares) = mpsc::channel(MAX_FOUND);
        let speed = config.speed;
        let hasher = Arc::new(Hasher::start(speed, found).context("starting the hashing threads")?);
        let stats = Stats::new(speed.kernel.name(), speed.threads, Instant::now());
        let (stats, stats_seen) = watch::channel(stats);
        let (health, health_seen) = watch::channel(Health::not_ready("starting"));
        if let Some(address) = config.monitoring_address {
            let mut registry = Registry::default();
            metrics::register(&mut registry, stats_seen.clone());
            let routes = Routes::new()
                .routes(routes!(mine))
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
            requests: vec![config.request; config.channels],
            until_blocks: config.until_blocks,
            until_shares: config.until_shares,
            hasher,
            stats,
            health,
            shutdown,
        };
        session.run(shares).await;
        report(&stats_seen.borrow(), config.report_file.as_deref())
    }
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

/// Find the next shares without rest between them; on regtest a share is a block
#[utoipa::path(
    post, path = "/api/v1/mine", tag = "mining-device", params(MineQuery),
    responses((status = OK, description = "Begun", body = Released))
)]
async fn mine(State(hasher): State<Arc<Hasher>>, Query(query): Query<MineQuery>) -> Json<Released> {
    let released = query.blocks;
    hasher.release(released);
    Json(Released { released })
}
