//! `lab`: a Stratum V2 mining network on one machine, up and down with one command.

mod cli;
mod command;
mod console;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use orchestrator::fault::{EXIT_INTERRUPTED, EXIT_USAGE};
use tokio::signal::unix::{Signal, SignalKind, signal};

use cli::Cli;
use console::Console;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to tell when even this cannot be written.
            let _ = error.print();
            if !error.use_stderr() {
                return ExitCode::SUCCESS;
            }
            if std::env::args_os().any(|word| word == "--json") {
                let message = error.render().to_string();
                let _ = Console::new(true).refused(message.trim_end());
            }
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system gives a thread and a poller");
    let console = Console::new(cli.json);
    let code = runtime.block_on(async {
        let mut interrupt = match Interrupt::listen() {
            Ok(interrupt) => interrupt,
            Err(error) => return console.failed(&error.into()),
        };
        match command::run(&cli, &console, &mut interrupt).await {
            Ok(code) => code,
            Err(error) => console.failed(&error),
        }
    });
    // An abandoned packing job on another thread must not hold the exit back.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Time in which a second interruption is the first one again.
const QUICK_SUCCESSION: Duration = Duration::from_millis(500);

/// Ctrl-C and SIGTERM, which mean the same: end in good order.
struct Interrupt {
    int: Signal,
    term: Signal,
    last: Option<Instant>,
}

impl Interrupt {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            last: None,
        })
    }

    /// Waits for the next one. Two in quick succession are one: a nervous finger, or a parent that
    /// signals both us and our process group.
    async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.int.recv() => {}
                _ = self.term.recv() => {}
            }
            let last = self.last.replace(Instant::now());
            if last.is_none_or(|last| last.elapsed() > QUICK_SUCCESSION) {
                return;
            }
        }
    }

    /// Runs to the end, or to an interruption, for work that leaves nothing behind.
    async fn or<T>(&mut self, work: impl Future<Output = T>) -> Result<T, u8> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.next() => Err(EXIT_INTERRUPTED),
        }
    }
}
