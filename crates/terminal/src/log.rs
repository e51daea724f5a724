//! Log lines: the newest ones, and which of them are shown.

use std::collections::VecDeque;

use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};

/// Lines kept. When there are more, the oldest goes.
const MAX_LINES: usize = 5_000;

/// Columns that one step to the side moves.
const STEP: usize = 8;

/// How much a line matters, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is broken.
    Error,
    /// Something may be.
    Warn,
    /// Worth knowing.
    Info,
    /// Each message.
    Debug,
    /// Each byte.
    Trace,
}

impl Level {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Error => Style::new().fg(Color::Red).bold(),
            Self::Warn => Style::new().fg(Color::Yellow),
            Self::Info => Style::new(),
            Self::Debug | Self::Trace => Style::new().fg(Color::DarkGray),
        }
    }

    /// The next less important one, and after the last one the first again.
    fn next(self) -> Self {
        match self {
            Self::Error => Self::Warn,
            Self::Warn => Self::Info,
            Self::Info => Self::Debug,
            Self::Debug => Self::Trace,
            Self::Trace => Self::Error,
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// Who wrote it; may be empty.
    pub source: String,
    /// What it says.
    pub text: String,
}

impl LogLine {
    fn has(&self, word: &str) -> bool {
        self.text.to_lowercase().contains(word) || self.source.to_lowercase().contains(word)
    }
}

/// The lines and what is shown of them.
#[derive(Debug)]
pub struct Log {
    lines: VecDeque<LogLine>,
    filter: String,
    is_typing: bool,
    level: Level,
    /// Shown lines below the pane's last one; 0 goes along with what comes.
    below: usize,
    /// Columns hidden on the left.
    shift: usize,
    /// Rows of the pane.
    height: usize,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            lines: VecDeque::new(),
            filter: String::new(),
            is_typing: false,
            level: Level::Trace,
            below: 0,
            shift: 0,
            height: 0,
        }
    }
}

impl Log {
    /// A new line. Who has scrolled back keeps seeing the same lines.
    pub fn push(&mut self, line: LogLine) {
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
        }
        if self.below > 0 && self.shows(&line) {
            self.below += 1;
        }
        self.lines.push_back(line);
    }

    /// The lines that the pane shows.
    pub fn visible(&self) -> Vec<Line<'_>> {
        let shown = self.lines.iter().rev().filter(|line| self.shows(line));
        let page: Vec<&LogLine> = shown.skip(self.below).take(self.height).collect();
        page.into_iter().rev().map(|line| self.draw(line)).collect()
    }

    /// What is shown, in short, for the title: `level`, `filter` and how far it is scrolled back.
    pub fn about(&self) -> String {
        let mut parts = Vec::new();
        if self.level != Level::Trace {
            parts.push(format!("{} and above", self.level.name()));
        }
        if !self.filter.is_empty() {
            parts.push(format!("with \"{}\"", self.filter));
        }
        if self.below > 0 {
            parts.push(format!("{} newer below", self.below));
        }
        parts.join(", ")
    }

    /// The filter while it is being typed.
    pub fn typing(&self) -> Option<&str> {
        self.is_typing.then_some(&self.filter)
    }

    /// From now on what is typed is the filter: words that a line must have, all of them, and with
    /// a `-` before them words that it must not have.
    pub(crate) fn begin_typing(&mut self) {
        self.is_typing = true;
    }

    pub(crate) fn end_typing(&mut self) {
        self.is_typing = false;
    }

    pub(crate) fn type_char(&mut self, typed: char) {
        self.filter.push(typed);
        self.below = 0;
    }

    pub(crate) fn delete_char(&mut self) {
        self.filter.pop();
        self.below = 0;
    }

    /// Shows every line again.
    pub(crate) fn clear_filter(&mut self) {
        self.filter.clear();
        self.below = 0;
    }

    pub(crate) fn next_level(&mut self) {
        self.level = self.level.next();
        self.below = 0;
    }

    /// By rows: up is negative.
    pub(crate) fn scroll(&mut self, rows: isize) {
        self.below = self.below.saturating_add_signed(-rows);
        self.clamp();
    }

    pub(crate) fn shift(&mut self, right: bool) {
        self.shift = match right {
            true => self.shift + STEP,
            false => self.shift.saturating_sub(STEP),
        };
    }

    pub(crate) fn page(&self) -> usize {
        self.height
    }

    pub(crate) fn fit(&mut self, height: usize) {
        self.height = height;
        self.clamp();
    }

    fn clamp(&mut self) {
        if self.below > 0 {
            let shown = self.lines.iter().filter(|line| self.shows(line)).count();
            self.below = self.below.min(shown.saturating_sub(self.height));
        }
    }

    fn shows(&self, line: &LogLine) -> bool {
        let wanted = |word: &str| match word.strip_prefix('-') {
            Some("") => true,
            Some(unwanted) => !line.has(&unwanted.to_lowercase()),
            None => line.has(&word.to_lowercase()),
        };
        line.level <= self.level && self.filter.split_whitespace().all(wanted)
    }

    fn draw<'a>(&self, line: &'a LogLine) -> Line<'a> {
        let text: String = line.text.chars().skip(self.shift).collect();
        let mut spans = Vec::new();
        if !line.source.is_empty() {
            spans.push(Span::raw(&line.source).fg(colour(&line.source)));
            spans.push(Span::raw(" "));
        }
        spans.push(Span::styled(text, line.level.style()));
        Line::from(spans)
    }
}

/// The same for the same name, so that the eye can follow one source.
fn colour(name: &str) -> Color {
    const COLOURS: [Color; 6] = [
        Color::Cyan,
        Color::Green,
        Color::Magenta,
        Color::Blue,
        Color::LightYellow,
        Color::LightRed,
    ];
    let sum: usize = name.trim_end().bytes().map(usize::from).sum();
    COLOURS[sum % COLOURS.len()]
}

#[cfg(test)]
mod tests;
