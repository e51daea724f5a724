//! The tree of headers: the chain, and every branch beside it that the node knows of.

mod drawing;
mod layout;

use std::collections::HashMap;

use bitcoin::BlockHash;
use serde::Serialize;
use utoipa::ToSchema;

use crate::chain::{Brief, Chain};
use crate::service::Board;
use crate::story::{self, Credit};
use crate::text;
use layout::{Cell, Column, Layout, Line};

/// Branches drawn: the highest.
const MAX_BRANCHES: usize = 20;
/// Of a block in the picture, in its own units, and of what is said below a tip.
const BOX_WIDTH: u32 = 148;
const BOX_HEIGHT: u32 = 62;
const STATUS_HEIGHT: u32 = 22;
/// Between two columns, and between two rows.
const COLUMN_GAP: u32 = 30;
const ROW_GAP: u32 = 12;
/// Of what is left out.
const GAP_WIDTH: u32 = 112;
/// Around everything.
const MARGIN: u32 = 6;
/// Of the corners of links.
const BEND: u32 = 8;
/// Characters of a name that fit into a block.
const MAX_NAME: usize = 18;

/// The tree.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Tree {
    /// In words.
    pub(crate) summary: String,
    /// Branches that are not drawn.
    pub(crate) left_out: usize,
    /// As text, the newest first.
    pub(crate) drawing: Vec<String>,
    pub(crate) picture: Picture,
}

/// The same as shapes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) blocks: Vec<TreeBlock>,
    pub(crate) gaps: Vec<TreeGap>,
    pub(crate) edges: Vec<TreeEdge>,
}

/// A block of the tree.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct TreeBlock {
    pub(crate) height: u32,
    pub(crate) hash: String,
    /// Null if the block itself is not known, but its header.
    pub(crate) previous: Option<String>,
    pub(crate) credit: Option<Credit>,
    /// Whether it is in the chain.
    pub(crate) is_active: bool,
    /// Of a tip, as the node says it: `active`, `valid-fork`, `valid-headers`, `headers-only` or
    /// `invalid`.
    pub(crate) status: Option<String>,
    /// Of its upper left corner.
    pub(crate) x: u32,
    pub(crate) y: u32,
}

/// Blocks that are left out.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct TreeGap {
    pub(crate) blocks: u32,
    pub(crate) is_active: bool,
    /// Of its upper left corner.
    pub(crate) x: u32,
    pub(crate) y: u32,
}

/// From a block to the one on top of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct TreeEdge {
    pub(crate) is_active: bool,
    /// As an SVG path.
    pub(crate) path: String,
}

/// The chain, or a branch.
struct Branch {
    line: Line,
    /// Of a branch: its blocks from the tip downwards, as far as they are known.
    hashes: Vec<BlockHash>,
    status: String,
}

impl Tree {
    /// Of a chain with at least one block.
    pub(crate) fn of(chain: &Chain, board: &Board) -> Option<Self> {
        let stale: HashMap<BlockHash, &Brief> =
            chain.stale().map(|brief| (brief.hash, brief)).collect();
        let branches = branches(chain, &stale)?;
        let lines: Vec<Line> = branches.iter().map(|branch| branch.line).collect();
        let layout = Layout::of(&lines);
        let node = |line: usize, height: u32| node(&branches[line], height, chain, &stale, board);
        let label = |line: usize, cell| match cell {
            Cell::Block(height) => match node(line, height) {
                Some(node) => node.label(),
                None => height.to_string(),
            },
            Cell::LeftOut(count) => blocks(count),
        };
        let beside = chain.tips().iter().filter(|tip| tip.branch_len > 0);
        Some(Self {
            summary: summary(&branches),
            left_out: beside.count().saturating_sub(branches.len() - 1),
            drawing: drawing::draw(&layout, label),
            picture: Picture::of(&layout, node),
        })
    }
}

