//! Where the blocks of a tree stand: a column for each height that tells something, a row for each
//! branch. Plain numbers.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// Blocks below the chain's tip, itself included, that are always shown.
const NEWEST: u32 = 4;
/// So few blocks are shown rather than left out.
const FEW: u32 = 2;

/// Blocks on top of each other up to a tip: the chain, which comes first, or what a branch has
/// beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    /// The line it stands on, which comes before it, and the height there; none for the chain.
    pub(super) on: Option<(usize, u32)>,
    /// Its blocks are known from this height on.
    pub(super) known_from: u32,
    /// The height of its tip.
    pub(super) tip: u32,
}

/// Heights side by side, the lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Height(u32),
    /// Nothing forks from the first to the last of these.
    Between(u32, u32),
}

/// What a line has in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// The block at that height.
    Block(u32),
    /// So many blocks, which are not shown.
    LeftOut(u32),
}

/// A line in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) row: usize,
    /// By column, the lowest first.
    pub(super) cells: Vec<(usize, Cell)>,
    /// Which of the cells of the line below it stands on.
    pub(super) joint: Option<(usize, usize)>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) columns: Vec<Column>,
    pub(super) rows: usize,
    /// In the order of the lines.
    pub(super) lines: Vec<Placed>,
}

impl Line {
    /// From what it stands on to its tip.
    fn reach(&self) -> RangeInclusive<u32> {
        self.on.map_or(0, |(_, fork)| fork)..=self.tip
    }

    fn lowest(&self) -> u32 {
        self.on.map_or(0, |(_, fork)| fork + 1)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let (one, two) = (self.reach(), other.reach());
        one.start() <= two.end() && two.start() <= one.end()
    }

    fn cells(&self, columns: &[Column]) -> Vec<(usize, Cell)> {
        let mut cells: Vec<(usize, Cell)> = Vec::new();
        for (place, column) in columns.iter().enumerate() {
            let (from, to) = match *column {
                Column::Height(height) => (height, height),
                Column::Between(from, to) => (from, to),
            };
            if from < self.lowest() || to > self.tip {
                continue;
            }
            if from == to && from >= self.known_from {
                cells.push((place, Cell::Block(from)));
            } else if let Some((_, Cell::LeftOut(count))) = cells.last_mut() {
                *count += to - from + 1;
            } else {
                cells.push((place, Cell::LeftOut(to - from + 1)));
            }
        }
        cells
    }
}

impl Layout {
    /// Of at least one line.
    pub(super) fn of(lines: &[Line]) -> Self {
        let columns = columns(lines);
        let mut rows = vec![0; lines.len()];
        let mut done = Vec::new();
        place(0, lines, &mut rows, &mut done);
        let cells: Vec<_> = lines.iter().map(|line| line.cells(&columns)).collect();
        let joint = |(on, fork): (usize, u32)| {
            let is_below = |(place, _): &&(usize, Cell)| match columns[*place] {
                Column::Height(height) | Column::Between(height, _) => height <= fork,
            };
            let below = cells[on].iter().take_while(is_below).count();
            (on, below.saturating_sub(1))
        };
        let joints: Vec<_> = lines.iter().map(|line| line.on.map(joint)).collect();
        let placed = rows.iter().zip(joints).zip(cells);
        Self {
            rows: rows.iter().max().map_or(0, |last| last + 1),
            lines: placed
                .map(|((row, joint), cells)| Placed {
                    row: *row,
                    cells,
                    joint,
                })
                .collect(),
            columns,
        }
    }
}

/// Where something forks or ends, with the blocks beside that; and what is left out between.
fn columns(lines: &[Line]) -> Vec<Column> {
    let chain = lines.first().map_or(0, |chain| chain.tip);
    let mut heights = BTreeSet::from([0]);
    heights.extend((chain + 1).saturating_sub(NEWEST)..=chain);
    for line in lines {
        if let Some((_, fork)) = line.on {
            let next = (line.tip + 1).min(chain);
            heights.extend([fork, fork + 1, line.tip, next]);
        }
    }
    let mut columns = Vec::new();
    let mut above = 0;
    for height in heights {
        match height - above {
            0 => {}
            missing @ 1..=FEW => {
                let shown = height - missing..height;
                columns.extend(shown.map(Column::Height));
            }
            _ => columns.push(Column::Between(above, height - 1)),
        }
        columns.push(Column::Height(height));
        above = height + 1;
    }
    columns
}

/// Gives a line, and then those on it, a row below all that it overlaps. Those that fork higher
/// come first: so nothing stands in the way from a line down to what it stands on.
fn place(line: usize, lines: &[Line], rows: &mut [usize], done: &mut Vec<usize>) {
    let beside = done
        .iter()
        .filter(|other| lines[**other].overlaps(&lines[line]));
    rows[line] = beside
        .map(|other| rows[*other] + 1)
        .max()
        .unwrap_or_default();
    done.push(line);
    let stands = |(place, other): (usize, &Line)| match other.on {
        Some((on, fork)) if on == line => Some((fork, place)),
        _ => None,
    };
    let mut upon: Vec<(u32, usize)> = lines.iter().enumerate().filter_map(stands).collect();
    upon.sort_by_key(|(fork, _)| std::cmp::Reverse(*fork));
    for (_, next) in upon {
        place(next, lines, rows, done);
    }
}
