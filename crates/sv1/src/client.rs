//! A miner's end of a connection.
//!
//! [`Miner`] introduces itself, follows what the server says, and tells what to mine. The shares
//! found come back to it. It does no hashing itself; what it gives out and takes in are the same
//! values that Stratum V2's client gives and takes, so the same hasher serves both.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::client::{Assignment, FoundShare, MerkleSource};
use protocol::core::{Now, Outbox};
use protocol::target::Target;

use crate::answer::{Answer, Configured, Rejection, Subscribed};
use crate::call::{Call, Configure, Submit, VersionRolling};
use crate::difficulty;
use crate::extranonce::Extranonce;
use crate::json::{Id, Json};
use crate::message::{FromServer, Reply, from_server};
use crate::notice::{Notice, Notify};
use crate::version::{self, VERSION_ROLLING_MASK};

/// Jobs of one tip whose shares are still sent.
const MAX_VALID: usize = 32;
/// Calls without an answer that are remembered; a server that never answers costs no more.
const MAX_UNANSWERED: usize = 10_000;
/// What a server takes at most to let the miner in.
const ENTRANCE: Duration = Duration::from_secs(30);

/// How long a share may wait while the server says nothing at all: then it is gone, whatever the
/// connection looks like.
const SILENCE: Duration = Duration::from_secs(60);

/// Who the miner says it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// Account and worker.
    pub user: String,
    /// Often anything; some servers read wishes from it, such as `d=1000`.
    pub password: String,
    /// Program and version.
    pub agent: String,
    /// The difficulty it would like to have.
    pub wanted_difficulty: Option<f64>,
}

/// What happens on the connection.
#[derive(Debug)]
pub enum Event {
    /// The server has let the miner in; shares can be sent.
    Authorized,
    /// From now on this is mined, and nothing else.
    Mine(Arc<Assignment>),
    /// A share was sent.
    Submitted(FoundShare),
    /// A share was not sent: its job is over, or the server allows its version no longer.
    Late(FoundShare),
    /// The server accepted a share.
    Accepted(FoundShare),
    /// The server rejected a share.
    Rejected(FoundShare, Rejection),
    /// The server has something to say to people.
    Message(String),
    /// The connection is to be made anew, to another port if one is given.
    Reconnect {
        /// Of the same host.
        port: Option<u16>,
        /// To wait before.
        wait: Duration,
    },
    /// Something that means nothing here was ignored.
    Ignored(String),
}

type Out = Outbox<Event>;

/// What the miner waits for.
#[derive(Debug)]
enum Asked {
    Configure,
    Subscribe,
    Authorize,
    /// Something that is asked for whatever the answer: a server may know the call or not.
    Wish,
    Share(FoundShare),
}

/// A job whose shares are sent.
#[derive(Debug)]
struct Job {
    /// What the hasher knows it by.
    number: u32,
    /// What the server knows it by.
    id: String,
    version: u32,
}

/// One connection of a miner.
#[derive(Debug)]
pub struct Miner {
    identity: Identity,
    /// The configured host; the server may not send the miner to any other.
    host: String,
    /// What assignments and shares carry as their channel.
    channel_id: u32,
    next_id: u64,
    /// The first ones are forgotten first.
    unanswered: BTreeMap<u64, Asked>,
    subscribed: Option<Subscribed<'static>>,
    is_authorized: bool,
    /// The bits of the version that may be changed; `None` when versions are not rolled.
    version_mask: Option<u32>,
    /// For jobs that come later.
    target: Target,
    /// Jobs numbered so far.
    jobs: u32,
    /// The newest is mined.
    valid: VecDeque<Job>,
    /// A job that came before the answer to `mining.subscribe`.
    early: Option<Notify>,
    entered_by: Option<Instant>,
    /// When the first share was sent since the server said anything.
    silent_since: Option<Instant>,
}

impl Miner {
    /// For connections to `host`, whose assignments and shares carry `channel_id`.
    pub fn new(identity: Identity, host: impl Into<String>, channel_id: u32) -> Self {
        Self {
            identity,
            host: host.into(),
            channel_id,
            next_id: 0,
            unanswered: BTreeMap::new(),
            subscribed: None,
            is_authorized: false,
            version_mask: None,
            target: default_target(),
            jobs: 0,
            valid: VecDeque::new(),
            early: None,
            entered_by: None,
            silent_since: None,
        }
    }

