use super::*;
use crate::log::{Level, LogLine};

fn key(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

fn control(letter: char) -> KeyEvent {
    KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)
}

/// Three panes of 10 rows, of which 4 fit, and the log.
fn shell() -> Shell {
    let mut shell = Shell::new(3);
    shell.fit([(10, 4); 3], 4);
    shell
}

#[test]
fn every_key_means_one_thing() {
    for (pressed, expected) in [
        (key(KeyCode::Char('q')), Some(Command::Quit)),
        (control('c'), Some(Command::Quit)),
        (key(KeyCode::Tab), Some(Command::Next)),
        (key(KeyCode::BackTab), Some(Command::Previous)),
        (key(KeyCode::Up), Some(Command::Scroll(-1))),
        (key(KeyCode::Char('j')), Some(Command::Scroll(1))),
        (key(KeyCode::PageUp), Some(Command::Page(-1))),
        (key(KeyCode::PageDown), Some(Command::Page(1))),
        (key(KeyCode::Home), Some(Command::Top)),
        (key(KeyCode::Char('G')), Some(Command::Bottom)),
        (key(KeyCode::Left), Some(Command::Shift(false))),
        (key(KeyCode::Right), Some(Command::Shift(true))),
        (key(KeyCode::Enter), Some(Command::Enlarge)),
        (key(KeyCode::Esc), Some(Command::Back)),
        (key(KeyCode::Char(' ')), Some(Command::Hold)),
        (key(KeyCode::Char('/')), Some(Command::Filter)),
        (key(KeyCode::Char('l')), Some(Command::Level)),
        (key(KeyCode::Char('x')), None),
        (control('q'), None),
        (key(KeyCode::F(1)), None),
    ] {
        assert_eq!(Command::of(pressed, false), expected, "{pressed:?}");
    }
}

#[test]
fn while_typing_letters_are_letters() {
    for (pressed, expected) in [
        (key(KeyCode::Char('q')), Some(Command::Typed('q'))),
        (key(KeyCode::Char(' ')), Some(Command::Typed(' '))),
        (key(KeyCode::Backspace), Some(Command::Delete)),
        (control('u'), Some(Command::Clear)),
        (key(KeyCode::Enter), Some(Command::Keep)),
        (key(KeyCode::Esc), Some(Command::Clear)),
        (control('c'), Some(Command::Quit)),
        (key(KeyCode::Tab), None),
    ] {
        assert_eq!(Command::of(pressed, true), expected, "{pressed:?}");
    }
}

#[test]
fn quitting_is_the_only_key_that_ends_the_view() {
    let mut shell = shell();
    assert!(shell.key(key(KeyCode::Tab)));
    assert!(shell.key(key(KeyCode::Char('/'))));
    assert!(shell.key(key(KeyCode::Char('q'))));
    assert_eq!(shell.log.typing(), Some("q"));
    assert!(!shell.key(control('c')));
    shell.key(key(KeyCode::Esc));
    assert!(!shell.key(key(KeyCode::Char('q'))));
}

#[test]
fn the_focus_goes_round() {
    let mut shell = shell();
    assert!(shell.has_focus(3));
    shell.key(key(KeyCode::Tab));
    assert!(shell.has_focus(0));
    shell.key(key(KeyCode::BackTab));
    shell.key(key(KeyCode::BackTab));
    assert!(shell.has_focus(2));
}

#[test]
fn only_the_pane_in_focus_scrolls_and_not_beyond_its_rows() {
    let mut shell = shell();
    shell.key(key(KeyCode::Tab));
    for (code, first) in [
        (KeyCode::Up, 0),
        (KeyCode::Down, 1),
        (KeyCode::PageDown, 5),
        (KeyCode::PageDown, 6),
        (KeyCode::Home, 0),
        (KeyCode::End, 6),
    ] {
        shell.key(key(code));
        assert_eq!((shell.first(0), shell.first(1)), (first, 0), "{code:?}");
    }
}

#[test]
fn rows_that_are_gone_are_not_scrolled_to() {
    let mut shell = shell();
    shell.key(key(KeyCode::Tab));
    shell.key(key(KeyCode::End));
    shell.fit([(5, 4), (10, 4), (10, 4)], 4);
    assert_eq!(shell.first(0), 1);
    shell.fit([(0, 4), (10, 4), (10, 4)], 4);
    assert_eq!(shell.first(0), 0);
}

#[test]
fn the_log_scrolls_back_from_its_end() {
    let mut shell = shell();
    for number in 1..=10 {
        shell.log.push(LogLine {
            level: Level::Info,
            source: String::new(),
            text: number.to_string(),
        });
    }
    let shown = |shell: &Shell| shell.log.visible().last().map(ToString::to_string);
    shell.key(key(KeyCode::PageUp));
    assert_eq!(shown(&shell).as_deref(), Some("6"));
    shell.key(key(KeyCode::End));
    assert_eq!(shown(&shell).as_deref(), Some("10"));
}

#[test]
fn an_enlarged_pane_has_the_whole_body_and_so_has_any_pane_of_a_small_terminal() {
    let column = |body: Rect| vec![Rect { height: 4, ..body }; 4];
    let mut shell = shell();
    let (large, small) = (Rect::new(0, 1, 100, 30), Rect::new(0, 1, 30, 8));
    assert_eq!(shell.arrange(large, column), column(large));
    let alone = |body| [Rect::ZERO, Rect::ZERO, Rect::ZERO, body];
    assert_eq!(shell.arrange(small, column), alone(small));
    shell.key(key(KeyCode::Enter));
    assert_eq!(shell.arrange(large, column), alone(large));
    shell.key(key(KeyCode::Esc));
    assert_eq!(shell.arrange(large, column), column(large));
}

#[test]
fn holding_is_a_switch() {
    let mut shell = shell();
    shell.key(key(KeyCode::Char(' ')));
    assert!(shell.is_held());
    shell.key(key(KeyCode::Char(' ')));
    assert!(!shell.is_held());
}
