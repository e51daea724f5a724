//! What a backend needs to know to run a service, and nothing about how it runs it.
//!
//! A [`ServiceSpec`] is made by pure functions from the topology. The docker backend, the process
//! backend and the tests' fake are printers of the same specs, so they cannot drift apart.

pub mod btc_node;
pub mod cpuminer;
pub mod explorer;
pub mod jdc;
pub mod jds;
pub mod mining_device;
pub mod pool;
pub mod relay;
pub mod template_provider;
pub mod translator;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::relay::Speaks;
use crate::secrets::{RPC_READER, Secrets};
use crate::subnet::Subnet;
use crate::topology::{Kind, Service, Topology};

/// User and group id of every service in a container.
pub const SERVICE_UID: u32 = 1000;

/// One service, ready to be started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Its name in the topology; also its host name in containers.
    pub name: String,
    /// The image and the key of `lab build`.
    pub image: String,
    /// Whose program it is.
    pub origin: Origin,
    /// The program's file name.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, beyond what every program gets.
    pub env: BTreeMap<String, String>,
    /// Files it reads, with their full path.
    pub files: Vec<ConfigFile>,
    /// The only address it listens on.
    pub address: Ipv4Addr,
    /// What it listens on; the first is its main port.
    pub ports: Vec<Port>,
    /// How to ask whether it is ready.
    pub probe: Probe,
    /// The command that asks it the same from within its container; empty for none.
    pub health: Vec<String>,
    /// Services that must be ready before it starts.
    pub needs: Vec<String>,
    /// Directories that outlive it.
    pub volumes: Vec<Volume>,
    /// What happens when it ends by itself.
    pub restart: Restart,
    /// Seconds between SIGTERM and SIGKILL.
    pub stop_grace_secs: u32,
}

/// Whose program a service runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Ours.
    Ours,
    /// That of an image which the Docker daemon has.
    Image(String),
    /// A program of this machine.
    Binary(PathBuf),
}

/// What happens to a service that ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// It comes back, however it ended.
    Always,
    /// It comes back unless it ended with exit code 0: it has an end of its own.
    OnFailure,
}

/// A file of a service. Every one may hold a secret, so all are for the service's user alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// Full path, as the service sees it.
    pub path: PathBuf,
    /// Contents.
    pub text: String,
}

/// A TCP port and what it speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// For example `rpc`.
    pub name: String,
    /// The same number in the container and on the host.
    pub number: u16,
    /// Whether a container's is also one of the host's: that of the first service that has this
    /// number. The others are reached on their own addresses.
    pub published: bool,
}

/// A directory that outlives its service and may be shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name within the lab.
    pub name: String,
    /// Where the service finds it.
    pub path: PathBuf,
}

/// How to ask a service whether it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// Its own `/healthz` on this port.
    Http(u16),
    /// Bitcoin Core on this RPC port: answers, out of initial block download, matured coins.
    BitcoinNode(u16),
    /// The same, of a node whose chain comes from its peers.
    BitcoinPeer(u16),
    /// Something listens on this port, which is all that a foreign program tells.
    Tcp(u16),
    /// It runs: it has no port to ask on.
    Runs,
}

impl ServiceSpec {
    /// Address and port of the named port.
    pub fn socket(&self, port: &str) -> Option<SocketAddrV4> {
        let port = self.ports.iter().find(|candidate| candidate.name == port)?;
        Some(SocketAddrV4::new(self.address, port.number))
    }

    /// Where its configuration lies, and commands beside it run.
    pub fn directory(&self) -> Option<String> {
        let directory = self.files.first()?.path.parent()?;
        Some(directory.display().to_string())
    }
}

/// Where a spec is going to run: all that differs between the backends.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The lab's name, for people to tell labs apart by.
    pub name: &'a str,
    /// The lab's network.
    pub subnet: Subnet,
    /// Where files live.
    pub paths: &'a Paths,
    /// The lab's keys and passwords.
    pub secrets: &'a Secrets,
    /// Address to which coinbases pay.
    pub reward_address: &'a str,
    /// Where links are noted down that pass the relay; [`specs`] sees to it.
    pub links: Option<&'a relay::Links>,
}

impl Site<'_> {
    /// Whom the blocks of this lab pay, as a descriptor.
    fn reward_script(&self) -> String {
        format!("addr({})", self.reward_address)
    }
}