    /// A connection is made, the first or another one: says hello, and asks for the session it had.
    pub fn connected(&mut self, now: Now, out: &mut Out) {
        let before = self.subscribed.take();
        let identity = self.identity.clone();
        // The numbers of jobs go on, so that no late share of an old job is taken for a new one's.
        *self = Self {
            jobs: self.jobs,
            entered_by: Some(now.instant + ENTRANCE),
            ..Self::new(identity, std::mem::take(&mut self.host), self.channel_id)
        };
        let configure = Configure {
            version_rolling: Some(VersionRolling {
                mask: VERSION_ROLLING_MASK,
                min_bit_count: 2,
            }),
            ..Configure::default()
        };
        self.ask(Asked::Configure, &Call::Configure(configure), out);
        let session = before.map(|subscribed| subscribed.session);
        let subscribe = Call::Subscribe {
            agent: Cow::Owned(self.identity.agent.clone()),
            session: session.filter(|session| !session.is_empty()),
        };
        self.ask(Asked::Subscribe, &subscribe, out);
        if let Some(difficulty) = self.identity.wanted_difficulty {
            self.ask(Asked::Wish, &Call::SuggestDifficulty(difficulty), out);
        }
        let authorize = Call::Authorize {
            user: Cow::Owned(self.identity.user.clone()),
            password: Cow::Owned(self.identity.password.clone()),
        };
        self.ask(Asked::Authorize, &authorize, out);
    }

    /// A line arrived.
    pub fn received(&mut self, now: Now, line: &[u8], out: &mut Out) {
        self.silent_since = None;
        match from_server(line) {
            Ok(FromServer::Notice(id, notice)) => self.notice(now, &id, notice, out),
            Ok(FromServer::Reply(id, reply)) => self.reply(now, &id, reply, out),
            Err(error) => out.event(Event::Ignored(error.to_string())),
        }
    }

    /// A share was found.
    pub fn found(&mut self, now: Now, share: FoundShare, out: &mut Out) {
        let mask = self.version_mask.unwrap_or(0);
        let job = self.valid.iter().find(|job| job.number == share.job_id);
        let job = job.filter(|job| version::forbidden(mask, share.version ^ job.version) == 0);
        let (Some(job), Some(extranonce2)) = (job, Extranonce::new(&share.extranonce)) else {
            return out.event(Event::Late(share));
        };
        let submit = Call::Submit(Submit {
            user: Cow::Owned(self.identity.user.clone()),
            job_id: Cow::Owned(job.id.clone()),
            extranonce2,
            ntime: share.ntime,
            nonce: share.nonce,
            version_bits: self.version_mask.map(|mask| share.version & mask),
        });
        self.ask(Asked::Share(share.clone()), &submit, out);
        self.silent_since.get_or_insert(now.instant);
        out.event(Event::Submitted(share));
    }

