//! A job declarator client under test, with its template provider, its pool and its job declarator
//! server.

mod declarator;
mod templates;

use std::net::SocketAddr;

use protocol::keys::AuthorityKey;
use protocol::message::common::Protocol;

use crate::contender::{Contender, Kind, free_address};
use crate::miner::{Channel, PoolMiner};
use crate::played::Played;
use crate::process::Process;
use crate::subject::Subject;
use crate::upstream::Pool;

use declarator::Declarator;
use templates::Templates;

const REWARD: &str = "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)";
/// As a pool under test has it.
const SHARES_PER_MINUTE: u32 = 1000;

/// A client that serves, or will in a moment.
pub(crate) struct Client {
    process: Process,
    provider: Played,
    miners: PoolMiner,
    /// Theirs ends with these.
    _servers: [Played; 2],
}

impl Client {
    /// Starts the contender and its servers.
    pub(crate) fn start(contender: &Contender) -> anyhow::Result<Self> {
        // The same for all: the reference knows one for a pool and its job declarator server.
        let authority = AuthorityKey::generate(&mut rand::thread_rng());
        let key = || authority.clone();
        let protocol = Protocol::TemplateDistributionProtocol;
        let provider = Played::start(protocol, key(), Templates::default)?;
        let pool = Played::start(Protocol::MiningProtocol, key(), Pool::of_custom_jobs)?;
        let protocol = Protocol::JobDeclarationProtocol;
        let jds = Played::start(protocol, key(), Declarator::default)?;
        let address = free_address()?;
        let config = config(contender, &authority, address, [&provider, &pool, &jds])?;
        Ok(Self {
            process: contender.start(&config)?,
            provider,
            miners: PoolMiner {
                address,
                authority: authority.public(),
                channel: Channel::Extended,
            },
            _servers: [pool, jds],
        })
    }
}

impl Subject for Client {
    type Player = PoolMiner;

    fn process(&self) -> &Process {
        &self.process
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await
    }

    fn player(&self, channel: Channel) -> PoolMiner {
        PoolMiner {
            channel,
            ..self.miners
        }
    }

    async fn new_tip(&mut self) -> anyhow::Result<u64> {
        self.provider.new_tip().await
    }
}

fn config(
    contender: &Contender,
    authority: &AuthorityKey,
    address: SocketAddr,
    [provider, pool, jds]: [&Played; 3],
) -> anyhow::Result<String> {
    let key = authority.public_text();
    let both = format!(
        "authority_public_key = \"{key}\"\n\
         authority_secret_key = \"{}\"\n\
         cert_validity_sec = 3600\n\
         coinbase_reward_script = \"{REWARD}\"\n\
         shares_per_minute = {SHARES_PER_MINUTE}.0\n\
         share_batch_size = 10\n\
         monitoring_address = \"{}\"\n",
        authority.secret_text(),
        free_address()?,
    );
    let (own, section) = match contender.kind {
        Kind::Ours => (
            format!(
                "listen_address = \"{address}\"\n\
                 max_connections = 20000\n\
                 max_messages_per_second = 0\n\
                 enable_vardiff = false\n"
            ),
            "template_provider",
        ),
        Kind::Reference { .. } => (
            format!(
                "listening_address = \"{address}\"\n\
                 min_supported_version = 2\n\
                 max_supported_version = 2\n\
                 jdc_signature = \"\"\n"
            ),
            "template_provider_type.Sv2Tp",
        ),
    };
    let servers = format!(
        "[{section}]\n\
         address = \"{}\"\n\
         public_key = \"{key}\"\n\
         [[upstreams]]\n\
         authority_pubkey = \"{key}\"\n\
         pool_address = \"{}\"\n\
         pool_port = {}\n\
         jds_address = \"{}\"\n\
         jds_port = {}\n\
         user_identity = \"load\"\n",
        provider.address,
        pool.address.ip(),
        pool.address.port(),
        jds.address.ip(),
        jds.address.port(),
    );
    Ok(own + &both + &servers)
}
