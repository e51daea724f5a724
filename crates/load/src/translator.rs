//! A translator under test, with its pool.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::keys::AuthorityKey;
use protocol::message::common::Protocol;

use crate::contender::{Contender, Kind, free_address};
use crate::miner::Channel;
use crate::played::Played;
use crate::process::Process;
use crate::subject::Subject;
use crate::sv1_miner::Sv1Miner;
use crate::upstream::Pool;

/// With the lowest hash rate there is, a target that every hash meets.
const DIFFICULTY: &str = "[downstream_difficulty_config]\n\
     min_individual_miner_hashrate = 1.0\n\
     shares_per_minute = 1000.0\n\
     enable_vardiff = false\n\
     job_keepalive_interval_secs = 0\n";

/// A translator that serves, or will in a moment.
pub(crate) struct Translator {
    process: Process,
    upstream: Played,
    /// It was sent so far.
    shares: Arc<AtomicU64>,
    address: SocketAddr,
}

impl Translator {
    /// Starts the contender and its pool.
    pub(crate) fn start(contender: &Contender, aggregate: bool) -> anyhow::Result<Self> {
        let authority = AuthorityKey::generate(&mut rand::thread_rng());
        let shares: Arc<AtomicU64> = Arc::default();
        let counted = Arc::clone(&shares);
        let upstream = Played::start(Protocol::MiningProtocol, authority, move || {
            Pool::counting(Arc::clone(&counted))
        })?;
        let address = free_address()?;
        let config = config(contender, address, aggregate, &upstream)?;
        Ok(Self {
            process: contender.start(&config)?,
            upstream,
            shares,
            address,
        })
    }
}

impl Subject for Translator {
    type Player = Sv1Miner;

    fn process(&self) -> &Process {
        &self.process
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await
    }

    fn player(&self, _channel: Channel) -> Sv1Miner {
        Sv1Miner {
            address: self.address,
        }
    }

    fn passed_on(&self) -> Option<u64> {
        Some(self.shares.load(Ordering::Relaxed))
    }

    async fn new_tip(&mut self) -> anyhow::Result<u64> {
        self.upstream.new_tip().await
    }
}

fn config(
    contender: &Contender,
    address: SocketAddr,
    aggregate: bool,
    upstream: &Played,
) -> anyhow::Result<String> {
    let own = match contender.kind {
        Kind::Ours => format!(
            "listen_address = \"{address}\"\n\
             max_connections = 20000\n\
             max_messages_per_second = 0\n"
        ),
        Kind::Reference { .. } => format!(
            "downstream_address = \"{}\"\n\
             downstream_port = {}\n\
             min_supported_version = 2\n\
             max_supported_version = 2\n\
             supported_extensions = []\n\
             required_extensions = []\n",
            address.ip(),
            address.port()
        ),
    };
    let both = format!(
        "monitoring_address = \"{}\"\n\
         downstream_extranonce2_size = 4\n\
         aggregate_channels = {aggregate}\n\
         {DIFFICULTY}\
         [[upstreams]]\n\
         address = \"{}\"\n\
         port = {}\n\
         authority_pubkey = \"{}\"\n\
         user_identity = \"load\"\n",
        free_address()?,
        upstream.address.ip(),
        upstream.address.port(),
        upstream.authority,
    );
    Ok(own + &both)
}
