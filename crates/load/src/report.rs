//! Figures, and the table they make.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::contender::Contender;

/// What one start of one pool gave, in order.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<(String, f64)>);

impl Figures {
    /// One figure; its name says the unit.
    pub(crate) fn add(&mut self, name: impl Into<String>, value: f64) {
        self.0.push((name.into(), value));
    }

    /// The median of many.
    pub(crate) fn add_median(&mut self, name: &str, values: &mut [f64]) {
        self.add(name, quantile(values, 0.5));
    }

    /// Median, 99th percentile and maximum of many.
    pub(crate) fn add_quantiles(&mut self, name: &str, values: &mut [f64]) {
        for (label, at) in [("median", 0.5), ("99 %", 0.99), ("worst", 1.0)] {
            self.add(format!("{name}: {label}"), quantile(values, at));
        }
    }
}

/// Zero when there are none.
fn quantile(values: &mut [f64], at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    values
        .get((last * at).round() as usize)
        .copied()
        .unwrap_or(0.0)
}

/// All rounds of all pools.
pub(crate) struct Report {
    pools: Vec<String>,
    /// In the order of their first appearance.
    names: Vec<String>,
    /// By name and pool: one value for each round.
    values: BTreeMap<(String, usize), Vec<f64>>,
}

impl Report {
    pub(crate) fn new(contenders: &[Contender]) -> Self {
        Self {
            pools: contenders.iter().map(Contender::name).collect(),
            names: Vec::new(),
            values: BTreeMap::new(),
        }
    }

    /// One more round of the pool with that index.
    pub(crate) fn add(&mut self, pool: usize, Figures(figures): Figures) {
        for (name, value) in figures {
            if !self.names.contains(&name) {
                self.names.push(name.clone());
            }
            self.values.entry((name, pool)).or_default().push(value);
        }
    }

    /// Median, least and greatest of the rounds.
    fn summary(&self, name: &str, pool: usize) -> Option<[f64; 3]> {
        let mut values = self.values.get(&(name.to_owned(), pool))?.clone();
        Some([0.5, 0.0, 1.0].map(|at| quantile(&mut values, at)))
    }

    pub(crate) fn to_json(&self) -> Value {
        let figures = self.names.iter().map(|name| {
            let pools = self.pools.iter().enumerate().map(|(index, pool)| {
                let rounds = self.values.get(&(name.clone(), index));
                let median = self.summary(name, index).map(|[median, ..]| median);
                json!({ "pool": pool, "median": median, "rounds": rounds })
            });
            json!({ "figure": name, "pools": pools.collect::<Vec<_>>() })
        });
        json!({ "pools": self.pools, "figures": figures.collect::<Vec<_>>() })
    }
}

/// A row for each figure: median (least..greatest) of each pool's rounds, and how many times the
/// first pool's median each further one is.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.names.iter().map(String::len).max().unwrap_or(0);
        for (index, pool) in self.pools.iter().enumerate() {
            writeln!(f, "({}) {pool}", index + 1)?;
        }
        for name in &self.names {
            write!(f, "{name:width$}")?;
            let first = self.summary(name, 0).map(|[median, ..]| median);
            for pool in 0..self.pools.len() {
                let Some([median, least, greatest]) = self.summary(name, pool) else {
                    continue;
                };
                let (median_text, least, greatest) = (short(median), short(least), short(greatest));
                let cell = format!("{median_text} ({least}..{greatest})");
                write!(f, "  {cell:>28}")?;
                if pool > 0
                    && let Some(first) = first
                    && first != 0.0
                {
                    write!(f, " {:>8}", format!("x{:.2}", median / first))?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Three digits or more.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let mut values = [3.0, 1.0, 2.0];
        assert_eq!(quantile(&mut values, 0.0), 1.0);
        assert_eq!(quantile(&mut values, 0.5), 2.0);
        assert_eq!(quantile(&mut values, 0.99), 3.0);
        assert_eq!(quantile(&mut [], 0.5), 0.0);
    }

    #[test]
    fn a_row_compares_the_medians_of_all_rounds_with_the_first_pool() {
        let mut report = Report {
            pools: vec!["ours".into(), "theirs".into()],
            names: Vec::new(),
            values: BTreeMap::new(),
        };
        for (pool, value) in [(0, 2.0), (1, 8.0), (0, 4.0), (1, 7.0), (0, 3.0), (1, 9.0)] {
            report.add(pool, Figures(vec![("cost, us".into(), value)]));
        }
        let text = report.to_string();
        assert!(text.contains("3.00 (2.00..4.00)"), "{text}");
        assert!(text.contains("8.00 (7.00..9.00)"), "{text}");
        assert!(text.contains("x2.67"), "{text}");
        let json = report.to_json();
        assert_eq!(json["figures"][0]["pools"][1]["rounds"][2], 9.0);
    }
}
