//! One miner's connection: what it is told, and the verdict on what it sends.
//!
//! [`Miner`] is a core like those of `protocol`, except that it is stepped by bytes. It says nothing
//! to the upstream itself: good shares are events.
//!
//! A miner is set up when it has subscribed and authorized somebody, in whatever order. From then on
//! it has a job whenever there is one.

mod difficulty;
mod event;
mod jobs;

use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::stream::StreamCore;
use protocol::core::{Now, Outbox};
use protocol::target::Target;
use sv1::{
    Answer, Call, Configure, Configured, Extranonce, FromMiner, Id, Lines, Notice, Notify,
    Rejection, Submit, Subscribed, VersionRolling, version,
};

use crate::policy::Policy;
use crate::work::{CurrentWork, Work};

use difficulty::Difficulty;
use jobs::{Jobs, Terms};

pub use event::{MinerEvent, MinerInput};
pub use jobs::Accepted;

/// Names one connection can authorize.
const MAX_WORKERS: usize = 64;
/// Bytes of a name that is remembered.
const MAX_NAME: usize = 255;
/// Lines that mean nothing, one after the other, that end a connection.
const MAX_NONSENSE: u32 = 10;
/// Wishes for a difficulty in a password begin with this.
const WISH: &str = "d=";

type Out = Outbox<MinerEvent>;

/// One miner's connection.
#[derive(Debug)]
pub struct Miner {
    policy: Arc<Policy>,
    lines: Lines,
    extranonce1: Option<Extranonce>,
    /// A `mining.subscribe` that waits for its extranonce.
    subscribing: Option<Id>,
    workers: Vec<Arc<str>>,
    /// Bits of the version that it wants to change and that may be changed; `None` until it says so.
    rolling: Option<VersionRolling>,
    /// Of these, the ones it may change now.
    mask: u32,
    difficulty: Difficulty,
    work: CurrentWork,
    jobs: Jobs,
    /// How often the current work was given again.
    repeats: u32,
    /// When the last job was given.
    notified: Option<Instant>,
    nonsense: u32,
}

impl Miner {
    /// For a connection that has not said anything yet.
    pub fn new(policy: Arc<Policy>) -> Self {
        Self {
            lines: Lines::new(policy.max_line),
            difficulty: Difficulty::new(Arc::clone(&policy)),
            policy,
            extranonce1: None,
            subscribing: None,
            workers: Vec::new(),
            rolling: None,
            mask: 0,
            work: None,
            jobs: Jobs::default(),
            repeats: 0,
            notified: None,
            nonsense: 0,
        }
    }

    /// What its shares cost is known to it as this difficulty; `None` before its first job.
    pub fn difficulty(&self) -> Option<f64> {
        self.difficulty.told()
    }

    fn line(&mut self, now: Now, line: &[u8], out: &mut Out) {
        match sv1::from_miner(line) {
            Ok(FromMiner::Call(id, call)) => {
                self.nonsense = 0;
                self.call(now, &id, call, out);
            }
            // An answer to something we did not ask.
            Ok(FromMiner::Reply(..)) => self.nonsense = 0,
            Err(error) => {
                let reason = Rejection::other(error.to_string());
                Answer::Rejected(reason).write(error.id(), out.frames());
                out.event(MinerEvent::Unreadable(error.to_string()));
                self.nonsense += 1;
                if self.nonsense >= MAX_NONSENSE {
                    out.close("it says nothing that can be understood");
                }
            }
        }
    }

