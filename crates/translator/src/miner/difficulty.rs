//! How hard one miner's shares are.
//!
//! What counts first is credit: the upstream pays each share by its own target, so a miner is never
//! held to more than that, unless it asks for it. Below that its shares come as often as is wanted.

use std::sync::Arc;
use std::time::Instant;

use protocol::target::Target;
use protocol::vardiff::Vardiff;
use sv1::difficulty;

use crate::policy::Policy;

/// Hashes a second of miners that say which software they are, by what its name contains. Whoever is
/// not told rightly is found out by its shares; this only makes the first ones come in time.
const AGENTS: &[(&str, f64)] = &[
    ("nerdminer", 7e4),
    ("cpuminer", 5e6),
    ("minerd", 5e6),
    ("nerdqaxe", 5e12),
    ("nerdaxe", 1e12),
    ("bitaxe", 1e12),
    ("esp-miner", 1e12),
    ("avalon", 5e13),
    ("bosminer", 1e14),
    ("braiins", 1e14),
    ("bmminer", 1e14),
    ("btminer", 1e14),
    ("whatsminer", 1e14),
    ("antminer", 1e14),
    ("luxminer", 1e14),
    ("luxos", 1e14),
    ("vnish", 1e14),
];

/// A change of the believed hash rate below this part of it is not worth telling.
const NEWS: f64 = 0.1;

/// How hard one miner's shares are.
#[derive(Debug)]
pub(super) struct Difficulty {
    policy: Arc<Policy>,
    /// Hashes a second, while nothing is observed.
    believed: f64,
    /// Whether the miner said itself what it does.
    is_told: bool,
    /// It wants this and nothing else (`d=`).
    fixed: Option<f64>,
    /// It takes nothing below this (`minimum-difficulty`).
    least: f64,
    vardiff: Option<Vardiff>,
    /// What its shares should be like, if nothing speaks against it.
    own: f64,
    /// What the miner was told last, in both words for it.
    told: Option<(f64, Target)>,
    reported: f64,
}

impl Difficulty {
    pub(super) fn new(policy: Arc<Policy>) -> Self {
        let believed = policy.least_hash_rate;
        let mut difficulty = Self {
            policy,
            believed,
            is_told: false,
            fixed: None,
            least: 0.0,
            vardiff: None,
            own: difficulty::EASIEST,
            told: None,
            reported: 0.0,
        };
        difficulty.believe(believed);
        difficulty
    }

    /// The miner says which software it is.
    pub(super) fn agent(&mut self, agent: &str) {
        let agent = agent.to_lowercase();
        let known = AGENTS.iter().find(|(name, _)| agent.contains(name));
        if let Some((_, hash_rate)) = known.filter(|_| !self.is_told) {
            self.believe(*hash_rate);
        }
    }

    /// The miner suggests where to begin.
    pub(super) fn suggest(&mut self, difficulty: f64) {
        let cost = self.cost_of(difficulty);
        self.is_told = true;
        self.believe(cost * self.policy.shares_per_minute / 60.0);
    }

    /// The miner's owner wants this difficulty.
    pub(super) fn fix(&mut self, difficulty: f64) {
        self.suggest(difficulty);
        let wishes = &self.policy.wishes;
        self.fixed = Some(difficulty.clamp(*wishes.start(), *wishes.end()));
    }

    /// The miner takes nothing easier. Whether that can be kept to.
    pub(super) fn at_least(&mut self, difficulty: f64) -> bool {
        let may = difficulty <= *self.policy.wishes.end();
        if may {
            self.least = difficulty;
        }
        may
    }

    /// Hashes a second.
    pub(super) fn hash_rate(&self) -> f64 {
        let observed = self.vardiff.as_ref().map(Vardiff::hashrate);
        observed.unwrap_or(self.believed)
    }

    /// The hash rate, if it is another than was told last.
    pub(super) fn news(&mut self) -> Option<f64> {
        let rate = self.hash_rate();
        let is_news = (rate - self.reported).abs() > NEWS * rate.max(self.reported);
        is_news.then(|| {
            self.reported = rate;
            rate
        })
    }

    /// What the miner has been told.
    pub(super) fn told(&self) -> Option<f64> {
        self.told.map(|(value, _)| value)
    }

    /// For jobs from now on, whose shares the upstream credits with `credited`. The miner must be
    /// told if that is another than before.
    pub(super) fn set(&mut self, now: Instant, credited: f64) -> (f64, Target) {
        let value = self.wanted(credited);
        let told = self.told.filter(|(told, _)| *told == value);
        let told = told.unwrap_or_else(|| {
            let target = difficulty::target(value).unwrap_or(Target::MAX);
            (value, target)
        });
        let (_, target) = *self.told.insert(told);
        if self.policy.vardiff {
            let (wanted, believed) = (self.policy.shares_per_minute, self.believed);
            let new = || Vardiff::new(wanted, believed, target.hashes(), now);
            let vardiff = self.vardiff.get_or_insert_with(new);
            vardiff.set_cost(now, target.hashes());
        }
        (value, target)
    }

    /// What [`set`](Self::set) would tell the miner.
    pub(super) fn wanted(&self, credited: f64) -> f64 {
        if let Some(fixed) = self.fixed {
            return fixed.max(self.least);
        }
        if !self.policy.vardiff && !self.is_told {
            return credited.max(self.least);
        }
        self.own.min(credited).max(self.least)
    }

    /// The miner's shares should cost so many hashes.
    fn aim_at(&mut self, cost: f64) {
        let own = difficulty::of(Target::one_in(cost).unwrap_or(Target::MAX));
        // Some firmware reads whole numbers only.
        let own = if own >= 1.0 { own.floor() } else { own };
        let wishes = &self.policy.wishes;
        self.own = own.clamp(*wishes.start(), *wishes.end());
    }

    /// A share that took `hashes` was accepted. Whether the miner's shares should cost something else.
    pub(super) fn share(&mut self, now: Instant, hashes: f64) -> bool {
        let wanted = self.vardiff.as_mut().and_then(|v| v.share(now, hashes));
        self.follow(now, wanted)
    }

    /// The deadline has passed. Whether the miner's shares should cost something else.
    pub(super) fn wake(&mut self, now: Instant) -> bool {
        let due = self.deadline().is_some_and(|due| due <= now);
        let vardiff = self.vardiff.as_mut().filter(|_| due);
        let wanted = vardiff.and_then(|vardiff| vardiff.wake(now));
        self.follow(now, wanted)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.vardiff.as_ref().and_then(Vardiff::deadline)
    }

    /// There is nothing to mine: silence says nothing until there is.
    pub(super) fn rest(&mut self) {
        self.believed = self.hash_rate();
        self.vardiff = None;
    }

    fn follow(&mut self, now: Instant, wanted: Option<f64>) -> bool {
        let (Some(cost), Some(vardiff)) = (wanted, &mut self.vardiff) else {
            return false;
        };
        // Unless the miner is told otherwise its shares cost what they did.
        let told = self.told.map_or(Target::MAX, |(_, target)| target);
        vardiff.set_cost(now, told.hashes());
        self.aim_at(cost);
        self.fixed.is_none()
    }

    fn believe(&mut self, hash_rate: f64) {
        self.believed = hash_rate;
        self.aim_at(hash_rate * 60.0 / self.policy.shares_per_minute);
        self.vardiff = None;
    }

    fn cost_of(&self, difficulty: f64) -> f64 {
        let wishes = &self.policy.wishes;
        let wish = difficulty.clamp(*wishes.start(), *wishes.end());
        let target = difficulty::target(wish).unwrap_or(Target::MAX);
        target.hashes()
    }
}
