//! What a protocol core is: a plain struct, stepped by messages.
//!
//! A [`Core`] is the state of one connection. It is told what arrived and what time it is, and it
//! fills an [`Outbox`] with what is to be sent, what the rest of the role should know, and whether
//! the connection is over. It performs nothing itself, so tables and the simulator can step it in
//! microseconds. `daemon::drive` is the loop that joins it to a socket.

use std::time::Instant;

use crate::frame::Frame;
use crate::message::{self, Encodable, GetSize, IsSv2Message};

/// The time at which a core is stepped. Only the edge of a role makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For durations and deadlines.
    pub instant: Instant,
    /// Seconds since 1970, for block times and certificates.
    pub unix: u64,
}

/// The protocol rules of one connection.
///
/// No method fails: a peer's mistake becomes an answer, a close, an event.
pub trait Core {
    /// What the rest of the role tells this connection: new work, an answer to an earlier event.
    type Input;
    /// What this connection tells the rest of the role: something to log, count, store or do.
    type Event;

    /// A frame arrived.
    fn received(&mut self, now: Now, frame: Frame<'_>, out: &mut Outbox<Self::Event>);

    /// The role says something.
    fn input(&mut self, now: Now, input: Self::Input, out: &mut Outbox<Self::Event>);

    /// When [`wake`](Self::wake) wants to be called if nothing else happens before.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The deadline has passed.
    fn wake(&mut self, _now: Now, _out: &mut Outbox<Self::Event>) {}
}

/// What a core wants done, in order. Emptied by the edge after each step, before the next.
#[derive(Debug)]
pub struct Outbox<E> {
    /// Plaintext frames, one behind the other.
    frames: Vec<u8>,
    events: Vec<E>,
    close: Option<String>,
}

impl<E> Outbox<E> {
    /// Sends a message.
    pub fn send(&mut self, message: impl IsSv2Message + GetSize + Encodable) {
        message::encode(message, &mut self.frames);
    }

    /// Sends frames that were encoded before, as they are.
    pub fn send_encoded(&mut self, frames: &[u8]) {
        self.frames.extend_from_slice(frames);
    }

    /// Sends a frame that is built by hand, as [`message::encode_with`] does.
    pub fn send_with(
        &mut self,
        msg_type: u8,
        channel_msg: bool,
        payload: impl FnOnce(&mut Vec<u8>),
    ) {
        message::encode_with(msg_type, channel_msg, &mut self.frames, payload);
    }

    /// Tells the role something.
    pub fn event(&mut self, event: E) {
        self.events.push(event);
    }

    /// Closes the connection once everything sent so far is flushed. The first reason stays.
    pub fn close(&mut self, reason: impl Into<String>) {
        self.close.get_or_insert_with(|| reason.into());
    }

    /// Whether the connection is to be closed.
    pub fn is_closing(&self) -> bool {
        self.close.is_some()
    }

    /// For the edge: the encoded frames; clear them once they are sealed.
    pub fn frames(&mut self) -> &mut Vec<u8> {
        &mut self.frames
    }

    /// For the edge: takes the events.
    pub fn take_events(&mut self) -> std::vec::Drain<'_, E> {
        self.events.drain(..)
    }

    /// For the edge: why to close, if so.
    pub fn take_close(&mut self) -> Option<String> {
        self.close.take()
    }
}

// Not derived: an outbox is empty whether or not its events have a default.
impl<E> Default for Outbox<E> {
    fn default() -> Self {
        Self {
            frames: Vec::new(),
            events: Vec::new(),
            close: None,
        }
    }
}
