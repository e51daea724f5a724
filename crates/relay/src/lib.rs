//! The relay: stands on the links between the roles of a lab, shows what passes, and disturbs it.
//!
//! It is no role of the protocol and has no rules of its own. It holds the lab's authority key, so
//! it can end the encryption on both sides: a client shakes hands with it as with the server, and it
//! shakes hands with the server as the client.
//!
//! ```text
//!   client ◀─noise─▶ pump ◀── fields, rules, faults ──▶ pump ◀─noise─▶ server
//!                      └────────▶ timeline ─▶ HTTP
//! ```
//!
//! - [`fields`] takes messages apart, [`rule`] says which are dropped or changed, [`fault`] what
//!   the line does to all of them: values without I/O;
//! - `line` is one link and what it is asked to do, `link` its port and connections, `pump` one
//!   direction of one connection;
//! - `timeline` keeps the newest messages; `api` is what one can ask for.

mod api;
pub mod config;
pub mod fault;
pub mod fields;
mod line;
mod link;
mod pump;
pub mod rule;
mod timeline;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use daemon::config::Reader;
use daemon::http::{self, Feed, Health, Page};
use daemon::role::{NoOptions, NoVerbs, Role};
use daemon::shutdown::Shutdown;
use prometheus_client::registry::Registry;
use serde_json::{Map, Value};
use tokio::sync::watch;

pub use config::Config;
use line::Line;
use link::Link;

/// The role.
#[derive(Debug)]
pub struct Relay;

impl Role for Relay {
    const NAME: &'static str = "relay";
    const ABOUT: &'static str = "Stands between the roles of a lab, shows and disturbs what passes";
    const ENV_PREFIX: &'static str = "RELAY";
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
        let feed = Feed::default();
        let mut lines = BTreeMap::new();
        let mut links = Vec::new();
        for settings in config.links {
            let line = Arc::new(Line::new(settings, feed.clone()));
            lines.insert(line.name().to_owned(), Arc::clone(&line));
            links.push(Link::bind(line, config.authority.clone()).await?);
        }
        let mut registry = Registry::default();
        registry.register_collector(Box::new(api::Counts(lines.clone())));
        // Every port is taken: that is all there is to be ready for.
        let (_health, health_seen) = watch::channel(Health::Ready);
        let count = lines.len();
        let page = Page {
            role: Self::NAME,
            health: health_seen,
            metrics: registry,
            status: Box::new(move || Map::from_iter([("links".to_owned(), Value::from(count))])),
            routes: api::routes(lines, feed),
        };
        http::serve(config.monitoring_address, page, &shutdown).await?;
        for link in links {
            shutdown.spawn(link.run(shutdown.clone()));
        }
        shutdown.stop().cancelled().await;
        Ok(())
    }
}
