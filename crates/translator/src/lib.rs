//! The translator proxy: miners that speak Stratum V1, for pools that speak V2.
//!
//! The rules of the dialect are `sv1`, those of the upstream's channels `protocol::client`. `miner`
//! is the core of one miner's connection, `proxy` the one between all of them and the upstreams. This
//! crate joins them.
//!
//! ```text
//!   each upstream ◀─▶ task ──mpsc: Message──▶ desk ──watch: Told──▶ one task per miner
//!                      ▲                     Proxy                  Miner    │
//!                      └──mpsc: ClientInput───┘ ▲──mpsc: FromMiner───────────┘
//! ```

mod config;
mod desk;
mod downstream;
mod links;
mod metrics;
pub mod miner;
mod payout;
pub mod policy;
mod proxy;
mod show;
mod stats;
#[cfg(test)]
mod testing;
pub mod work;

use std::net::SocketAddr;
use std::sync::Arc;

use daemon::config::Reader;
use daemon::http::{Health, Page};
use daemon::role::{NoOptions, NoVerbs, Role};
use daemon::shutdown::Shutdown;
use daemon::stream::Server;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};

pub use config::Config;

use desk::Desk;
use downstream::Downstreams;
use metrics::Metrics;
use show::Seen;
use stats::Stats;

/// The role's name.
const NAME: &str = "translator";

/// What connections to upstreams said and the desk has not looked at, one message for each step.
/// When it is full, what is said meanwhile waits in the connection.
const MAX_PENDING_MESSAGES: usize = 4096;

/// What miners said and the desk has not looked at: some seconds of ten thousand of them. When it
/// is full, nothing more is read from a miner that has something to say.
const MAX_PENDING_SHARES: usize = 1 << 16;

/// The role.
#[derive(Debug, Clone, Copy)]
pub struct Translator;

impl Role for Translator {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Stratum V1 to V2 translator proxy";
    const ENV_PREFIX: &'static str = "TRANSLATOR";
    type Options = NoOptions;
    type Verb = NoVerbs;
    type Config = Config;

    fn configure(_options: &NoOptions, reader: &mut Reader) -> Option<Config> {
        Config::read(reader)
    }

    fn monitoring_address(config: &Config) -> Option<SocketAddr> {
        Some(config.monitoring_address)
    }

    async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let stats = Arc::new(Stats::new(metrics.clone()));
        let (health, health_seen) = watch::channel(Health::not_ready("no upstream gives work"));
        let (messages, messages_in) = mpsc::channel(MAX_PENDING_MESSAGES);
        let (from_miners, from_miners_in) = mpsc::channel(MAX_PENDING_SHARES);
        let shown = watch::Sender::new(Arc::default());

        // Miners are let in at once: what they need to subscribe is ours to give, and the first job
        // comes as soon as there is one.
        let server = Server::bind(config.listen_address, config.limits).await?;
        server.reached().register(&mut registry);
        let seen = Seen {
            shown: shown.subscribe(),
            stats: Arc::clone(&stats),
            metrics: metrics.clone(),
            extranonce2_len: config.policy.extranonce2_size,
        };
        let page = Page {
            role: Self::NAME,
            health: health_seen,
            metrics: registry,
            status: show::status(seen.clone()),
            routes: show::routes(seen),
        };
        daemon::http::serve(config.monitoring_address, page, &shutdown).await?;

        links::spawn(&config.upstreams, &config.extensions, &messages, &shutdown);
        let desk = Desk::new(
            &config,
            desk::Ends {
                health,
                shown,
                stats: Arc::clone(&stats),
                metrics: metrics.clone(),
            },
        );
        shutdown.spawn(desk.run(messages_in, from_miners_in, shutdown.stop().clone()));
        let downstreams = Arc::new(Downstreams {
            policy: Arc::new(config.policy),
            desk: from_miners,
            stats,
            metrics,
            reached: server.reached().clone(),
            stop: shutdown.stop().clone(),
        });
        let serve = move |connection, guest| Arc::clone(&downstreams).serve(connection, guest);
        server.run(shutdown, serve).await;
        Ok(())
    }
}