/// The file system as services see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paths {
    /// Every service has a file system of its own.
    Container,
    /// All services share the host's, below this directory.
    Directory(PathBuf),
}

impl Paths {
    /// Directory of a service's configuration.
    pub fn config(&self, service: &str) -> PathBuf {
        match self {
            Self::Container => PathBuf::from(CONTAINER_CONFIG),
            Self::Directory(state) => state.join("services").join(service),
        }
    }

    /// The volume `name`, which containers see as `role`.
    ///
    /// Containers get a fixed set of mount points, because the image must own them: Docker
    /// copies owner and mode of the image's directory to a fresh volume.
    pub fn volume(&self, name: String, role: VolumeRole) -> Volume {
        let path = match self {
            Self::Container => Path::new(CONTAINER_VOLUMES).join(role.directory()),
            Self::Directory(state) => state.join("volumes").join(&name),
        };
        Volume { name, path }
    }
}

/// Directory of configuration files in containers.
pub const CONTAINER_CONFIG: &str = "/etc/lab";
/// Directory of volumes in containers.
pub const CONTAINER_VOLUMES: &str = "/var/lib/lab";

/// What a volume is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeRole {
    /// A service's own data.
    Data,
    /// The socket of Bitcoin Core's mining interface.
    Ipc,
}

impl VolumeRole {
    /// Every mount point that an image has to own.
    pub const ALL: [Self; 2] = [Self::Data, Self::Ipc];

    /// Directory name below [`CONTAINER_VOLUMES`].
    pub fn directory(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Ipc => "ipc",
        }
    }
}

/// The specs of a whole topology, which must have passed its check.
pub fn specs(topology: &Topology, site: &Site<'_>) -> Vec<ServiceSpec> {
    wired(topology, site).0
}

/// What a topology would be on Docker, with everything left open that differs from lab to lab; and
/// its links, when it has relays.
pub(crate) fn sketch(topology: &Topology, subnet: Subnet) -> (Vec<ServiceSpec>, Vec<String>) {
    let site = Site {
        name: "",
        subnet,
        paths: &Paths::Container,
        secrets: &Secrets::blank(),
        reward_address: "",
        links: None,
    };
    let (specs, links) = wired(topology, &site);
    (specs, links.names())
}

fn wired(topology: &Topology, site: &Site<'_>) -> (Vec<ServiceSpec>, relay::Links) {
    let links = relay::Links::of(topology);
    let site = &Site {
        links: topology.relays.then_some(&links),
        ..*site
    };
    let spec = |service: &Service| match &service.kind {
        Kind::BtcNode(settings) => btc_node::spec(service, settings, topology, site),
        Kind::TemplateProvider(settings) => {
            template_provider::spec(service, settings, topology, site)
        }
        Kind::Jdc(settings) => jdc::spec(service, settings, topology, site),
        Kind::Jds(settings) => jds::spec(service, settings, topology, site),
        Kind::Pool(settings) => pool::spec(service, settings, topology, site),
        Kind::MiningDevice(settings) => mining_device::spec(service, settings, topology, site),
        Kind::Translator(settings) => translator::spec(service, settings, topology, site),
        Kind::Cpuminer(settings) => cpuminer::spec(service, settings, topology, site),
        Kind::Explorer(settings) => explorer::spec(service, settings, topology, site),
    };
    let mut specs: Vec<ServiceSpec> = topology.services.iter().map(spec).collect();
    if topology.relays {
        for spec in &mut specs {
            if links.has_client(&spec.name) {
                spec.needs.push(relay::NAME.to_owned());
            }
        }
        specs.push(relay::spec(&links, site));
    }
    publish_once(&mut specs);
    (specs, links)
}

/// A host has each port number once; the service with the lowest address gets it.
fn publish_once(specs: &mut [ServiceSpec]) {
    let mut by_address: Vec<&mut ServiceSpec> = specs.iter_mut().collect();
    by_address.sort_by_key(|spec| spec.address);
    let mut taken = BTreeSet::new();
    for port in by_address.into_iter().flat_map(|spec| &mut spec.ports) {
        port.published = taken.insert(port.number);
    }
}

/// A role of ours: `PROGRAM --config FILE`, with its configuration as TOML.
struct Role<'a> {
    service: &'a Service,
    program: &'static str,
    address: Ipv4Addr,
    ports: Vec<Port>,
    http_port: u16,
}

