//! `lab up`

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result};
use orchestrator::fault::EXIT_INTERRUPTED;
use orchestrator::lab::{Bringup, FirstBlock, Lab, UpOptions, UpReport};
use orchestrator::programs::Programs;
use orchestrator::state;
use orchestrator::topology;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Interrupt;
use crate::cli::UpArgs;
use crate::console::Console;

/// The last line of `lab up --json`.
#[derive(Serialize)]
struct Up {
    name: String,
    backend: &'static str,
    ready_seconds: f64,
    /// Until every miner had its first block.
    first_block_seconds: Option<f64>,
    first_blocks: Vec<Block>,
    services: Vec<Service>,
}

#[derive(Serialize)]
struct Block {
    path: Vec<String>,
    seconds: f64,
    height: u64,
    hash: String,
}

#[derive(Serialize)]
struct Service {
    name: String,
    address: Ipv4Addr,
    ports: BTreeMap<String, u16>,
    started_seconds: f64,
    ready_seconds: f64,
}

pub(crate) async fn run(
    args: &UpArgs,
    name: &str,
    console: &Console,
    interrupt: &mut Interrupt,
) -> Result<u8> {
    let options = UpOptions {
        began: Instant::now(),
        home: state::home()?,
        name: name.to_owned(),
        topology: topology(args)?,
        backend: args.backend.kind(),
        subnet: args.subnet,
        bind: args.bind,
        build: !args.no_build,
        wait_block: !args.no_wait_block,
        programs: Programs::from_env(),
    };
    let progress = |event| console.hear(event);
    // Short, and starts nothing: an interruption meanwhile is noticed right after it.
    let bringup = Bringup::begin(&options, &progress).await?;
    console.say(&format!("lab '{name}': backend {}", bringup.why()));
    let stop = CancellationToken::new();
    let result = {
        let mut run = pin!(bringup.run(&progress, &stop));
        let first = tokio::select! {
            biased;
            () = interrupt.next() => None,
            result = &mut run => Some(result),
        };
        if first.is_none() {
            stop.cancel();
            // Comes back as soon as nothing is under way; a second Ctrl-C does not wait for it.
            let _ = interrupt.or(&mut run).await;
        }
        first
    };
    console.settle();
    match result {
        Some(Ok(report)) => {
            print(&bringup.into_lab(), &report, console)?;
            Ok(0)
        }
        Some(Err(error)) => {
            if args.keep {
                console.say(&format!(
                    "what was started is left standing; remove it with: lab down --name {name}"
                ));
                return Err(error);
            }
            // The cause first: taking things down may take a while.
            let code = console.failed(&error);
            undo(bringup, "failed", console, interrupt).await?;
            Ok(code)
        }
        None => {
            undo(bringup, "interrupted", console, interrupt).await?;
            Ok(EXIT_INTERRUPTED)
        }
    }
}

/// The text of the topology that was asked for.
fn topology(args: &UpArgs) -> Result<Option<String>> {
    let topology = args.topology.as_deref().map(topology::find).transpose()?;
    if !args.relays && args.difficulty.is_none() {
        return Ok(topology);
    }
    let mut text = match topology {
        Some(text) => text,
        None => topology::find("minimal")?,
    };
    if let Some(difficulty) = args.difficulty {
        text = topology::with_difficulty(&text, difficulty)?;
    }
    if args.relays {
        text = topology::with_relays(&text);
    }
    Ok(Some(text))
}

/// Takes down what this command made, and says so.
async fn undo(
    bringup: Bringup,
    why: &str,
    console: &Console,
    interrupt: &mut Interrupt,
) -> Result<()> {
    if !bringup.is_new() {
        console.say(&format!("{why}; the lab was there before, so it stays"));
        return Ok(());
    }
    console.say(&format!("{why}; taking down what was started"));
    let progress = |event| console.hear(event);
    let undone = interrupt.or(bringup.undo(&progress)).await;
    console.settle();
    match undone {
        Ok(removed) => {
            removed.context("taking down what was started; finish it with: lab down")?;
            console.say("nothing is left of the lab");
        }
        Err(_) => console.say("interrupted again; finish it with: lab down"),
    }
    Ok(())
}

fn print(lab: &Lab, report: &UpReport, console: &Console) -> Result<()> {
    match console.json {
        true => console.print_json(&json(lab, report)?),
        false => console.print(&text(lab, report)?),
    }
}

fn json(lab: &Lab, report: &UpReport) -> Result<Up> {
    let mut services = Vec::new();
    for started in &report.services {
        let spec = lab.service(&started.service)?;
        services.push(Service {
            name: spec.name.clone(),
            address: spec.address,
            ports: spec
                .ports
                .iter()
                .map(|port| (port.name.clone(), port.number))
                .collect(),
            started_seconds: seconds(started.started),
            ready_seconds: seconds(started.ready),
        });
    }
    let block = |first: &FirstBlock| Block {
        path: first.path.clone(),
        seconds: seconds(first.after),
        height: first.height,
        hash: first.hash.to_string(),
    };
    let first_blocks: Vec<Block> = report.first_blocks.iter().map(block).collect();
    Ok(Up {
        name: lab.name().to_owned(),
        backend: lab.backend().name(),
        ready_seconds: seconds(report.ready),
        first_block_seconds: first_blocks
            .iter()
            .map(|block| block.seconds)
            .reduce(f64::max),
        first_blocks,
        services,
    })
}

/// Milliseconds are as exact as anybody can use.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

fn text(lab: &Lab, report: &UpReport) -> Result<String> {
    let mut lines = vec![format!("{:18} {:>8}  endpoints", "service", "ready at")];
    for started in &report.services {
        let spec = lab.service(&started.service)?;
        let endpoints: Vec<_> = spec
            .ports
            .iter()
            .map(|port| format!("{} {}:{}", port.name, spec.address, port.number))
            .collect();
        lines.push(format!(
            "{:18} {:>6.2} s  {}",
            spec.name,
            started.ready.as_secs_f64(),
            endpoints.join("  ")
        ));
    }
    let chain: Vec<_> = lab
        .slowest_chain(&report.services)
        .iter()
        .map(|one| {
            let took = one.ready.saturating_sub(one.started);
            format!("{} {:.2} s", one.service, took.as_secs_f64())
        })
        .collect();
    lines.push(String::new());
    lines.push(format!(
        "ready in {:.2} s; slowest chain: {}",
        report.ready.as_secs_f64(),
        chain.join(" -> ")
    ));
    for block in &report.first_blocks {
        lines.push(format!(
            "first block through {} in {:.2} s: height {}, {}",
            block.path.join(" -> "),
            block.after.as_secs_f64(),
            block.height,
            block.hash
        ));
    }
    let name = match lab.name() {
        "sv2lab" => String::new(),
        name => format!(" --name {name}"),
    };
    lines.push(format!(
        "next: lab status{name}, lab logs -f{name}, lab mine{name}, lab down{name}"
    ));
    Ok(lines.join("\n"))
}
