//! The relay: stands on the links of a lab that asks for it, shows what passes and disturbs it.
//!
//! Nobody lists the links: each spec asks `Site::reach` where a server is to be reached, and with
//! relays the answer is a port of the relay, which is noted down here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use serde::Serialize;

use super::{ConfigFile, Origin, Port, Probe, Restart, ServiceSpec, Site};
use crate::topology::Topology;

/// Its name among the services.
pub const NAME: &str = "relay";
/// The last byte of its address.
pub const HOST: u8 = 100;
/// Where it serves its health, the links and what passes them.
pub const HTTP_PORT: u16 = 9097;
/// Where the ports of links begin.
const FIRST_PORT: u16 = 20_000;
/// Ports for the links of each client, more than it has servers.
const PORTS: u16 = 80;

/// What is spoken on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaks {
    /// Stratum V2.
    Sv2,
    /// Anything else over TCP.
    Tcp,
}

/// The links of a lab, noted down while the specs of their clients are made.
#[derive(Debug)]
pub struct Links {
    /// The last byte of each client's address.
    hosts: BTreeMap<String, u8>,
    noted: RefCell<Vec<Link>>,
}

/// A link, as the relay is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Link {
    /// `CLIENT:SERVER`.
    name: String,
    listen_address: SocketAddrV4,
    server_address: SocketAddrV4,
    protocol: Speaks,
}

impl Link {
    fn client(&self) -> Option<&str> {
        self.name.split_once(':').map(|(client, _)| client)
    }
}

impl Links {
    /// None yet of a lab with these services.
    pub(super) fn of(topology: &Topology) -> Self {
        let services = topology.services.iter();
        Self {
            hosts: services.map(|one| (one.name.clone(), one.host)).collect(),
            noted: RefCell::default(),
        }
    }

    /// The name of each.
    pub(super) fn names(&self) -> Vec<String> {
        let noted = self.noted.borrow();
        noted.iter().map(|link| link.name.clone()).collect()
    }

    /// Where `client` reaches the server.
    fn through(
        &self,
        client: &str,
        server: (&str, SocketAddrV4),
        speaks: Speaks,
        site: &Site<'_>,
    ) -> SocketAddrV4 {
        let mut links = self.noted.borrow_mut();
        let name = format!("{client}:{}", server.0);
        if let Some(known) = links.iter().find(|link| link.name == name) {
            return known.listen_address;
        }
        // By who it is for, so that nobody's port changes when others come and go.
        let is_own = |link: &&Link| link.client() == Some(client);
        let number = links.iter().filter(is_own).count();
        let number = u16::try_from(number).expect("a lab has a hundred addresses");
        let port = FIRST_PORT + PORTS * u16::from(self.hosts[client]) + number;
        let listen_address = SocketAddrV4::new(site.subnet.host(HOST), port);
        links.push(Link {
            name,
            listen_address,
            server_address: server.1,
            protocol: speaks,
        });
        listen_address
    }

    /// Whether a service is a client of any link.
    pub(super) fn has_client(&self, service: &str) -> bool {
        let links = self.noted.borrow();
        links.iter().any(|link| link.client() == Some(service))
    }
}

impl Site<'_> {
    /// Where the service `client` reaches a port of the service `server`: there, or where the relay
    /// listens for that link.
    pub(crate) fn reach(
        &self,
        client: &str,
        server: &str,
        address: SocketAddrV4,
        speaks: Speaks,
    ) -> SocketAddrV4 {
        match self.links {
            Some(links) => links.through(client, (server, address), speaks, self),
            None => address,
        }
    }
}

#[derive(Serialize)]
struct Config<'a> {
    monitoring_address: SocketAddrV4,
    authority_secret_key: &'a str,
    links: Vec<Link>,
}

/// The spec of the relay on these links.
pub fn spec(links: &Links, site: &Site<'_>) -> ServiceSpec {
    let address = site.subnet.host(HOST);
    let config = Config {
        monitoring_address: SocketAddrV4::new(address, HTTP_PORT),
        authority_secret_key: &site.secrets.authority_secret_key,
        links: links.noted.borrow().clone(),
    };
    let file = site.paths.config(NAME).join(format!("{NAME}.toml"));
    let text = toml::to_string(&config).expect("made of strings and numbers only");
    ServiceSpec {
        name: NAME.to_owned(),
        image: NAME.to_owned(),
        origin: Origin::Ours,
        program: NAME.to_owned(),
        args: super::with_config(&[], &file),
        health: super::with_config(&[NAME, "healthcheck"], &file),
        env: BTreeMap::new(),
        files: vec![ConfigFile { path: file, text }],
        address,
        // The ports of the links are for the services only.
        ports: vec![Port::new("http", HTTP_PORT)],
        probe: Probe::Http(HTTP_PORT),
        needs: Vec::new(),
        volumes: Vec::new(),
        restart: Restart::Always,
        stop_grace_secs: 10,
    }
}
