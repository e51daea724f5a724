//! Checking a ledger: the log by itself, and the database against the log.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use bitcoin::BlockHash;

use crate::database;
use crate::history::{Block, History};
use crate::log::Position;
use crate::record::Verdict;
use crate::recovery::{check_end, check_place};
use crate::tally::{Sum, Tally};
use crate::walk::Walk;

/// Sums are added in another order than they were, so their last digits may differ.
const ROUNDING: f64 = 1e-6;

/// What was checked, and what is wrong.
#[derive(Debug, Default)]
pub struct Report {
    /// Commits read.
    pub commits: u64,
    /// Accepted shares in them.
    pub accepted: u64,
    /// Rejected shares in them.
    pub rejected: u64,
    /// Blocks in them.
    pub blocks: u64,
    /// Commits that the database does not count yet.
    pub ahead: u64,
    /// Bytes of a commit that is being written, or was cut short by a crash.
    pub torn: usize,
    /// Workers compared.
    pub workers: u64,
    /// What does not fit; empty when all is well.
    pub faults: Vec<String>,
}

/// What the log says, as far as the database counts it.
#[derive(Default)]
struct Expected {
    workers: HashMap<(String, String), Sum>,
    /// The newest verdict, if there is any.
    blocks: HashMap<BlockHash, Option<Verdict>>,
}

/// Checks the ledger in `directory`, also while a pool writes it.
///
/// # Errors
/// It cannot be read at all; what is wrong with what it says is in the report.
pub fn verify(directory: &Path) -> anyhow::Result<Report> {
    let history = History::open(directory)?;
    let mut report = Report::default();
    // From here on the database stands still for us, and no segment goes.
    let rolled_up = database::position(history.connection())?;
    let archived = database::archived(history.connection())?;
    let mut expected = Expected::default();
    match read(directory, archived, rolled_up, &mut expected, &mut report) {
        Ok(()) => compare(&history, &expected, &mut report)?,
        Err(error) => report.faults.push(format!("{error:#}")),
    }
    Ok(report)
}

/// Reads all of the log.
fn read(
    directory: &Path,
    archived: u32,
    rolled_up: Position,
    expected: &mut Expected,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut walk = Walk::new(directory, archived + 1)?;
    let (mut segment, mut tally) = (0, Tally::default());
    while let Some(commit) = walk.next()? {
        check_place(directory, commit.start, rolled_up)?;
        report.commits += 1;
        if commit.start.segment != segment {
            expected.add(&std::mem::take(&mut tally), report);
            segment = commit.start.segment;
        }
        if commit.start.commit < rolled_up.commit {
            commit.records.iter().for_each(|record| tally.add(record));
        } else {
            report.ahead += 1;
        }
    }
    expected.add(&tally, report);
    report.torn = walk.torn();
    check_end(directory, walk.end(), rolled_up)
}

impl Expected {
    fn add(&mut self, tally: &Tally, report: &mut Report) {
        for (source, sum) in tally.sources.values() {
            report.accepted += sum.accepted;
            report.rejected += sum.rejections();
            let worker = source.worker.clone().unwrap_or_default();
            let name = (source.user.clone(), worker);
            self.workers.entry(name).or_default().add(sum);
        }
        for block in &tally.found {
            report.blocks += 1;
            self.blocks.insert(block.found.hash, None);
        }
        for judged in &tally.judged {
            if let Some(verdict) = self.blocks.get_mut(&judged.hash) {
                *verdict = Some(judged.verdict);
            }
        }
    }
}

