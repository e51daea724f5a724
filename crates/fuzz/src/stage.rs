//! A core between a peer that may say anything and a role that behaves.

use std::time::{Duration, Instant};

use protocol::core::{Core, Now, Outbox};
use protocol::extension;
use protocol::frame::{Frame, FrameHeader};
use protocol::message::{self, Message, Received};

use crate::script::{Line, Script};

/// Wakes of a core at one moment that may be needed to do all that is due.
const MAX_WAKES: usize = 4;

/// One connection's core, its clock, and what it has said.
#[derive(Debug)]
pub(crate) struct Stage<C: Core> {
    pub(crate) core: C,
    pub(crate) now: Now,
    out: Outbox<C::Event>,
}

/// What a step brought.
#[derive(Debug)]
pub(crate) struct Step<E> {
    pub(crate) said: Vec<Message>,
    pub(crate) events: Vec<E>,
    /// The core has closed the connection and is not stepped again.
    pub(crate) is_closed: bool,
}

/// The present of every script's beginning.
pub(crate) fn beginning() -> Now {
    Now {
        instant: Instant::now(),
        unix: 1_800_000_000,
    }
}

impl<C: Core> Stage<C> {
    pub(crate) fn new(core: C, now: Now) -> Self {
        Self {
            core,
            now,
            out: Outbox::default(),
        }
    }

    pub(crate) fn hear(&mut self, header: FrameHeader, mut payload: Vec<u8>) -> Step<C::Event> {
        let payload = &mut payload[..];
        let frame = Frame { header, payload };
        self.core.received(self.now, frame, &mut self.out);
        self.step()
    }

    pub(crate) fn tell(&mut self, input: C::Input) -> Step<C::Event> {
        self.core.input(self.now, input, &mut self.out);
        self.step()
    }

    /// Time passes. The core is woken when it wants to be, as `daemon::drive` does it; one that
    /// wants to be woken at once again and again would keep a processor busy for nothing.
    pub(crate) fn pass(&mut self, time: Duration) -> Step<C::Event> {
        self.now.instant += time;
        self.now.unix += time.as_secs();
        for _ in 0..MAX_WAKES {
            let due = self.core.deadline();
            if self.out.is_closing() || due.is_none_or(|due| due > self.now.instant) {
                return self.step();
            }
            self.core.wake(self.now, &mut self.out);
        }
        panic!("woken {MAX_WAKES} times and still due");
    }

    /// All that is said must be what a peer can read.
    fn step(&mut self) -> Step<C::Event> {
        let frames = std::mem::take(self.out.frames());
        Step {
            said: Script(&frames).filter_map(decoded).collect(),
            events: self.out.take_events().collect(),
            is_closed: self.out.take_close().is_some(),
        }
    }
}

/// What was said; `None` for the extensions' messages, which are looked at all the same.
fn decoded(line: Line) -> Option<Message> {
    let Line::Frame(header, mut payload) = line else {
        panic!("said something of no known extension: {line:?}");
    };
    let frame = Frame {
        header,
        payload: &mut payload,
    };
    if header.extension == extension::NEGOTIATION {
        let said = message::negotiation(frame).expect("well-formed");
        assert!(said.is_some(), "an unknown type: {header:?}");
        return None;
    }
    match message::decode(frame) {
        Ok(Received::Message(message)) => Some(message.into_owned()),
        other => panic!("said what nobody can read: {other:?}"),
    }
}
