//! Faults of services: killed and paused, and brought back when their time is over.
//!
//! Faults of links are the relay's, which ends them itself. A service's fault has to be ended from
//! outside, on both backends and also when the command that began it is gone: by a keeper, a
//! process of the lab that sleeps until then. What is disturbed is written down in the lab's
//! directory, so that every later command knows of it and can heal it.

use std::fs;
use std::io::ErrorKind;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::backend::process::{SERVICE_MARKER, STATE_MARKER};
use crate::backend::{Backend, State};
use crate::fault::Fault;
use crate::lab::Lab;
use crate::service::ServiceSpec;
use crate::state::{create_private_dir, write_private};

/// What can be done to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blow {
    /// It ends at once, as in a power cut.
    Kill,
    /// It stands still; its connections stay open.
    Pause,
}

impl Blow {
    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
        }
    }
}

/// A service that was struck and is not back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Struck {
    /// Which.
    pub service: String,
    /// What was done to it.
    pub fault: Blow,
    /// Since when, in milliseconds since 1970; also tells one fault from the next.
    pub since_ms: u64,
    /// Until when; until it is healed when there is no end.
    pub until_ms: Option<u64>,
}

/// What was disturbed and is not any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Healed {
    /// Services that were away.
    pub services: Vec<Struck>,
    /// Links on which something was done to what passes.
    pub links: Vec<String>,
}

impl Lab {
    /// Kills or pauses a service. With a time it is away for so long; without, a killed one comes
    /// back at once, and a paused one when it is healed.
    ///
    /// # Errors
    /// It does not run, or the backend refuses.
    pub async fn strike(
        &self,
        service: &str,
        fault: Blow,
        lasts: Option<Duration>,
    ) -> Result<Option<Struck>> {
        let spec = self.service(service)?;
        let status = self.runner().status(service).await?;
        if !matches!(status.state, State::Running | State::Unsupervised) {
            return Err(Fault::unavailable(
                format!("{service} does not run, so it cannot be disturbed: it is {}", status.state.name()),
                format!("start it: lab start {service}; or heal what was done to it: lab chaos heal {service}"),
            )
            .into());
        }
        let since_ms = now_ms();
        let struck = Struck {
            service: service.to_owned(),
            fault,
            since_ms,
            until_ms: lasts.map(|lasts| since_ms + lasts.as_millis() as u64),
        };
        if fault == Blow::Kill && lasts.is_none() {
            self.put_down(spec).await?;
            self.runner().start(spec).await?;
            return Ok(None);
        }
        // Written down first: whatever happens from here on, somebody can heal it.
        self.write_down(&struck)?;
        match fault {
            Blow::Pause => self.runner().pause(spec).await?,
            Blow::Kill => self.put_down(spec).await?,
        }
        // Not before: what is brought back while it is being struck would stay away for good.
        if let Some(lasts) = lasts {
            self.keep(&struck, lasts)?;
        }
        Ok(Some(struck))
    }

    /// Kills a service that would come back by itself, and be said to have ended by itself.
    async fn put_down(&self, spec: &ServiceSpec) -> Result<()> {
        self.runner().kill(spec).await?;
        match self.runner().status(&spec.name).await?.state {
            State::Stopped => Ok(()),
            _ => self.runner().stop(spec).await,
        }
    }

    /// What is struck now.
    ///
    /// # Errors
    /// The lab's directory cannot be read.
    pub fn struck(&self) -> Result<Vec<Struck>> {
        let entries = match fs::read_dir(self.state().faults()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut struck = Vec::new();
        for entry in entries {
            // One that is healed right now is none any more.
            if let Ok(text) = fs::read_to_string(entry?.path())
                && let Ok(one) = serde_json::from_str(&text)
            {
                struck.push(one);
            }
        }
        struck.sort_by(|a: &Struck, b| a.service.cmp(&b.service));
        Ok(struck)
    }

    /// Brings a service back; `None` when nothing was done to it.
    ///
    /// # Errors
    /// The backend refuses.
    pub async fn revive(&self, service: &str) -> Result<Option<Struck>> {
        let Some(struck) = self
            .struck()?
            .into_iter()
            .find(|one| one.service == service)
        else {
            return Ok(None);
        };
        let spec = self.service(service)?;
        match struck.fault {
            Blow::Pause => self.runner().resume(spec).await?,
            Blow::Kill => self.runner().start(spec).await?,
        }
        let file = self.fault_file(spec);
        fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
        Ok(Some(struck))
    }

    /// Ends the faults of these services and links, of a service's links too; all when none is
    /// named.
    ///
    /// # Errors
    /// A name is none of the lab's, or a service cannot be brought back.
    pub async fn heal(&self, targets: &[String]) -> Result<Healed> {
        let mut healed = Healed::default();
        let is_meant = |name: &str| targets.is_empty() || targets.iter().any(|one| one == name);
        for struck in self.struck()? {
            if is_meant(&struck.service) {
                healed.services.extend(self.revive(&struck.service).await?);
            }
        }
        let Ok(relay) = self.relay() else {
            let known: Result<Vec<_>> = targets.iter().map(|name| self.service(name)).collect();
            return known.map(|_| healed);
        };
        let mut links = Vec::new();
        if targets.is_empty() {
            // A relay that does not run disturbs nothing.
            links = relay.links().await.unwrap_or_default();
        }
        for target in targets {
            match self.service(target) {
                // A service need not have links.
                Ok(_) => links.extend(relay.find(target).await.unwrap_or_default()),
                Err(_) => links.extend(relay.find(target).await?),
            }
        }
        for link in links {
            if !(link.faults.is_empty() && link.rules.is_empty()) {
                relay.heal(&link.name).await?;
                healed.links.push(link.name);
            }
        }
        Ok(healed)
    }

    /// What a keeper does when it wakes: ends the fault it was started for, and no later one.
    ///
    /// # Errors
    /// The backend refuses.
    pub async fn end_of(&self, service: &str, since_ms: u64) -> Result<()> {
        let is_it = |one: &Struck| one.service == service && one.since_ms == since_ms;
        if self.struck()?.iter().any(is_it) {
            self.revive(service).await?;
        }
        Ok(())
    }

    fn write_down(&self, struck: &Struck) -> Result<()> {
        create_private_dir(&self.state().faults())?;
        let file = self.fault_file(self.service(&struck.service)?);
        write_private(&file, &serde_json::to_vec(struck)?)
    }

    fn fault_file(&self, spec: &ServiceSpec) -> std::path::PathBuf {
        self.state().faults().join(format!("{}.json", spec.name))
    }

    /// Starts the process that will end the fault. It carries the lab's marker, so it goes with it.
    fn keep(&self, struck: &Struck, lasts: Duration) -> Result<()> {
        let home = self
            .state()
            .path()
            .parent()
            .context("a lab lies in a home")?;
        std::process::Command::new(self.programs().own()?)
            .args(["keep", &struck.service, "--name", self.name()])
            .arg("--home")
            .arg(home)
            .args(["--since-ms", &struck.since_ms.to_string()])
            .args(["--for-ms", &lasts.as_millis().to_string()])
            .env(STATE_MARKER, self.state().path())
            .env(SERVICE_MARKER, format!("keeper-of-{}", struck.service))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the process that ends the fault")?;
        Ok(())
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_millis() as u64
}