    /// The answer comes first, then whatever follows from the call: simple firmware takes the next
    /// line for the answer.
    fn call(&mut self, now: Now, id: &Id, call: Call<'_>, out: &mut Out) {
        let say = |answer: Answer<'_>, out: &mut Out| answer.write(id, out.frames());
        match call {
            Call::Configure(configure) => {
                let granted = self.configure(&configure, out);
                say(Answer::Configured(granted), out);
            }
            Call::Subscribe { agent, session } => {
                self.difficulty.agent(&agent);
                out.event(MinerEvent::Agent(short(&agent).into()));
                let resumed = session.and_then(|id| u32::from_str_radix(&id, 16).ok());
                self.subscribe(id, resumed, out);
            }
            Call::Authorize { user, password } => {
                let admitted = self.authorize(&user, &password, out);
                say(
                    admitted.map_or_else(Answer::Rejected, |()| Answer::True),
                    out,
                );
                self.start(now, out);
            }
            Call::Submit(submit) => {
                let judged = self.judge(now, &submit);
                let refused = judged.as_ref().err().cloned();
                say(refused.map_or(Answer::True, Answer::Rejected), out);
                self.judged(now, judged, out);
            }
            // The upstream's part of the extranonce stands in the coinbase: there is nothing that
            // would ever have to be told.
            Call::ExtranonceSubscribe => say(Answer::True, out),
            Call::SuggestDifficulty(difficulty) => {
                say(Answer::True, out);
                self.suggest(now, difficulty, out);
            }
            Call::SuggestTarget(target) => {
                say(Answer::True, out);
                self.suggest(now, sv1::difficulty::of(target), out);
            }
            Call::Ping => say(Answer::Pong, out),
            Call::Unknown { method } => {
                let what = format!("Unknown method {}", short(&method));
                say(Answer::Rejected(Rejection::other(what)), out);
            }
        }
    }

    fn configure(&mut self, configure: &Configure<'_>, out: &mut Out) -> Configured {
        let version_mask = configure.version_rolling.map(|wanted| {
            self.rolling = Some(wanted);
            self.set_mask(self.mask_for(self.work.as_deref()), out)
        });
        let least = configure.minimum_difficulty;
        Configured {
            version_mask,
            minimum_difficulty: least.map(|least| self.difficulty.at_least(least)),
            subscribe_extranonce: configure.subscribe_extranonce.then_some(true),
            info: configure.info.is_some().then_some(true),
            unknown: configure
                .unknown
                .iter()
                .map(|name| short(name).to_owned())
                .collect(),
        }
    }

    /// The bits it may change while it mines `work` (PROXY-19).
    fn mask_for(&self, work: Option<&Work>) -> u32 {
        let may = work.map_or(u32::MAX, |work| work.version_mask);
        let wanted = self.rolling.map_or(0, |rolling| rolling.mask);
        version::granted(wanted) & may
    }

    fn set_mask(&mut self, mask: u32, out: &mut Out) -> u32 {
        self.mask = mask;
        let min_bit_count = self.rolling.map_or(0, |rolling| rolling.min_bit_count);
        out.event(MinerEvent::VersionRolling {
            mask,
            min_bit_count,
        });
        mask
    }

    fn subscribe(&mut self, id: &Id, resumed: Option<u32>, out: &mut Out) {
        if self.extranonce1.is_some() {
            self.subscribed(id, out);
        } else if self.subscribing.is_none() {
            self.subscribing = Some(id.clone());
            out.event(MinerEvent::Subscribe(resumed));
        } else {
            let reason = Rejection::other("Subscribing already");
            Answer::Rejected(reason).write(id, out.frames());
        }
    }

    fn subscribed(&self, id: &Id, out: &mut Out) {
        let Some(extranonce1) = self.extranonce1 else {
            return;
        };
        let subscribed = Subscribed {
            session: extranonce1.to_string().into(),
            extranonce1,
            extranonce2_size: self.policy.extranonce2_size,
        };
        Answer::Subscribed(subscribed).write(id, out.frames());
    }

    /// Everybody is let in: who is paid is between the upstream and us.
    fn authorize(&mut self, user: &str, password: &str, out: &mut Out) -> Result<(), Rejection> {
        let user = short(user);
        if let Some(wish) = wish(password) {
            self.difficulty.fix(wish);
        }
        let is_known = self.workers.iter().any(|worker| **worker == *user);
        if is_known {
            return Ok(());
        }
        if self.workers.len() >= MAX_WORKERS {
            return Err(Rejection::unauthorized());
        }
        let user: Arc<str> = user.into();
        self.workers.push(Arc::clone(&user));
        out.event(MinerEvent::Authorized(user));
        Ok(())
    }

