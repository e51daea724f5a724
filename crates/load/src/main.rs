//! Loads a pool, a translator or a job declarator client with thousands of miners, and measures what
//! that costs it.
//!
//! The program starts the one under test itself, plays what is above it (a pool's template provider,
//! a translator's pool, all three servers of a client) and its miners, and reads its CPU time and memory from the operating system.
//! Several are measured in turns, round by round, so that the machine's moods meet all of them;
//! every start is fresh.
//! `docs/performance.md` says what comes out.

mod client;
mod command_line;
mod contender;
mod miner;
mod played;
mod pool;
mod process;
mod provider;
mod report;
mod scenario;
mod stamped;
mod subject;
mod sv1_miner;
mod swarm;
mod tally;
mod translator;
mod upstream;

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
            let figures = scenario::run(&line.subject, contender).await?;
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
