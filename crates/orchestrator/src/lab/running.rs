//! Services of a lab that is there: stopped, and started again.

use std::collections::BTreeSet;

use anyhow::Result;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Lab;
use super::claim::Claim;
use crate::backend::{Backend, State};
use crate::plan;
use crate::progress::{Event, Progress};
use crate::service::ServiceSpec;
use crate::startup::{SERVICE_DEADLINE, Started, Startup};
use crate::state::Lock;

impl Lab {
    /// Takes the lab for this command: while the lock lives, no other one changes the lab.
    ///
    /// # Errors
    /// When another command holds it; names that command.
    pub async fn hold(&self) -> Result<Lock> {
        self.state.lock().await
    }

    /// Stops services, nobody before those who need it; all of them when none is named. They stay
    /// stopped until they are started, and keep what they have. Returns those that ran.
    ///
    /// # Errors
    /// When a name is none of the lab's, or the backend does not answer.
    pub async fn stop(&self, services: &[String], progress: Progress<'_>) -> Result<Vec<String>> {
        let mut running = Vec::new();
        for spec in self.chosen(services)? {
            let state = self.backend.status(&spec.name).await?.state;
            if !matches!(state, State::Absent | State::Stopped) {
                running.push(spec);
            }
        }
        let needs = |spec: &&ServiceSpec| (spec.name.clone(), spec.needs.clone());
        let mut stopped = Vec::new();
        for stage in plan::stop_stages(running.iter().map(needs)) {
            progress(Event::Step(format!("stopping: {}", stage.join(", "))));
            let stage = running.iter().filter(|spec| stage.contains(&spec.name));
            let ends = stage.map(async |spec| {
                self.backend.stop(spec).await?;
                Ok::<String, anyhow::Error>(spec.name.clone())
            });
            stopped.extend(futures_util::future::try_join_all(ends).await?);
        }
        if services.is_empty() {
            self.backend.rest().await?;
        }
        Ok(stopped)
    }

    /// Starts services and whatever they need, and waits until they are ready; all of them when
    /// none is named. What runs already is left alone.
    ///
    /// # Errors
    /// The first failure, with cause and remedy.
    pub async fn start(&self, services: &[String], progress: Progress<'_>) -> Result<Vec<Started>> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        let chosen = self.chosen(services)?;
        let mut open: Vec<String> = chosen.iter().map(|spec| spec.name.clone()).collect();
        while let Some(name) = open.pop() {
            open.extend(self.service(&name)?.needs.iter().cloned());
            names.insert(name);
        }
        let specs = self.specs.iter().filter(|spec| names.contains(&spec.name));
        self.bring_up(&specs.cloned().collect::<Vec<_>>(), progress)
            .await
    }

    /// Stops services and starts them again; all of them when none is named.
    ///
    /// # Errors
    /// As [`Self::stop`] and [`Self::start`].
    pub async fn restart(
        &self,
        services: &[String],
        progress: Progress<'_>,
    ) -> Result<Vec<Started>> {
        let _claims = Claim::again(&self.record);
        self.stop(services, progress).await?;
        let specs: Vec<ServiceSpec> = self.chosen(services)?.into_iter().cloned().collect();
        self.bring_up(&specs, progress).await
    }

    /// Prepares and starts these services along the graph of their needs.
    pub(super) async fn bring_up(
        &self,
        specs: &[ServiceSpec],
        progress: Progress<'_>,
    ) -> Result<Vec<Started>> {
        let began = Instant::now();
        let _claims = Claim::again(&self.record);
        let never = CancellationToken::new();
        self.backend.prepare(specs, progress, &never).await?;
        Startup {
            backend: &self.backend,
            ready: async |spec: &ServiceSpec| self.prober.help(spec).await,
            deadline: SERVICE_DEADLINE,
            began,
            progress,
        }
        .run(specs)
        .await
    }

    /// The services of these names; all when there are none.
    fn chosen(&self, services: &[String]) -> Result<Vec<&ServiceSpec>> {
        if services.is_empty() {
            return Ok(self.specs.iter().collect());
        }
        services.iter().map(|name| self.service(name)).collect()
    }
}
