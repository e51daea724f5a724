//! A terminal that a program is run in and a test looks at.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::LIMIT;

/// What a full-screen program begins with: the other screen.
const ENTERED: &str = "\u{1b}[?1049h";
/// And what it ends with.
const LEFT: &str = "\u{1b}[?1049l";
/// The cursor is there again.
const CURSOR: &str = "\u{1b}[?25h";

/// A terminal of 100 columns and 30 rows.
pub struct Pty {
    master: File,
    slave: OwnedFd,
    written: Arc<Mutex<Vec<u8>>>,
    flags: LocalFlags,
}

impl Pty {
    /// A new one, with nothing running in it.
    pub fn open() -> Self {
        let size = Winsize {
            ws_row: 30,
            ws_col: 100,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).unwrap();
        let master = File::from(pty.master);
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, heard) = (master.try_clone().unwrap(), Arc::clone(&written));
        // It ends with the terminal: reading fails when nobody has the other end any more.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                heard.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self {
            flags: tcgetattr(&pty.slave).unwrap().local_flags,
            slave: pty.slave,
            master,
            written,
        }
    }

    /// Has `command` run in it, with standard input and output; standard error stays as it is.
    pub fn hold(&self, command: &mut Command) {
        let end = || Stdio::from(self.slave.as_fd().try_clone_to_owned().unwrap());
        command.stdin(end()).stdout(end());
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
    }

    /// The same with standard error.
    pub fn hold_all(&self, command: &mut Command) {
        self.hold(command);
        command.stderr(self.slave.as_fd().try_clone_to_owned().unwrap());
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Everything that was written to it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Waits until this was written to it.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let deadline = Instant::now() + LIMIT;
        while !self.text().contains(text) {
            let seen = self.text();
            assert!(Instant::now() < deadline, "no {text:?} in {seen:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a full-screen program has it.
    #[track_caller]
    pub fn wait_until_taken(&self) {
        self.wait_for(ENTERED);
        let deadline = Instant::now() + LIMIT;
        while tcgetattr(&self.slave).unwrap().local_flags == self.flags {
            assert!(Instant::now() < deadline, "keys are still echoed");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Fails unless it is as it was before a full-screen program had it. Returns what was written
    /// before, meanwhile and after.
    #[track_caller]
    pub fn check_given_back(&self) -> [String; 3] {
        self.wait_for(LEFT);
        self.wait_for(CURSOR);
        assert_eq!(tcgetattr(&self.slave).unwrap().local_flags, self.flags);
        let text = self.text();
        let (before, rest) = text.split_once(ENTERED).unwrap();
        let (meanwhile, after) = rest.rsplit_once(LEFT).unwrap();
        [before, meanwhile, after].map(str::to_owned)
    }
}
