//! Variable difficulty: how many hashes a share should cost one miner.
//!
//! Shares of a miner that does `H` hashes a second arrive by chance, as a Poisson process: over an
//! *exposure* `E`, the sum of time / hashes-per-share, there are `H·E` of them on average, however
//! often the cost of a share changes meanwhile. So `(n + ½) / (E + ½/H₀)` estimates `H` from `n`
//! shares and an earlier belief `H₀`, which weighs as much as half a share.
//!
//! A miner is left alone until its shares contradict what is believed of it, by a likelihood ratio
//! that chance alone hardly reaches. Then it *settles*: shares are made cheap for a minute, until
//! enough have come to know its hash rate well, and after that they cost what they should.
//! Rejected shares say nothing about hash rate and are not counted.

use std::time::{Duration, Instant};

/// Shares a second while settling, unless even more are wanted of every miner.
const SETTLING_RATE: f64 = 2.0;
/// Shares that end the settling: their number is known to a tenth (1/√n).
const ENOUGH_SHARES: f64 = 100.0;
/// Shares expected in the windows in which a settled miner is observed.
const WINDOW: f64 = 60.0;
/// By how much (natural logarithm) a whole window may miss its expectation.
const WINDOW_TOLERANCE: f64 = 0.25;
/// Shares that are enough to say that there are too many.
const FEWEST_SHARES: f64 = 8.0;
/// While settling, an estimate is good enough unless it is wrong by this factor.
const SETTLING_TOLERANCE: f64 = 2.0;
/// Weight of the earlier belief, in shares.
const PRIOR: f64 = 0.5;
/// Hashes a second below which no miner is believed to be, unless it says so itself: one core does
/// many times more. A miner that was switched off for a night comes back to this.
const SLOWEST: f64 = 1000.0;

/// What the hash rate is based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Basis {
    /// The miner's word.
    Declared,
    /// Not enough; shares come faster until it is.
    Settling,
    /// Its shares.
    Observed,
}

impl Basis {
    /// The log-likelihood ratio that counts as a contradiction. A mere word is doubted sooner: 20
    /// to 1 against it, otherwise 400 to 1.
    fn patience(self) -> f64 {
        match self {
            Self::Declared | Self::Settling => 3.0,
            Self::Observed => 6.0,
        }
    }
}

/// Watches one miner. It has no clock; the time is a parameter and must not run backwards.
#[derive(Debug, Clone)]
pub struct Vardiff {
    /// Shares a second, of a settled miner.
    wanted: f64,
    basis: Basis,
    /// Hashes a second.
    hashrate: f64,
    slowest: f64,
    /// Hashes that a share costs now.
    cost: f64,
    /// Seen in this window.
    shares: f64,
    /// Of this window, until `until`.
    exposure: f64,
    until: Instant,
}

impl Vardiff {
    /// For a miner that says it does `declared` hashes a second and whose shares cost `cost`.
    pub fn new(shares_per_minute: f64, declared: f64, cost: f64, now: Instant) -> Self {
        let hashrate = declared.max(1.0);
        Self {
            wanted: shares_per_minute / 60.0,
            basis: Basis::Declared,
            hashrate,
            slowest: hashrate.min(SLOWEST),
            cost: cost.max(1.0),
            shares: 0.0,
            exposure: 0.0,
            until: now,
        }
    }

    /// The miner's hash rate as far as it is known, in hashes a second.
    pub fn hashrate(&self) -> f64 {
        self.hashrate
    }

    /// Whether the hash rate is being found out; shares come faster than wanted meanwhile.
    pub fn is_settling(&self) -> bool {
        self.basis == Basis::Settling
    }

    /// A share was accepted for a job whose shares cost `cost` hashes. Returns what they should
    /// cost from now on, if that is to change; [`set_cost`](Self::set_cost) must follow.
    #[must_use]
    pub fn share(&mut self, now: Instant, cost: f64) -> Option<f64> {
        // One that was under way when shares became dearer counts by its cost. When they became
        // cheaper it is still one share, and not the hundreds it would have been since.
        self.shares += (cost / self.cost).min(1.0);
        self.judge(now)
    }

    /// The deadline passed. Returns the same as [`share`](Self::share).
    #[must_use]
    pub fn wake(&mut self, now: Instant) -> Option<f64> {
        self.judge(now)
    }

    /// When [`wake`](Self::wake) wants to be called if no share comes before: silence is news too.
    pub fn deadline(&self) -> Option<Instant> {
        if self.hashrate <= self.slowest && self.shares == 0.0 {
            return None;
        }
        // A trifle more than patience, so that rounding does not make it a trifle less.
        let seconds = 1.001 * self.basis.patience() * self.cost / self.hashrate;
        // A share that costs years is waited for without a timer that overflows.
        Some(self.until + Duration::from_secs_f64(seconds.clamp(0.001, 86_400.0)))
    }

    /// From now on shares cost this much: what was asked for, or less if the miner takes no more.
    pub fn set_cost(&mut self, now: Instant, cost: f64) {
        self.advance(now);
        self.cost = cost.max(1.0);
    }

    fn judge(&mut self, now: Instant) -> Option<f64> {
        self.advance(now);
        let expected = self.hashrate * self.exposure;
        let estimate = (self.shares + PRIOR) / (self.exposure + PRIOR / self.hashrate);
        let ratio = estimate / self.hashrate;
        let is_many = self.shares > expected;
        let contradicted = surprise(self.shares, expected) >= self.basis.patience()
            && (!is_many || self.shares >= FEWEST_SHARES);
        match self.basis {
            Basis::Settling if self.shares >= ENOUGH_SHARES => {
                Some(self.conclude(Basis::Observed, estimate))
            }
            Basis::Settling => {
                let far = ratio.max(1.0 / ratio) > SETTLING_TOLERANCE;
                (contradicted && far).then(|| self.conclude(Basis::Settling, estimate))
            }
            _ if contradicted => Some(self.conclude(Basis::Settling, estimate)),
            _ if expected < WINDOW => None,
            _ if ratio.ln().abs() > WINDOW_TOLERANCE => {
                Some(self.conclude(Basis::Observed, estimate))
            }
            _ => {
                self.conclude(Basis::Observed, self.hashrate);
                None
            }
        }
    }

    /// Believes `hashrate` and begins a new window. Returns what shares should cost.
    fn conclude(&mut self, basis: Basis, hashrate: f64) -> f64 {
        self.basis = basis;
        self.hashrate = hashrate.max(self.slowest);
        self.shares = 0.0;
        self.exposure = 0.0;
        let rate = match basis {
            Basis::Settling => self.wanted.max(SETTLING_RATE),
            Basis::Declared | Basis::Observed => self.wanted,
        };
        self.hashrate / rate
    }

    fn advance(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.until).as_secs_f64();
        self.until = now.max(self.until);
        self.exposure += seconds / self.cost;
        if self.shares == 0.0 {
            // A long silence of a miner from which nothing less can be expected must not be held
            // against the flood that ends it. What is kept is still more than patience.
            let enough = 2.0 * self.basis.patience() / self.hashrate;
            self.exposure = self.exposure.min(enough);
        }
    }
}

/// How much likelier `shares` are at their own rate than at the expected one; as a logarithm.
fn surprise(shares: f64, expected: f64) -> f64 {
    if shares == 0.0 {
        return expected;
    }
    shares * (shares / expected).ln() - shares + expected
}

#[cfg(test)]
mod tests;
