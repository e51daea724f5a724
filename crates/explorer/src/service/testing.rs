//! For tests: services as if they had been asked.

use daemon::dial::HostPort;
use tokio::sync::watch;

use super::{Board, Service};
use crate::config::{Kind, Peer};

pub(crate) fn service(name: &str, kind: Kind, links: &[&str]) -> Service {
    let address = HostPort {
        host: "127.0.0.1".to_owned(),
        port: 1,
    };
    let peer = Peer {
        name: name.to_owned(),
        kind,
        address,
        links: links.iter().map(ToString::to_string).collect(),
    };
    Service::new(peer, 0)
}

pub(crate) fn board(services: impl IntoIterator<Item = Service>) -> Board {
    // What was published stays when nobody publishes any more.
    let seen = services
        .into_iter()
        .map(|service| watch::channel(service).1);
    Board::new(seen.collect())
}
