//! Hash rate, from the shares of about the last minute and about the last ten.

use crate::number::{Count, Real};

/// Seconds after which a share weighs 1/e of what it did at first.
const SHORT: f64 = 60.0;
/// The same, in multiples of [`SHORT`].
const LONG: i32 = 10;
/// Seconds that are taken to have passed at least: a first share at once is no hash rate.
const YOUNGEST: f64 = 10.0;

/// Sums of the hashes that shares took, which decay with time. Two numbers and a time, however many
/// shares there are.
#[derive(Debug, Default)]
pub struct HashRate {
    short: Real,
    long: Real,
    /// When the sums were what they are. It is written last and read first, so who reads meanwhile
    /// sees too little rather than a share of today at the weight of yesterday.
    at_ms: Count,
}

/// Hashes a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Of the shares of about the last minute.
    pub one_minute: f64,
    /// Of those of about the last ten minutes.
    pub ten_minutes: f64,
}

impl HashRate {
    /// A share that took `hashes`.
    pub fn add(&self, now_ms: u64, hashes: f64) {
        let (short, long) = self.decayed(now_ms);
        self.short.set(short + hashes);
        self.long.set(long + hashes);
        self.at_ms.set(now_ms);
    }

    /// Of somebody who is there since `since_ms`: before that there is nothing to be averaged.
    pub fn read(&self, now_ms: u64, since_ms: u64) -> Rates {
        let age = seconds(since_ms, now_ms).max(YOUNGEST);
        let (short, long) = self.decayed(now_ms);
        let average = |sum: f64, tau: f64| sum / (tau * -(-age / tau).exp_m1());
        Rates {
            one_minute: average(short, SHORT),
            ten_minutes: average(long, SHORT * f64::from(LONG)),
        }
    }

    fn decayed(&self, now_ms: u64) -> (f64, f64) {
        let passed = seconds(self.at_ms.get(), now_ms);
        let long = (-passed / (SHORT * f64::from(LONG))).exp();
        (self.short.get() * long.powi(LONG), self.long.get() * long)
    }
}

impl std::ops::AddAssign for Rates {
    fn add_assign(&mut self, other: Self) {
        self.one_minute += other.one_minute;
        self.ten_minutes += other.ten_minutes;
    }
}

fn seconds(from_ms: u64, to_ms: u64) -> f64 {
    to_ms.saturating_sub(from_ms) as f64 / 1000.0
}

#[cfg(test)]
mod tests;
