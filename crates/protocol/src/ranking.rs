//! Which of several upstreams is worked for: the best one that can be trusted.
//!
//! All upstreams are kept connected, so a change is a decision and not a journey. One that has never
//! failed is trusted. One that has failed rests for a while, which grows with each failure, and must
//! then prove itself before it gets the miners back; until then they stay where they are. What a
//! proof is, and what is done when nobody can be trusted, is its caller's business.

use std::time::{Duration, Instant};

/// Rest after the first failure; it doubles with each further one.
const FIRST_REST: Duration = Duration::from_secs(1);
/// Rest at most.
const LONGEST_REST: Duration = Duration::from_secs(300);
/// Whoever was worked for this long has made up for earlier failures.
const REDEEMED: Duration = Duration::from_secs(60);
/// Valid shares rejected one after the other that make an upstream fail (SV2 6.2).
const REJECTIONS: u32 = 5;

/// One upstream.
#[derive(Debug, Default)]
struct Standing {
    is_ready: bool,
    /// Since it was last worked for long enough.
    failures: u32,
    rests_until: Option<Instant>,
    trust: Trust,
    active_since: Option<Instant>,
    /// Valid shares rejected since the last one accepted.
    rejections: u32,
    /// Why it failed last.
    reason: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// It has never failed, or has proved itself since.
    #[default]
    Given,
    /// It has to prove itself first.
    Lost,
}

/// What an upstream is doing, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is not connected, or has yet to answer.
    Connecting,
    /// It has failed and is left alone for a while.
    Resting,
    /// It has failed, and has to prove itself before the miners go back to it.
    OnProbation,
    /// Ready, but a better one is worked for.
    Standby,
    /// Worked for.
    Active,
}

impl State {
    /// Its name in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Resting => "resting",
            Self::OnProbation => "on_probation",
            Self::Standby => "standby",
            Self::Active => "active",
        }
    }
}

/// All upstreams, best first.
#[derive(Debug)]
pub struct Ranking {
    standings: Vec<Standing>,
    active: Option<usize>,
    /// Whether the miners have something better to do than to work for one that is not trusted.
    has_alternative: bool,
}

impl Ranking {
    /// Of `count` upstreams, none of them connected.
    pub fn new(count: usize) -> Self {
        let standings = (0..count).map(|_| Standing::default()).collect();
        Self {
            standings,
            active: None,
            has_alternative: true,
        }
    }

    /// The same, for miners that would do nothing otherwise: when nobody can be trusted, the best
    /// one that is ready is worked for all the same.
    pub fn without_alternative(count: usize) -> Self {
        Self {
            has_alternative: false,
            ..Self::new(count)
        }
    }

    /// Whom to work for; `None` when there is nobody to be trusted.
    pub fn active(&self) -> Option<usize> {
        self.active
    }

    /// It can be worked for, or not any more.
    pub fn set_ready(&mut self, upstream: usize, is_ready: bool) {
        self.standings[upstream].is_ready = is_ready;
    }

    /// It broke its side of the deal, or was lost while it was worked for. Returns until when it
    /// rests.
    pub fn failed(&mut self, upstream: usize, now: Instant, reason: &str) -> Instant {
        let standing = &mut self.standings[upstream];
        let worked = standing.active_since.take();
        if worked.is_some_and(|since| now.saturating_duration_since(since) >= REDEEMED) {
            standing.failures = 0;
        }
        let doublings = standing.failures.min(16);
        let rest = (FIRST_REST * (1 << doublings)).min(LONGEST_REST);
        standing.failures += 1;
        standing.rests_until = Some(now + rest);
        standing.trust = Trust::Lost;
        standing.rejections = 0;
        standing.reason = Some(reason.to_owned());
        now + rest
    }

    /// It keeps its side of the deal: it has taken a job, or given one.
    pub fn proved(&mut self, upstream: usize) {
        self.standings[upstream].trust = Trust::Given;
    }

    /// Its pool accepted a share.
    pub fn accepted(&mut self, upstream: usize) {
        self.standings[upstream].rejections = 0;
    }

    /// Its pool rejected a share that was good. Whether that is one too many.
    pub fn rejected(&mut self, upstream: usize) -> bool {
        let standing = &mut self.standings[upstream];
        standing.rejections += 1;
        standing.rejections >= REJECTIONS
    }

    /// Decides anew whom to work for, among those for whom `fits` is true. Returns whether that is
    /// somebody else than before.
    pub fn decide(&mut self, now: Instant, fits: impl Fn(usize) -> bool) -> bool {
        let trusted = |(at, standing): &(usize, &Standing)| {
            standing.is_usable(now) && standing.trust == Trust::Given && fits(*at)
        };
        let ready = |(at, standing): &(usize, &Standing)| standing.is_ready && fits(*at);
        let mut standings = self.standings.iter().enumerate();
        let chosen = standings.clone().find(trusted).or_else(|| {
            let is_last_resort = |one: &(usize, &Standing)| !self.has_alternative && ready(one);
            standings.find(is_last_resort)
        });
        let chosen = chosen.map(|(at, _)| at);
        if chosen == self.active {
            return false;
        }
        if let Some(before) = self.active {
            self.standings[before].active_since = None;
        }
        if let Some(chosen) = chosen {
            self.standings[chosen].active_since = Some(now);
        }
        self.active = chosen;
        true
    }

    /// Those that are to prove themselves: better than the active one, rested, and ready.
    pub fn candidates(&self, now: Instant) -> impl Iterator<Item = usize> {
        let better = self.active.unwrap_or(self.standings.len());
        (0..better).filter(move |at| self.standings[*at].is_usable(now))
    }

    /// Whether it is ready and has rested.
    pub fn is_usable(&self, upstream: usize, now: Instant) -> bool {
        self.standings[upstream].is_usable(now)
    }

    /// When somebody has rested enough, if nothing happens before.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let better = self.active.unwrap_or(self.standings.len());
        let rests = self.standings[..better].iter();
        let ready = rests.filter(|standing| standing.is_ready);
        let ends = ready.filter_map(|standing| standing.rests_until);
        ends.filter(|until| *until > now).min()
    }

    /// What an upstream is doing, and why it failed last.
    pub fn state(&self, upstream: usize, now: Instant) -> (State, Option<&str>) {
        let standing = &self.standings[upstream];
        let state = if self.active == Some(upstream) {
            State::Active
        } else if standing.rests_until.is_some_and(|until| until > now) {
            State::Resting
        } else if !standing.is_ready {
            State::Connecting
        } else if standing.trust == Trust::Lost {
            State::OnProbation
        } else {
            State::Standby
        };
        (state, standing.reason.as_deref())
    }
}

impl Standing {
    fn is_usable(&self, now: Instant) -> bool {
        self.is_ready && self.rests_until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests;
