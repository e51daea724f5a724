//! One layer of an image: files in a tar archive that is the same for the same content.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use bitcoin::hashes::{Hash, HashEngine, sha256};
use tar::{Builder, EntryType, Header};

/// Who owns an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Root,
    /// The fixed user and group of services.
    Service(u32),
}

impl Owner {
    fn id(self) -> u64 {
        match self {
            Self::Root => 0,
            Self::Service(id) => u64::from(id),
        }
    }
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Directory,
    Bytes(Vec<u8>),
    Copy(PathBuf),
    Link(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    content: Content,
    mode: u32,
    owner: Owner,
}

/// The entries of a layer by path, so that the order they were added in does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layer(BTreeMap<String, Entry>);

impl Layer {
    pub(crate) fn directory(&mut self, path: &str, mode: u32, owner: Owner) -> &mut Self {
        self.add(path, Content::Directory, mode, owner)
    }

    pub(crate) fn text(&mut self, path: &str, text: &str, mode: u32, owner: Owner) -> &mut Self {
        self.add(path, Content::Bytes(text.into()), mode, owner)
    }

    /// A program or library of this machine.
    pub(crate) fn copy(&mut self, path: &str, source: PathBuf) -> &mut Self {
        self.add(path, Content::Copy(source), 0o755, Owner::Root)
    }

    pub(crate) fn link(&mut self, path: &str, target: &str) -> &mut Self {
        self.add(path, Content::Link(target.to_owned()), 0o777, Owner::Root)
    }

    fn add(&mut self, path: &str, content: Content, mode: u32, owner: Owner) -> &mut Self {
        let path = path.trim_start_matches('/').to_owned();
        self.0.insert(
            path,
            Entry {
                content,
                mode,
                owner,
            },
        );
        self
    }

    /// Writes the archive.
    pub(crate) fn write(&self, to: impl Write) -> Result<()> {
        let mut archive = Builder::new(to);
        for (path, entry) in &self.0 {
            append(&mut archive, path, entry).with_context(|| format!("packing /{path}"))?;
        }
        archive.finish().context("ending the archive")
    }

    /// The archive in memory.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write(&mut bytes)?;
        Ok(bytes)
    }

    /// SHA-256 of the archive, in hexadecimal, without holding it in memory.
    pub(crate) fn digest(&self) -> Result<String> {
        let mut hasher = Hasher(sha256::Hash::engine());
        self.write(&mut hasher)?;
        Ok(sha256::Hash::from_engine(hasher.0).to_string())
    }
}

fn append(archive: &mut Builder<impl Write>, path: &str, entry: &Entry) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(entry.owner.id());
    header.set_gid(entry.owner.id());
    // Times would make two packings of the same content differ.
    header.set_mtime(0);
    header.set_size(0);
    match &entry.content {
        Content::Directory => {
            header.set_entry_type(EntryType::Directory);
            archive.append_data(&mut header, format!("{path}/"), io::empty())?;
        }
        Content::Link(target) => {
            header.set_entry_type(EntryType::Symlink);
            archive.append_link(&mut header, path, target)?;
        }
        Content::Bytes(bytes) => {
            header.set_size(u64::try_from(bytes.len())?);
            archive.append_data(&mut header, path, bytes.as_slice())?;
        }
        Content::Copy(source) => {
            let file =
                File::open(source).with_context(|| format!("opening {}", source.display()))?;
            let size = file.metadata()?.len();
            header.set_size(size);
            // A file that grows meanwhile must not spill into the next entry.
            archive.append_data(&mut header, path, file.take(size))?;
        }
    }
    Ok(())
}

struct Hasher(sha256::HashEngine);

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.input(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// SHA-256 of bytes, in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    sha256::Hash::hash(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn layer(source: &std::path::Path) -> Layer {
        let mut layer = Layer::default();
        layer
            .directory("/etc/lab", 0o700, Owner::Service(1000))
            .text("/etc/passwd", "root:x:0:0::/:/bin/sh\n", 0o644, Owner::Root)
            .copy("/bin/program", source.to_owned())
            .link("/bin/sh", "busybox");
        layer
    }

    #[test]
    fn the_same_content_makes_the_same_archive_whatever_the_times() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        fs::write(&one, "program").unwrap();
        fs::write(&two, "program").unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(86_400);
        File::options()
            .write(true)
            .open(&two)
            .unwrap()
            .set_modified(old)
            .unwrap();
        assert_eq!(
            layer(&one).to_bytes().unwrap(),
            layer(&two).to_bytes().unwrap()
        );
    }

    #[test]
    fn the_digest_is_that_of_the_archive() {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("program");
        fs::write(&source, vec![7; 100_000]).unwrap();
        let layer = layer(&source);
        let before = layer.digest().unwrap();
        assert_eq!(before, digest(&layer.to_bytes().unwrap()));
        fs::write(&source, vec![8; 100_000]).unwrap();
        assert_ne!(before, layer.digest().unwrap());
    }

    #[test]
    fn owners_and_modes_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("program");
        fs::write(&source, "program").unwrap();
        let bytes = layer(&source).to_bytes().unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut seen = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            let path = entry.path().unwrap().display().to_string();
            seen.insert(path, (header.mode().unwrap(), header.uid().unwrap()));
        }
        assert_eq!(seen["etc/lab/"], (0o700, 1000));
        assert_eq!(seen["etc/passwd"], (0o644, 0));
        assert_eq!(seen["bin/program"], (0o755, 0));
        assert!(seen.contains_key("bin/sh"));
    }

    #[test]
    fn a_missing_source_is_named() {
        let error = layer("/nonexistent/program".as_ref())
            .to_bytes()
            .unwrap_err();
        assert!(format!("{error:#}").contains("/nonexistent/program"));
    }
}
