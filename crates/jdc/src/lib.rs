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
pub mod declarator;
mod desk;
mod downstream;
mod found;
mod links;
mod metrics;
mod miner;
mod node;
mod outlet;
mod provider;
mod show;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use daemon::accept::Server;
use daemon::config::Reader;
use daemon::dial::Link;
use daemon::http::{Health, Page};
use daemon::role::{NoVerbs, Role};
use daemon::shutdown::Shutdown;
use daemon::telemetry::Tap;
use prometheus_client::registry::Registry;
use protocol::message::common::Protocol;
use protocol::server;
use protocol::setup::{self, Offer};
use tokio::sync::{mpsc, watch};
use tracing::info;

pub use config::{Config, Options};

use desk::Desk;
use downstream::Downstreams;
use found::Blocks;
use links::LinksSeen;
use metrics::Metrics;

/// The role's name.
const NAME: &str = "jdc";

/// Messages of the connections to other servers that the desk has not looked at. When it is full,
/// what is said meanwhile waits in the connection.
const MAX_PENDING_MESSAGES: usize = 4096;

/// Shares and blocks of miners that the desk has not looked at: a second of ten thousand miners that
/// send six shares each. When it is full, nothing more is read from a miner that has something to say.
const MAX_PENDING_SHARES: usize = 1 << 16;

/// What the template provider is to be told: half for blocks, which miners wait with while it is
/// there, and half for everything else. More than is ever said while it is away; when it is full all
/// the same, what is said is lost loudly.
const MAX_PENDING_REQUESTS: usize = 256;

/// What the node is to be told. Miners wait while it is half full; when it is full all the same, what
/// is said is lost loudly, and a template that waits for fees is mined without transactions.
const MAX_PENDING_CALLS: usize = 64;

/// What miners are offered. Whoever selects its own work has no use for ours.
const OFFER: Offer = Offer {
    protocol: Protocol::MiningProtocol,
    supported_flags: server::SUPPORTED_FLAGS & !setup::REQUIRES_WORK_SELECTION,
    success_flags: |_| 0,
};

/// The role.
#[derive(Debug, Clone, Copy)]
pub struct Jdc;

impl Role for Jdc {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Stratum V2 job declarator client";
    const ENV_PREFIX: &'static str = "JDC";
    type Options = Options;
    type Verb = NoVerbs;
    type Config = Config;

    fn configure(options: &Options, reader: &mut Reader) -> Option<Config> {
        Config::read(options, reader)
    }

    fn monitoring_address(config: &Config) -> Option<SocketAddr> {
        Some(config.monitoring_address)
    }

    fn tap(config: &Config) -> Option<&Tap> {
        config.tap.as_ref()
    }

    async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
        // From the first line on.
        let log = config.tap.as_ref().map(|tap| (tap.clone(), tap.lines()));
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let (health, health_seen) = watch::channel(Health::not_ready("starting"));
        // Only the newest work matters: a slow reader skips what is outdated.
        let (work, work_seen) = watch::channel(None);
        let (hash_rate, hash_rate_seen) = watch::channel(0.0);
        let (messages, messages_in) = mpsc::channel(MAX_PENDING_MESSAGES);
        let (from_miners, from_miners_in) = mpsc::channel(MAX_PENDING_SHARES);
        let (requests, requests_in) = mpsc::channel(MAX_PENDING_REQUESTS);
        let (calls, calls_in) = mpsc::channel(MAX_PENDING_CALLS);
        let shown = watch::Sender::new(Arc::default());
        let blocks = Blocks::default();

        let server = Server::bind(config.listen.clone(), OFFER, config.limits).await?;
        server.reached().register(&mut registry);
        let page = Page {
            role: Self::NAME,
            health: health_seen.clone(),
            metrics: registry,
            status: show::status(shown.subscribe(), metrics.clone()),
            routes: show::routes(shown.subscribe()).merge(blocks.routes()),
        };
        daemon::http::serve(config.monitoring_address, page, &shutdown).await?;

        if let Some(log) = log {
            let sources = view::Sources::new(&shown, health_seen, &metrics);
            view::spawn(sources, log, &shutdown)?;
        }
        let (link, provider_seen) = watch::channel(Link::default());
        shutdown.spawn(provider::run(
            config.provider.clone(),
            config.solo_plan(),
            (messages.clone(), requests_in),
            link,
            shutdown.clone(),
        ));
        let links = LinksSeen {
            provider_address: config.provider.address.to_string(),
            provider: provider_seen,
            upstreams: links::spawn(&config.upstreams, &messages, &hash_rate_seen, &shutdown),
        };
        if let Some(node) = config.node.clone() {
            let (desk, metrics) = (messages.clone(), metrics.clone());
            shutdown.spawn(node::run(node, calls_in, desk, metrics, shutdown.clone()));
        }
        let desk = Desk::new(
            &config,
            links,
            desk::Ends {
                work,
                requests,
                node: calls,
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
            blocks,
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
