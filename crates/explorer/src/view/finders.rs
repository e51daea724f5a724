//! Who found the newest blocks, and how long that took.

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::BlockLine;
use crate::chain::{Brief, Chain};
use crate::service::Board;
use crate::story::Credit;

/// Blocks that are looked at.
const BLOCKS: usize = 200;
/// Those who found most are shown.
const MAX_FINDERS: usize = 12;
/// Bars by the seconds that are less than they hold.
const BARS: [(f64, &str); 8] = [
    (1.0, "less than 1 s"),
    (2.0, "1 to 2 s"),
    (5.0, "2 to 5 s"),
    (10.0, "5 to 10 s"),
    (30.0, "10 to 30 s"),
    (60.0, "30 to 60 s"),
    (300.0, "1 to 5 min"),
    (f64::INFINITY, "5 min and more"),
];

/// The newest blocks by who found them, and by the time between them.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Finders {
    /// How many blocks were looked at, the first block of all left out.
    pub(crate) blocks: usize,
    #[serde(flatten)]
    pub(crate) times: Times,
    /// Who found most comes first.
    pub(crate) finders: Vec<Finder>,
}

/// The times between blocks.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Times {
    /// Seconds between two blocks, half of the times.
    pub(crate) median_secs: Option<f64>,
    /// The shortest times first.
    pub(crate) bars: Vec<Bar>,
}

/// How often it took how long.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Bar {
    pub(crate) between: &'static str,
    pub(crate) blocks: usize,
    /// In percent of the bar that is longest.
    pub(crate) length: usize,
}

/// Somebody who found blocks.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Finder {
    /// As of the newest of them.
    pub(crate) credit: Credit,
    pub(crate) blocks: usize,
    /// In percent of all.
    pub(crate) share: f64,
    /// Seconds between two blocks of theirs, on average.
    pub(crate) mean_secs: Option<f64>,
    /// Between two blocks of theirs.
    #[serde(flatten)]
    pub(crate) times: Times,
}

impl Finders {
    pub(crate) fn of(chain: &Chain, board: &Board) -> Self {
        let newest = chain.down_from(u32::MAX).take(BLOCKS);
        let newest: Vec<&Brief> = newest.filter(|brief| brief.height > 0).collect();
        let lines = newest.iter().map(|brief| BlockLine::of(brief, board));
        Self::among(&lines.collect::<Vec<_>>())
    }

    /// The newest first.
    fn among(blocks: &[BlockLine]) -> Self {
        Self {
            blocks: blocks.len(),
            times: Times::between(&blocks.iter().collect::<Vec<_>>()),
            finders: finders(blocks),
        }
    }
}

impl Times {
    /// Of blocks that follow each other, the newest first.
    pub(crate) fn between(blocks: &[&BlockLine]) -> Self {
        let two = blocks.windows(2);
        let mut times: Vec<f64> = two.map(|two| seconds_between(two[0], two[1])).collect();
        times.sort_by(f64::total_cmp);
        Self {
            median_secs: times.get(times.len() / 2).copied(),
            bars: bars(&times),
        }
    }

    /// The bars in words.
    pub(crate) fn spread(&self) -> String {
        let bars = self.bars.iter().filter(|bar| bar.blocks > 0);
        let said = bars.map(|bar| format!("{} took {}", bar.blocks, bar.between));
        said.collect::<Vec<_>>().join(", ")
    }
}

/// By the times at which the explorer saw them, if it saw both.
fn seconds_between(newer: &BlockLine, older: &BlockLine) -> f64 {
    let (newer_ms, older_ms) = match (newer.arrived_ms, older.arrived_ms) {
        (Some(newer), Some(older)) => (newer, older),
        _ => (newer.time_ms, older.time_ms),
    };
    newer_ms.saturating_sub(older_ms) as f64 / 1e3
}

fn bars(times: &[f64]) -> Vec<Bar> {
    let mut from = 0.0;
    let counted = BARS.map(|(below, between)| {
        let blocks = times
            .iter()
            .filter(|time| (from..below).contains(*time))
            .count();
        from = below;
        (between, blocks)
    });
    let longest = counted.iter().map(|(_, blocks)| *blocks).max();
    let longest = longest.unwrap_or(0).max(1);
    let bar = |(between, blocks)| Bar {
        between,
        blocks,
        length: blocks * 100 / longest,
    };
    counted.map(bar).into()
}

fn finders(blocks: &[BlockLine]) -> Vec<Finder> {
    let mut places = HashMap::new();
    let mut groups: Vec<Vec<&BlockLine>> = Vec::new();
    for block in blocks {
        let key = (block.credit.who(), block.credit.origin.class());
        let place = *places.entry(key).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(block);
    }
    // Sorting keeps the order of equals: the newest first.
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let finder = |group: Vec<&BlockLine>| {
        let (newest, oldest) = (group[0], group[group.len() - 1]);
        let times = group.len() - 1;
        let mean = seconds_between(newest, oldest) / times.max(1) as f64;
        Finder {
            credit: newest.credit.clone(),
            blocks: group.len(),
            share: group.len() as f64 * 100.0 / blocks.len() as f64,
            mean_secs: (times > 0).then_some(mean),
            times: Times::between(&group),
        }
    };
    let groups = groups.into_iter().take(MAX_FINDERS);
    groups.map(finder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::Origin;

    fn block(miner: &str, seconds: u64) -> BlockLine {
        BlockLine {
            height: 7,
            hash: String::new(),
            time_ms: seconds * 1000,
            arrived_ms: None,
            transactions: 1,
            size: 0,
            weight: 0,
            reward: 0,
            credit: Credit {
                origin: Origin::PoolTemplate,
                miner: Some(miner.to_owned()),
                user: None,
                pool: None,
                signature: None,
            },
        }
    }

    #[test]
    fn blocks_are_counted_by_who_found_them_and_by_the_time_they_took() {
        let blocks = [
            block("b", 113),
            block("a", 103),
            block("a", 102),
            block("a", 100),
        ];
        let found = Finders::among(&blocks);
        assert_eq!((found.blocks, found.times.median_secs), (4, Some(2.0)));
        let names: Vec<_> = found
            .finders
            .iter()
            .map(|one| (one.credit.who(), one.blocks))
            .collect();
        assert_eq!(names, [("a", 3), ("b", 1)]);
        assert_eq!(found.finders[0].share, 75.0);
        assert_eq!(
            (found.finders[0].mean_secs, found.finders[1].mean_secs),
            (Some(1.5), None)
        );
        let counts = |times: &Times| times.bars.iter().map(|bar| bar.blocks).collect::<Vec<_>>();
        assert_eq!(counts(&found.times), [0, 1, 1, 0, 1, 0, 0, 0]);
        assert_eq!(found.times.bars[1].length, 100);
        let own = &found.finders[0].times;
        assert_eq!(counts(own), [0, 1, 1, 0, 0, 0, 0, 0]);
        assert_eq!(own.median_secs, Some(2.0));
        assert_eq!(own.spread(), "1 took 1 to 2 s, 1 took 2 to 5 s");
        assert_eq!(found.finders[1].times.spread(), "");
    }

    #[test]
    fn a_chain_without_blocks_has_no_finders() {
        let found = Finders::among(&[]);
        assert_eq!((found.times.median_secs, found.finders.len()), (None, 0));
        assert!(found.times.bars.iter().all(|bar| bar.length == 0));
    }
}
