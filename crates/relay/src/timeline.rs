//! The newest messages of a link.

use std::collections::VecDeque;
use std::sync::Arc;

use daemon::http::{Happening, Part, Window};
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::fields::Fields;
use crate::rule::Direction;

/// Messages kept; when there are more the oldest go.
const KEPT: usize = 1000;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fate {
    /// It went on as it was.
    Passed,
    /// It went no further.
    Dropped,
    /// It went on with fields changed; those shown are the new ones.
    Rewritten,
}

/// A message that came.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Seen {
    /// Counts the link's messages, from 1.
    pub(crate) number: u64,
    /// When, in milliseconds since 1970.
    pub(crate) time_ms: u64,
    pub(crate) link: String,
    /// Counts the link's connections, from 1.
    pub(crate) connection: u64,
    pub(crate) direction: Direction,
    /// As the specification calls it; `unknown` for a type it does not have.
    pub(crate) message: &'static str,
    pub(crate) extension: u16,
    pub(crate) msg_type: u8,
    /// Of the payload.
    pub(crate) bytes: usize,
    pub(crate) fate: Fate,
    #[schema(value_type = std::collections::HashMap<String, serde_json::Value>)]
    pub(crate) fields: Fields,
}

/// As `/api/v1/events` tells it.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum LinkEvent {
    /// A message came.
    Message(Arc<Seen>),
}

impl Happening for LinkEvent {
    const NAMES: &'static [&'static str] = &["message"];

    fn name(&self) -> &'static str {
        match self {
            Self::Message(_) => "message",
        }
    }
}

/// The newest messages of a link, oldest first. Written by its connections, read by HTTP.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    newest: watch::Sender<Newest>,
}

#[derive(Debug, Default)]
struct Newest {
    messages: VecDeque<Arc<Seen>>,
    count: u64,
}

impl Timeline {
    /// Adds a message, to which it gives its number.
    pub(crate) fn add(&self, seen: impl FnOnce(u64) -> Seen) -> Arc<Seen> {
        let mut added = None;
        self.newest.send_modify(|newest| {
            newest.count += 1;
            let seen = Arc::new(seen(newest.count));
            if newest.messages.len() == KEPT {
                newest.messages.pop_front();
            }
            newest.messages.push_back(Arc::clone(&seen));
            added = Some(seen);
        });
        added.expect("send_modify calls what it is given")
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.newest.borrow().count
    }

    /// The newest, newest first.
    pub(crate) fn part(&self, window: Window) -> Part<Arc<Seen>> {
        let newest = self.newest.borrow();
        window.of(newest.messages.iter().rev()).map(Arc::clone)
    }
}
