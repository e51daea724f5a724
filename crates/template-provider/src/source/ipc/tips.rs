//! The node's tip, watched on a thread of its own inside the node.

use std::pin::pin;
use std::time::{Duration, Instant};

use bitcoin::BlockHash;
use bitcoin_capnp_types::mining_capnp::mining;
use bitcoin_capnp_types::proxy_capnp::thread;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::call::{CallError, During, malformed};
use super::node::{ANSWER_LIMIT, Node, answered, tip, unanswered};
use super::parse;

/// Longest wait inside the node. A client that vanishes without a word occupies a thread of the
/// node no longer than this, and a node that has been stopped shows soon after.
const WAIT_LIMIT: Duration = Duration::from_secs(5);
/// Pause after a wait that brought nothing and yet was short, as all waits are in a node that is
/// shutting down.
const SHORT_WAIT_PAUSE: Duration = Duration::from_millis(100);
/// How long the node may take to finish the wait that was interrupted at the end.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

/// A block the node builds on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) hash: BlockHash,
    pub(super) height: u32,
}

/// See the module's description.
pub(super) struct Tips {
    /// Only the newest tip matters, so those before may be skipped.
    newest: watch::Receiver<Tip>,
    task: JoinHandle<CallError>,
    stop: CancellationToken,
}

impl Tips {
    /// Starts watching. The first tip is there already, and is not the next one.
    pub(super) async fn start(node: &Node) -> Result<Self, CallError> {
        let first = tip(&node.mining, &node.watching).await?;
        let first = first.ok_or_else(|| malformed("getTip", &"no tip"))?;
        let (sender, newest) = watch::channel(first);
        let watcher = Watcher {
            mining: node.mining.clone(),
            thread: node.watching.clone(),
            newest: sender,
        };
        let stop = CancellationToken::new();
        let task = spawn_local(watcher.run(stop.clone()));
        Ok(Self { newest, task, stop })
    }

    /// The tip that was seen last.
    pub(super) fn newest(&self) -> Tip {
        *self.newest.borrow()
    }

    /// Waits for another tip. Nothing is lost when it is dropped and called again; after an error
    /// there is no more to come.
    pub(super) async fn next(&mut self) -> Result<Tip, CallError> {
        if self.newest.changed().await.is_err() {
            return Err((&mut self.task).await.unwrap_or(CallError::Closed));
        }
        Ok(*self.newest.borrow_and_update())
    }

    /// Lets go of the node.
    pub(super) async fn end(self) {
        self.stop.cancel();
        if !self.task.is_finished() {
            // It ends now or is cut off; what it found matters to nobody.
            let _ = timeout(FAREWELL_LIMIT, self.task).await;
        }
    }
}

struct Watcher {
    mining: mining::Client,
    thread: thread::Client,
    newest: watch::Sender<Tip>,
}

impl Watcher {
    async fn run(self, stop: CancellationToken) -> CallError {
        loop {
            let before = *self.newest.borrow();
            let started = Instant::now();
            let mut wait = pin!(self.wait(before));
            let next = tokio::select! {
                next = wait.as_mut() => next,
                () = stop.cancelled() => {
                    unanswered(self.mining.interrupt_request().send().promise);
                    wait.await
                }
            };
            match next {
                Err(error) => return error,
                Ok(_) if stop.is_cancelled() => return CallError::Closed,
                Ok(next) if next != before => {
                    self.newest.send_replace(next);
                }
                Ok(_) if started.elapsed() < WAIT_LIMIT / 2 => sleep(SHORT_WAIT_PAUSE).await,
                Ok(_) => {}
            }
        }
    }

    /// The node's tip as soon as it is another one than this, or after a while.
    async fn wait(&self, before: Tip) -> Result<Tip, CallError> {
        const CALL: &str = "waitTipChanged";
        let mut request = self.mining.wait_tip_changed_request();
        let mut params = request.get();
        params
            .reborrow()
            .get_context()
            .during(CALL)?
            .set_thread(self.thread.clone());
        params.set_current_tip(before.hash.as_ref());
        params.set_timeout(WAIT_LIMIT.as_secs_f64() * 1_000.0);
        let limit = WAIT_LIMIT + ANSWER_LIMIT;
        let answer = answered(CALL, limit, request.send().promise).await?;
        let answer = answer.get().during(CALL)?;
        if !answer.has_result() {
            // So does a node that shuts down.
            return Err(CallError::Closed);
        }
        parse::tip(CALL, answer.get_result().during(CALL)?)
    }
}
