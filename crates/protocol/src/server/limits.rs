//! What one connection may do, and for how long it may do nothing.

use std::time::{Duration, Instant};

use super::{MiningServer, Out, ServerEvent};
use crate::core::Now;

/// How long a client has to negotiate what it must.
const NEGOTIATION: Duration = Duration::from_secs(10);

/// A limit that a client reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// No channel and no message for too long.
    Idle,
    /// Too many channels: the next one is refused, and the connection goes on.
    Channels,
    /// An extension it must negotiate was not.
    Extension,
}

impl MiningServer {
    /// The connection was set up. Without this call it is idle from its first message on only.
    pub fn connected(&mut self, now: Now) {
        self.heard = Some(now.instant);
    }

    /// When a client that opens no channel has done nothing for too long (SV2 5.3.2). One that has
    /// a channel never has: a slow miner may need hours for a share.
    pub(super) fn idle_due(&self) -> Option<Instant> {
        let last = self.heard.filter(|_| self.channels.is_empty())?;
        let patience = match self.policy.extensions.missing(&self.granted) {
            Some(_) => self.policy.idle.min(NEGOTIATION),
            None => self.policy.idle,
        };
        last.checked_add(patience)
    }

    pub(super) fn close_if_idle(&mut self, now: Now, out: &mut Out) {
        if self.idle_due().is_some_and(|due| due <= now.instant) {
            let (limit, reason) = match self.policy.extensions.missing(&self.granted) {
                Some(_) => (Limit::Extension, "a required extension was not negotiated"),
                None => (Limit::Idle, "idle: no channel was opened"),
            };
            self.exceeded(limit, reason, out);
        }
    }

    pub(super) fn exceeded(&mut self, limit: Limit, reason: &str, out: &mut Out) {
        out.event(ServerEvent::Limited(limit));
        out.close(reason);
    }
}