    /// The worker of that name, if it was authorized. No name stands for the first.
    fn worker(&self, name: &str) -> Option<&Arc<str>> {
        if name.is_empty() && !self.workers.is_empty() {
            return self.workers.first();
        }
        let mut workers = self.workers.iter();
        workers.find(|worker| &***worker == name)
    }

    /// A miner that is set up gets the current job.
    fn start(&mut self, now: Now, out: &mut Out) {
        if !self.is_set_up() {
            return;
        }
        if self.notified.is_none()
            && let Some(work) = self.work.clone()
        {
            self.give(now, &work, out);
        }
        self.tell_hash_rate(out);
    }

    /// Gives a job, with the difficulty in front of it that it is the first to have (PROXY-18).
    fn give(&mut self, now: Now, work: &Arc<Work>, out: &mut Out) {
        let target = self.set_difficulty(now, work.difficulty, out);
        // Nothing that was sought before may be sought again: each second and each repetition has
        // a time of its own.
        let (repeat, notify) = (self.repeats, &work.notify);
        let ntime = match repeat {
            0 => notify.ntime,
            repeat => {
                let elapsed = now.instant.saturating_duration_since(work.received);
                let ahead = elapsed.as_secs() as u32 + 2 * repeat;
                notify.ntime.saturating_add(ahead)
            }
        };
        let is_first = repeat == 0 && self.jobs.is_empty();
        if repeat == 0 && (!is_first || notify.clean_jobs) {
            out.send_encoded(&work.line);
        } else {
            let again = Notify {
                job_id: jobs::name(work, repeat),
                ntime,
                clean_jobs: is_first,
                ..notify.clone()
            };
            Notice::Notify(again).write(&Id::Null, out.frames());
        }
        let max = self.policy.max_jobs;
        self.jobs.push(work, (repeat, ntime), target, max);
        self.notified = Some(now.instant);
    }

    /// Gives the current work once more, so that a new difficulty holds from now on.
    fn give_again(&mut self, now: Now, out: &mut Out) {
        if let Some(work) = self.work.clone().filter(|_| self.notified.is_some()) {
            self.repeats += 1;
            self.give(now, &work, out);
        }
    }

    fn set_difficulty(&mut self, now: Now, credited: f64, out: &mut Out) -> Target {
        let before = self.difficulty.told();
        let (value, target) = self.difficulty.set(now.instant, credited);
        if before != Some(value) {
            Notice::SetDifficulty(value).write(&Id::Null, out.frames());
            out.event(MinerEvent::Difficulty(value));
        }
        target
    }

    /// Follows what is known of the miner, if it makes a difference.
    fn adjust(&mut self, now: Now, out: &mut Out) {
        if let Some(work) = &self.work {
            let wanted = self.difficulty.wanted(work.difficulty);
            if self.difficulty.told().is_some_and(|told| told != wanted) {
                self.give_again(now, out);
            }
        }
        self.tell_hash_rate(out);
    }

    fn suggest(&mut self, now: Now, difficulty: f64, out: &mut Out) {
        self.difficulty.suggest(difficulty);
        if self.notified.is_some() {
            self.adjust(now, out);
        }
    }

    fn tell_hash_rate(&mut self, out: &mut Out) {
        if let Some(rate) = self.difficulty.news() {
            out.event(MinerEvent::HashRate(rate));
        }
    }

    fn judged(&mut self, now: Now, judged: Result<Accepted, Rejection>, out: &mut Out) {
        let accepted = match judged {
            Ok(accepted) => accepted,
            Err(rejection) => return out.event(MinerEvent::Rejected(rejection)),
        };
        let hashes = accepted.hashes;
        out.event(MinerEvent::Accepted(Box::new(accepted)));
        if self.jobs.is_exhausted() {
            out.close("more shares on one tip than can be told apart");
        }
        if self.difficulty.share(now.instant, hashes) {
            self.adjust(now, out);
        }
    }

