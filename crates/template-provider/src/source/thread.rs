//! The thread a source runs on, and the handle by which the role opens feeds whatever the source.
//!
//! Neither Cap'n Proto's client nor the state that feeds of one source share can move between
//! threads, and nobody who serves clients should wait while a block is put together.

use std::{io, thread};

use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Duration, timeout};
use tracing::warn;

use super::{Feed, FeedEnd, Purpose};

/// Feeds asked for that the thread has not yet begun. It only spawns a task for each, so whoever
/// asks may wait.
const ORDER_QUEUE: usize = 16;
/// How long feeds may take to give their calls inside the node up when the source stops.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// Opens feeds; the thread behind it ends when all clones are gone.
#[derive(Clone, Debug)]
pub struct Source {
    orders: mpsc::Sender<Order>,
}

/// The thread of a source, to be waited for at the end.
#[derive(Debug)]
pub struct SourceThread {
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

impl Source {
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

impl SourceThread {
    /// Waits until every feed has ended, which they do when all [`Source`]s and all [`Feed`]s are
    /// dropped. To be asked once.
    pub async fn ended(&mut self) {
        // An error means that the thread has gone without a word.
        let _ = (&mut self.done).await;
    }
}

/// Starts a source. `begin` runs on the new thread and returns what runs a feed there.
pub(super) fn start<Run, Running>(
    name: &str,
    begin: impl FnOnce() -> Run + Send + 'static,
) -> io::Result<(Source, SourceThread)>
where
    Run: FnMut(Purpose, FeedEnd) -> Running,
    Running: Future<Output = ()> + 'static,
{
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (orders, received) = mpsc::channel(ORDER_QUEUE);
    let (ended, done) = oneshot::channel();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            LocalSet::new().block_on(&runtime, async { serve(begin(), received).await });
            // Nobody waiting is fine: then nobody wants to know.
            let _ = ended.send(());
        })?;
    Ok((Source { orders }, SourceThread { done }))
}

async fn serve<Running>(
    mut run: impl FnMut(Purpose, FeedEnd) -> Running,
    mut orders: mpsc::Receiver<Order>,
) where
    Running: Future<Output = ()> + 'static,
{
    let mut feeds = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order { purpose, end }) => {
                    feeds.spawn_local(run(purpose, end));
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