/// The chain and the highest branches, each behind what it stands on; none of an empty chain.
fn branches(chain: &Chain, stale: &HashMap<BlockHash, &Brief>) -> Option<Vec<Branch>> {
    let tip = chain.tip()?;
    let mut branches = vec![Branch {
        line: Line {
            on: None,
            known_from: chain.base(),
            tip: tip.height,
        },
        hashes: Vec::new(),
        status: "active".to_owned(),
    }];
    // Where the blocks of the branches so far are.
    let mut places: HashMap<BlockHash, (usize, u32)> = HashMap::new();
    // One that the node has made its chain since it was asked is no branch any more.
    let tips = chain.tips().iter();
    let beside = tips.filter(|tip| tip.branch_len > 0 && chain.find(&tip.hash).is_none());
    for tip in beside.take(MAX_BRANCHES) {
        let mut hashes = vec![tip.hash];
        let mut lowest = tip.hash;
        let on = loop {
            let Some(brief) = stale.get(&lowest) else {
                // What it has below is not known here.
                let fork = tip.height.saturating_sub(tip.branch_len);
                break (0, fork.min(chain.tip()?.height));
            };
            if let Some(below) = chain.find(&brief.previous) {
                break (0, below.height);
            }
            if let Some(place) = places.get(&brief.previous) {
                break *place;
            }
            lowest = brief.previous;
            hashes.push(lowest);
        };
        let known = u32::try_from(hashes.len()).unwrap_or(u32::MAX) - 1;
        let line = Line {
            on: Some(on),
            known_from: tip.height.saturating_sub(known),
            tip: tip.height,
        };
        if line.tip <= on.1 {
            continue;
        }
        let heights = (0..=tip.height).rev();
        let own = hashes.iter().zip(heights);
        places.extend(own.map(|(hash, height)| (*hash, (branches.len(), height))));
        branches.push(Branch {
            line,
            hashes,
            status: tip.status.clone(),
        });
    }
    Some(branches)
}

fn node(
    branch: &Branch,
    height: u32,
    chain: &Chain,
    stale: &HashMap<BlockHash, &Brief>,
    board: &Board,
) -> Option<TreeBlock> {
    let is_active = branch.line.on.is_none();
    let above = branch.line.tip - height;
    let (hash, brief) = if is_active {
        let brief = chain.at(height)?;
        (brief.hash, Some(brief))
    } else {
        let hash = *branch.hashes.get(above as usize)?;
        (hash, stale.get(&hash).copied())
    };
    Some(TreeBlock {
        height,
        hash: hash.to_string(),
        previous: brief.map(|brief| brief.previous.to_string()),
        credit: brief.map(|brief| story::credit(brief, board)),
        is_active,
        status: (above == 0).then(|| branch.status.clone()),
        x: 0,
        y: 0,
    })
}

impl TreeBlock {
    /// Who made it.
    pub(crate) fn who(&self) -> &str {
        let credit = self.credit.as_ref();
        credit.map_or("header only", Credit::who)
    }

    /// As much of that as fits into its box.
    pub(crate) fn name(&self) -> String {
        text::cut(self.who(), MAX_NAME)
    }

    /// How it was made.
    pub(crate) fn origin(&self) -> &'static str {
        let credit = self.credit.as_ref();
        credit.map_or("", |credit| credit.origin.label())
    }

    /// For who cannot see whether it stands in the chain.
    pub(crate) fn place(&self) -> &'static str {
        match self.is_active {
            true => "in the chain",
            false => "beside the chain",
        }
    }

    pub(crate) fn middle(&self) -> u32 {
        self.x + BOX_WIDTH / 2
    }

    /// On one line.
    fn label(&self) -> String {
        let Self { height, hash, .. } = self;
        let mut label = format!("{height} {} {}", text::tail(hash), self.who());
        if !self.origin().is_empty() {
            label += &format!(", {}", self.origin());
        }
        if let Some(status) = &self.status {
            label += &format!(" [{status}]");
        }
        label
    }
}

impl TreeGap {
    pub(crate) fn text(&self) -> String {
        format!("… {} …", blocks(self.blocks))
    }

