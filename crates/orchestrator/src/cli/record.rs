//! What is kept of a lab, and what is said of it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab snapshot save before-the-fork      the lab is stopped meanwhile, and started again
  lab snapshot list
  lab snapshot restore before-the-fork --replace

A snapshot can be restored by the version that made it. It holds the lab's keys, so it is readable
by its user only.")]
pub(crate) struct SnapshotArgs {
    #[command(subcommand)]
    pub(crate) snapshot: SnapshotVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotVerb {
    /// Keep the lab as it is.
    Save {
        /// Under this name.
        #[arg(value_name = "SNAPSHOT")]
        snapshot: String,
    },
    /// Bring a lab up as it was.
    Restore {
        /// Which.
        #[arg(value_name = "SNAPSHOT")]
        snapshot: String,
        /// Take the lab down that is there.
        #[arg(long)]
        replace: bool,
    },
    /// Show those there are.
    List,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab doctor
  lab doctor --list                 what is looked for
  lab doctor --json | jq -r '.[].code'

Exits with 1 when something does not work, with 0 when there is nothing worse than a warning.")]
pub(crate) struct DoctorArgs {
    /// Show everything that is looked for.
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab dump
  lab dump report.tar && tar tf report.tar

Holds configurations, logs, what every service tells over HTTP or RPC, the newest messages where
there is a relay, and what lab doctor says. Keys and passwords are replaced by their names.")]
pub(crate) struct DumpArgs {
    /// Where to [default: lab-NAME.tar].
    pub(crate) file: Option<PathBuf>,
}