/// Compares the database with what the log says.
fn compare(history: &History, expected: &Expected, report: &mut Report) -> anyhow::Result<()> {
    check_database(history, report)?;
    compare_workers(history, expected, report)?;
    let blocks = history.blocks(0, u32::MAX)?;
    let blocks: HashMap<&str, &Block> = blocks.iter().map(|block| (&*block.hash, block)).collect();
    for (hash, verdict) in &expected.blocks {
        match blocks.get(&*hash.to_string()) {
            None => report.fault(format!("block {hash} is in the log only")),
            Some(block) if verdict.is_some() && block.verdict != *verdict => {
                let (says, is) = (name(block.verdict), name(*verdict));
                report.fault(format!(
                    "block {hash} is {says} in the database, {is} in the log"
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn compare_workers(
    history: &History,
    expected: &Expected,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut workers = history.connection().prepare(
        "SELECT user, worker, w.accepted, w.rejected, w.hashes, coalesce(a.accepted, 0),
             coalesce(a.rejected, 0), coalesce(a.hashes, 0.0)
         FROM workers w LEFT JOIN archive a ON a.worker_id = w.id",
    )?;
    let mut rows = workers.query([])?;
    let mut found = 0;
    while let Some(row) = rows.next()? {
        let name = (row.get(0)?, row.get(1)?);
        let (accepted, rejected, hashes): (u64, u64, f64) = (row.get(2)?, row.get(3)?, row.get(4)?);
        let archived: (u64, u64, f64) = (row.get(5)?, row.get(6)?, row.get(7)?);
        let none = Sum::default();
        let sum = expected
            .workers
            .get(&name)
            .inspect(|_| found += 1)
            .unwrap_or(&none);
        let due = archived.0 + sum.accepted;
        let due_rejected = archived.1 + sum.rejections();
        let due_hashes = archived.2 + sum.hashes;
        let mut differ = |what: &str, has: String, due: String| {
            let (user, worker) = &name;
            report.fault(format!(
                "user {user:?}, worker {worker:?}: {has} {what} in the database, {due} in the log"
            ));
        };
        if accepted != due {
            differ("shares accepted", accepted.to_string(), due.to_string());
        }
        if rejected != due_rejected {
            differ(
                "shares rejected",
                rejected.to_string(),
                due_rejected.to_string(),
            );
        }
        if (hashes - due_hashes).abs() > due_hashes * ROUNDING {
            differ("hashes", hashes.to_string(), due_hashes.to_string());
        }
        report.workers += 1;
    }
    let missing = expected.workers.len() - found;
    if missing > 0 {
        report.fault(format!("{missing} workers are in the log only"));
    }
    Ok(())
}

/// What must fit within the database.
fn check_database(history: &History, report: &mut Report) -> anyhow::Result<()> {
    let ask = |query: &str| -> rusqlite::Result<String> {
        history.connection().query_row(query, [], |row| row.get(0))
    };
    let checked = ask("PRAGMA integrity_check(1)")?;
    if checked != "ok" {
        report.fault(format!("the database is damaged: {checked}"));
    }
    // Text, so that one function asks for all.
    let sums = [
        ("accepted shares", "workers.accepted", "minutes.accepted"),
        ("rejected shares", "workers.rejected", "minutes.rejected"),
        ("rejected shares", "workers.rejected", "rejections.shares"),
    ];
    for (what, left, right) in sums {
        let sum = |column: &str| {
            let table = column.split('.').next().unwrap_or_default();
            ask(&format!(
                "SELECT CAST(coalesce(sum({column}), 0) AS TEXT) FROM {table}"
            ))
        };
        let (a, b) = (sum(left)?, sum(right)?);
        if a != b {
            report.fault(format!("{what}: the sum of {left} is {a}, of {right} {b}"));
        }
    }
    Ok(())
}

fn name(verdict: Option<Verdict>) -> &'static str {
    verdict.map_or("not judged", Verdict::name)
}

impl Report {
    fn fault(&mut self, what: String) {
        self.faults.push(what);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            commits,
            accepted,
            rejected,
            blocks,
            ahead,
            torn,
            workers,
            faults,
        } = self;
        writeln!(
            f,
            "log: {commits} commits with {accepted} shares accepted, {rejected} rejected, \
             {blocks} blocks; checksums and numbers checked"
        )?;
        writeln!(
            f,
            "database: {workers} workers compared with the log, {ahead} commits to follow"
        )?;
        if *torn > 0 {
            writeln!(
                f,
                "the log ends with {torn} bytes of a commit that is not whole"
            )?;
        }
        for fault in faults {
            writeln!(f, "wrong: {fault}")?;
        }
        if faults.is_empty() {
            writeln!(f, "nothing is wrong")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
