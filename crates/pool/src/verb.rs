//! What the pool's program can do with a ledger, whether a pool runs or not.

use std::io::{self, BufWriter, ErrorKind};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use daemon::config::Problems;
use daemon::role;
use ledger::{Format, Table};

use crate::Config;

/// The pool's verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Look into the ledger; a pool may be using it.
    Ledger(LedgerArgs),
}

/// Which ledger, and what to do with it.
#[derive(Debug, Args)]
pub struct LedgerArgs {
    /// Its directory; without it the one in the configuration.
    #[arg(long, global = true)]
    directory: Option<PathBuf>,
    #[command(subcommand)]
    verb: LedgerVerb,
}

#[derive(Debug, Subcommand)]
enum LedgerVerb {
    /// Write it to standard output: its shares, unless something else is asked for.
    Export(ExportArgs),
    /// Check it, and its totals against its log: exit 0 when all is well, 1 when not.
    Verify,
}

#[derive(Debug, Clone, Copy, Args)]
struct ExportArgs {
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    table: TableArgs,
}

#[derive(Debug, Clone, Copy, Args)]
#[group(required = true, multiple = false)]
struct FormatArgs {
    /// As comma-separated values.
    #[arg(long)]
    csv: bool,
    /// As an array of objects.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, Args)]
#[group(multiple = false)]
struct TableArgs {
    /// Each share, as far as the log goes back.
    #[arg(long)]
    shares: bool,
    /// Each block and what became of it.
    #[arg(long)]
    blocks: bool,
    /// The totals of each worker.
    #[arg(long)]
    workers: bool,
    /// The totals of each minute.
    #[arg(long)]
    minutes: bool,
}

impl role::Verb<Config> for Verb {
    fn perform(
        self,
        config: impl FnOnce() -> Result<Config, Problems>,
    ) -> anyhow::Result<ExitCode> {
        let Self::Ledger(LedgerArgs { directory, verb }) = self;
        let directory = match directory {
            Some(directory) => directory,
            None => config()?.ledger.directory,
        };
        match verb {
            LedgerVerb::Verify => {
                let report = ledger::verify(&directory)?;
                print!("{report}");
                Ok(if report.faults.is_empty() {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                })
            }
            LedgerVerb::Export(ExportArgs { format, table }) => {
                let mut out = BufWriter::new(io::stdout().lock());
                match ledger::export(&directory, table.table(), format.format(), &mut out) {
                    // Whoever reads it has seen enough.
                    Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
                    exported => exported.map(|()| ExitCode::SUCCESS),
                }
            }
        }
    }
}

impl FormatArgs {
    fn format(self) -> Format {
        if self.csv { Format::Csv } else { Format::Json }
    }
}

impl TableArgs {
    fn table(self) -> Table {
        match self {
            Self { blocks: true, .. } => Table::Blocks,
            Self { workers: true, .. } => Table::Workers,
            Self { minutes: true, .. } => Table::Minutes,
            Self { .. } => Table::Shares,
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |error: &io::Error| error.kind() == ErrorKind::BrokenPipe;
    error.downcast_ref().is_some_and(kind)
        || error
            .downcast_ref()
            .and_then(serde_json::Error::io_error_kind)
            == Some(ErrorKind::BrokenPipe)
}
