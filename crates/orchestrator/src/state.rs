//! Where a lab keeps what must outlive the command: one directory per lab.
//!
//! `$SV2_LAB_HOME/NAME`, else `$XDG_STATE_HOME/sv2-lab/NAME`, else
//! `~/.local/state/sv2-lab/NAME`. `lab down` removes it whole.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::backend::BackendKind;
use crate::fault::Fault;
use crate::subnet::Subnet;
use crate::swap::Swap;

/// A Unix socket's path has to be shorter than this (`sun_path` of `unix(7)`).
const SOCKET_PATH_LIMIT: usize = 108;
/// Longest path of a socket below the state directory.
const LONGEST_SOCKET: &str = "volumes/btc-node-ipc/node.sock";

/// What a lab is.
const RECORD: &str = "lab.json";
/// The file that a command locks.
const LOCK: &str = "lock";

/// A killed command holds its lock until the kernel has cleaned up after it and its children.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// Pause between two tries.
const LOCK_POLL: Duration = Duration::from_millis(10);

/// The directory of one lab; it may not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    name: String,
    path: PathBuf,
}

/// What a lab is: enough for every later command to find its parts again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What runs the services.
    pub backend: BackendKind,
    /// The lab's network.
    pub subnet: Subnet,
    /// Host address on which containers publish their ports.
    pub bind: Ipv4Addr,
    /// The topology's text, so that a changed or deleted file does not matter.
    pub topology: String,
    /// How many there are of a miner, when that is not one.
    #[serde(default)]
    pub replicas: BTreeMap<String, u8>,
    /// What runs in place of services of ours.
    #[serde(default)]
    pub swaps: BTreeMap<String, Swap>,
}

/// While it lives, no other command changes the lab.
#[derive(Debug)]
pub struct Lock {
    file: Flock<File>,
    abandoned: bool,
}

impl Lock {
    /// Whether the command that held the lab before was killed in the middle of changing it.
    pub fn was_abandoned(&self) -> bool {
        self.abandoned
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A holder's id that is still there afterwards is that of a killed one.
        let _ = self.file.set_len(0);
    }
}

impl StateDir {
    /// The directory of the lab `name` below `home`.
    ///
    /// # Errors
    /// When the name cannot be used for containers, or the path is too long for sockets.
    pub fn new(home: &Path, name: &str) -> Result<Self> {
        check_name(name)?;
        let path = home.join(name);
        let length = path.join(LONGEST_SOCKET).as_os_str().len();
        if length >= SOCKET_PATH_LIMIT {
            return Err(Fault::usage(
                format!(
                    "the state directory {} is too long: sockets below it would have paths of \
                     {length} bytes, and Unix allows {}",
                    path.display(),
                    SOCKET_PATH_LIMIT - 1
                ),
                "choose a shorter --name, or set SV2_LAB_HOME to a shorter directory",
            )
            .into());
        }
        Ok(Self {
            name: name.to_owned(),
            path,
        })
    }

    /// The lab's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lab's secrets.
    pub fn secrets_file(&self) -> PathBuf {
        self.path.join("secrets.json")
    }

    /// Configuration for `bitcoin-cli`.
    pub fn cli_conf(&self) -> PathBuf {
        self.path.join("bitcoin-cli.conf")
    }

    /// Where the process backend's supervisor listens.
    pub fn supervisor_socket(&self) -> PathBuf {
        self.path.join("supervisor.sock")
    }

    /// What the supervisor itself has to say.
    pub fn supervisor_log(&self) -> PathBuf {
        self.path.join("supervisor.log")
    }

    /// The log of a service of the process backend.
    pub fn log_file(&self, service: &str) -> PathBuf {
        self.path.join("logs").join(format!("{service}.log"))
    }

    /// Where is written down what was done to services.
    pub fn faults(&self) -> PathBuf {
        self.path.join("faults")
    }

    fn record_file(&self) -> PathBuf {
        self.path.join(RECORD)
    }