    pub(crate) fn middle(&self) -> u32 {
        self.x + GAP_WIDTH / 2
    }
}

fn blocks(count: u32) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} block{ending}", text::count(count))
}

/// What the picture shows.
fn summary(branches: &[Branch]) -> String {
    let chain = branches.first().map_or(0, |chain| chain.line.tip);
    let mut summary = format!("The chain has its tip at height {}.", text::count(chain));
    for branch in branches {
        let Some((on, fork)) = branch.line.on else {
            continue;
        };
        let length = blocks(branch.line.tip - fork);
        let below = match on {
            0 => "the chain",
            _ => "another branch",
        };
        summary += &format!(
            " A branch of {length} leaves {below} above {} and ends at {}: {}.",
            text::count(fork),
            text::count(branch.line.tip),
            branch.status
        );
    }
    if branches.len() == 1 {
        summary += " No branch is beside it.";
    }
    summary
}

impl Picture {
    fn of(layout: &Layout, node: impl Fn(usize, u32) -> Option<TreeBlock>) -> Self {
        let mut lefts = Vec::new();
        let mut x = MARGIN;
        for column in &layout.columns {
            lefts.push(x);
            x += COLUMN_GAP
                + match column {
                    Column::Height(_) => BOX_WIDTH,
                    Column::Between(..) => GAP_WIDTH,
                };
        }
        let mut picture = Self {
            width: x - COLUMN_GAP + MARGIN,
            height: top(layout.rows) - ROW_GAP + MARGIN,
            blocks: Vec::new(),
            gaps: Vec::new(),
            edges: Vec::new(),
        };
        for (place, line) in layout.lines.iter().enumerate() {
            let is_active = place == 0;
            let mut end = line.joint.map(|joint| layout.end(joint, &lefts));
            for (column, cell) in &line.cells {
                let (x, y) = (lefts[*column], top(line.row));
                if let Some(end) = end {
                    let path = path(end, (x, y + BOX_HEIGHT / 2));
                    picture.edges.push(TreeEdge { is_active, path });
                }
                match *cell {
                    Cell::Block(height) => {
                        let known = node(place, height);
                        picture
                            .blocks
                            .extend(known.map(|node| TreeBlock { x, y, ..node }));
                    }
                    Cell::LeftOut(blocks) => picture.gaps.push(TreeGap {
                        blocks,
                        is_active,
                        x,
                        y,
                    }),
                }
                end = Some((x + width(*cell), y + BOX_HEIGHT / 2));
            }
        }
        // Where lines part the chain's is on top.
        picture.edges.sort_by_key(|edge| edge.is_active);
        picture
    }
}

impl Layout {
    /// Where links leave a cell: of which line, and which of its cells.
    fn end(&self, (line, cell): (usize, usize), lefts: &[u32]) -> (u32, u32) {
        let line = &self.lines[line];
        let (column, cell) = line.cells[cell];
        (lefts[column] + width(cell), top(line.row) + BOX_HEIGHT / 2)
    }
}

fn width(cell: Cell) -> u32 {
    match cell {
        Cell::Block(_) => BOX_WIDTH,
        Cell::LeftOut(_) => GAP_WIDTH,
    }
}

fn top(row: usize) -> u32 {
    let row = u32::try_from(row).unwrap_or(u32::MAX);
    MARGIN + row * (BOX_HEIGHT + STATUS_HEIGHT + ROW_GAP)
}

/// Rightwards, or down in front of the next column and then rightwards.
fn path(from: (u32, u32), to: (u32, u32)) -> String {
    if from.1 == to.1 {
        return format!("M{} {} H{}", from.0, from.1, to.0);
    }
    let x = from.0 + COLUMN_GAP / 2;
    format!(
        "M{} {} H{} Q{x} {} {x} {} V{} Q{x} {} {} {} H{}",
        from.0,
        from.1,
        x - BEND,
        from.1,
        from.1 + BEND,
        to.1 - BEND,
        to.1,
        x + BEND,
        to.1,
        to.0
    )
}

#[cfg(test)]
mod tests;
