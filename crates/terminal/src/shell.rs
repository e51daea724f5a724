//! What keys do, in every view alike.
//!
//! A view is a column of panes, the last of which is the log. One pane has the focus: it scrolls,
//! and it can have the whole screen to itself, which is also what a small terminal shows.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;

use crate::log::Log;

/// Rows and columns below which only the pane in focus is shown.
const ROOMY: (u16, u16) = (16, 60);

/// The keys, for the bar at the bottom: the most important first.
pub const KEYS: &[(&str, &str)] = &[
    ("q", "quit"),
    ("Tab", "next pane"),
    ("↑↓", "scroll"),
    ("Enter", "enlarge"),
    ("/", "filter log"),
    ("l", "log level"),
    ("Space", "hold"),
];

/// The keys while the filter is being typed.
pub const TYPING_KEYS: &[(&str, &str)] = &[
    ("Enter", "keep"),
    ("Esc", "show all"),
    ("-word", "leave out"),
];

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// End the view.
    Quit,
    /// Focus on the next pane.
    Next,
    /// Focus on the one before.
    Previous,
    /// Scroll by rows; up is negative.
    Scroll(isize),
    /// Scroll by pages; up is negative.
    Page(isize),
    /// To the first row.
    Top,
    /// To the last row.
    Bottom,
    /// Move the log's lines to the side: `true` shows what is further right.
    Shift(bool),
    /// Give the focused pane the whole screen, or take it back.
    Enlarge,
    /// Back from that.
    Back,
    /// Hold what is shown, or go on.
    Hold,
    /// Type the log's filter.
    Filter,
    /// Show fewer or more levels of the log.
    Level,
    /// Part of the filter.
    Typed(char),
    /// Take back its last character.
    Delete,
    /// Empty it.
    Clear,
    /// The filter is typed.
    Keep,
}

impl Command {
    /// What a key means; `typing` is whether the filter is being typed.
    pub fn of(key: KeyEvent, typing: bool) -> Option<Self> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let command = match (key.code, control) {
            (KeyCode::Char('c'), true) => Self::Quit,
            (KeyCode::Char('u'), true) if typing => Self::Clear,
            (_, true) => return None,
            (code, false) if typing => return Self::of_typing(code),
            (KeyCode::Char('q'), _) => Self::Quit,
            (KeyCode::Tab, _) => Self::Next,
            (KeyCode::BackTab, _) => Self::Previous,
            (KeyCode::Up | KeyCode::Char('k'), _) => Self::Scroll(-1),
            (KeyCode::Down | KeyCode::Char('j'), _) => Self::Scroll(1),
            (KeyCode::PageUp, _) => Self::Page(-1),
            (KeyCode::PageDown, _) => Self::Page(1),
            (KeyCode::Home | KeyCode::Char('g'), _) => Self::Top,
            (KeyCode::End | KeyCode::Char('G'), _) => Self::Bottom,
            (KeyCode::Left, _) => Self::Shift(false),
            (KeyCode::Right, _) => Self::Shift(true),
            (KeyCode::Enter | KeyCode::Char('z'), _) => Self::Enlarge,
            (KeyCode::Esc, _) => Self::Back,
            (KeyCode::Char(' '), _) => Self::Hold,
            (KeyCode::Char('/'), _) => Self::Filter,
            (KeyCode::Char('l'), _) => Self::Level,
            _ => return None,
        };
        Some(command)
    }

    fn of_typing(code: KeyCode) -> Option<Self> {
        match code {
            KeyCode::Char(typed) => Some(Self::Typed(typed)),
            KeyCode::Backspace => Some(Self::Delete),
            KeyCode::Enter => Some(Self::Keep),
            KeyCode::Esc => Some(Self::Clear),
            _ => None,
        }
    }
}

/// A pane's rows: how many there are, how many fit, and the first one shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Rows {
    first: usize,
    all: usize,
    height: usize,
}

