//! What a scenario can do, and what it can expect.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::condition::Condition;
use crate::duration;
use crate::links::Rule;

/// The names of [`Action`].
pub const ACTIONS: &[&str] = &[
    "mine",
    "send",
    "reorg",
    "stop",
    "start",
    "restart",
    "kill",
    "pause",
    "partition",
    "delay",
    "loss",
    "drop",
    "rewrite",
    "heal",
    "garbage",
    "check",
];

/// Something that is done.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Blocks are mined by the lab's miner, or by its node.
    Mine(Mine),
    /// Transactions are sent to the mempool.
    Send(u32),
    /// So many blocks of the tip are replaced by one more.
    Reorg(u32),
    /// Services are stopped in good order; all when none is named.
    Stop(Vec<String>),
    /// Services are started, and ready when the step is over.
    Start(Vec<String>),
    /// Both.
    Restart(Vec<String>),
    /// A service ends as in a power cut.
    Kill(Strike),
    /// A service stands still.
    Pause(Strike),
    /// Nothing passes a link.
    Partition(OnLink),
    /// Everything passes later.
    Delay(Delay),
    /// A part is lost and comes late.
    Loss(Loss),
    /// Messages of one type are dropped.
    Drop(DropRule),
    /// A field of messages of one type is changed.
    Rewrite(RewriteRule),
    /// Faults of these services and links end; all when none is named.
    Heal(Vec<String>),
    /// A stranger connects to a service and sends what is no protocol.
    Garbage(Garbage),
    /// A program looks at a configuration and says what is wrong with it.
    Check(Check),
}

/// How blocks are mined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mine {
    /// How many.
    pub blocks: u64,
    /// By the node instead of the miner.
    #[serde(default)]
    pub rpc: bool,
}

/// A service, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strike {
    /// Which.
    pub service: String,
    /// Until it is healed, unless given.
    #[serde(default, rename = "for", deserialize_with = "time")]
    pub lasts: Option<Duration>,
}

/// A link or a service's links, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnLink {
    /// Which.
    pub link: String,
    /// Until it is healed, unless given.
    #[serde(default, rename = "for", deserialize_with = "time")]
    pub lasts: Option<Duration>,
}

/// How much later.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    /// Which link.
    pub link: String,
    /// Milliseconds each way.
    pub ms: u64,
    /// Milliseconds more, by chance.
    #[serde(default)]
    pub jitter_ms: u64,
    /// Until it is healed, unless given.
    #[serde(default, rename = "for", deserialize_with = "time")]
    pub lasts: Option<Duration>,
}

/// How much is lost.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Which link.
    pub link: String,
    /// Of all messages.
    pub percent: f64,
    /// Until it is healed, unless given.
    #[serde(default, rename = "for", deserialize_with = "time")]
    pub lasts: Option<Duration>,
}

/// Which messages are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropRule {
    /// On which link.
    pub link: String,
    /// The type.
    pub message: String,
    /// `up` or `down`.
    pub direction: Option<String>,
    /// How many.
    pub times: Option<u32>,
}

/// Which messages are changed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewriteRule {
    /// On which link.
    pub link: String,
    /// The type.
    pub message: String,
    /// What fields become.
    pub set: BTreeMap<String, Value>,
    /// `up` or `down`.
    pub direction: Option<String>,
    /// How many.
    pub times: Option<u32>,
}

/// What a stranger does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Garbage {
    /// To whom.
    pub service: String,
    /// On which of its ports.
    pub port: String,
    /// How many strangers there are.
    pub connections: u32,
    /// What each sends; nothing is a peer that only occupies its place.
    pub bytes: usize,
}

/// A configuration that is looked at.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Whose; it is the lab's, with the changes below.
    pub service: String,
    /// Keys and what they become.
    pub set: BTreeMap<String, toml::Value>,
    /// The program's exit code.
    pub exit: i32,
    /// What it has to say.
    pub says: String,
}

/// Something that has to be so.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// A service does what it is for.
    Ready(String),
    /// It does not.
    NotReady(String),
    /// So many blocks came since this step began.
    Blocks(u64),
    /// A block came since this step began, whose coinbase carries this text.
    BlockWith(String),
    /// All these nodes have the same tip.
    SameTip(Vec<String>),
    /// A value that a service tells over HTTP.
    Told(Told),
    /// A value of a service's metrics.
    Metric(Metric),
    /// A message passed since the last thing was done.
    Message(MessageSeen),
    /// No such message passed since then.
    NoMessage(MessageSeen),
    /// A service wrote this since the last thing was done.
    Log(Log),
    /// It did not end by itself since the scenario began.
    NeverEnded(Vec<String>),
}

/// Which value of which answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Who.
    pub service: String,
    /// The route.
    pub path: String,
    /// Where in the answer, as a JSON pointer.
    pub at: String,
    /// What it has to be.
    pub is: Condition,
}

/// Which value of the metrics.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Who.
    pub service: String,
    /// The name, with or without labels; the sum of all series that begin so.
    pub name: String,
    /// What it has to be.
    pub is: Condition,
}

/// Which message.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageSeen {
    /// On which link, or of which service.
    pub link: String,
    /// The type.
    pub message: String,
    /// What its fields have to be.
    #[serde(default)]
    pub fields: BTreeMap<String, Condition>,
    /// `passed`, `dropped` or `rewritten`.
    pub fate: Option<String>,
    /// At least so many.
    #[serde(default = "one")]
    pub times: usize,
}

/// Which line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Whose.
    pub service: String,
    /// A part of it.
    pub contains: String,
}

impl DropRule {
    /// As the relay takes it.
    pub fn rule(&self) -> Rule {
        Rule {
            message: self.message.clone(),
            direction: self.direction.clone(),
            set: BTreeMap::new(),
            times: self.times,
        }
    }
}

impl RewriteRule {
    /// As the relay takes it.
    pub fn rule(&self) -> Rule {
        Rule {
            message: self.message.clone(),
            direction: self.direction.clone(),
            set: self.set.clone(),
            times: self.times,
        }
    }
}

fn one() -> usize {
    1
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    duration::parse(&text)
        .map(Some)
        .map_err(serde::de::Error::custom)
}
