//! A block explorer that knows mining: the chain, and how each of its blocks came to be.
//!
//! ```text
//!   node (RPC) ──▶ follow::tip ─────────watch: Chain, Follow──┐
//!              ──▶ follow::conditions ──watch: Conditions─────┤
//!   each role (HTTP, events) ──▶ follow::service ──watch: Service──▶ view ──▶ web: HTML, text, JSON
//!                     └────────────── feed: Event ──▶ open pages
//! ```
//!
//! - [`chain`] and [`coinbase`] are plain values: blocks, addresses, branches; what a coinbase says.
//! - `follow` holds the tasks, one owner for each thing that is learnt. Whoever is away is told of,
//!   what was known of it stays, and it is asked again for ever.
//! - `story` joins what the roles tell of one block.
//! - `view` is what pages show, `web` how it is served.

mod archive;
pub mod chain;
pub mod coinbase;
mod config;
mod event;
mod follow;
mod metrics;
mod node;
mod service;
mod story;
mod text;
mod view;
mod web;

use std::net::SocketAddr;
use std::sync::Arc;

use daemon::clock;
use daemon::config::Reader;
use daemon::http::{Feed, Health, Page};
use daemon::role::{NoOptions, NoVerbs, Role};
use daemon::shutdown::Shutdown;
use prometheus_client::registry::Registry;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

pub use config::Config;

use archive::Archive;
use chain::Chain;
use node::{Conditions, Follow, Reach};
use service::{Board, Service};
use view::{App, Sources};

/// The role.
#[derive(Debug, Clone, Copy)]
pub struct Explorer;

impl Role for Explorer {
    const NAME: &'static str = "explorer";
    const ABOUT: &'static str = "Block explorer that knows how each block came to be";
    const ENV_PREFIX: &'static str = "EXPLORER";
    type Options = NoOptions;
    type Verb = NoVerbs;
    type Config = Config;

    fn configure(_options: &NoOptions, reader: &mut Reader) -> Option<Config> {
        Config::read(reader)
    }

    fn monitoring_address(config: &Config) -> Option<SocketAddr> {
        Some(config.listen_address)
    }

    async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
        let feed = Feed::default();
        let chain = watch::Sender::new(Chain::new(config.max_blocks));
        let follow = watch::Sender::new(not_reached_yet());
        let conditions = watch::Sender::new(Conditions::default());
        let (health, health_seen) = watch::channel(Health::not_ready("starting"));
        let board = follow_services(&config, &feed, &shutdown);
        let rpc = &config.node.rpc;
        let app = App::new(Sources {
            archive: Archive::new(rpc, chain.subscribe(), conditions.subscribe()),
            chain: chain.subscribe(),
            follow: follow.subscribe(),
            conditions: conditions.subscribe(),
            board,
            feed: feed.clone(),
            turning: Arc::default(),
            shutdown: shutdown.clone(),
            since_ms: clock::unix_ms(),
            config: config.clone(),
        });
        let mut registry = Registry::default();
        metrics::register(&mut registry, &app);
        let page = Page {
            role: Self::NAME,
            health: health_seen,
            metrics: registry,
            status: status(app.clone()),
            routes: web::routes(&app),
        };
        let listen = ("listen_address", config.listen_address);
        daemon::http::serve_site(listen, page, web::site(&app), &shutdown).await?;

        let seen = chain.subscribe();
        let watching = follow::conditions::run(rpc.clone(), seen, conditions, feed.clone());
        for_life(&shutdown, watching);
        let ends = follow::tip::Ends {
            chain,
            follow,
            health,
            feed,
        };
        let name = config.node.name.clone();
        for_life(
            &shutdown,
            follow::tip::run(rpc.clone(), name, config.network, ends),
        );
        shutdown.stop().cancelled().await;
        Ok(())
    }
}

fn not_reached_yet() -> Follow {
    Follow {
        reach: Reach::Away {
            reason: "the node has not been reached yet".to_owned(),
        },
        since_ms: clock::unix_ms(),
        info: None,
    }
}

/// A task for each role that is asked.
fn follow_services(config: &Config, feed: &Feed<event::Event>, shutdown: &Shutdown) -> Board {
    let services = config.services.iter().map(|peer| {
        let service = Service::new(peer.clone(), clock::unix_ms());
        let (service, seen) = watch::channel(service);
        for_life(shutdown, follow::service::run(service, feed.clone()));
        seen
    });
    Board::new(services.collect())
}

/// The explorer's part of `/api/v1/status`.
fn status(app: App) -> Box<dyn Fn() -> Map<String, Value> + Send + Sync> {
    Box::new(move || {
        let tip = app
            .chain
            .borrow()
            .tip()
            .map(|tip| (tip.height, tip.hash.to_string()));
        let body = json!({
            "node": app.follow.borrow().reach,
            "height": tip.as_ref().map(|(height, _)| height),
            "tip": tip.as_ref().map(|(_, hash)| hash),
        });
        match body {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    })
}

/// Runs a task that ends with the role only.
fn for_life(
    shutdown: &Shutdown,
    task: impl Future<Output = std::convert::Infallible> + Send + 'static,
) {
    let stop = shutdown.stop().clone();
    shutdown.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            never = task => match never {},
        }
    });
}