impl Rows {
    fn scroll(&mut self, rows: isize) {
        self.first = self.first.saturating_add_signed(rows).min(self.last());
    }

    /// The first row when the last one is in sight.
    fn last(&self) -> usize {
        self.all.saturating_sub(self.height)
    }
}

/// The state that keys change.
#[derive(Debug)]
pub struct Shell {
    /// All but the log.
    panes: Vec<Rows>,
    /// The log.
    pub log: Log,
    focus: usize,
    is_enlarged: bool,
    is_held: bool,
}

impl Shell {
    /// With that many panes and the log, which has the focus.
    pub fn new(panes: usize) -> Self {
        Self {
            panes: vec![Rows::default(); panes],
            log: Log::default(),
            focus: panes,
            is_enlarged: false,
            is_held: false,
        }
    }

    /// A key was pressed. Returns `false` when the view is to end.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        match Command::of(key, self.log.typing().is_some()) {
            Some(Command::Quit) => return false,
            Some(command) => self.obey(command),
            None => {}
        }
        true
    }

    /// Where the panes go, the log's area last: the column they are in, with their heights, or
    /// nothing but the one in focus. A pane with no area is not drawn.
    pub fn arrange(&self, body: Rect, heights: impl FnOnce(Rect) -> Vec<Rect>) -> Vec<Rect> {
        let (rows, columns) = ROOMY;
        if !self.is_enlarged && body.height >= rows && body.width >= columns {
            return heights(body);
        }
        let mut areas = vec![Rect::ZERO; self.panes.len() + 1];
        areas[self.focus] = body;
        areas
    }

    /// Tells how many rows each pane has and shows, the log's last, before they are drawn.
    pub fn fit(&mut self, panes: impl IntoIterator<Item = (usize, usize)>, log: usize) {
        for (rows, (all, height)) in self.panes.iter_mut().zip(panes) {
            (rows.all, rows.height) = (all, height);
            rows.scroll(0);
        }
        self.log.fit(log);
    }

    /// The first row that a pane shows.
    pub fn first(&self, pane: usize) -> usize {
        self.panes[pane].first
    }

    /// Whether a pane has the focus.
    pub fn has_focus(&self, pane: usize) -> bool {
        self.focus == pane
    }

    /// Whether what is shown is to stay as it is.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    fn obey(&mut self, command: Command) {
        let count = self.panes.len() + 1;
        match command {
            Command::Next => self.focus = (self.focus + 1) % count,
            Command::Previous => self.focus = (self.focus + count - 1) % count,
            Command::Scroll(rows) => self.scroll(rows),
            Command::Page(pages) => {
                let page = match self.panes.get(self.focus) {
                    Some(rows) => rows.height,
                    None => self.log.page(),
                };
                self.scroll(pages * page.max(1) as isize);
            }
            Command::Top => self.scroll(isize::MIN / 2),
            Command::Bottom => self.scroll(isize::MAX / 2),
            Command::Shift(right) => self.log.shift(right),
            Command::Enlarge => self.is_enlarged = !self.is_enlarged,
            Command::Back => self.is_enlarged = false,
            Command::Hold => self.is_held = !self.is_held,
            Command::Filter => {
                self.focus = count - 1;
                self.log.begin_typing();
            }
            Command::Level => self.log.next_level(),
            Command::Typed(typed) => self.log.type_char(typed),
            Command::Delete => self.log.delete_char(),
            Command::Clear => {
                self.log.clear_filter();
                self.log.end_typing();
            }
            Command::Keep => self.log.end_typing(),
            Command::Quit => unreachable!("the view ends with it"),
        }
    }

    fn scroll(&mut self, rows: isize) {
        match self.panes.get_mut(self.focus) {
            Some(pane) => pane.scroll(rows),
            None => self.log.scroll(rows),
        }
    }
}

#[cfg(test)]
mod tests;
