//! The ledger's directory belongs to one pool at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, bail};

/// Held as long as a pool writes. The system takes it back however the pool ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Makes `directory` if there is none, and takes it for this process.
pub(crate) fn lock(directory: &Path) -> anyhow::Result<Lock> {
    const REMEDY: &str = "see the key ledger.directory";
    fs::create_dir_all(directory)
        .with_context(|| format!("{}: cannot be made; {REMEDY}", directory.display()))?;
    let path = directory.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("{}: cannot be written; {REMEDY}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            bail!(
                "{}: process {} has it; every pool needs a directory of its own, {REMEDY}",
                directory.display(),
                holder.trim()
            );
        }
        Err(TryLockError::Error(error)) => return Err(error).context(path.display().to_string()),
    }
    // Who it is is a service to people; the lock holds without it.
    let _ = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(Lock { _file: file })
}
