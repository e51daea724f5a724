//! One file per verb: call the library, print what it says.

mod bitcoin_cli;
mod build;
mod down;
mod logs;
mod mine;
mod status;
mod up;

use std::path::Path;

use anyhow::Result;
use clap::CommandFactory;
use orchestrator::backend::process::supervisor;
use orchestrator::lab::Lab;
use orchestrator::programs::Programs;
use orchestrator::state::{self, StateDir};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::Interrupt;
use crate::cli::{Cli, Command};
use crate::console::Console;

/// Runs one command and returns its exit code.
pub(crate) async fn run(cli: &Cli, console: &Console, interrupt: &mut Interrupt) -> Result<u8> {
    match &cli.command {
        Command::Up(args) => {
            return Box::pin(up::run(args, &cli.name, console, interrupt)).await;
        }
        Command::Supervise { home } => return supervise(home, &cli.name, interrupt).await,
        _ => {}
    }
    match interrupt.or(Box::pin(run_short(cli, console))).await {
        Ok(done) => done,
        Err(interrupted) => Ok(interrupted),
    }
}

/// Runs a command that may be dropped at any point.
async fn run_short(cli: &Cli, console: &Console) -> Result<u8> {
    match &cli.command {
        Command::Down => down::run(&cli.name, console).await?,
        Command::Status => status::run(&open(cli).await?, console).await?,
        Command::Logs(args) => logs::run(args, &open(cli).await?, console).await?,
        Command::Mine(args) => mine::run(args, &open(cli).await?, console).await?,
        Command::Cli(args) => return bitcoin_cli::run(args, &open(cli).await?, console).await,
        Command::Build(args) => build::run(args, &cli.name, console).await?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "lab", &mut script);
            let script = String::from_utf8(script)?;
            if console.json {
                console.print_json(&json!({ "shell": shell.to_string(), "script": script }))?;
            } else {
                console.print(script.trim_end())?;
            }
        }
        Command::Up(_) | Command::Supervise { .. } => unreachable!("these are no short commands"),
    }
    Ok(0)
}

async fn open(cli: &Cli) -> Result<Lab> {
    Lab::open(&state::home()?, &cli.name, Programs::from_env()).await
}

async fn supervise(home: &Path, name: &str, interrupt: &mut Interrupt) -> Result<u8> {
    // Away from the terminal of `lab up`: neither its Ctrl-C nor its end is the lab's.
    let _ = nix::unistd::setsid();
    let state = StateDir::new(home, name)?;
    let stop = CancellationToken::new();
    let supervisor = supervisor::run(&state, stop.clone());
    let stopping = async {
        interrupt.next().await;
        stop.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        done = supervisor => done?,
        () = stopping => {}
    }
    Ok(0)
}
