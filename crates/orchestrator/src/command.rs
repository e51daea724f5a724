//! One file per verb: call the library, print what it says.

mod bitcoin_cli;
mod build;
mod chaos;
mod compose;
mod doctor;
mod down;
mod exec;
mod explorer;
mod faucet;
mod inspect;
mod logs;
mod mine;
mod reorg;
mod rootfs;
mod scale;
mod scenario;
mod snapshot;
mod start;
mod status;
mod stop;
mod swap;
mod top;
mod tx;
mod up;
mod verify;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use clap::CommandFactory;
use orchestrator::backend::process::supervisor;
use orchestrator::lab::Lab;
use orchestrator::programs::Programs;
use orchestrator::state::{self, StateDir};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::Interrupt;
use crate::cli::{Cli, Command, KeepArgs};
use crate::console::Console;

/// Runs one command and returns its exit code.
pub(crate) async fn run(cli: &Cli, console: &Console, interrupt: &mut Interrupt) -> Result<u8> {
    match &cli.command {
        Command::Up(args) => {
            return Box::pin(up::run(args, &cli.name, console, interrupt)).await;
        }
        Command::Scenario(args) => {
            return Box::pin(scenario::run(args, &cli.name, console, interrupt)).await;
        }
        // Takes seconds, and half of it is none: it is not interrupted.
        Command::Snapshot(args) => {
            Box::pin(snapshot::run(args, &cli.name, console)).await?;
            return Ok(0);
        }
        Command::Supervise { home } => return supervise(home, &cli.name, interrupt).await,
        Command::Keep(args) => {
            let kept = interrupt.or(keep(args, &cli.name)).await;
            return kept.unwrap_or_else(Ok);
        }
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
        Command::Stop(args) => stop::run(args, &open(cli).await?, console).await?,
        Command::Start(args) => start::run(args, &open(cli).await?, console).await?,
        Command::Restart(args) => start::restart(args, &open(cli).await?, console).await?,
        Command::Exec(args) => return exec::run(args, &open(cli).await?, console).await,
        Command::Status => status::run(&open(cli).await?, console).await?,
        Command::Logs(args) => logs::run(args, &open(cli).await?, console).await?,
        Command::Top(args) => top::run(args, open(cli).await?, console).await?,
        Command::Faucet(args) => faucet::run(args, &open(cli).await?, console).await?,
        Command::Tx(args) => tx::run(args, &open(cli).await?, console).await?,
        Command::Reorg(args) => return reorg::run(args, &open(cli).await?, console).await,
        Command::Mine(args) => mine::run(args, &open(cli).await?, console).await?,
        Command::Cli(args) => return bitcoin_cli::run(args, &open(cli).await?, console).await,
        Command::Doctor(args) => return doctor::run(args, &cli.name, console).await,
        Command::Dump(args) => doctor::dump(args, &cli.name, console).await?,
        Command::Chaos(args) => chaos::run(args, &open(cli).await?, console).await?,
        Command::Inspect(args) => inspect::run(args, &open(cli).await?, console).await?,
        Command::Build(args) => build::run(args, &cli.name, console).await?,
        Command::Explorer(args) => explorer::run(args, &open(cli).await?, console).await?,
        Command::Verify => return verify::run(&open(cli).await?, console).await,
        Command::Swap(args) => swap::run(args, open(cli).await?, console).await?,
        Command::Scale(args) => scale::run(args, open(cli).await?, console).await?,
        Command::Compose(args) => compose::run(args, console)?,
        Command::Init(args) => compose::init(args).await?,
        Command::Rootfs(args) => rootfs::run(args)?,
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
        Command::Up(_)
        | Command::Scenario(_)
        | Command::Snapshot(_)
        | Command::Supervise { .. }
        | Command::Keep(_) => {
            unreachable!("these are no short commands")
        }
    }
    Ok(0)
}

async fn open(cli: &Cli) -> Result<Lab> {
    Lab::open(&state::home()?, &cli.name, Programs::from_env()).await
}

/// Ends a fault when its time is over. Nobody waits for it.
async fn keep(args: &KeepArgs, name: &str) -> Result<u8> {
    // Away from the terminal of `lab chaos`: neither its Ctrl-C nor its end heals anything.
    let _ = nix::unistd::setsid();
    tokio::time::sleep(Duration::from_millis(args.for_ms)).await;
    let lab = Lab::open(&args.home, name, Programs::from_env()).await?;
    lab.end_of(&args.service, args.since_ms).await?;
    Ok(0)
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
