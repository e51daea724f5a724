//! The pool: templates in, jobs out, shares judged, blocks to the node.
//!
//! The rules are `protocol::server` (its miners) and `protocol::provider` (its template provider);
//! this crate joins them.
//!
//! ```text
//!   template provider ──▶ provider task ──watch: Work──▶ one task per miner connection
//!                              ▲                                │
//!                              └────── mpsc: ProviderInput ─────┤
//!   node (RPC) ◀── judge task ◀─────── mpsc: Found ─────────────┤
//!                      └──────▶ ledger's thread ◀─── batches ───┤
//!               tokens' thread ◀──────▶ mpsc: Shown, TokenSpent ─┘
//! ```

mod api;
mod config;
mod downstream;
mod event;
mod extranonce;
mod health;
mod judge;
mod metrics;
mod provider;
mod recording;
mod session;
mod stats;
mod status;
mod tokens;
mod verb;

use std::net::SocketAddr;
use std::sync::Arc;

use daemon::accept::Server;
use daemon::config::Reader;
use daemon::http::{Feed, Health, Page};
use daemon::role::{NoOptions, Role};
use daemon::shutdown::Shutdown;
use ledger::{Ledger, Recorders};
use prometheus_client::registry::Registry;
use protocol::message::common::Protocol;
use protocol::server;
use protocol::setup::Offer;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

pub use config::Config;
pub use verb::Verb;

use api::Api;
use downstream::Downstreams;
use extranonce::Parts;
use metrics::Metrics;
use stats::Stats;

/// Blocks found and not yet handed on. More than a lab finds in a second; when it is full, the
/// connection that found the next one says so loudly instead of waiting.
const MAX_PENDING_BLOCKS: usize = 256;

/// What miners are offered.
const OFFER: Offer = Offer {
    protocol: Protocol::MiningProtocol,
    supported_flags: server::SUPPORTED_FLAGS,
    success_flags: server::success_flags,
};

/// The role.
#[derive(Debug, Clone, Copy)]
pub struct Pool;

impl Role for Pool {
    const NAME: &'static str = "pool";
    const ABOUT: &'static str = "Stratum V2 mining pool";
    const ENV_PREFIX: &'static str = "POOL";
    type Options = NoOptions;
    type Verb = Verb;
    type Config = Config;

    fn configure(_options: &NoOptions, reader: &mut Reader) -> Option<Config> {
        Config::read(reader)
    }

    fn monitoring_address(config: &Config) -> Option<SocketAddr> {
        Some(config.monitoring_address)
    }

    async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut registry = Registry::default();
        let stats = Arc::new(Stats::default());
        let feed = Feed::default();
        let series = config.max_channel_series;
        let (ledger, recorders) = open_ledger(&config, &shutdown)?;
        let tokens = tokens::keep(&config.ledger.directory, &shutdown)?;
        let metrics = Metrics::register(&mut registry, Arc::clone(&stats), ledger.totals(), series);
        let (provided, provided_seen) = watch::channel(Health::not_ready("starting"));
        let (health, health_seen) = watch::channel(Health::not_ready("starting"));
        shutdown.spawn(health::join(provided_seen, ledger.trouble(), health));
        // Only the newest work matters: a slow reader skips what is outdated.
        let (work, work_seen) = watch::channel(None);
        let seen = provider::Seen::default();
        let (solutions, solutions_in) = mpsc::channel(MAX_PENDING_BLOCKS);
        let (found, found_in) = mpsc::channel(MAX_PENDING_BLOCKS);

        let server = Server::bind(config.listen.clone(), OFFER, config.limits).await?;
        server.reached().register(&mut registry);
        let page = Page {
            role: Self::NAME,
            health: health_seen,
            metrics: registry,
            status: status::status(
                (Arc::clone(&stats), ledger.clone()),
                work_seen.clone(),
                (config.upstream.address.clone(), seen.clone()),
            ),
            routes: Api::new(Arc::clone(&stats), &config.policy)
                .routes()
                .merge(event::routes(feed.clone()))
                .merge(api::history::routes(ledger.clone())),
        };
        daemon::http::serve(config.monitoring_address, page, &shutdown).await?;

        shutdown.spawn(judge::run(
            config.node.clone(),
            judge::Ends {
                found: found_in,
                work: work_seen.clone(),
                ledger,
                recorder: recorders.recorder(),
                feed: feed.clone(),
            },
            shutdown.stop().clone(),
        ));
        shutdown.spawn(provider::run(
            config.upstream.clone(),
            config.plan.clone(),
            provider::Ends {
                work,
                solutions: solutions_in,
                health: provided,
                feed: feed.clone(),
                seen,
            },
            shutdown.clone(),
        ));
        let downstreams = Arc::new(Downstreams {
            policy: Arc::new(config.policy),
            parts: Parts::new(config.server_id),
            work: work_seen.clone(),
            solutions,
            found,
            recorders,
            tokens,
            stats,
            feed,
            metrics,
            reached: server.reached().clone(),
            stop: shutdown.stop().clone(),
        });
        // Miners are let in when there is something to mine; until then they wait in the backlog.
        let mut first = work_seen;
        tokio::select! {
            () = shutdown.stop().cancelled() => return Ok(()),
            held = first.wait_for(Option::is_some) => drop(held),
        }
        info!("first template held, letting miners in");
        let serve = move |connection, peer| Arc::clone(&downstreams).serve(connection, peer);
        server.run(shutdown, serve).await;
        Ok(())
    }
}

/// Opens the ledger, which is closed before the pool ends.
fn open_ledger(config: &Config, shutdown: &Shutdown) -> anyhow::Result<(Ledger, Recorders)> {
    // One for each miner's connection, and one for what becomes of blocks.
    let most = config.limits.max_connections as usize + 1;
    let stop = shutdown.stop().clone();
    let (ledger, recorders, closed) = ledger::open(&config.ledger, most, stop.clone())?;
    shutdown.spawn(outlive(closed, stop));
    Ok((ledger, recorders))
}

/// Ends with the ledger's thread, which must not end before the pool does.
async fn outlive(closed: ledger::Closed, stop: CancellationToken) {
    // However it ended.
    let _ = closed.await;
    if !stop.is_cancelled() {
        error!("the ledger's thread has ended; stopping, since no share can be recorded");
        stop.cancel();
    }
}
