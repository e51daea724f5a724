//! The job declarator client: miners' own templates, credited by a pool.
//!
//! The rules are `protocol::server` (its miners), `protocol::provider` (its template provider),
//! `protocol::declaration::client` and `protocol::custom_work` (its upstreams); `declarator`
//! decides what they do for each other. This crate joins them.
//!
//! ```text
//!   template provider ──▶ provider task ──┐           ┌──watch: Work──▶ one task per miner
//!        pool of each upstream ◀─▶ task ──┼─▶ desk ◀──┤                      │
//!         jds of each upstream ◀─▶ task ──┘ Declarator└◀──mpsc: FromMiner────┘
//! ```

mod config;
mod declarator;
mod desk;
mod downstream;
mod links;
mod metrics;
mod outlet;
mod provider;
mod show;

use std::net::SocketAddr;
use std::sync::Arc;

use daemon::accept::Server;
use daemon::config::Reader;
use daemon::http::{Health, Page};
use daemon::role::{NoOptions, NoVerbs, Role};
use daemon::shutdown::Shutdown;
use prometheus_client::registry::Registry;
use protocol::message::common::Protocol;
use protocol::server;
use protocol::setup::{self, Offer};
use tokio::sync::{mpsc, watch};
use tracing::info;

pub use config::Config;

use desk::Desk;
use downstream::Downstreams;
use metrics::Metrics;

/// The role's name.
const NAME: &str = "jdc";

/// Messages of the connections to other servers that the desk has not looked at. When it is full,
/// the connection that says more is closed and made anew: a lost answer would be worse.
const MAX_PENDING_MESSAGES: usize = 4096;

/// Shares and blocks of miners that the desk has not looked at: a second of ten thousand miners that
/// send six shares each. When it is full, further ones are lost, and counted.
const MAX_PENDING_SHARES: usize = 1 << 16;

/// What the template provider is to be told. More than is ever said while it is away; when it is
/// full, what is said is lost loudly.
const MAX_PENDING_REQUESTS: usize = 256;

/// The role.
#[derive(Debug, Clone, Copy)]
pub struct Jdc;

impl Role for Jdc {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Stratum V2 job declarator client";
    const ENV_PREFIX: &'static str = "JDC";
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
        let (health, health_seen) = watch::channel(Health::not_ready("starting"));
        // Only the newest work matters: a slow reader skips what is outdated.
        let (work, work_seen) = watch::channel(None);
        let (hash_rate, hash_rate_seen) = watch::channel(0.0);
        let (messages, messages_in) = mpsc::channel(MAX_PENDING_MESSAGES);
        let (from_miners, from_miners_in) = mpsc::channel(MAX_PENDING_SHARES);
        let (requests, requests_in) = mpsc::channel(MAX_PENDING_REQUESTS);
        let shown = watch::Sender::new(Arc::default());

        let server = Server::bind(
            config.listen.clone(),
            Offer {
                protocol: Protocol::MiningProtocol,
                // Whoever selects its own work has no use for ours.
                supported_flags: server::SUPPORTED_FLAGS & !setup::REQUIRES_WORK_SELECTION,
                success_flags: |_| 0,
            },
            config.limits,
        )
        .await?;
        server.reached().register(&mut registry);
        let page = Page {
            role: Self::NAME,
            health: health_seen,
            metrics: registry,
            status: show::status(shown.subscribe(), metrics.clone()),
            routes: show::routes(shown.subscribe()),
        };
        daemon::http::serve(config.monitoring_address, page, &shutdown).await?;

        shutdown.spawn(provider::run(
            config.provider.clone(),
            config.solo_plan(),
            (messages.clone(), requests_in),
            shutdown.clone(),
        ));
        links::spawn(&config.upstreams, &messages, &hash_rate_seen, &shutdown);
        let desk = Desk::new(
            &config,
            desk::Ends {
                work,
                requests,
                hash_rate,
                health,
                shown,
                metrics: metrics.clone(),
            },
        );
        shutdown.spawn(desk.run(messages_in, from_miners_in, shutdown.stop().clone()));
        let downstreams = Arc::new(Downstreams {
            policy: Arc::new(config.policy),
            work: work_seen.clone(),
            desk: from_miners,
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
