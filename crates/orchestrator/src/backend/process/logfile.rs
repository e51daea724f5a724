//! Logs of local processes.
//!
//! A child writes straight into its file, in append mode: its logging never depends on the
//! supervisor, and what it wrote last is there however it ended.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::StreamExt;
use futures_util::stream;

use crate::backend::{Lines, LogRange};

/// A log grows to this size; then it becomes the `.1` file and starts anew.
const SIZE_LIMIT: u64 = 16 << 20;
/// Pause between two looks for new lines.
const POLL: Duration = Duration::from_millis(100);

/// Opens a log for writing at its end.
pub(super) fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("opening the log {}", path.display()))
}

/// Moves a log that grew too big aside.
///
/// It is copied and emptied, because the child keeps its file open and goes on at the new end.
pub(super) fn bound(path: &Path) -> Result<()> {
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("measuring {}", path.display())),
    };
    if size > SIZE_LIMIT {
        fs::copy(path, older(path)).with_context(|| format!("copying {}", path.display()))?;
        OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|file| file.set_len(0))
            .with_context(|| format!("emptying {}", path.display()))?;
    }
    Ok(())
}

fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

/// The last lines of a log, and then those to come.
pub(super) fn read(path: PathBuf, range: LogRange) -> Result<Lines> {
    let mut reader = Reader {
        path,
        position: 0,
        begun: String::new(),
    };
    let mut lines = Vec::new();
    if range.tail > 0 {
        let before = fs::read(older(&reader.path)).unwrap_or_default();
        lines.extend(String::from_utf8_lossy(&before).lines().map(str::to_owned));
    }
    lines.extend(reader.new_lines()?);
    if !range.follow && !reader.begun.is_empty() {
        lines.push(std::mem::take(&mut reader.begun));
    }
    lines.drain(..lines.len().saturating_sub(range.tail));
    let before = stream::iter(lines.into_iter().map(Ok));
    if !range.follow {
        return Ok(before.boxed());
    }
    let after = stream::unfold(reader, |mut reader| async move {
        loop {
            tokio::time::sleep(POLL).await;
            match reader.new_lines() {
                // With its directory the lab is gone, and nothing comes any more.
                Ok(lines) if lines.is_empty() && !reader.is_there() => return None,
                Ok(lines) if lines.is_empty() => {}
                Ok(lines) => {
                    let lines: Vec<Result<String>> = lines.into_iter().map(Ok).collect();
                    return Some((stream::iter(lines), reader));
                }
                Err(error) => return Some((stream::iter(vec![Err(error)]), reader)),
            }
        }
    });
    Ok(before.chain(after.flatten()).boxed())
}

struct Reader {
    path: PathBuf,
    position: u64,
    /// A line whose end is not written yet.
    begun: String,
}

impl Reader {
    fn is_there(&self) -> bool {
        self.path.parent().is_some_and(Path::is_dir)
    }

    /// Whole lines that came since the last call. No file yet means no lines yet.
    fn new_lines(&mut self) -> Result<Vec<String>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(error).with_context(|| format!("reading {}", self.path.display()));
            }
        };
        if file.metadata()?.len() < self.position {
            self.position = 0;
        }
        file.seek(SeekFrom::Start(self.position))?;
        let mut bytes = Vec::new();
        self.position += u64::try_from(file.read_to_end(&mut bytes)?)?;
        self.begun.push_str(&String::from_utf8_lossy(&bytes));
        let Some(end) = self.begun.rfind('\n') else {
            return Ok(Vec::new());
        };
        let rest = self.begun.split_off(end + 1);
        let whole = std::mem::replace(&mut self.begun, rest);
        Ok(whole.lines().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    async fn collect(path: &Path, tail: usize) -> Vec<String> {
        let range = LogRange {
            tail,
            follow: false,
        };
        let lines = read(path.to_owned(), range).unwrap();
        lines.map(Result::unwrap).collect().await
    }

    #[tokio::test]
    async fn the_last_lines_come_also_when_the_very_last_is_unfinished() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pool.log");
        assert!(collect(&path, 2).await.is_empty());
        open(&path).unwrap().write_all(b"a\nb\nc").unwrap();
        assert_eq!(collect(&path, 2).await, ["b", "c"]);
        assert_eq!(collect(&path, 0).await, [""; 0]);
    }

    #[tokio::test]
    async fn following_goes_on_after_the_log_was_emptied() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pool.log");
        let mut log = open(&path).unwrap();
        writeln!(log, "old").unwrap();
        let range = LogRange {
            tail: 1,
            follow: true,
        };
        let mut lines = read(path.clone(), range).unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), "old");
        writeln!(log, "and a much longer new line").unwrap();
        let next = lines.next().await.unwrap().unwrap();
        assert_eq!(next, "and a much longer new line");
        OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(0)
            .unwrap();
        writeln!(log, "short").unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), "short");
    }

    #[tokio::test]
    async fn following_ends_with_the_lab() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pool.log");
        writeln!(open(&path).unwrap(), "last words").unwrap();
        let range = LogRange {
            tail: 1,
            follow: true,
        };
        let mut lines = read(path, range).unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), "last words");
        directory.close().unwrap();
        assert!(lines.next().await.is_none());
    }

    #[tokio::test]
    async fn a_log_is_bounded_and_keeps_its_last_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pool.log");
        let mut log = open(&path).unwrap();
        let line = "x".repeat(1 << 10);
        for _ in 0..=SIZE_LIMIT >> 10 {
            writeln!(log, "{line}").unwrap();
        }
        bound(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        writeln!(log, "after").unwrap();
        assert_eq!(collect(&path, 2).await, [line, "after".to_owned()]);
    }
}