impl Role<'_> {
    fn spec(self, config: &impl Serialize, site: &Site<'_>) -> ServiceSpec {
        let name = &self.service.name;
        let file = site.paths.config(name).join(format!("{name}.toml"));
        let text = toml::to_string(config).expect("made of strings, numbers and tables only");
        let mut ports = self.ports;
        ports.push(Port::new("http", self.http_port));
        ServiceSpec {
            name: name.clone(),
            image: self.program.to_owned(),
            origin: Origin::Ours,
            program: self.program.to_owned(),
            args: with_config(&[], &file),
            health: with_config(&[self.program, "healthcheck"], &file),
            env: BTreeMap::new(),
            files: vec![ConfigFile { path: file, text }],
            address: self.address,
            ports,
            probe: Probe::Http(self.http_port),
            needs: self.service.needs(),
            volumes: Vec::new(),
            restart: Restart::Always,
            // A role ends within 5 seconds of SIGTERM.
            stop_grace_secs: 10,
        }
    }
}

fn with_config(words: &[&str], file: &Path) -> Vec<String> {
    let words = words.iter().map(|word| (*word).to_owned());
    let option = ["--config".to_owned(), file.display().to_string()];
    words.chain(option).collect()
}

impl Port {
    fn new(name: &str, number: u16) -> Self {
        Self {
            name: name.to_owned(),
            number,
            published: true,
        }
    }
}

/// What every SV2 server has in its configuration.
#[derive(Serialize)]
struct ServerConfig<'a> {
    listen_address: SocketAddrV4,
    monitoring_address: SocketAddrV4,
    authority_public_key: &'a str,
    authority_secret_key: &'a str,
    cert_validity_sec: u32,
}

impl<'a> ServerConfig<'a> {
    fn new(address: Ipv4Addr, port: u16, http_port: u16, secrets: &'a Secrets) -> Self {
        Self {
            listen_address: SocketAddrV4::new(address, port),
            monitoring_address: SocketAddrV4::new(address, http_port),
            authority_public_key: &secrets.authority_public_key,
            authority_secret_key: &secrets.authority_secret_key,
            cert_validity_sec: 3600,
        }
    }
}

/// How a role of ours asks a node by RPC.
#[derive(Serialize)]
struct RpcAccess<'a> {
    rpc_address: SocketAddrV4,
    rpc_user: &'a str,
    rpc_password: Cow<'a, str>,
}

impl<'a> RpcAccess<'a> {
    /// As somebody who may do everything.
    fn new(client: &str, node: &str, topology: &Topology, site: &Site<'a>) -> Self {
        let address = topology.address(node, site.subnet);
        let address = SocketAddrV4::new(address, btc_node::RPC_PORT);
        Self {
            rpc_address: site.reach(client, node, address, Speaks::Tcp),
            rpc_user: &site.secrets.rpc_user,
            rpc_password: Cow::Borrowed(&site.secrets.rpc_password),
        }
    }

    /// As somebody who can only read.
    fn reader(client: &str, node: &str, topology: &Topology, site: &Site<'a>) -> Self {
        Self {
            rpc_user: RPC_READER,
            rpc_password: Cow::Owned(site.secrets.rpc_reader_password()),
            ..Self::new(client, node, topology, site)
        }
    }
}

/// How a role of ours gets templates.
#[derive(Serialize)]
struct TemplateAccess<'a> {
    address: SocketAddrV4,
    public_key: &'a str,
}

impl<'a> TemplateAccess<'a> {
    fn new(client: &str, provider: &str, topology: &Topology, site: &Site<'a>) -> Self {
        let address = topology.address(provider, site.subnet);
        let address = SocketAddrV4::new(address, template_provider::TDP_PORT);
        Self {
            address: site.reach(client, provider, address, Speaks::Sv2),
            public_key: &site.secrets.authority_public_key,
        }
    }
}

/// What a job declarator server and the pool have in common.
#[derive(Serialize)]
struct JobDeclaration<'a> {
    secret: &'a str,
}

impl<'a> JobDeclaration<'a> {
    fn new(site: &Site<'a>) -> Self {
        Self {
            secret: &site.secrets.job_declaration_secret,
        }
    }
}

#[cfg(test)]
mod tests;
