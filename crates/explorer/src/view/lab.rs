//! The node and its peers; and the lab as a whole.

use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use crate::chain::Tip;
use crate::config::Kind;
use crate::node::{ChainInfo, NetworkInfo, NodePeer, Reach};
use crate::service::Hearing;

/// The node.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct NodeView {
    pub(crate) name: String,
    pub(crate) reach: Reach,
    /// Since when, in milliseconds since 1970.
    pub(crate) since_ms: u64,
    /// What it said last.
    pub(crate) chain: Option<ChainInfo>,
    pub(crate) network: Option<NetworkInfo>,
    /// Whether transactions are found by their id alone (`-txindex`).
    pub(crate) has_txindex: Option<bool>,
    pub(crate) peers: Vec<NodePeer>,
    pub(crate) tips: Vec<Tip>,
}

impl NodeView {
    pub(crate) fn of(app: &App) -> Self {
        let follow = app.follow.borrow().clone();
        let conditions = app.conditions.borrow().clone();
        Self {
            name: app.config.node.name.clone(),
            reach: follow.reach,
            since_ms: follow.since_ms,
            chain: follow.info,
            network: conditions.network,
            has_txindex: conditions.has_txindex,
            peers: conditions.peers,
            tips: app.chain.borrow().tips().to_vec(),
        }
    }
}

/// The lab.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct About {
    pub(crate) lab: String,
    pub(crate) network: String,
    pub(crate) version: &'static str,
    /// When the explorer was started, in milliseconds since 1970.
    pub(crate) since_ms: u64,
    pub(crate) services: Vec<ServiceView>,
    pub(crate) explorer: Settings,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ServiceView {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) state: &'static str,
    pub(crate) reason: Option<String>,
    pub(crate) hearing: Hearing,
    /// Since when, in milliseconds since 1970.
    pub(crate) since_ms: u64,
    pub(crate) address: String,
    pub(crate) version: Option<String>,
    pub(crate) uptime_secs: Option<u64>,
    pub(crate) links: Vec<String>,
}

/// How the explorer is configured.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Settings {
    /// Blocks that are kept and indexed at most. The first one, which nobody mined, is neither
    /// counted here nor below.
    pub(crate) max_blocks: usize,
    pub(crate) blocks: usize,
    /// Whether addresses are looked up in the explorer rather than in the node.
    pub(crate) has_index: bool,
    pub(crate) has_actions: bool,
    pub(crate) has_faucet: bool,
}

impl About {
    pub(crate) fn of(app: &App) -> Self {
        let mut services = Vec::new();
        app.board.each(|service| {
            services.push(ServiceView {
                name: service.name().to_owned(),
                kind: service.peer.kind,
                state: service.state.name(),
                reason: service.state.reason().map(str::to_owned),
                hearing: service.hearing.clone(),
                since_ms: service.since_ms,
                address: service.peer.address.to_string(),
                version: service.status.version.clone(),
                uptime_secs: service.status.uptime_secs,
                links: service.peer.links.clone(),
            });
        });
        let chain = app.chain.borrow();
        let actions = app.config.actions.as_ref();
        Self {
            lab: app.config.lab_name.clone(),
            network: app.config.network.to_core_arg().to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            since_ms: app.since_ms,
            services,
            explorer: Settings {
                max_blocks: app.config.max_blocks,
                blocks: chain.mined(),
                has_index: chain.index().is_some(),
                has_actions: actions.is_some(),
                has_faucet: actions.is_some_and(|actions| actions.faucet_key.is_some()),
            },
        }
    }
}
