use bitcoin::constants::genesis_block;
use bitcoin::{Block, Network};

use super::*;
use crate::chain::Tip;

/// The chain up to `tip`, and branches: what each stands on, and its tip.
fn lines(tip: u32, branches: &[((usize, u32), u32)]) -> Vec<Line> {
    let chain = Line {
        on: None,
        known_from: 0,
        tip,
    };
    let branch = |(on, tip): &((usize, u32), u32)| Line {
        on: Some(*on),
        known_from: 0,
        tip: *tip,
    };
    let branches = branches.iter().map(branch);
    std::iter::once(chain).chain(branches).collect()
}

/// As text, with `a` for the chain and further letters for the branches.
fn drawn(lines: &[Line]) -> String {
    let label = |line: usize, cell| {
        let letter = char::from(b'a' + line as u8);
        match cell {
            Cell::Block(height) => format!("{letter}{height}"),
            Cell::LeftOut(count) => format!("{letter}({count})"),
        }
    };
    drawing::draw(&Layout::of(lines), label).join("\n")
}

#[test]
fn a_chain_without_forks_is_its_tip_and_its_first_block() {
    assert_eq!(
        drawn(&lines(100, &[])),
        "●  a100\n●  a99\n●  a98\n●  a97\n⋮  a(96)\n●  a0"
    );
    assert_eq!(drawn(&lines(0, &[])), "●  a0");
    // Two blocks take no more room than the words that there are two.
    assert_eq!(
        drawn(&lines(6, &[])),
        "●  a6\n●  a5\n●  a4\n●  a3\n●  a2\n●  a1\n●  a0"
    );
}

#[test]
fn a_branch_is_beside_the_blocks_that_took_its_place() {
    assert_eq!(
        drawn(&lines(101, &[((0, 98), 100)])),
        "●    a101\n\
         ●    a100\n\
         │ ○  b100\n\
         ● │  a99\n\
         │ ○  b99\n\
         ●─╯  a98\n\
         ⋮    a(97)\n\
         ●    a0"
    );
}

#[test]
fn branches_of_branches_stand_on_them_and_no_line_crosses_another() {
    assert_eq!(
        drawn(&lines(12, &[((0, 8), 12), ((1, 10), 11), ((0, 8), 9)])),
        "●      a12\n\
         │ ○    b12\n\
         ● │    a11\n\
         │ ○    b11\n\
         │ │ ○  c11\n\
         ● │    a10\n\
         │ ○─╯  b10\n\
         ● │    a9\n\
         │ ○    b9\n\
         │ │ ○  d9\n\
         ●─┴─╯  a8\n\
         ⋮      a(7)\n\
         ●      a0"
    );
}

#[test]
fn an_invalid_branch_may_be_higher_than_the_chain() {
    assert_eq!(
        drawn(&lines(3, &[((0, 3), 200)])),
        "  ○  b200\n\
         \u{20} ⋮  b(195)\n\
         \u{20} ○  b4\n\
         ●─╯  a3\n\
         ●    a2\n\
         ●    a1\n\
         ●    a0"
    );
}

#[test]
fn what_is_not_known_of_a_branch_is_left_out_in_one_piece() {
    let mut lines = lines(500, &[((0, 10), 14)]);
    lines[1].known_from = 14;
    lines[0].known_from = 400;
    let text = drawn(&lines);
    assert!(
        text.contains("○  b14\n") && text.contains("⋮  b(3)"),
        "{text}"
    );
    assert!(text.ends_with("⋮─╯  a(497)"), "{text}");
}

/// Numbers that look like chance.
fn chance(seed: &mut u64) -> u32 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    (*seed >> 33) as u32
}

/// As many branches as are drawn, on the chain and on each other.
fn bush(seed: &mut u64) -> Vec<Line> {
    let tip = chance(seed) % 300;
    let mut branches: Vec<((usize, u32), u32)> = Vec::new();
    for _ in 0..MAX_BRANCHES {
        let on = chance(seed) as usize % (branches.len() + 1);
        let (low, high) = match on.checked_sub(1) {
            None => (0, tip),
            Some(place) => (branches[place].0.1 + 1, branches[place].1),
        };
        let fork = low + chance(seed) % (high - low + 1);
        branches.push(((on, fork), fork + 1 + chance(seed) % 40));
    }
    lines(tip, &branches)
}

#[test]
fn nothing_stands_on_anything_else_and_no_way_down_is_blocked() {
    let mut seed = 1;
    for _ in 0..200 {
        let lines = bush(&mut seed);
        let layout = Layout::of(&lines);
        assert!(
            layout.columns.len() <= 3 * (4 * MAX_BRANCHES + 5),
            "{layout:?}"
        );
        let span = |line: usize| {
            let cells = &layout.lines[line].cells;
            (cells[0].0, cells[cells.len() - 1].0)
        };
        for (one, line) in layout.lines.iter().enumerate() {
            let Some((below, cell)) = line.joint else {
                continue;
            };
            let under = &layout.lines[below];
            let foot = under.cells[cell].0;
            assert!(under.row < line.row && foot < span(one).0);
            for (other, third) in layout.lines.iter().enumerate().filter(|(at, _)| *at != one) {
                let (first, last) = span(other);
                let apart = last < span(one).0 || span(one).1 < first;
                assert!(third.row != line.row || apart, "{lines:?}");
                // The way down is between its foot and the column right of it.
                let is_between = under.row < third.row && third.row < line.row;
                assert!(!is_between || last <= foot || foot < first, "{lines:?}");
            }
        }
    }
}

