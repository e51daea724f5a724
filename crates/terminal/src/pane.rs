//! What is drawn in every view alike: frames, tables, the log, and the bar of keys.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Cell, Paragraph, Row, Table};

use crate::shell::{KEYS, Shell, TYPING_KEYS};

/// How good something is: a colour for the eye, beside the word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// As it should be.
    Good,
    /// On its way.
    Waiting,
    /// Broken.
    Bad,
    /// Neither here nor there.
    Quiet,
    /// To be seen first.
    Loud,
}

impl Mood {
    /// How it looks.
    pub fn style(self) -> Style {
        match self {
            Self::Good => Style::new().fg(Color::Green),
            Self::Waiting => Style::new().fg(Color::Yellow),
            Self::Bad => Style::new().fg(Color::Red),
            Self::Quiet => Style::new().fg(Color::DarkGray),
            Self::Loud => Style::new().bold(),
        }
    }

    /// A text that looks like it.
    pub fn text(self, text: impl Into<String>) -> Span<'static> {
        Span::styled(text.into(), self.style())
    }
}

/// Rows of a frame that are not its content: both borders.
pub const FRAME: u16 = 2;
/// Rows of a table that are not its rows: the frame and the header.
pub const TABLE_FRAME: u16 = FRAME + 1;

/// Columns between two columns of a table.
const SPACING: u16 = 2;
/// What a column of no fixed width is to have at least.
const LEAST: u16 = 8;

/// A table with a title; one pane of a view.
#[derive(Debug)]
pub struct Grid<'a> {
    /// On the frame.
    pub title: String,
    /// Names and widths of the columns.
    pub columns: &'a [(&'a str, Constraint)],
    /// Cells by row.
    pub rows: Vec<Vec<Line<'static>>>,
    /// What is shown when there is no row.
    pub empty: &'a str,
}

impl Grid<'_> {
    /// Draws the rows that `shell` says, as the pane of that number.
    pub fn draw(self, frame: &mut Frame<'_>, area: Rect, shell: &Shell, pane: usize) {
        if area.is_empty() {
            return;
        }
        let fits = usize::from(area.height.saturating_sub(TABLE_FRAME));
        let (first, all) = (shell.first(pane), self.rows.len());
        let mut block = framed(self.title, shell.has_focus(pane));
        if all > fits && fits > 0 {
            let last = (first + fits).min(all);
            let place = format!(" {}-{last} of {all} ", first + 1);
            block = block.title(Line::from(place).right_aligned());
        }
        if all == 0 {
            let text = Paragraph::new(Mood::Quiet.text(self.empty)).block(block);
            return frame.render_widget(text, area);
        }
        let shown = fitting(self.columns, area.width.saturating_sub(FRAME));
        let header = shown.iter().map(|at| Mood::Quiet.text(self.columns[*at].0));
        let widths = shown.iter().map(|at| self.columns[*at].1);
        let rows = self.rows.iter().skip(first).take(fits);
        let rows = rows.map(|row| {
            let cells = shown.iter().filter_map(|at| row.get(*at));
            Row::new(cells.map(|cell| Cell::from(cell.clone())))
        });
        let table = Table::new(rows, widths)
            .header(Row::new(header))
            .column_spacing(SPACING)
            .block(block);
        frame.render_widget(table, area);
    }
}

/// The columns there is room for, the first ones first: a few whole ones say more than pieces of
/// all.
fn fitting(columns: &[(&str, Constraint)], width: u16) -> Vec<usize> {
    let mut left = width + SPACING;
    let fits = |(at, (_, column)): (usize, &(&str, Constraint))| {
        let needed = SPACING
            + match column {
                Constraint::Length(length) => *length,
                _ => LEAST,
            };
        let fits = at == 0 || needed <= left;
        left = left.saturating_sub(if fits { needed } else { 0 });
        fits.then_some(at)
    };
    columns.iter().enumerate().filter_map(fits).collect()
}

/// A frame with a title.
pub fn framed(title: impl Into<String>, has_focus: bool) -> Block<'static> {
    let (border, style) = match has_focus {
        true => (BorderType::Thick, Style::new().fg(Color::Cyan)),
        false => (BorderType::Plain, Style::new().fg(Color::DarkGray)),
    };
    Block::bordered()
        .border_type(border)
        .border_style(style)
        .title(Mood::Loud.text(format!(" {} ", title.into())))
}

/// Draws the log, as the last pane.
pub fn draw_log(frame: &mut Frame<'_>, area: Rect, shell: &Shell, pane: usize) {
    if area.is_empty() {
        return;
    }
    let mut block = framed("log", shell.has_focus(pane));
    let about = shell.log.about();
    if !about.is_empty() {
        block = block.title(Line::from(format!(" {about} ")).right_aligned());
    }
    let lines = Paragraph::new(shell.log.visible()).block(block);
    frame.render_widget(lines, area);
}

/// Draws the keys there are, or the filter while it is being typed.
pub fn draw_keys(frame: &mut Frame<'_>, area: Rect, shell: &Shell) {
    let mut spans = Vec::new();
    if shell.is_held() {
        spans.push(Span::raw(" HELD ").reversed());
        spans.push(Span::raw(" "));
    }
    let keys = match shell.log.typing() {
        Some(filter) => {
            spans.push(Mood::Loud.text("filter: "));
            spans.push(Span::raw(filter.to_owned()));
            spans.push(Span::raw("▏ "));
            TYPING_KEYS
        }
        None => KEYS,
    };
    for (key, what) in keys {
        spans.push(Span::raw(*key).fg(Color::Cyan).bold());
        spans.push(Mood::Quiet.text(format!(" {what}  ")));
    }
    frame.render_widget(Line::from(spans), area);
}

#[cfg(test)]
mod tests;
