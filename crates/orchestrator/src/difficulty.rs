//! How hard a lab's chain is. Usually it is regtest, where half of all hashes are blocks, so that a
//! share is a block. With a difficulty it is a signet of the lab's own, where a block takes some
//! five million hashes and a share takes a second.
//!
//! A signet's difficulty cannot be chosen: it begins at the lowest and changes after 2016 blocks. So
//! the level is how fast each miner hashes, which also makes it the same on every machine.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use toml::{Table, Value, toml};

/// Shares a minute of each miner, whatever the level.
const SHARES_PER_MINUTE: f64 = 60.0;
/// Hashes that difficulty 1 takes, as Stratum V1 counts.
const HASHES_OF_ONE: f64 = 4_294_967_296.0;

/// How long a miner takes for a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Difficulty {
    /// Some five seconds: five shares for a block.
    Low,
    /// Some fifty seconds: fifty shares for a block.
    Mid,
    /// Some eight minutes: five hundred shares for a block.
    High,
}

impl Difficulty {
    /// Hashes a second of each miner.
    fn hashrate(self) -> f64 {
        match self {
            Self::Low => 1e6,
            Self::Mid => 1e5,
            Self::High => 1e4,
        }
    }

    /// What services of a kind have for defaults on such a chain, by their own keys.
    pub(crate) fn defaults(self, kind: &str) -> Table {
        let rate = self.hashrate();
        let shares = SHARES_PER_MINUTE;
        let difficulty = rate * 60.0 / shares / HASHES_OF_ONE;
        match kind {
            "mining-device" => toml! {
                nominal_hashrate = rate
                max_hashrate = rate
                share_interval = 0.0
            },
            // A short rest: until its translator has told the upstream what the miner does, which
            // is a second, every hash may be a share.
            "cpuminer" => toml! {
                max_hashrate = rate
                suggest_difficulty = difficulty
                share_interval = 0.1
            },
            "pool" | "jdc" => toml! {
                shares_per_minute = shares
            },
            "translator" => toml! {
                [downstream_difficulty_config]
                min_individual_miner_hashrate = rate
                shares_per_minute = shares
            },
            _ => Table::new(),
        }
    }
}

impl fmt::Display for Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Mid => "mid",
            Self::High => "high",
        })
    }
}

/// Adds what a table lacks, also in the tables in it.
pub(crate) fn complete(table: &mut Table, defaults: Table) {
    for (key, default) in defaults {
        match (table.get_mut(&key), default) {
            (None, default) => drop(table.insert(key, default)),
            (Some(Value::Table(own)), Value::Table(default)) => complete(own, default),
            (Some(_), _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_stays_and_what_is_not_is_added() {
        let mut table = toml! {
            a = 1
            [t]
            b = 2
        };
        let defaults = toml! {
            a = 5
            c = 6
            [t]
            b = 7
            d = 8
        };
        complete(&mut table, defaults);
        let expected = toml! {
            a = 1
            c = 6
            [t]
            b = 2
            d = 8
        };
        assert_eq!(table, expected);
    }

    #[test]
    fn a_share_takes_a_second_and_a_block_ten_times_as_long_with_each_level() {
        let hashes = crate::signet::target().hashes();
        for (level, shares) in [
            (Difficulty::Low, 4.8),
            (Difficulty::Mid, 48.0),
            (Difficulty::High, 484.0),
        ] {
            let rate = level.defaults("mining-device")["max_hashrate"].as_float();
            let a_minute = level.defaults("pool")["shares_per_minute"].as_float();
            let of_a_block = hashes / (rate.unwrap() * 60.0 / a_minute.unwrap());
            assert!((of_a_block / shares - 1.0).abs() < 0.02, "{of_a_block}");
            let one = level.defaults("cpuminer")["suggest_difficulty"].as_float();
            let hashes = one.unwrap() * HASHES_OF_ONE;
            assert!((hashes / rate.unwrap() - 1.0).abs() < 1e-9);
        }
    }
}
