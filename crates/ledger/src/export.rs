//! The ledger as text for other programs.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::database;
use crate::history::History;
use crate::record::Record;
use crate::walk::Walk;

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Each share, as far as the log goes back.
    Shares,
    /// Each block and its story.
    Blocks,
    /// The totals of each worker.
    Workers,
    /// The totals of each minute.
    Minutes,
}

/// How to write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header (RFC 4180).
    Csv,
    /// An array, one object a line.
    Json,
}

impl Table {
    /// The columns of CSV, which are the keys in JSON.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Shares => &[
                "time_ms",
                "user",
                "worker",
                "peer",
                "channel_id",
                "job_id",
                "accepted",
                "reason",
                "hash",
                "hashes",
            ],
            Self::Blocks => &[
                "hash",
                "height",
                "time_ms",
                "user",
                "worker",
                "peer",
                "channel_id",
                "job_id",
                "template_id",
                "token",
                "share",
                "verdict",
                "verdict_ms",
                "reason",
            ],
            Self::Workers => &[
                "user",
                "worker",
                "accepted",
                "hashes",
                "rejected",
                "last_share_ms",
            ],
            Self::Minutes => &["minute_ms", "accepted", "rejected", "hashes"],
        }
    }
}

/// Writes `table` of the ledger in `directory`, also while a pool writes it.
///
/// # Errors
/// The ledger cannot be read, or `out` not written.
pub fn export(
    directory: &Path,
    table: Table,
    format: Format,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let history = History::open(directory)?;
    let mut rows = Rows::begin(table, format, out)?;
    match table {
        Table::Shares => {
            let archived = database::archived(history.connection())?;
            let mut walk = Walk::new(directory, archived + 1)?;
            while let Some(commit) = walk.next()? {
                for record in &commit.records {
                    if let Record::Share(share) = record {
                        rows.write(share)?;
                    }
                }
            }
        }
        Table::Blocks => {
            for block in history.blocks(0, u32::MAX)? {
                rows.write(&block)?;
            }
        }
        Table::Workers => {
            for worker in history.workers(0, u32::MAX)? {
                rows.write(&worker)?;
            }
        }
        Table::Minutes => {
            for minute in history.minutes(0, u32::MAX)? {
                rows.write(&minute)?;
            }
        }
    }
    rows.end()
}

/// Rows on their way out.
struct Rows<'a, W> {
    table: Table,
    format: Format,
    is_first: bool,
    out: &'a mut W,
}

impl<'a, W: Write> Rows<'a, W> {
    fn begin(table: Table, format: Format, out: &'a mut W) -> io::Result<Self> {
        match format {
            Format::Csv => write!(out, "{}\r\n", table.columns().join(","))?,
            Format::Json => out.write_all(b"[")?,
        }
        Ok(Self {
            table,
            format,
            is_first: true,
            out,
        })
    }

    fn write(&mut self, row: &impl Serialize) -> anyhow::Result<()> {
        let is_first = std::mem::take(&mut self.is_first);
        match self.format {
            Format::Csv => {
                let Value::Object(row) = serde_json::to_value(row)? else {
                    anyhow::bail!("a row is no object");
                };
                let cells: Vec<String> = self
                    .table
                    .columns()
                    .iter()
                    .map(|column| cell(&row, column))
                    .collect();
                write!(self.out, "{}\r\n", cells.join(","))?;
            }
            Format::Json => {
                let separator: &[u8] = if is_first { b"\n" } else { b",\n" };
                self.out.write_all(separator)?;
                serde_json::to_writer(&mut *self.out, row)?;
            }
        }
        Ok(())
    }

    fn end(self) -> anyhow::Result<()> {
        if self.format == Format::Json {
            self.out.write_all(b"\n]\n")?;
        }
        self.out.flush()?;
        Ok(())
    }
}

/// A value as it stands in CSV; what is neither text nor a number stays JSON.
fn cell(row: &Map<String, Value>, column: &str) -> String {
    let text = match row.get(column) {
        None | Some(Value::Null) => return String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if text.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests;
