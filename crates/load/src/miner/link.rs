//! A miner's connection to a pool.

use std::net::SocketAddr;

use anyhow::bail;
use daemon::drive::{Ended, Joined, drive};
use daemon::wire::{Connection, split};
use protocol::keys::AuthorityPublicKey;
use protocol::message;
use protocol::message::common::Protocol;
use protocol::setup::Request;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use super::{Channel, Miner};
use crate::stamped::{Stamp, Stamped};
use crate::swarm::{Orders, Place, Player, Watcher};

/// Payload bytes a frame of the pool may announce.
const MAX_PAYLOAD: usize = 1 << 20;

/// Miners of one pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolMiner {
    pub(crate) address: SocketAddr,
    pub(crate) authority: AuthorityPublicKey,
    pub(crate) channel: Channel,
}

impl Player for PoolMiner {
    async fn play(self, place: Place, orders: Orders, watcher: &mut Watcher) -> anyhow::Result<()> {
        let (mut connection, stamp) = self.connect().await?;
        let mut miner = Miner::new(self.channel, place.phase);
        connection.send(&miner.connected()).await?;
        let mut host = Joined {
            inputs: orders.pace,
            on_event: |event| watcher.on_event(event, &stamp),
        };
        match drive(connection, &mut miner, &mut host, &orders.stop).await {
            Ended::Stopping => Ok(()),
            ended => bail!("{ended}"),
        }
    }
}

impl PoolMiner {
    async fn connect(&self) -> anyhow::Result<(Connection<Stamped, OwnedWriteHalf>, Stamp)> {
        let stream = TcpStream::connect(self.address).await?;
        let (reader, writer) = split(stream)?;
        let (reader, stamp) = Stamped::new(reader)?;
        let mut connection =
            Connection::initiate(reader, writer, &self.authority, MAX_PAYLOAD).await?;
        let request = Request {
            protocol: Protocol::MiningProtocol,
            flags: 0,
            endpoint_host: self.address.ip().to_string(),
            endpoint_port: self.address.port(),
            role: "load",
            device_id: String::new(),
        };
        let mut frame = Vec::new();
        message::encode(request.message(), &mut frame);
        connection.send(&frame).await?;
        request.read_answer(connection.receive().await?)?;
        Ok((connection, stamp))
    }
}
