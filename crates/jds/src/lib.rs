//! The job declarator server: tokens for job declarator clients, their templates checked against
//! our own node, their blocks submitted to it (SV2 chapter 6).
//!
//! ```text
//!              one task per client
//! JDC ──── core::DeclarationServer ──▶ lookup ──── mempool ◀──┐
//!                                  ──▶ proposal ──────────────┤ JSON-RPC ── bitcoin-node
//! JDC ──── core::DeclarationServer ──▶ submission ────────────┤
//!                    ▲                                        │
//!                    └────────── watch: NodeView ──── chain ◀─┘
//! ```
//!
//! - [`core`] decides what a client is answered; it does no I/O.
//! - [`mempool`] knows the node's transactions, `chain` its tip: one task each, for all clients.
//! - Every lookup, proposal, look at the tip's block (`mined`) and submission has a task of its own, so that a slow declaration delays
//!   no other, not even of the same client.

pub mod block;
mod chain;
pub mod config;
pub mod core;
mod downstream;
pub mod mempool;
mod metrics;
mod mined;
mod proposal;
mod record;
#[cfg(test)]
mod testing;
pub mod transaction;

use std::net::SocketAddr;
use std::sync::Arc;

use daemon::accept::Server;
use daemon::config::Reader;
use daemon::http::{self, Health, Page};
use daemon::role::{NoOptions, NoVerbs, Role};
use daemon::shutdown::Shutdown;
use prometheus_client::registry::Registry;
use protocol::message::common::Protocol;
use protocol::setup::{DECLARE_TX_DATA, Offer};
use tokio::sync::watch;

use crate::core::NodeView;
pub use config::Config;
use downstream::Downstreams;
use metrics::Metrics;
use mined::MinedBlocks;
use proposal::Proposals;
use record::Declarations;

/// Both modes are served: a client that keeps its transactions to itself is one without the flag.
const OFFER: Offer = Offer {
    protocol: Protocol::JobDeclarationProtocol,
    supported_flags: DECLARE_TX_DATA,
    success_flags: |_| 0,
};

/// The role.
#[derive(Debug)]
pub struct Jds;

impl Role for Jds {
    const NAME: &'static str = "jds";
    const ABOUT: &'static str =
        "Stratum V2 job declarator server: lets miners choose their transactions";
    const ENV_PREFIX: &'static str = "JDS";
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
        let metrics = Metrics::default();
        let mut registry = Registry::default();
        let server = Server::bind(config.listen, OFFER, config.limits).await?;
        metrics.register(&mut registry);
        server.reached().register(&mut registry);

        // Only the newest of each matters.
        let (health, health_seen) = watch::channel(Health::not_ready("starting"));
        let (view, view_seen) = watch::channel(NodeView::Away {
            reason: "the node has not been reached yet".to_owned(),
        });
        let declarations = Declarations::default();
        let page = Page {
            role: Self::NAME,
            health: health_seen,
            metrics: registry,
            status: Box::new({
                let (metrics, view) = (metrics.clone(), view_seen.clone());
                move || metrics.status(&view.borrow())
            }),
            routes: declarations.routes(),
        };
        http::serve(config.monitoring_address, page, &shutdown).await?;

        let chain = chain::follow(config.node.clone(), view, health, metrics.clone());
        let (mempool, follow) = mempool::start(config.node.clone(), metrics.clone());
        for_life(&shutdown, chain);
        for_life(&shutdown, follow);
        let downstreams = Arc::new(Downstreams {
            policy: Arc::new(config.policy),
            view: view_seen,
            mempool,
            proposals: Proposals::new(config.node.clone()),
            mined: MinedBlocks::new(config.node.clone()),
            node: config.node,
            declarations,
            metrics,
            reached: server.reached().clone(),
            shutdown: shutdown.clone(),
        });
        let serve = move |connection, peer| Arc::clone(&downstreams).serve(connection, peer);
        server.run(shutdown, serve).await;
        Ok(())
    }
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
