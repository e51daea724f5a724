//! A pool under test, with its template provider.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use protocol::keys::AuthorityKey;

use crate::contender::{Contender, Kind, free_address};
use crate::miner::{Channel, PoolMiner};
use crate::process::Process;
use crate::provider::{Listener, Provider};
use crate::subject::Subject;

/// High enough for any declared hash rate of ours to give a target that every hash meets, and for
/// the reference to let a channel send a million shares on one tip; at its default of 6 it closes
/// the connection after 7,200.
const SHARES_PER_MINUTE: u32 = 1000;
const SHARE_BATCH_SIZE: u32 = 10;
/// Together with this the coinbase has 180 bytes.
const SIGNATURE: &str = "a pool under load test";
const REWARD: &str = "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)";
/// Until it has come up and found its template provider.
const PATIENCE: Duration = Duration::from_secs(10);

/// A pool that serves, or will in a moment.
pub(crate) struct Pool {
    process: Process,
    provider: Provider,
    miners: PoolMiner,
}

impl Pool {
    /// Starts the contender and lets it find its template provider.
    pub(crate) async fn start(contender: &Contender) -> anyhow::Result<Self> {
        let listener = Listener::bind().await?;
        let authority = AuthorityKey::generate(&mut rand::thread_rng());
        let address = free_address()?;
        let config = config(contender, &authority, address, &listener)?;
        let process = contender.start(&config)?;
        let provider = tokio::time::timeout(PATIENCE, listener.accept()).await;
        let provider = provider
            .context("the pool does not connect to its template provider")
            .flatten()
            .with_context(|| process.last_words())?;
        Ok(Self {
            process,
            provider,
            miners: PoolMiner {
                address,
                authority: authority.public(),
                channel: Channel::Extended,
            },
        })
    }
}

impl Subject for Pool {
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
    provider: &Listener,
) -> anyhow::Result<String> {
    let both = format!(
        "listen_address = \"{address}\"\n\
         authority_public_key = \"{}\"\n\
         authority_secret_key = \"{}\"\n\
         cert_validity_sec = 3600\n\
         coinbase_reward_script = \"{REWARD}\"\n\
         pool_signature = \"{SIGNATURE}\"\n\
         shares_per_minute = {SHARES_PER_MINUTE}.0\n\
         share_batch_size = {SHARE_BATCH_SIZE}\n\
         monitoring_address = \"{}\"\n",
        authority.public_text(),
        authority.secret_text(),
        free_address()?,
    );
    let provider_address = provider.address()?;
    let provider_key = provider.public_key();
    let own = match contender.kind {
        Kind::Ours => format!(
            "max_messages_per_second = 0\n\
             enable_vardiff = false\n\
             [template_provider]\n\
             address = \"{provider_address}\"\n\
             public_key = \"{provider_key}\"\n"
        ),
        Kind::Reference { .. } => format!(
            "server_id = 1\n\
             [template_provider_type.Sv2Tp]\n\
             address = \"{provider_address}\"\n\
             public_key = \"{provider_key}\"\n"
        ),
    };
    Ok(both + &own)
}
