//! The way from a connection to the desk.

use std::collections::VecDeque;

use daemon::drive::Host;
use protocol::core::Core;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::desk::Message;

/// What one session says and the desk has no room for. When there is more, the session is ended and
/// made anew: a lost answer would be worse.
const MAX_WAITING: usize = 1 << 14;

/// What one session says goes through here. What the desk has no room for waits here, in order.
#[derive(Debug)]
pub(crate) struct Outlet {
    desk: mpsc::Sender<Message>,
    session: CancellationToken,
    waiting: VecDeque<Message>,
}

impl Outlet {
    /// For a new session, which ends when `session` is cancelled.
    pub(crate) fn new(desk: &mpsc::Sender<Message>, session: &CancellationToken) -> Self {
        Self {
            desk: desk.clone(),
            session: session.clone(),
            waiting: VecDeque::new(),
        }
    }

    /// Nothing is lost; see [`emptied`](Self::emptied).
    pub(crate) fn put(&mut self, message: Message) {
        if !self.waiting.is_empty() {
            self.waiting.push_back(message);
        } else if let Err(TrySendError::Full(message)) = self.desk.try_send(message) {
            self.waiting.push_back(message);
        }
        if self.waiting.len() > MAX_WAITING {
            error!("the desk takes no more messages, the connection is made anew");
            self.session.cancel();
        }
    }

    /// Until the desk has room for all that waits. Cancel-safe.
    pub(crate) async fn emptied(&mut self) {
        while !self.waiting.is_empty() {
            let room = self.desk.reserve().await;
            let first = self.waiting.pop_front();
            // The desk is gone only when the role stops.
            if let (Ok(room), Some(first)) = (room, first) {
                room.send(first);
            }
        }
    }

    /// The next input, once the desk has heard what the ones before it led to. Cancel-safe.
    pub(crate) async fn next<T>(&mut self, inputs: &mut mpsc::Receiver<T>) -> Option<T> {
        self.emptied().await;
        inputs.recv().await
    }

    /// The session is over: this is the last that the desk hears of it.
    pub(crate) async fn close(mut self, last: Message) {
        self.emptied().await;
        // The desk may be gone only when the role stops.
        let _ = self.desk.send(last).await;
    }
}

/// A session that hears inputs, and whose events a closure turns into messages.
pub(crate) struct Joined<'a, T, F> {
    pub(crate) outlet: &'a mut Outlet,
    pub(crate) inputs: &'a mut mpsc::Receiver<T>,
    pub(crate) on_event: F,
}

impl<C, T, F> Host<C> for Joined<'_, T, F>
where
    C: Core<Input = T>,
    T: Send,
    F: FnMut(C::Event, &mut Outlet) + Send,
{
    async fn next(&mut self) -> Option<T> {
        self.outlet.next(self.inputs).await
    }

    fn another(&mut self) -> Option<T> {
        self.inputs.try_recv().ok()
    }

    fn event(&mut self, event: C::Event) {
        (self.on_event)(event, self.outlet);
    }
}

#[cfg(test)]
mod tests;
