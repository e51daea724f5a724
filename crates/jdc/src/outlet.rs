//! The way from a connection to the desk.

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::desk::Message;

/// What one session says goes through here.
#[derive(Debug)]
pub(crate) struct Outlet {
    desk: mpsc::Sender<Message>,
    session: CancellationToken,
}

impl Outlet {
    /// For a new session, which ends when `session` is cancelled.
    pub(crate) fn new(desk: &mpsc::Sender<Message>, session: &CancellationToken) -> Self {
        Self {
            desk: desk.clone(),
            session: session.clone(),
        }
    }

    /// Ends the session if the desk takes no more: it must not miss an answer. The desk is gone
    /// only when the role stops, and then the session has yet to say so.
    pub(crate) fn put(&self, message: Message) {
        if let Err(TrySendError::Full(_)) = self.desk.try_send(message) {
            error!("the desk takes no more messages, the connection is made anew");
            self.session.cancel();
        }
    }
}
