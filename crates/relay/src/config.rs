//! The role's configuration.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use daemon::config::Reader;
use protocol::keys::AuthorityKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// All that can be set.
#[derive(Debug)]
pub struct Config {
    /// Where the links are shown and disturbed.
    pub monitoring_address: SocketAddr,
    /// That of the servers: it signs our certificates, and must have signed theirs.
    pub authority: AuthorityKey,
    /// What is relayed.
    pub links: Vec<Settings>,
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Who it joins: `CLIENT:SERVER`.
    pub name: String,
    /// Where the client connects.
    #[schema(value_type = String)]
    pub listen_address: SocketAddr,
    /// Where the server listens.
    #[schema(value_type = String)]
    pub server_address: SocketAddr,
    /// What they speak.
    pub protocol: Protocol,
}

/// What is spoken on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Stratum V2: messages are shown, and can be dropped and changed.
    Sv2,
    /// Anything else: bytes.
    Tcp,
}

impl Config {
    /// Takes the configuration out of `reader`; `None` when a problem was noted.
    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let monitoring_address = reader.parsed("monitoring_address");
        let secret: String = reader.required("authority_secret_key");
        let authority = AuthorityKey::from_secret_text(&secret)
            .map_err(|error| reader.problem("authority_secret_key", error))
            .ok();
        let links: Vec<Settings> = reader.required("links");
        let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        for link in &links {
            if !names.insert(&link.name) {
                reader.problem(
                    "links",
                    format!("{}: there are two of this name", link.name),
                );
            }
            if !addresses.insert(link.listen_address) {
                let what = format!("{}: another link listens there", link.listen_address);
                reader.problem("links", what);
            }
        }
        Some(Self {
            monitoring_address: monitoring_address?,
            authority: authority?,
            links,
        })
    }
}
