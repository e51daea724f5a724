//! Snapshots: a lab's chain, ledgers, keys and configuration, to go back to.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, BackendKind, State};
use crate::fault::Fault;
use crate::lab::Lab;
use crate::names;
use crate::programs::Programs;
use crate::progress::{Event, Progress};
use crate::secrets::Secrets;
use crate::service::{ServiceSpec, Volume};
use crate::state::{Record, StateDir, create_private_dir, write_private};

/// Beside the labs; no lab can have this name.
const DIRECTORY: &str = ".snapshots";
/// What a snapshot is, in its directory.
const MANIFEST: &str = "snapshot.json";
/// Rises with every change of what a snapshot holds, or of what roles keep in it.
const FORMAT: u32 = 1;

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Of what it holds.
    pub format: u32,
    /// Of the program that made it.
    pub version: String,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    /// The lab's name.
    pub lab: String,
    /// The chain's height, if the node answered.
    pub height: Option<u64>,
    /// What the lab is.
    pub record: Record,
}

/// Where snapshots of the labs below `home` are.
#[derive(Debug, Clone)]
pub struct Snapshots(PathBuf);

impl Snapshots {
    /// Those of the labs below `home`.
    pub fn of(home: &Path) -> Self {
        Self(home.join(DIRECTORY))
    }

    /// All of them, by name.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<Snapshot>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut found = Vec::new();
        for entry in entries {
            // One that is being made has no manifest yet.
            if let Ok(text) = fs::read_to_string(entry?.path().join(MANIFEST))
                && let Ok(snapshot) = serde_json::from_str(&text)
            {
                found.push(snapshot);
            }
        }
        found.sort_by(|a: &Snapshot, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The snapshot `name`, if this program can read it.
    ///
    /// # Errors
    /// There is none, or it is another version's.
    pub fn find(&self, name: &str) -> Result<Snapshot> {
        check_name(name)?;
        let file = self.0.join(name).join(MANIFEST);
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let names: Vec<_> = self.list()?.into_iter().map(|one| one.name).collect();
                return Err(Fault::usage(
                    format!("there is no snapshot '{name}'"),
                    match names.is_empty() {
                        true => "make one: lab snapshot save NAME".to_owned(),
                        false => names::remedy(name, names.iter().map(String::as_str)),
                    },
                )
                .into());
            }
            other => other.with_context(|| format!("reading {}", file.display()))?,
        };
        // Only these two are sure to be there in every version.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
            version: String,
        }
        let other = |found: String| {
            Fault::usage(
                format!(
                    "the snapshot '{name}' is of {found}, and this is {}",
                    ours()
                ),
                format!(
                    "restore it with that version, or remove it: rm -r {}",
                    self.0.join(name).display()
                ),
            )
        };
        let version: Version = serde_json::from_str(&text)
            .map_err(|_| other("no version that can be told".to_owned()))?;
        let found = format!("{} (format {})", version.version, version.format);
        if found != ours() {
            return Err(other(found).into());
        }
        serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))
    }
}

/// What this program makes and reads.
fn ours() -> String {
    format!("{} (format {FORMAT})", env!("CARGO_PKG_VERSION"))
}

fn check_name(name: &str) -> Result<(), Fault> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if !name.is_empty() && name.len() <= 64 && name.chars().all(fits) {
        return Ok(());
    }
    Err(Fault::usage(
        format!("'{name}' cannot name a snapshot"),
        "use up to 64 of a-z 0-9 - _",
    ))
}

impl Lab {
    /// Keeps everything of the lab under `name`. Its services are stopped meanwhile, so that all of
    /// them are kept as of the same moment; those that ran run again afterwards.
    ///
    /// # Errors
    /// There is a snapshot of that name, or something cannot be read or written.
    pub async fn save(&self, name: &str, progress: Progress<'_>) -> Result<Snapshot> {
        check_name(name)?;
        let home = self
            .state()
            .path()
            .parent()
            .context("a lab lies in a home")?;
        let Snapshots(directory) = Snapshots::of(home);
        let target = directory.join(name);
        if target.exists() {
            return Err(Fault::usage(
                format!("there is a snapshot '{name}' already"),
                format!(
                    "choose another name, or remove it: rm -r {}",
                    target.display()
                ),
            )
            .into());
        }
        let status = self.status().await?;
        let running = status.services.iter().filter(|one| {
            matches!(
                one.state,
                State::Running | State::Restarting | State::Unsupervised
            )
        });
        let running: Vec<String> = running.map(|one| one.name.clone()).collect();
        let snapshot = Snapshot {
            name: name.to_owned(),
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            created_ms: now_ms(),
            lab: self.name().to_owned(),
            height: status.height,
            record: self.record().clone(),
        };
        self.stop(&[], progress).await?;
        progress(Event::Step("copying".to_owned()));
        let copied = self.copy_to(&directory, &target, &snapshot).await;
        // Whether it went well or not: the lab is left as it was.
        if !running.is_empty() {
            self.start(&running, progress).await?;
        }
        copied.map(|()| snapshot)
    }