    /// Whether anything of the lab is on disk.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Reads the record; `None` when there is no lab, or only the beginnings of one.
    ///
    /// # Errors
    /// When the record is there but unreadable.
    pub fn record(&self) -> Result<Option<Record>> {
        let file = self.record_file();
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.with_context(|| format!("reading {}", file.display()))?,
        };
        let record = serde_json::from_str(&text).map_err(|error| {
            Fault::unavailable(
                format!(
                    "{} is not a lab record of this version: {error}",
                    file.display()
                ),
                format!("lab down --name {} removes that lab", self.name),
            )
        })?;
        Ok(Some(record))
    }

    /// The records of the other labs of the same home, as far as they can be read.
    pub fn others(&self) -> Vec<Record> {
        self.other_records().map(|(_, record)| record).collect()
    }

    /// The names of the other labs of this home, in order.
    pub fn other_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.other_records().map(|(name, _)| name).collect();
        names.sort();
        names
    }

    fn other_records(&self) -> impl Iterator<Item = (String, Record)> {
        let home = self.path.parent().and_then(|home| fs::read_dir(home).ok());
        let others = home.into_iter().flatten().flatten();
        others.filter_map(|entry| {
            let text = fs::read_to_string(entry.path().join(RECORD)).ok()?;
            let record = serde_json::from_str(&text).ok()?;
            let name = entry.file_name().into_string().ok()?;
            (entry.path() != self.path).then_some((name, record))
        })
    }

    /// Writes the record. Do this last: its presence says that the rest is complete.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_record(&self, record: &Record) -> Result<()> {
        write_private(&self.record_file(), &serde_json::to_vec_pretty(record)?)
    }

    /// Takes the lab for this command, making its directory if needed.
    ///
    /// # Errors
    /// When another command holds it; names that command.
    pub async fn lock(&self) -> Result<Lock> {
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            if let Some(lock) = self.try_lock()? {
                return Ok(lock);
            }
            if Instant::now() > deadline {
                let holder = fs::read_to_string(self.path.join(LOCK)).unwrap_or_default();
                return Err(self.held_by(holder.trim()).into());
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
    }

    /// One try; `None` when somebody else holds the lab, or just removed it.
    fn try_lock(&self) -> Result<Option<Lock>> {
        create_private_dir(&self.path).map_err(|error| {
            Fault::unavailable(
                format!("there is no place for the lab's files: {error:#}"),
                "set SV2_LAB_HOME to a directory that can be written to",
            )
        })?;
        let path = self.path.join(LOCK);
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let file = match opened {
            // The directory went away between the two calls: another `down` just ended.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.with_context(|| format!("opening {}", path.display()))?,
        };
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => {
                return Err(errno).with_context(|| format!("locking {}", path.display()));
            }
        };
        // A lock on a file that was removed meanwhile protects nothing.
        let current = fs::metadata(&path).ok().map(|meta| meta.ino());
        if current != Some(file.metadata()?.ino()) {
            return Ok(None);
        }
        let mut holder = String::new();
        file.read_to_string(&mut holder)?;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(std::process::id().to_string().as_bytes())?;
        Ok(Some(Lock {
            file,
            abandoned: !holder.trim().is_empty(),
        }))
    }

    fn held_by(&self, pid: &str) -> Fault {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        Fault::unavailable(
            format!(
                "lab '{}' is being changed by process {pid} ({})",
                self.name,
                command.trim()
            ),
            format!("wait for it, or end it with: kill {pid}"),
        )
    }

    /// Removes what an interrupted command may have left, but for the lock, which is this command's.
    ///
    /// # Errors
    /// Names the file that could not be removed.
    pub fn clear(&self) -> Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let path = entry.path();
            let removed = match entry.file_type()? {
                _ if entry.file_name() == LOCK => Ok(()),
                kind if kind.is_dir() => fs::remove_dir_all(&path),
                _ => fs::remove_file(&path),
            };
            removed.with_context(|| format!("removing {}", path.display()))?;
        }
        Ok(())
    }

    /// Removes everything of the lab from disk.
    ///
    /// # Errors
    /// Names the file that could not be removed.
    pub fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => other.with_context(|| format!("removing {}", self.path.display()))?,
        }
        // Our own parent directory goes with its last lab; a directory the user chose stays.
        if let Some(home) = self.path.parent()
            && home.ends_with("sv2-lab")
        {
            let _ = fs::remove_dir(home);
        }
        Ok(())
    }
}

/// Waits until no other command chooses a place for a lab of this home.
///
/// # Errors
/// When the file cannot be locked.
pub(crate) async fn lock_home(home: &Path) -> Result<Flock<File>> {
    let file = OpenOptions::new()
        .read(true)
        .open(home)
        .with_context(|| format!("opening {}", home.display()))?;
    let home = home.to_owned();
    let locked = tokio::task::spawn_blocking(move || {
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| errno)
            .with_context(|| format!("locking {}", home.display()))
    });
    locked.await?
}

/// The directory that holds the labs' directories.
///
/// # Errors
/// When neither `SV2_LAB_HOME` nor `XDG_STATE_HOME` nor `HOME` is set.
pub fn home() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(home) = set("SV2_LAB_HOME") {
        // A relative path would mean another lab after `cd`.
        return std::path::absolute(home).context("reading SV2_LAB_HOME");
    }
    if let Some(state) = set("XDG_STATE_HOME") {
        return Ok(PathBuf::from(state).join("sv2-lab"));
    }
    let home = set("HOME").ok_or_else(|| {
        Fault::unavailable(
            "there is no place for the lab's files: HOME is not set",
            "set SV2_LAB_HOME to a directory",
        )
    })?;
    Ok(PathBuf::from(home).join(".local/state/sv2-lab"))
}

fn check_name(name: &str) -> Result<(), Fault> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if starts && name.len() <= 32 && name.chars().all(fits) {
        return Ok(());
    }
    Err(Fault::usage(
        format!("'{name}' cannot name a lab"),
        "use up to 32 of a-z 0-9 - _, starting with a letter or digit",
    ))
}

/// Makes a directory, and those above it, that only its owner may enter.
///
/// # Errors
/// Names the directory that could not be made.
pub(crate) fn create_private_dir(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("creating the directory {}", path.display()))
}

/// Writes a file that only its owner may read; readers see the old or the new one, never half.
///
/// # Errors
/// Names the file that could not be written.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let write = || -> std::io::Result<()> {
        // A left-over of a killed command could have another mode.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)?
            .write_all(bytes)?;
        fs::rename(&fresh, path)
    };
    write().with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests;
