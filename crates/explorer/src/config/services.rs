//! `[[services]]`: the roles that are asked, and who is connected to whom.

use std::collections::BTreeSet;
use std::str::FromStr;

use daemon::config::{Entry, Reader};
use daemon::dial::HostPort;
use serde::Serialize;
use strum::{IntoStaticStr, VariantNames};
use utoipa::ToSchema;

/// The key all of this stands under.
const KEY: &str = "services";

/// What a role is, and so what it can be asked for.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    ToSchema,
    IntoStaticStr,
    VariantNames,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Kind {
    /// Bitcoin Core.
    BtcNode,
    /// Sends templates.
    TemplateProvider,
    /// Sends jobs, judges shares.
    Pool,
    /// Takes declarations.
    Jds,
    /// Declares jobs.
    Jdc,
    /// Lets miners of the older protocol in.
    Translator,
    /// Mines.
    MiningDevice,
}

/// A text that is no [`Kind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {}", Kind::VARIANTS.join(", "))]
pub(crate) struct NoKind;

impl FromStr for Kind {
    type Err = NoKind;

    fn from_str(text: &str) -> Result<Self, NoKind> {
        let kinds = [
            Self::TemplateProvider,
            Self::Pool,
            Self::Jds,
            Self::Jdc,
            Self::Translator,
            Self::MiningDevice,
        ];
        // The node is not among them: it is asked by RPC.
        kinds
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or(NoKind)
    }
}

impl Kind {
    /// As configurations write it.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

/// A role, and where its HTTP API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// What it is called.
    pub(crate) name: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// Its HTTP address.
    pub(crate) address: HostPort,
    /// The services it connects to, by name.
    pub(crate) links: Vec<String>,
}

/// `None` when a problem was noted.
pub(super) fn read(reader: &mut Reader, node: &str) -> Option<Vec<Peer>> {
    let peers = reader.entries(KEY, true, peer)?;
    check_names(reader, &peers, node).then_some(peers)
}

/// Names are different, and links name a service or the node.
fn check_names(reader: &mut Reader, peers: &[Peer], node: &str) -> bool {
    let mut names = BTreeSet::from([node]);
    let mut is_sound = true;
    for (number, peer) in peers.iter().enumerate() {
        if !names.insert(&peer.name) {
            let what = format!("{:?} is taken; names must differ", peer.name);
            reader.problem(&format!("{KEY}[{number}].name"), what);
            is_sound = false;
        }
    }
    for (number, peer) in peers.iter().enumerate() {
        for link in &peer.links {
            if !names.contains(link.as_str()) {
                let what = format!("{link:?} is no service; name one of {names:?}");
                reader.problem(&format!("{KEY}[{number}].links"), what);
                is_sound = false;
            }
        }
    }
    is_sound
}

fn peer(entry: &mut Entry<'_>) -> Option<Peer> {
    let name = entry.text("name");
    let kind = entry.parsed("kind");
    let address = entry.parsed("address");
    let links = entry.texts("links");
    Some(Peer {
        name: name?,
        kind: kind?,
        address: address?,
        links: links?,
    })
}