    async fn copy_to(&self, directory: &Path, target: &Path, snapshot: &Snapshot) -> Result<()> {
        let partial = directory.join(format!("{}.partial", snapshot.name));
        let _ = fs::remove_dir_all(&partial);
        create_private_dir(&partial)?;
        self.secrets().save(&partial.join("secrets.json"))?;
        for (spec, volume) in kept(self.services()) {
            let file = partial.join(format!("{}.tar", volume.name));
            self.runner().save_volume(spec, volume, &file).await?;
        }
        write_private(
            &partial.join(MANIFEST),
            &serde_json::to_vec_pretty(snapshot)?,
        )?;
        fs::rename(&partial, target).with_context(|| format!("writing {}", target.display()))
    }

    /// Whether [`Self::restore`] will find all it needs: asked before another lab makes room.
    ///
    /// # Errors
    /// A part of the snapshot is missing, or its backend cannot be reached.
    pub async fn can_restore(home: &Path, snapshot: &Snapshot, programs: Programs) -> Result<()> {
        let Snapshots(directory) = Snapshots::of(home);
        let source = directory.join(&snapshot.name);
        let secrets = Secrets::load(&source.join("secrets.json"))?;
        let state = StateDir::new(home, &snapshot.lab)?;
        let specs = Self::specs_by(&snapshot.record, &secrets, &state)?;
        for (_, volume) in kept(&specs) {
            let file = source.join(format!("{}.tar", volume.name));
            if !file.is_file() {
                return Err(Fault::failed(
                    format!("the snapshot '{}' lacks {}", snapshot.name, file.display()),
                    format!("it cannot be used; remove it: rm -r {}", source.display()),
                )
                .into());
            }
        }
        Self::reach(&snapshot.record, &state, programs).await?;
        Ok(())
    }

    /// Makes the lab `name` below `home` what it was in a snapshot, and leaves it stopped. An
    /// earlier lab of that name has to be gone.
    ///
    /// # Errors
    /// There is such a lab, or something cannot be made.
    pub async fn restore(
        home: &Path,
        name: &str,
        snapshot: &Snapshot,
        programs: Programs,
        progress: Progress<'_>,
    ) -> Result<()> {
        let state = StateDir::new(home, name)?;
        if state.exists() {
            return Err(Fault::usage(
                format!("there is a lab '{name}'"),
                format!(
                    "remove it first: lab down --name {name}; or let it be replaced: --replace"
                ),
            )
            .into());
        }
        let restored = Self::fill(home, &state, snapshot, programs.clone(), progress).await;
        if restored.is_err() {
            let removed = Self::down(home, name, programs, progress).await;
            removed.context("removing what was restored")?;
        }
        restored
    }

    async fn fill(
        home: &Path,
        state: &StateDir,
        snapshot: &Snapshot,
        programs: Programs,
        progress: Progress<'_>,
    ) -> Result<()> {
        let Snapshots(directory) = Snapshots::of(home);
        let source = directory.join(&snapshot.name);
        let lock = state.lock().await?;
        let secrets = Secrets::load(&source.join("secrets.json"))?;
        secrets.save(&state.secrets_file())?;
        state.save_record(&snapshot.record)?;
        drop(lock);
        let lab = Self::open(home, state.name(), programs).await?;
        progress(Event::Step("copying".to_owned()));
        let never = CancellationToken::new();
        lab.runner()
            .prepare(lab.services(), progress, &never)
            .await?;
        for (spec, volume) in kept(lab.services()) {
            let file = source.join(format!("{}.tar", volume.name));
            lab.runner().restore_volume(spec, volume, &file).await?;
        }
        Ok(())
    }
}

/// The volumes that hold something: a socket is made anew each time.
fn kept(specs: &[ServiceSpec]) -> impl Iterator<Item = (&ServiceSpec, &Volume)> {
    let volumes = specs
        .iter()
        .flat_map(|spec| spec.volumes.iter().map(move |volume| (spec, volume)));
    volumes.filter(|(_, volume)| !volume.name.ends_with("-ipc"))
}

impl Snapshot {
    /// What runs its services.
    pub fn backend(&self) -> BackendKind {
        self.record.backend
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_of_another_version_is_refused_by_name() {
        let home = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::of(home.path());
        assert_eq!(snapshots.list().unwrap(), []);
        let directory = home.path().join(DIRECTORY).join("old");
        fs::create_dir_all(&directory).unwrap();
        for (manifest, says) in [
            (
                r#"{ "format": 0, "version": "0.0.0" }"#,
                "is of 0.0.0 (format 0)",
            ),
            (
                r#"{ "format": 1, "version": "9.9.9", "more": [] }"#,
                "is of 9.9.9 (format 1)",
            ),
            ("{}", "no version that can be told"),
        ] {
            fs::write(directory.join(MANIFEST), manifest).unwrap();
            let error = snapshots.find("old").unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
        assert!(
            snapshots
                .find("new")
                .unwrap_err()
                .to_string()
                .contains("no snapshot")
        );
        for name in ["", "../x", "A", "a/b"] {
            assert!(snapshots.find(name).is_err(), "{name}");
        }
    }
}
