//! The end of a file to which whole commits are appended, or nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What is needed of a file; tests have one that fails.
pub(crate) trait Disk {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes durable what was written, the length included.
    fn sync(&self) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
}

impl Disk for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }
}

/// A file and the length up to which it is durable.
#[derive(Debug)]
pub(crate) struct Tail<D = File> {
    disk: D,
    len: u64,
    /// Something may stand behind `len` that must not.
    is_torn: bool,
}

impl<D: Disk> Tail<D> {
    /// A file of which the first `len` bytes are good. What stands behind them is cut off.
    pub(crate) fn cut(disk: D, len: u64) -> io::Result<Self> {
        disk.set_len(len)?;
        Ok(Self {
            disk,
            len,
            is_torn: false,
        })
    }

    /// The good bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Makes `bytes` durable behind what is. After an error nothing was appended; the same call
    /// may be made again.
    ///
    /// A system that could not write a page may forget that it is to be written, so that syncing
    /// again would succeed without it. That is why everything is written again.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.disk.set_len(self.len)?;
            self.is_torn = false;
        }
        let appended = self
            .disk
            .write_all_at(bytes, self.len)
            .and_then(|()| self.disk.sync());
        match appended {
            Ok(()) => self.len += bytes.len() as u64,
            Err(_) => {
                // Gives the space back at once, so that others find some; if that fails too, the
                // next attempt begins with it.
                self.is_torn = self.disk.set_len(self.len).is_err();
            }
        }
        appended
    }
}

#[cfg(test)]
mod tests;
