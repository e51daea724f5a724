//! The template provider: Bitcoin Core's block templates for pools and job declarator clients,
//! over the Template Distribution Protocol (SV2 chapter 7).
//!
//! ```text
//!                  one task per client
//! TDP client ──── core::TemplateServer ──── Feed ──┐
//!                                                  ├── source::ipc ──── bitcoin-node
//! TDP client ──── core::TemplateServer ──── Feed ──┤   or source::rpc
//!                                                  │   (one thread)
//! /healthz ────── monitor ───────────────── Feed ──┘
//! ```
//!
//! - [`core`] decides what a client is sent; it does no I/O.
//! - [`source`] is what a client and the node say to each other through a feed.
//! - [`downstream`] joins a client's connection, its core and its feed.
//! - [`monitor`] watches the node for the role itself, through a feed like any client's.
//!
//! Clients have nothing in common but the node: each has its own constraints, template ids and
//! share of the source, and none can hold another up.

pub mod config;
pub mod core;
pub mod downstream;
pub mod metrics;
pub mod monitor;
pub mod record;
pub mod source;

use std::net::SocketAddr;

use anyhow::{Context, bail};
use daemon::accept::Server;
use daemon::config::Reader;
use daemon::http::{self, Page};
use daemon::role::{NoOptions, NoVerbs, Role};
use daemon::shutdown::Shutdown;
use prometheus_client::registry::Registry;
use protocol::setup::Offer;
use stratum_core::common_messages_sv2::Protocol;

pub use config::{Config, NodeAccess};
use downstream::Downstream;
use metrics::Metrics;
use record::Record;
use source::{ipc, rpc};

/// SV2 chapter 7 defines no flags.
const OFFER: Offer = Offer {
    protocol: Protocol::TemplateDistributionProtocol,
    supported_flags: 0,
    success_flags: |_| 0,
};

/// The role.
#[derive(Debug)]
pub struct TemplateProvider;

impl Role for TemplateProvider {
    const NAME: &'static str = "template-provider";
    const ABOUT: &'static str =
        "Stratum V2 template provider: Bitcoin Core's block templates for pools and miners";
    const ENV_PREFIX: &'static str = "TEMPLATE_PROVIDER";
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
        let started = match config.node {
            NodeAccess::Ipc(access) => ipc::start(access),
            NodeAccess::Rpc(node) => rpc::start(&node),
        };
        let (source, mut thread) =
            started.context("starting the thread that speaks to the node")?;
        let server = Server::bind(config.listen, OFFER, config.limits).await?;
        let metrics = Metrics::default();
        let view = monitor::start(&source, &metrics, &shutdown).await?;
        let record = Record::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        server.reached().register(&mut registry);
        let page = Page {
            role: Self::NAME,
            health: view.health.clone(),
            metrics: registry,
            status: Box::new({
                let metrics = metrics.clone();
                move || metrics.status(&view.node.borrow())
            }),
            routes: record.routes(),
        };
        http::serve(config.monitoring_address, page, &shutdown).await?;
        let downstream = Downstream {
            source,
            refresh: config.refresh,
            metrics,
            record,
            idle: config.limits.idle,
            reached: server.reached().clone(),
            stop: shutdown.stop().clone(),
        };
        shutdown.spawn(server.run(shutdown.clone(), move |connection, peer| {
            downstream.clone().serve(connection, peer)
        }));
        tokio::select! {
            () = shutdown.stop().cancelled() => {}
            () = thread.ended() => bail!("the thread that speaks to the node has ended"),
        }
        // The clients leave by the same signal; their feeds give up what they wait for in the node.
        thread.ended().await;
        Ok(())
    }
}