    fn judge(&mut self, now: Now, submit: &Submit<'_>) -> Result<Accepted, Rejection> {
        let Some(extranonce1) = self.extranonce1 else {
            return Err(Rejection::not_subscribed());
        };
        let worker = self.worker(&submit.user).cloned();
        let worker = worker.ok_or_else(Rejection::unauthorized)?;
        let terms = Terms {
            extranonce1: &extranonce1,
            extranonce2_size: self.policy.extranonce2_size,
            mask: self.mask,
            unix: now.unix,
        };
        self.jobs.judge(submit, &worker, terms)
    }
}

impl StreamCore for Miner {
    type Input = MinerInput;
    type Event = MinerEvent;

    fn received(&mut self, now: Now, bytes: &[u8], out: &mut Out) -> usize {
        // Out of the way of what reads the lines.
        let mut lines = std::mem::replace(&mut self.lines, Lines::new(0));
        lines.push(bytes);
        let mut count = 0;
        while !out.is_closing() {
            match lines.next_line() {
                Ok(Some(line)) => self.line(now, line, out),
                Ok(None) => break,
                Err(error) => {
                    let reason = Rejection::other(error.to_string());
                    Answer::Rejected(reason).write(&Id::Null, out.frames());
                    out.event(MinerEvent::LineTooLong);
                    out.close(error.to_string());
                }
            }
            count += 1;
        }
        self.lines = lines;
        count
    }

    fn input(&mut self, now: Now, input: MinerInput, out: &mut Out) {
        match input {
            MinerInput::Seated(extranonce1) => {
                self.extranonce1 = Some(extranonce1);
                if let Some(id) = self.subscribing.take() {
                    self.subscribed(&id, out);
                }
                self.start(now, out);
            }
            MinerInput::Work(Some(work)) => self.work(now, &work, out),
            MinerInput::Work(None) => {
                self.work = None;
                self.notified = None;
                self.jobs.clear();
                self.difficulty.rest();
            }
            MinerInput::GoOn => {}
            MinerInput::Close(reason) => {
                Notice::ShowMessage((&*reason).into()).write(&Id::Null, out.frames());
                out.close(reason);
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let again = self.again_due();
        [again, self.difficulty.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn wake(&mut self, now: Now, out: &mut Out) {
        if self.difficulty.wake(now.instant) {
            self.adjust(now, out);
        }
        if self.again_due().is_some_and(|due| due <= now.instant) {
            self.give_again(now, out);
        }
        self.tell_hash_rate(out);
    }

    fn is_set_up(&self) -> bool {
        self.extranonce1.is_some() && !self.workers.is_empty()
    }
}

impl Miner {
    fn work(&mut self, now: Now, work: &Arc<Work>, out: &mut Out) {
        if self
            .work
            .as_ref()
            .is_none_or(|before| work.replaces(before))
        {
            self.jobs.clear();
        }
        let mask = self.mask_for(Some(work));
        if self.rolling.is_some() && mask != self.mask {
            self.set_mask(mask, out);
            Notice::SetVersionMask(mask).write(&Id::Null, out.frames());
        }
        self.repeats = 0;
        self.work = Some(Arc::clone(work));
        if self.is_set_up() {
            self.give(now, work, out);
        }
    }

    /// When the miner has had no job for too long.
    fn again_due(&self) -> Option<Instant> {
        let interval: Duration = self.policy.keep_alive?;
        self.notified.map(|last| last + interval)
    }
}

/// What is remembered of a name.
fn short(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME)]
}

/// The difficulty in a password such as `x,d=1024`.
fn wish(password: &str) -> Option<f64> {
    let mut parts = password.split([',', ';', ' ']);
    let wish = parts.find_map(|part| part.trim().strip_prefix(WISH))?;
    let wish: f64 = wish.parse().ok()?;
    (wish.is_finite() && wish > 0.0).then_some(wish)
}

#[cfg(test)]
mod tests;
