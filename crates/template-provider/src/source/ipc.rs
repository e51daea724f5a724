//! Templates from Bitcoin Core over its Cap'n Proto socket (`-ipcbind=unix:…`, Core 31 or later).
//!
//! ```text
//! client task ── Feed ──┐                    ┌── feed task ── own connection ──┐
//!                       ├── one OS thread ───┤                                 ├── bitcoin-node
//! client task ── Feed ──┘  (capnp is !Send)  └── feed task ── own connection ──┘
//! ```
//!
//! Every feed has a connection of its own, so that no client waits for another's calls inside the
//! node. A feed outlives its node: it dials again for ever, answers requests meanwhile, and makes
//! a fresh template as soon as the node is back.

mod call;
mod feed;
mod follow;
mod node;
mod parse;
mod watch;
mod work;

use std::path::PathBuf;
use std::time::Duration;
use std::{io, thread};

use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;
use tracing::warn;

use super::{Feed, FeedEnd, Purpose};

/// Feeds asked for that the thread has not yet begun. It only spawns a task for each, so whoever
/// asks may wait.
const ORDER_QUEUE: usize = 16;
/// How long feeds may take to give their calls inside the node up when the source stops.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// Opens feeds; the thread behind it ends when all senders are gone. See the module's description.
#[derive(Clone, Debug)]
pub struct Ipc {
    orders: mpsc::Sender<Order>,
}

/// The thread of a source, to be waited for at the end.
#[derive(Debug)]
pub struct IpcThread {
    done: oneshot::Receiver<()>,
}

#[derive(Debug)]
struct Order {
    purpose: Purpose,
    end: FeedEnd,
}

/// The thread of the source has ended, which it does only when told to.
#[derive(Debug, thiserror::Error)]
#[error("the thread that speaks to the node has ended")]
pub struct SourceEnded;

impl Ipc {
    /// Starts the thread. The node need not be there yet.
    ///
    /// # Errors
    /// When the operating system gives no thread or no event queue.
    pub fn start(socket: PathBuf) -> io::Result<(Self, IpcThread)> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (orders, received) = mpsc::channel(ORDER_QUEUE);
        let (ended, done) = oneshot::channel();
        thread::Builder::new()
            .name("ipc".to_owned())
            .spawn(move || {
                LocalSet::new().block_on(&runtime, serve(socket, received));
                // Nobody waiting is fine: then nobody wants to know.
                let _ = ended.send(());
            })?;
        Ok((Self { orders }, IpcThread { done }))
    }

    /// Opens a feed.
    ///
    /// # Errors
    /// When the source has ended.
    pub async fn open(&self, purpose: Purpose) -> Result<Feed, SourceEnded> {
        let (feed, end) = super::feed();
        self.orders
            .send(Order { purpose, end })
            .await
            .map_err(|_| SourceEnded)?;
        Ok(feed)
    }
}

impl IpcThread {
    /// Waits until every feed has ended, which they do when all [`Ipc`]s and all [`Feed`]s are
    /// dropped. To be asked once.
    pub async fn ended(&mut self) {
        // An error means that the thread has gone without a word.
        let _ = (&mut self.done).await;
    }
}

async fn serve(socket: PathBuf, mut orders: mpsc::Receiver<Order>) {
    let mut feeds = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order { purpose, end }) => {
                    feeds.spawn_local(feed::run(socket.clone(), purpose, end));
                }
                None => break,
            },
            // Finished feeds are taken out so that the set does not grow with every client.
            Some(_) = feeds.join_next() => {}
        }
    }
    let all_ended = async { while feeds.join_next().await.is_some() {} };
    if timeout(STOP_LIMIT, all_ended).await.is_err() {
        warn!(
            limit_secs = STOP_LIMIT.as_secs(),
            "gave up waiting for calls inside the node"
        );
    }
}
