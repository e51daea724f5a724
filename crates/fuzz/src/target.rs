//! What is fed, one module each.

pub(crate) mod coinbase;
pub(crate) mod custom_work_client;
pub(crate) mod declaration_client;
pub(crate) mod declaration_server;
pub(crate) mod extension;
pub(crate) mod frame;
pub(crate) mod message;
pub(crate) mod mining_client;
pub(crate) mod mining_server;
pub(crate) mod node;
pub(crate) mod noise;
pub(crate) mod provider_client;
pub(crate) mod setup;
pub(crate) mod stratum_v1;
pub(crate) mod template_server;
pub(crate) mod text;
pub(crate) mod token;
pub(crate) mod translator;
