//! A terminal is given back as it was, whatever becomes of the view.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Child, Command};

use regtest::Pty;
use terminal::screen::Screen;

/// Runs one of the tests below in a terminal, as a program of its own.
fn run(name: &str, pty: &Pty) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--nocapture", "--exact", name]);
    pty.hold_all(&mut command);
    command.spawn().unwrap()
}

fn enter() -> Screen {
    let mut screen = Screen::enter().unwrap();
    screen
        .draw(|frame| frame.render_widget("shown", frame.area()))
        .unwrap();
    screen
}

#[test]
#[ignore = "for another test, which runs it in a terminal"]
fn child_that_panics_on_another_thread() {
    let mut screen = enter();
    let panics = || panic!("on purpose");
    std::thread::spawn(panics).join().unwrap_err();
    assert!(screen.is_gone());
    screen
        .draw(|frame| frame.render_widget("late", frame.area()))
        .unwrap();
}

#[test]
#[ignore = "for another test, which runs it in a terminal"]
fn child_that_panics_while_drawing() {
    let mut screen = enter();
    let _ = screen.draw(|_| panic!("on purpose"));
}

#[test]
#[ignore = "for another test, which runs it in a terminal"]
fn child_that_ends() {
    drop(enter());
    println!("and on it goes");
}

#[test]
fn a_panic_anywhere_gives_the_terminal_back_before_its_message_is_written() {
    for name in [
        "child_that_panics_on_another_thread",
        "child_that_panics_while_drawing",
    ] {
        let pty = Pty::open();
        run(name, &pty).wait().unwrap();
        pty.wait_for("test result");
        let [_, meanwhile, after] = pty.check_given_back();
        assert!(meanwhile.contains("shown"), "{name}: {meanwhile}");
        assert!(after.contains("on purpose"), "{name}: {after}");
        assert!(!after.contains("late"), "{name}: {after}");
    }
}

#[test]
fn the_end_of_a_view_gives_the_terminal_back() {
    let pty = Pty::open();
    assert!(run("child_that_ends", &pty).wait().unwrap().success());
    pty.wait_for("test result");
    let [_, meanwhile, after] = pty.check_given_back();
    assert!(meanwhile.contains("shown"), "{meanwhile}");
    assert!(after.contains("and on it goes"), "{after}");
}