    /// When [`wake`](Self::wake) is to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let silence = self.silent_since.map(|since| since + SILENCE);
        self.entered_by.into_iter().chain(silence).min()
    }

    /// The deadline has passed.
    pub fn wake(&mut self, out: &mut Out) {
        let reason = match (self.entered_by.take(), self.silent_since.take()) {
            (Some(_), _) => ("has not let us in", ENTRANCE),
            (None, Some(_)) => ("has said nothing, though a share waits,", SILENCE),
            (None, None) => return,
        };
        let (what, time) = (reason.0, reason.1.as_secs());
        out.close(format!("the server {what} for {time} seconds"));
    }

    fn ask(&mut self, asked: Asked, call: &Call<'_>, out: &mut Out) {
        self.next_id += 1;
        if self.unanswered.len() == MAX_UNANSWERED {
            self.unanswered.pop_first();
        }
        self.unanswered.insert(self.next_id, asked);
        call.write(&Id::Number(self.next_id), out.frames());
    }

    fn reply(&mut self, now: Now, id: &Id, reply: Reply<'_>, out: &mut Out) {
        let asked = id.number().and_then(|id| self.unanswered.remove(&id));
        match (asked, reply) {
            (None, _) => out.event(Event::Ignored(format!(
                "an answer to nothing asked: {id:?}"
            ))),
            (Some(Asked::Configure), Ok(result)) => {
                // Refused is granted without a bit.
                let granted = Configured::read(result).version_mask;
                self.version_mask = granted.filter(|mask| *mask != 0);
            }
            // A server that knows no extensions is one without version rolling.
            (Some(Asked::Configure), Err(_)) => self.version_mask = None,
            (Some(Asked::Subscribe), Ok(result)) => self.subscribed(now, result, out),
            (Some(Asked::Subscribe), Err(error)) => {
                out.close(format!("the server refuses to subscribe us: {error}"));
            }
            (Some(Asked::Authorize), Ok(Json::Bool(true))) => {
                self.is_authorized = true;
                self.entered_by = self.entered_by.filter(|_| self.subscribed.is_none());
                out.event(Event::Authorized);
                self.ask(Asked::Wish, &Call::ExtranonceSubscribe, out);
                self.mine_early(now, out);
            }
            (Some(Asked::Authorize), answer) => {
                let user = &self.identity.user;
                let why = answer.err().map(|error| format!(": {error}"));
                let why = why.unwrap_or_default();
                out.close(format!("the server does not authorize {user:?}{why}"));
            }
            (Some(Asked::Wish), _) => {}
            (Some(Asked::Share(share)), Ok(Json::Bool(true))) => {
                out.event(Event::Accepted(share));
            }
            (Some(Asked::Share(share)), Ok(_)) => {
                let nothing = Rejection::other("rejected without a reason");
                out.event(Event::Rejected(share, nothing));
            }
            (Some(Asked::Share(share)), Err(error)) => {
                out.event(Event::Rejected(share, error));
            }
        }
    }

    fn subscribed(&mut self, now: Now, result: Json<'_>, out: &mut Out) {
        match Subscribed::read(result) {
            Ok(subscribed) => {
                self.subscribed = Some(subscribed);
                self.entered_by = self.entered_by.filter(|_| !self.is_authorized);
                self.mine_early(now, out);
            }
            Err(error) => out.close(format!("the answer to mining.subscribe: {error}")),
        }
    }

    fn notice(&mut self, now: Now, id: &Id, notice: Notice<'_>, out: &mut Out) {
        match notice {
            Notice::Notify(job) => {
                // No share could be sent before.
                if self.subscribed.is_some() && self.is_authorized {
                    self.mine(now, job, out);
                } else {
                    self.early = Some(job);
                }
            }
            Notice::SetDifficulty(difficulty) => {
                self.target = difficulty::target(difficulty).unwrap_or_else(default_target);
            }
            Notice::SetExtranonce {
                extranonce1,
                extranonce2_size,
            } => {
                if let Some(subscribed) = &mut self.subscribed {
                    subscribed.extranonce1 = extranonce1;
                    subscribed.extranonce2_size = extranonce2_size;
                }
            }
            // From a server that did not grant version rolling it means nothing (BIP310).
            Notice::SetVersionMask(mask) => {
                self.version_mask = self.version_mask.map(|_| mask & VERSION_ROLLING_MASK);
            }
            Notice::Reconnect { host, port, wait } => self.reconnect(host, port, wait, out),
            Notice::ShowMessage(text) => out.event(Event::Message(text.into_owned())),
            Notice::GetVersion => {
                let agent = Cow::Borrowed(&*self.identity.agent);
                Answer::Version(agent).write(id, out.frames());
            }
            Notice::Ping => Answer::Pong.write(id, out.frames()),
            Notice::Unknown { method } => out.event(Event::Ignored(method.into_owned())),
        }
    }

    /// To the same host only: whoever could put a line into the stream, which nothing protects,
    /// could take the hash rate elsewhere.
    fn reconnect(
        &mut self,
        host: Option<Cow<'_, str>>,
        port: Option<u16>,
        wait: u32,
        out: &mut Out,
    ) {
        if let Some(other) = host.filter(|host| **host != *self.host) {
            let what = format!("client.reconnect to another host, {other:?}");
            return out.event(Event::Ignored(what));
        }
        out.event(Event::Reconnect {
            port,
            wait: Duration::from_secs(u64::from(wait)),
        });
        out.close("the server asked to reconnect");
    }

    fn mine_early(&mut self, now: Now, out: &mut Out) {
        if self.subscribed.is_some()
            && self.is_authorized
            && let Some(job) = self.early.take()
        {
            self.mine(now, job, out);
        }
    }

    fn mine(&mut self, now: Now, job: Notify, out: &mut Out) {
        let Some(subscribed) = &self.subscribed else {
            return;
        };
        if job.clean_jobs {
            self.valid.clear();
        } else if self.valid.len() == MAX_VALID {
            self.valid.pop_front();
        }
        // Ids may be used again.
        self.valid.retain(|valid| valid.id != job.job_id);
        self.jobs = self.jobs.wrapping_add(1);
        let mut prefix = job.coinb1;
        prefix.extend_from_slice(&subscribed.extranonce1);
        let assignment = Assignment {
            channel_id: self.channel_id,
            job_id: self.jobs,
            prev_hash: job.prev_hash,
            n_bits: job.n_bits,
            min_ntime: job.ntime,
            version: job.version,
            version_mask: self.version_mask.unwrap_or(0),
            merkle: MerkleSource::Coinbase {
                prefix,
                suffix: job.coinb2,
                path: job.merkle_path,
                extranonce_size: subscribed.extranonce2_size,
            },
            target: self.target,
            received: now,
        };
        self.valid.push_back(Job {
            number: self.jobs,
            id: job.job_id,
            version: job.version,
        });
        out.event(Event::Mine(Arc::new(assignment)));
    }
}

/// What is mined when no difficulty was said.
fn default_target() -> Target {
    difficulty::target(1.0).unwrap_or(Target::MAX)
}

#[cfg(test)]
mod tests;
