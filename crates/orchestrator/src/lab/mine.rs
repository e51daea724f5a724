//! Mining blocks now: by the lab's own device, or by the node itself.

use std::net::SocketAddrV4;
use std::time::Duration;

use anyhow::{Context, Result};
use bitcoin::{BlockHash, Network};
use serde::Serialize;
use tokio::time::Instant;

use super::Lab;
use crate::backend::{Backend, State};
use crate::fault::Fault;
use crate::progress::{Event, Progress};
use crate::rpc;
use crate::topology::Service;

/// Pause between two looks at the height.
const POLL: Duration = Duration::from_millis(10);
/// Time in which a miner that has just been started begins to listen.
const START_TIME: Duration = Duration::from_secs(10);
/// Time in which a device that was asked for blocks finds at least one more.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same where a block takes millions of hashes.
const PATIENCE_ON_SIGNET: Duration = Duration::from_secs(120);

/// A block that was mined on request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MinedBlock {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: BlockHash,
}

/// Who mined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MinedBy {
    /// The lab's mining device, through its pool.
    Device,
    /// The node, by RPC; the coinbase pays to the lab's wallet.
    Rpc,
}

impl Lab {
    /// Who mines on request: the device, where there is one.
    pub fn miner(&self) -> MinedBy {
        match self.device() {
            Some(_) => MinedBy::Device,
            None => MinedBy::Rpc,
        }
    }

    /// Mines blocks and waits until the node has them.
    ///
    /// # Errors
    /// When the miner refuses, or no block comes.
    pub async fn mine(
        &self,
        blocks: u64,
        by: MinedBy,
        progress: Progress<'_>,
    ) -> Result<Vec<MinedBlock>> {
        let rpc = self.rpc()?;
        let before = rpc
            .block_count()
            .await
            .map_err(|error| Fault::unavailable(error.to_string(), "see what runs: lab status"))?;
        match by {
            MinedBy::Rpc => {
                let address = self.wallet()?.address().to_string();
                rpc.generate(blocks, &address).await?;
            }
            MinedBy::Device => self.ask_device(blocks).await?,
        }
        let patience = match self.network() {
            Network::Regtest => PATIENCE,
            _ => PATIENCE_ON_SIGNET,
        };
        let mut seen = before;
        let mut deadline = Instant::now() + patience;
        while seen < before + blocks {
            let height = rpc.block_count().await?;
            if height > seen {
                seen = height;
                deadline = Instant::now() + patience;
                let done = (seen - before).min(blocks);
                progress(Event::Step(format!("{done} of {blocks} blocks mined")));
            } else if Instant::now() > deadline {
                return Err(no_block(seen - before, blocks, patience).into());
            } else {
                tokio::time::sleep(POLL).await;
            }
        }
        let mut mined = Vec::new();
        for height in before + 1..=before + blocks {
            let hash = rpc.block_hash(height).await?;
            mined.push(MinedBlock { height, hash });
        }
        Ok(mined)
    }

    /// The miner nearest to the pool.
    fn device(&self) -> Option<&Service> {
        let device = self.topology.first("mining-device");
        device.or_else(|| self.topology.first("cpuminer"))
    }

    async fn ask_device(&self, blocks: u64) -> Result<()> {
        let device = self
            .device()
            .context("the lab has no mining device; mine with --rpc")?;
        self.ask_miner(&device.name, blocks).await
    }

    /// Lets a miner find its next block in a hurry, if it can be asked at all.
    pub(super) async fn hurry(&self, miner: &str) {
        // One of somebody else's has no such route; its blocks come when they come.
        if let Ok(url) = self.mine_url(miner, 1) {
            let _ = rpc::http_client().post(url).send().await;
        }
    }

    fn mine_url(&self, name: &str, blocks: u64) -> Result<String> {
        let address: SocketAddrV4 = self
            .service(name)?
            .socket("http")
            .context("a mining device has an http port")?;
        Ok(format!("http://{address}/api/v1/mine?blocks={blocks}"))
    }

    /// Lets a miner find its next blocks without a pause, and as fast as it can.
    pub(super) async fn ask_miner(&self, name: &str, blocks: u64) -> Result<()> {
        let url = self.mine_url(name, blocks)?;
        let remedy = format!("see what it does: lab logs {name}; or mine with --rpc");
        let client = rpc::http_client();
        let is_running = self.backend.status(name).await?.state == State::Running;
        let deadline = is_running.then(|| Instant::now() + START_TIME);
        let response = loop {
            match client.post(&url).send().await {
                Ok(response) => break response,
                // A program in place of ours counts as ready before it listens.
                Err(error) if error.is_connect() && deadline > Some(Instant::now()) => {
                    tokio::time::sleep(POLL).await;
                }
                Err(_) => {
                    let cause = format!("{name} does not answer {url}");
                    return Err(Fault::unavailable(cause, remedy).into());
                }
            }
        };
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let said = response.text().await.unwrap_or_default();
        let cause = format!("{name} refuses to mine: {status} {said}");
        Err(Fault::failed(cause.trim(), remedy).into())
    }
}

fn no_block(mined: u64, wanted: u64, patience: Duration) -> Fault {
    Fault::failed(
        format!(
            "{mined} of {wanted} blocks were mined, then none came for {} s",
            patience.as_secs()
        ),
        "see what stands still: lab status; or mine with --rpc",
    )
}
