//! The view in a real terminal.

use std::process::{ExitStatus, Stdio};

use nix::sys::signal::Signal;
use regtest::{Port, Program, Pty, free_port};

use crate::site::REWARD;

/// In a terminal, with a template provider that is not there: nobody listens on its port.
fn start(pty: &Pty, logs_to_screen: bool) -> (Program, Port) {
    let provider = free_port();
    let key = protocol::keys::AuthorityKey::generate(&mut rand::thread_rng());
    let keys = format!(
        r#"
mode = "solo"
coinbase_reward_script = "{}"
[template_provider]
address = "127.0.0.1:{provider}"
public_key = "{}"
"#,
        REWARD,
        key.public_text(),
    );
    let path = env!("CARGO_BIN_EXE_jdc");
    let program = Program::start_as(path, free_port(), &keys, |command| {
        command.arg("--tui");
        match logs_to_screen {
            true => pty.hold_all(command),
            false => pty.hold(command),
        }
    });
    (program, provider)
}

#[track_caller]
fn ended_well(status: ExitStatus) {
    assert_eq!(status.code(), Some(0));
}

#[test]
fn quitting_ends_the_role_and_gives_the_terminal_back() {
    let mut pty = Pty::open();
    let (mut program, _provider) = start(&pty, true);
    pty.wait_until_taken();
    pty.wait_for("declared jobs");
    pty.wait_for("disconnected");
    pty.press("q");
    ended_well(program.end().0);
    let [_, meanwhile, _] = pty.check_given_back();
    // Lines of the log have no level in their pane.
    assert!(!meanwhile.contains("INFO"), "{meanwhile}");
}

#[test]
fn a_signal_ends_the_role_and_gives_the_terminal_back() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let pty = Pty::open();
        let (mut program, _provider) = start(&pty, true);
        pty.wait_until_taken();
        pty.wait_for("declared jobs");
        program.signal(signal);
        ended_well(program.end().0);
        pty.check_given_back();
    }
}

#[test]
fn a_log_that_goes_elsewhere_goes_there_and_to_its_pane() {
    let mut pty = Pty::open();
    let (mut program, _provider) = start(&pty, false);
    pty.wait_until_taken();
    pty.wait_for("listening");
    pty.wait_for("cannot connect, still trying");
    pty.press("q");
    let (status, log) = program.end();
    ended_well(status);
    pty.check_given_back();
    assert!(log.contains("cannot connect, still trying"), "{log}");
}

#[test]
fn without_a_terminal_there_is_no_view() {
    let path = env!("CARGO_BIN_EXE_jdc");
    let mut program = Program::start_as(path, free_port(), "", |command| {
        command.arg("--tui").stdout(Stdio::null());
    });
    let (status, log) = program.end();
    assert_eq!(status.code(), Some(64));
    assert!(
        log.contains("--tui: standard output is no terminal"),
        "{log}"
    );
}
