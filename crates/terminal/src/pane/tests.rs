use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::log::{Level, LogLine};

const COLUMNS: &[(&str, Constraint)] = &[
    ("name", Constraint::Length(6)),
    ("number", Constraint::Length(6)),
];

fn rows(count: usize) -> Vec<Vec<Line<'static>>> {
    let row = |number: usize| vec![Line::from(format!("n{number}")), Line::from("1")];
    (1..=count).map(row).collect()
}

fn drawn(width: u16, height: u16, draw: impl FnOnce(&mut Frame<'_>)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(draw).unwrap();
    match width {
        // It cannot be cut into rows.
        0 => String::new(),
        _ => terminal.backend().to_string(),
    }
}

fn grid(count: usize) -> Grid<'static> {
    Grid {
        title: "things".to_owned(),
        columns: COLUMNS,
        rows: rows(count),
        empty: "none yet",
    }
}

#[test]
fn a_table_says_which_of_its_rows_are_shown() {
    let mut shell = Shell::new(1);
    shell.fit([(3, 2)], 0);
    let text = drawn(30, 5, |frame| {
        grid(3).draw(frame, frame.area(), &shell, 0);
    });
    assert!(text.contains("1-2 of 3"), "{text}");
    assert!(text.contains("n2") && !text.contains("n3"), "{text}");
}

#[test]
fn columns_without_room_are_left_out_whole() {
    use Constraint::{Fill, Length};
    let columns = [
        ("a", Length(10)),
        ("b", Length(6)),
        ("c", Fill(1)),
        ("d", Length(4)),
    ];
    for (width, expected) in [
        (100, &[0, 1, 2, 3][..]),
        (34, &[0, 1, 2, 3]),
        (33, &[0, 1, 2]),
        (24, &[0, 1, 3]),
        (17, &[0, 3]),
        (3, &[0]),
        (0, &[0]),
    ] {
        assert_eq!(fitting(&columns, width), expected, "{width}");
    }
}

#[test]
fn an_empty_table_says_what_is_missing() {
    let text = drawn(30, 4, |frame| {
        grid(0).draw(frame, frame.area(), &Shell::new(1), 0);
    });
    assert!(text.contains("none yet"), "{text}");
}

#[test]
fn the_bar_shows_the_keys_or_the_filter() {
    let mut shell = Shell::new(0);
    let keys = |shell: &Shell| drawn(90, 1, |frame| draw_keys(frame, frame.area(), shell));
    assert!(keys(&shell).starts_with("\"q quit  Tab next pane"));
    for code in ['/', 'p', 'o'] {
        shell.key(crossterm::event::KeyCode::Char(code).into());
    }
    assert!(keys(&shell).starts_with("\"filter: po▏ Enter keep"));
}

#[test]
fn nobody_steers_the_terminal_by_a_name_or_a_log_line() {
    let mut shell = Shell::new(1);
    shell.fit([(1, 1)], 2);
    shell.log.push(LogLine {
        level: Level::Info,
        source: "a\u{1b}[2J".to_owned(),
        text: "b\u{1b}]0;title\u{7}c\r\n\u{9b}31md".to_owned(),
    });
    let mut terminal = Terminal::new(TestBackend::new(40, 9)).unwrap();
    let grid = Grid {
        rows: vec![vec![Line::from("x\u{1b}[31m\n"), Line::from("y\u{8}")]],
        ..grid(0)
    };
    terminal
        .draw(|frame| {
            grid.draw(frame, Rect::new(0, 0, 40, 4), &shell, 0);
            draw_log(frame, Rect::new(0, 4, 40, 4), &shell, 1);
        })
        .unwrap();
    for cell in terminal.backend().buffer().content() {
        assert!(!cell.symbol().contains(char::is_control), "{cell:?}");
    }
}

#[test]
fn no_size_is_too_small() {
    let shell = Shell::new(1);
    for (width, height) in (0..12).flat_map(|width| (0..6).map(move |height| (width, height))) {
        drawn(width, height, |frame| {
            grid(3).draw(frame, frame.area(), &shell, 0);
            draw_log(frame, frame.area(), &shell, 1);
            draw_keys(frame, frame.area(), &shell);
        });
    }
}