#[test]
fn a_picture_holds_all_of_its_tree() {
    let mut seed = 7;
    let lines = bush(&mut seed);
    let node = |line: usize, height| {
        Some(TreeBlock {
            height,
            hash: format!("{line}/{height}"),
            previous: None,
            credit: None,
            is_active: line == 0,
            status: None,
            x: 0,
            y: 0,
        })
    };
    let picture = Picture::of(&Layout::of(&lines), node);
    let corners = picture.blocks.iter().map(|block| (block.x, block.y));
    let mut corners: Vec<_> = corners.collect();
    for (x, y) in &corners {
        assert!(x + BOX_WIDTH <= picture.width && y + BOX_HEIGHT + STATUS_HEIGHT <= picture.height);
    }
    let all = corners.len();
    corners.sort_unstable();
    corners.dedup();
    assert_eq!(corners.len(), all);
    // Every line but the first begins with an edge, and every cell behind the first has one.
    let cells = picture.blocks.len() + picture.gaps.len();
    assert_eq!(picture.edges.len(), cells - 1);
}

/// A block on another; `salt` tells it from others there.
fn block(previous: BlockHash, salt: u32) -> Block {
    let mut block = genesis_block(Network::Regtest);
    block.header.prev_blockhash = previous;
    block.header.nonce = salt;
    block
}

fn chain(tip: u32) -> Chain {
    let mut chain = Chain::new(1000);
    for height in 0..=tip {
        let previous = chain.tip().map(|tip| tip.hash);
        let next = previous.map_or(genesis_block(Network::Regtest), |hash| block(hash, 0));
        chain.connect(next, height, 0).unwrap();
    }
    chain
}

fn tip(hash: BlockHash, height: u32, branch_len: u32, status: &str) -> Tip {
    Tip {
        height,
        hash,
        branch_len,
        status: status.to_owned(),
    }
}

#[test]
fn branches_are_followed_down_to_where_they_fork() {
    let mut chain = chain(10);
    let fork = chain.at(7).unwrap().hash;
    let low = block(fork, 1);
    let high = block(low.block_hash(), 1);
    let twin = block(low.block_hash(), 2);
    for (block, height) in [(&low, 8), (&high, 9), (&twin, 9)] {
        chain.add_stale(block, height);
    }
    let unseen = block(chain.tip().unwrap().hash, 9).block_hash();
    let active = chain.tip().unwrap().hash;
    chain.set_tips(vec![
        tip(unseen, 11, 1, "headers-only"),
        tip(active, 10, 0, "active"),
        tip(high.block_hash(), 9, 2, "invalid"),
        tip(twin.block_hash(), 9, 2, "valid-fork"),
    ]);
    let tree = Tree::of(&chain, &Board::default()).unwrap();
    let find = |hash: BlockHash| {
        let mut blocks = tree.picture.blocks.iter();
        blocks.find(|block| block.hash == hash.to_string()).unwrap()
    };
    let status = |hash| find(hash).status.as_deref();
    assert_eq!(status(active), Some("active"));
    assert_eq!(status(unseen), Some("headers-only"));
    assert_eq!(status(high.block_hash()), Some("invalid"));
    assert_eq!(status(twin.block_hash()), Some("valid-fork"));
    assert_eq!(find(unseen).who(), "header only");
    let shared = find(low.block_hash());
    assert_eq!((shared.height, shared.is_active), (8, false));
    assert_eq!(shared.previous, Some(fork.to_string()));
    assert_eq!(find(twin.block_hash()).previous, Some(shared.hash.clone()));
    // The twin stands on the branch, so the block that both share is there once.
    let shared = tree
        .drawing
        .iter()
        .filter(|line| line.contains(&shared.hash[54..]));
    assert_eq!(shared.count(), 1, "{:#?}", tree.drawing);
    assert!(
        tree.summary.contains("leaves another branch above 8"),
        "{}",
        tree.summary
    );
}

#[test]
fn of_fifty_branches_the_highest_are_drawn() {
    let mut chain = chain(300);
    let heights = (0..50).map(|number| 200 - 3 * number);
    let mut tips = Vec::new();
    for height in heights {
        let branch = block(chain.at(height - 1).unwrap().hash, 1);
        chain.add_stale(&branch, height);
        tips.push(tip(branch.block_hash(), height, 1, "valid-fork"));
    }
    chain.set_tips(tips);
    let tree = Tree::of(&chain, &Board::default()).unwrap();
    let beside = tree.picture.blocks.iter().filter(|block| !block.is_active);
    let drawn: Vec<u32> = beside.map(|block| block.height).collect();
    let highest: Vec<u32> = (0..20).map(|number| 200 - 3 * number).collect();
    assert_eq!((tree.left_out, drawn), (30, highest));
    // Short branches of different heights share a row.
    assert_eq!(tree.picture.height, top(2) - ROW_GAP + MARGIN);
}

#[test]
fn an_empty_chain_has_no_tree_and_its_first_block_is_one() {
    assert_eq!(Tree::of(&Chain::new(10), &Board::default()), None);
    let tree = Tree::of(&chain(0), &Board::default()).unwrap();
    assert_eq!(
        (tree.picture.blocks.len(), tree.picture.edges.len()),
        (1, 0)
    );
    assert!(tree.drawing[0].contains("genesis block") && tree.drawing[0].contains("[active]"));
}
