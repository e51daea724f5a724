//! What a lab is made of, changed while it is there: other programs, more miners, fresh builds.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::Lab;
use crate::backend::{Backend, State};
use crate::fault::Fault;
use crate::progress::Progress;
use crate::service::{Origin, ServiceSpec};
use crate::startup::Started;
use crate::state::Record;
use crate::swap::Swap;

/// What became of a number of miners.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaled {
    /// Those that came.
    pub started: Vec<Started>,
    /// Those that went.
    pub removed: Vec<String>,
    /// Those that had to be told of it, such as an explorer.
    pub restarted: Vec<String>,
}

impl Lab {
    /// Runs another program in place of a service's, or with `None` ours again, and waits until it
    /// is ready. When it is not, what ran before comes back.
    ///
    /// # Errors
    /// When there is no such service or program, or it does not become ready.
    pub async fn swap(
        &mut self,
        service: &str,
        swap: Option<Swap>,
        progress: Progress<'_>,
    ) -> Result<Vec<Started>> {
        self.service(service)?;
        let mut record = self.record.clone();
        match swap {
            Some(swap) => drop(record.swaps.insert(service.to_owned(), swap)),
            None => drop(record.swaps.remove(service)),
        }
        let before = self.record.clone();
        self.become_as(record)?;
        let replaced = self.replace(service, progress).await;
        if let Err(error) = replaced {
            self.become_as(before)?;
            let restored = self.replace(service, progress).await;
            restored.with_context(|| format!("bringing the former {service} back"))?;
            return Err(error.context(format!("{service} was not swapped, the former one is back")));
        }
        replaced
    }

    /// Makes it as many miners of each name as wanted.
    ///
    /// # Errors
    /// When a name is no miner's, there is no room, or one does not become ready.
    pub async fn scale(
        &mut self,
        counts: &BTreeMap<String, u8>,
        progress: Progress<'_>,
    ) -> Result<Scaled> {
        let mut record = self.record.clone();
        for (name, count) in counts {
            match count {
                1 => drop(record.replicas.remove(name)),
                _ => drop(record.replicas.insert(name.clone(), *count)),
            }
        }
        let before = self.record.clone();
        let changed = self.turn_into(record, progress).await;
        if let Err(error) = changed {
            let restored = self.turn_into(before, progress).await;
            restored.context("making the lab what it was")?;
            return Err(error.context("the lab has as many miners as before"));
        }
        changed
    }

    /// Makes the lab what a record says: services that are no part of it go, those whose
    /// configuration is another one are made anew, new ones come.
    async fn turn_into(&mut self, record: Record, progress: Progress<'_>) -> Result<Scaled> {
        let before = self.specs.clone();
        self.become_as(record)?;
        let same = |name: &str| before.iter().find(|spec| spec.name == name);
        let mut removed = Vec::new();
        for spec in &before {
            if !self.specs.iter().any(|now| now.name == spec.name) {
                self.backend.discard(spec).await?;
                removed.push(spec.name.clone());
            }
        }
        // The relay, which has a port for each link, and who shows the lab.
        let mut restarted = Vec::new();
        let is_other = |spec: &&ServiceSpec| same(&spec.name).is_some_and(|old| old != *spec);
        for spec in self.specs.iter().filter(is_other) {
            if self.backend.status(&spec.name).await?.state != State::Absent {
                self.replace(&spec.name, progress).await?;
                restarted.push(spec.name.clone());
            }
        }
        let added = self.specs.iter().filter(|spec| same(&spec.name).is_none());
        let added: Vec<ServiceSpec> = added.cloned().collect();
        let mut started = self.bring_up(&added, progress).await?;
        started.sort_by(|a, b| a.service.cmp(&b.service));
        Ok(Scaled {
            started,
            removed,
            restarted,
        })
    }

    /// Services that run one of these images, and would run another build of it if they were
    /// started again.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn outdated(&self, images: &[&str]) -> Result<Vec<String>> {
        let mut outdated = Vec::new();
        for spec in &self.specs {
            let ours = spec.origin == Origin::Ours && images.contains(&spec.image.as_str());
            if !ours || self.backend.status(&spec.name).await?.state == State::Absent {
                continue;
            }
            if !self.backend.is_current(spec).await? {
                outdated.push(spec.name.clone());
            }
        }
        Ok(outdated)
    }

    /// Stops a service, makes it anew and starts it, while the others go on.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn replace(&self, service: &str, progress: Progress<'_>) -> Result<Vec<Started>> {
        let spec = self.service(service)?.clone();
        let status = self.backend.status(service).await?;
        if !matches!(status.state, State::Absent | State::Stopped) {
            self.backend.stop(&spec).await?;
        }
        self.bring_up(&[spec], progress).await
    }

    /// What the lab would be by this record, and on disk is from now on.
    fn become_as(&mut self, record: Record) -> Result<()> {
        self.specs = Self::specs_by(&record, &self.secrets, &self.state)?;
        self.topology = Self::topology_by(&record)?;
        self.state.save_record(&record)?;
        self.record = record;
        Ok(())
    }
}

/// Programs in place of ours must be there.
///
/// # Errors
/// When one names no program.
pub(super) fn check_swaps(record: &Record, names: &BTreeSet<&str>) -> Result<(), Fault> {
    for (name, swap) in &record.swaps {
        if !names.contains(name.as_str()) {
            return Err(Fault::usage(
                format!("'{name}', which is swapped, is no service of the topology"),
                format!("lab swap {name} --ours"),
            ));
        }
        if let Origin::Binary(path) = &swap.origin
            && !path.is_file()
        {
            return Err(Fault::unavailable(
                format!("{} in place of {name} is no file", path.display()),
                format!("put it there, or go back to ours: lab swap {name} --ours"),
            ));
        }
    }
    Ok(())
}
