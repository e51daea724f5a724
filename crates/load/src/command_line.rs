//! What to measure, and of whom.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::contender::{Contender, Kind};

/// Far more often than blocks are found, so that shares meet new tips.
pub(crate) const TIP_INTERVAL: u64 = 5;

/// Loads a pool, a translator or a job declarator client with thousands of miners and measures what
/// that costs it.
#[derive(Debug, Parser)]
pub(crate) struct CommandLine {
    /// A `pool` program, a `translator` or a `jdc`; may be repeated. The one beside this program if none is
    /// given.
    #[arg(long = "program", visible_alias = "pool", global = true)]
    programs: Vec<PathBuf>,
    /// The reference implementation's `pool_sv2`, `translator_sv2` or `jd_client_sv2`, measured in turns with ours.
    #[arg(long, global = true)]
    reference: Option<PathBuf>,
    /// RUST_LOG of the reference: its default level writes two lines for each share.
    #[arg(long, global = true, default_value = "error")]
    reference_log: String,
    /// Fresh starts of each program; the report gives medians.
    #[arg(long, global = true, default_value_t = 3)]
    pub(crate) rounds: u32,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) subject: Subject,
}

/// Of whom.
#[derive(Debug, Subcommand)]
pub(crate) enum Subject {
    #[command(flatten)]
    Pool(Scenario),
    /// The same of a translator, with Stratum V1 miners.
    Translator(Translator),
    /// The same of a job declarator client, which declares every template.
    Jdc(Client),
}

/// A translator with Stratum V1 miners.
#[derive(Debug, Args)]
pub(crate) struct Translator {
    /// A channel for each miner, in place of one for all.
    #[arg(long)]
    pub(crate) separate: bool,
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
}

/// A job declarator client.
#[derive(Debug, Args)]
pub(crate) struct Client {
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// As many shares as it takes.
    Shares(Shares),
    /// Shares of many miners at a steady rate.
    Paced(Paced),
    /// From a new tip to each miner.
    Fanout(Fanout),
    /// From TCP to the first work.
    Connect(Connect),
    /// What idle miners keep.
    Memory(Memory),
}

/// As many shares as it takes.
#[derive(Debug, Args)]
pub(crate) struct Shares {
    #[arg(long, default_value_t = 50)]
    pub(crate) connections: usize,
    /// Shares each connection leaves unacknowledged.
    #[arg(long, default_value_t = 64)]
    pub(crate) window: u32,
    /// Seconds to measure, after two seconds of warming up.
    #[arg(long, default_value_t = 20)]
    pub(crate) seconds: u64,
    /// Standard instead of extended channels.
    #[arg(long)]
    pub(crate) standard: bool,
    /// Seconds from one new tip to the next while shares are sent.
    #[arg(long, default_value_t = TIP_INTERVAL)]
    pub(crate) tip_interval: u64,
}

/// Shares of many miners at a steady rate.
#[derive(Debug, Args)]
pub(crate) struct Paced {
    #[arg(long, default_value_t = 500)]
    pub(crate) connections: usize,
    /// Shares a second of each connection.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) rate: f64,
    /// Seconds to measure, after two seconds of warming up.
    #[arg(long, default_value_t = 20)]
    pub(crate) seconds: u64,
    /// Seconds from one new tip to the next while shares are sent.
    #[arg(long, default_value_t = TIP_INTERVAL)]
    pub(crate) tip_interval: u64,
}

/// From a new tip to each miner.
#[derive(Debug, Args)]
pub(crate) struct Fanout {
    #[arg(long, default_value_t = 1000)]
    pub(crate) connections: usize,
    /// New tips, two a second.
    #[arg(long, default_value_t = 20)]
    pub(crate) tips: usize,
    /// Standard instead of extended channels.
    #[arg(long)]
    pub(crate) standard: bool,
}

/// From TCP to the first work.
#[derive(Debug, Args)]
pub(crate) struct Connect {
    #[arg(long, default_value_t = 500)]
    pub(crate) connections: usize,
    /// Connections set up at the same time.
    #[arg(long, default_value_t = 32)]
    pub(crate) at_once: usize,
    /// Further connections, set up one after the other.
    #[arg(long, default_value_t = 50)]
    pub(crate) singly: usize,
}

/// What idle miners keep.
#[derive(Debug, Args)]
pub(crate) struct Memory {
    #[arg(long, default_value_t = 500)]
    pub(crate) connections: usize,
    /// How often they come and go.
    #[arg(long, default_value_t = 3)]
    pub(crate) waves: usize,
    /// Seconds of shares before each wave counts as idle again and leaves.
    #[arg(long, default_value_t = 0)]
    pub(crate) busy_seconds: u64,
    /// Shares a second of each connection in that time.
    #[arg(long, default_value_t = 100.0)]
    pub(crate) rate: f64,
}

impl CommandLine {
    /// Whom to measure, in the order of their columns.
    pub(crate) fn contenders(&self) -> anyhow::Result<Vec<Contender>> {
        let mut ours = self.programs.clone();
        if ours.is_empty() {
            let this = std::env::current_exe().context("this program has no path")?;
            ours.push(this.with_file_name(match self.subject {
                Subject::Pool(_) => "pool",
                Subject::Translator(_) => "translator",
                Subject::Jdc(_) => "jdc",
            }));
        }
        let mut contenders = Vec::new();
        for program in ours {
            contenders.push(Contender::new(Kind::Ours, program)?);
        }
        if let Some(program) = &self.reference {
            let kind = Kind::Reference {
                log: self.reference_log.clone(),
            };
            contenders.push(Contender::new(kind, program.clone())?);
        }
        Ok(contenders)
    }
}
