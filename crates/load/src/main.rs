//! Loads a pool with thousands of miners, and measures what that costs it.
//!
//! The program starts the pool under test itself, plays its template provider and its miners, and
//! reads the pool's CPU time and memory from the operating system. Several pools are measured in
//! turns, round by round, so that the machine's moods meet all of them; every start is fresh.
//! `docs/performance.md` says what comes out.

mod command_line;
mod miner;
mod pool;
mod provider;
mod report;
mod scenario;
mod stamped;
mod swarm;
mod tally;

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use command_line::CommandLine;
use report::Report;

/// One thread drives all miners, so that they take one processor at most. The main thread plays
/// the template provider and is never kept waiting by them.
#[tokio::main(worker_threads = 1)]
async fn main() -> anyhow::Result<()> {
    let line = CommandLine::parse();
    // Each miner takes a file descriptor here, and one in the pool, which inherits this.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let contenders = line.contenders()?;
    let mut report = Report::new(&contenders);
    for round in 1..=line.rounds {
        for (index, contender) in contenders.iter().enumerate() {
            eprintln!("round {round} of {}: {}", line.rounds, contender.name());
            let figures = scenario::run(&line.scenario, contender).await?;
            report.add(index, figures);
        }
    }
    if line.json {
        println!("{}", report.to_json());
    } else {
        print!("{report}");
    }
    Ok(())
}
