//! What is known of the other roles, as they tell it over HTTP. Whatever a role leaves out, or is
//! of another make, is simply not known.

pub(crate) mod jdc;
pub(crate) mod jds;
mod kept;
pub(crate) mod pool;
pub(crate) mod provider;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod translator;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::config::{Kind, Peer};

pub(crate) use kept::Kept;

/// Whether a service can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum State {
    /// It was not asked yet.
    Unknown,
    /// It does what it is there for.
    Ready,
    /// It answers, but does not do that.
    NotReady { reason: String },
    /// It does not answer; what is shown is what was known before.
    Away { reason: String },
}

impl State {
    /// For pages and metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ready => "ready",
            Self::NotReady { .. } => "not_ready",
            Self::Away { .. } => "away",
        }
    }

    /// Why it is not ready.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Unknown | Self::Ready => None,
            Self::NotReady { reason } | Self::Away { reason } => Some(reason),
        }
    }
}

/// Whether a service tells the explorer what happens in it as it happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum Hearing {
    /// Its kind is not listened to.
    NotWanted,
    /// It does.
    Live,
    /// It does not; it is asked again and again, and for everything else once a second.
    Refused { reason: String },
}

impl Hearing {
    /// Why it does not.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::NotWanted | Self::Live => None,
            Self::Refused { reason } => Some(reason),
        }
    }
}

/// A service as it is seen from here.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) peer: Peer,
    pub(crate) state: State,
    pub(crate) hearing: Hearing,
    /// Since when, in milliseconds since 1970.
    pub(crate) since_ms: u64,
    /// What it says of itself in short.
    pub(crate) status: Status,
    pub(crate) pool: pool::Facts,
    pub(crate) jdc: jdc::Facts,
    pub(crate) jds: jds::Facts,
    pub(crate) provider: provider::Facts,
    pub(crate) translator: translator::Facts,
}

/// `/api/v1/status`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) version: Option<String>,
    pub(crate) uptime_secs: Option<u64>,
    pub(crate) ready: Option<bool>,
    pub(crate) reason: Option<String>,
    /// What only this kind has.
    #[serde(flatten)]
    pub(crate) more: Map<String, Value>,
}

impl Status {
    /// A number among what only this kind has; 0 if there is none.
    pub(crate) fn number(&self, key: &str) -> f64 {
        self.more.get(key).and_then(Value::as_f64).unwrap_or(0.0)
    }

    /// The sum of a map of numbers.
    pub(crate) fn sum(&self, key: &str) -> u64 {
        let map = self.more.get(key).and_then(Value::as_object);
        let numbers = map.into_iter().flat_map(Map::values);
        numbers.filter_map(Value::as_u64).sum()
    }
}

impl Service {
    pub(crate) fn new(peer: Peer, now_ms: u64) -> Self {
        Self {
            peer,
            state: State::Unknown,
            hearing: Hearing::NotWanted,
            since_ms: now_ms,
            status: Status::default(),
            pool: pool::Facts::default(),
            jdc: jdc::Facts::default(),
            jds: jds::Facts::default(),
            provider: provider::Facts::default(),
            translator: translator::Facts::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.peer.name
    }
}

/// All services, in the order of the configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(Vec<watch::Receiver<Service>>);

impl Board {
    pub(crate) fn new(services: Vec<watch::Receiver<Service>>) -> Self {
        Self(services)
    }

    /// Looks at each for a moment.
    pub(crate) fn each(&self, mut look: impl FnMut(&Service)) {
        for service in &self.0 {
            look(&service.borrow());
        }
    }

    /// Looks at each of a kind for a moment.
    pub(crate) fn each_of(&self, kind: Kind, mut look: impl FnMut(&Service)) {
        self.each(|service| {
            if service.peer.kind == kind {
                look(service);
            }
        });
    }

    /// What `look` makes of the first of which it makes anything.
    pub(crate) fn find<T>(&self, mut look: impl FnMut(&Service) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(|service| look(&service.borrow()))
    }
}

/// A list that is told in parts.
#[derive(Debug, Deserialize)]
pub(crate) struct Part<T> {
    pub(crate) total: usize,
    pub(crate) items: Vec<T>,
}

/// What was made of shares, by whomever.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub(crate) struct Shares {
    pub(crate) shares_accepted: u64,
    pub(crate) shares_rejected: u64,
    pub(crate) shares_rejected_by_reason: BTreeMap<String, u64>,
    pub(crate) best_diff: f64,
    pub(crate) blocks_found: u64,
    pub(crate) hashrate_1m: f64,
    pub(crate) hashrate_10m: f64,
    pub(crate) last_share_ms: Option<u64>,
}
