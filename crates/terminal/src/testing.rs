//! For tests only: views as text, and keys.

use std::fs;
use std::path::Path;

use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyCode;
use ratatui::{Frame, Terminal};

use crate::KeyEvent;
use crate::shell::Shell;

/// Columns and rows that a view has to bear.
pub const SIZES: [(u16, u16); 9] = [
    (0, 0),
    (1, 1),
    (1, 50),
    (200, 1),
    (3, 3),
    (60, 17),
    (60, 18),
    (59, 40),
    (500, 200),
];

/// What `draw` draws, a line of text for each row.
///
/// # Panics
/// When it cannot be drawn.
pub fn picture(width: u16, height: u16, draw: impl FnOnce(&mut Frame<'_>)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("no terminal fails");
    terminal.draw(draw).expect("no terminal fails");
    if width == 0 {
        // It cannot be cut into rows.
        return String::new();
    }
    let rows = terminal.backend().to_string();
    let rows = rows.lines().map(|row| row.trim_matches('"').trim_end());
    rows.map(|row| format!("{row}\n")).collect()
}

/// Compares a picture with the one kept in `file`, or keeps it with `UPDATE_PICTURES=1`.
///
/// # Panics
/// When they differ, or the file cannot be written.
#[track_caller]
pub fn check(file: &Path, actual: &str) {
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        fs::write(file, actual).expect("a picture can be kept");
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    assert!(actual == expected, "not {}:\n{actual}", file.display());
}

/// Presses keys, none of which ends the view.
///
/// # Panics
/// When one does.
pub fn press(shell: &mut Shell, codes: &[KeyCode]) {
    for code in codes {
        assert!(shell.key(KeyEvent::from(*code)));
    }
}
