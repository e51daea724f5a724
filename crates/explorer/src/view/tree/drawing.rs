//! A tree as lines of text, the newest block first, as `git log --graph` has it.

use super::layout::{Cell, Layout};

/// `label` says what stands behind a cell of a line.
pub(super) fn draw(layout: &Layout, label: impl Fn(usize, Cell) -> String) -> Vec<String> {
    let mut order: Vec<usize> = (0..layout.lines.len()).collect();
    order.sort_by_key(|line| layout.lines[*line].row);
    let mut drawn = Vec::new();
    for column in (0..layout.columns.len()).rev() {
        for line in &order {
            let cells = layout.lines[*line].cells.iter().enumerate();
            let mut here = cells.filter(|(_, (place, _))| *place == column);
            if let Some((number, (_, cell))) = here.next() {
                let marks = marks(layout, *line, number, column);
                drawn.push(format!("{marks} {}", label(*line, *cell)));
            }
        }
    }
    drawn
}

/// A mark for each row: of the cell itself, of lines that pass, and of those that end on it.
fn marks(layout: &Layout, line: usize, number: usize, column: usize) -> String {
    let own = layout.lines[line].row;
    let ends_here = |row: usize| {
        let mut lines = layout.lines.iter();
        lines.any(|other| other.row == row && other.joint == Some((line, number)))
    };
    let last = (own..layout.rows).rev().find(|row| ends_here(*row));
    let mut marks = String::new();
    for row in 0..layout.rows {
        let is_crossed = row >= own && last.is_some_and(|last| row < last);
        let mark = match layout.lines[line].cells[number].1 {
            Cell::Block(_) if row == own && line == 0 => '●',
            Cell::Block(_) if row == own => '○',
            Cell::LeftOut(_) if row == own => '⋮',
            _ if ends_here(row) => match is_crossed {
                true => '┴',
                false => '╯',
            },
            _ if is_crossed => '─',
            _ if passes(layout, row, own, column) => '│',
            _ => ' ',
        };
        marks.push(mark);
        marks.push(if is_crossed { '─' } else { ' ' });
    }
    marks
}

/// Whether a line in `row` goes by a cell in another row of this column. Of a column the upper
/// rows are drawn first.
fn passes(layout: &Layout, row: usize, own: usize, column: usize) -> bool {
    let in_row = layout.lines.iter().filter(|line| line.row == row);
    let mut ends = in_row.filter_map(|line| Some((line.cells.first()?.0, line.cells.last()?.0)));
    ends.any(|(first, last)| first <= column && (column < last || (column == last && row < own)))
}
