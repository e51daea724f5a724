//! Services as containers, through the Docker API (1.41 of Docker 20.10 and newer).
//!
//! Containers, network and volumes carry the labels of `docker compose`, so that its `ps`, `logs`
//! and `down` work on a lab: `docker compose -p NAME ps`.

mod connect;
mod container;
mod exec;
mod images;
mod logs;
mod network;
mod remove;
pub(crate) mod time;

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};
use bollard::models::{ContainerCreateBody, ContainerStateStatusEnum, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, InspectContainerOptions,
    KillContainerOptions, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptions, UploadToContainerOptionsBuilder,
};
use bollard::{Docker as Api, body_full};
use futures_util::{StreamExt, future};
use tokio_util::sync::CancellationToken;

use super::{Backend, Exit, Lines, LogRange, Removed, ServiceStatus, State};
use crate::fault::Fault;
use crate::image::layer::{Layer, Owner};
use crate::port;
use crate::programs::Programs;
use crate::progress::Progress;
use crate::service::{Origin, SERVICE_UID, ServiceSpec, Volume};
use crate::subnet::Subnet;
use container::Names;
pub use exec::{Ran, Terminal};
pub use images::Packed;

/// The docker backend of one lab.
#[derive(Debug)]
pub struct Docker {
    api: Api,
    place: String,
    names: Names,
    settings: Settings,
}

/// What a lab on Docker may be asked to do differently.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The network's addresses.
    pub subnet: Subnet,
    /// Host address on which ports are published.
    pub bind: Ipv4Addr,
    /// Whether missing and outdated images are packed.
    pub build: bool,
    /// Where the programs to pack are.
    pub programs: Programs,
}

impl Docker {
    /// Connects to the daemon, for the lab with this name.
    ///
    /// # Errors
    /// When no daemon answers; names every socket that was tried.
    pub async fn connect(lab: &str, settings: Settings) -> Result<Self, Fault> {
        let (api, place) = connect::connect().await?;
        Ok(Self {
            api,
            place,
            names: Names::new(lab),
            settings,
        })
    }

    /// The addresses of a new lab.
    pub(crate) fn settle(&mut self, subnet: Subnet, bind: Ipv4Addr) {
        (self.settings.subnet, self.settings.bind) = (subnet, bind);
    }

    /// Addresses that others use: networks of Docker, and what this machine's routes lead to.
    pub(crate) async fn taken_ranges(&self) -> Result<Vec<network::Taken>> {
        network::taken(&self.api).await
    }

    /// Where the daemon was found.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Packs the images that are missing or outdated.
    ///
    /// # Errors
    /// When a program is missing or the daemon refuses.
    pub async fn build(&self, images: &[&str], progress: Progress<'_>) -> Result<Vec<Packed>> {
        let images = images.iter().copied().collect();
        images::ensure(&self.api, &images, &self.settings.programs, progress).await
    }

    async fn ensure_images(&self, specs: &[ServiceSpec], progress: Progress<'_>) -> Result<()> {
        for spec in specs {
            match &spec.origin {
                Origin::Ours => {}
                Origin::Image(tag) => images::require_foreign(&self.api, tag).await?,
                Origin::Binary(path) => {
                    let (tag, name) = (self.names.image(spec), spec.program.clone());
                    images::pack_program(&self.api, tag, name, path.clone(), progress).await?;
                }
            }
        }
        let ours = specs.iter().filter(|spec| spec.origin == Origin::Ours);
        let images: BTreeSet<&str> = ours.map(|spec| spec.image.as_str()).collect();
        if self.settings.build {
            let programs = &self.settings.programs;
            images::ensure(&self.api, &images, programs, progress).await?;
            Ok(())
        } else {
            images::require(&self.api, &images).await
        }
    }

    async fn ensure_volumes(&self, specs: &[ServiceSpec]) -> Result<()> {
        let volumes: BTreeSet<&str> = specs
            .iter()
            .flat_map(|spec| spec.volumes.iter().map(|volume| volume.name.as_str()))
            .collect();
        for volume in volumes {
            let name = self.names.volume(volume);
            let request = VolumeCreateRequest {
                name: Some(name.clone()),
                labels: Some(self.names.volume_labels(volume)),
                ..VolumeCreateRequest::default()
            };
            let made = self.api.create_volume(request).await;
            let made = made.with_context(|| format!("creating the volume {name}"))?;
            if !self.names.owns(Some(&made.labels)) {
                return Err(Fault::unavailable(
                    format!("there is a Docker volume '{name}' which is none of ours"),
                    format!("choose another --name, or remove it: docker volume rm {name}"),
                )
                .into());
            }
        }
        Ok(())
    }

    async fn check_ports(&self, specs: &[ServiceSpec]) -> Result<()> {
        let running = future::try_join_all(specs.iter().map(|spec| self.status(&spec.name)));
        let running = running.await?;
        for (spec, status) in specs.iter().zip(running) {
            let ours = matches!(status.state, State::Running | State::Restarting);
            for port in spec.ports.iter().filter(|port| port.published && !ours) {
                self.check_port(spec, port.number).await?;
            }
        }
        Ok(())
    }

    async fn check_port(&self, spec: &ServiceSpec, number: u16) -> Result<()> {
        let bind = self.settings.bind;
        if port::is_free(bind, number)? {
            return Ok(());
        }
        let holder = match self.publisher(number).await? {
            Some(container) => format!("container {container}"),
            None => port::holder(bind, number).map_or_else(
                || "something that ended meanwhile".to_owned(),
                |holder| holder.to_string(),
            ),
        };
        Err(Fault::unavailable(
            format!(
                "port {number} of {bind}, on which {} is published, is held by {holder}",
                spec.name
            ),
            "end that, or publish the lab's ports on another address: lab up --bind 127.0.0.2",
        )
        .into())
    }

    /// The running container that publishes a port.
    async fn publisher(&self, number: u16) -> Result<Option<String>> {
        let filters = HashMap::from([("publish", vec![number.to_string()])]);
        let options = ListContainersOptionsBuilder::default()
            .filters(&filters)
            .build();
        let found = self.api.list_containers(Some(options)).await?;
        let names = found.into_iter().filter_map(|container| container.names);
        Ok(names
            .flatten()
            .next()
            .map(|name| name.trim_start_matches('/').to_owned()))
    }

    /// Makes the container of a service, or keeps the one that was made from the same spec.
    async fn ensure_container(&self, spec: &ServiceSpec) -> Result<()> {
        let name = self.names.container(&spec.name);
        let image = images::inspect(&self.api, &self.names.image(spec)).await?;
        let image = image.with_context(|| format!("the image of {} is gone", spec.name))?;
        let body = container::body(spec, &self.names, self.settings.bind, &image.id);
        if !self.keeps(&name, &body).await? {
            let options = CreateContainerOptionsBuilder::default().name(&name).build();
            self.api
                .create_container(Some(options), body)
                .await
                .with_context(|| format!("creating the container {name}"))?;
        }
        // Also into one that is kept: the command that made it may have been killed right then.
        self.upload_files(&name, spec).await
    }

    /// Whether a container is there that was made from the same spec; one from another goes.
    async fn keeps(&self, name: &str, body: &ContainerCreateBody) -> Result<bool> {
        let inspected = self
            .api
            .inspect_container(name, None::<InspectContainerOptions>)
            .await;
        match inspected {
            Ok(found) => {
                let labels = found.config.and_then(|config| config.labels);
                if !self.names.owns(labels.as_ref()) {
                    return Err(Fault::unavailable(
                        format!("there is a container '{name}' which is none of ours"),
                        format!("choose another --name, or remove it: docker rm -f {name}"),
                    )
                    .into());
                }
                let wanted = container::config_hash(body.labels.as_ref());
                if container::config_hash(labels.as_ref()) == wanted {
                    return Ok(true);
                }
                self.remove_container(name).await?;
                Ok(false)
            }
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("looking for {name}")),
        }
    }

    async fn remove_container(&self, name: &str) -> Result<()> {
        let stopped = self.api.stop_container(name, None::<StopContainerOptions>);
        // A container that does not stop is removed by force all the same.
        let _ = stopped.await;
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        self.api
            .remove_container(name, Some(options))
            .await
            .with_context(|| format!("replacing the container {name}"))
    }

    /// Puts the configuration inside. No bind mount: its owner would be the host's.
    async fn upload_files(&self, name: &str, spec: &ServiceSpec) -> Result<()> {
        let mut layer = Layer::default();
        for file in &spec.files {
            let path = file.path.display().to_string();
            layer.text(&path, &file.text, 0o600, Owner::Service(SERVICE_UID));
        }
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        self.api
            .upload_to_container(name, Some(options), body_full(layer.to_bytes()?.into()))
            .await
            .with_context(|| format!("writing the configuration of {name}"))
    }
}

impl Backend for Docker {
    async fn prepare(
        &self,
        specs: &[ServiceSpec],
        progress: Progress<'_>,
        stop: &CancellationToken,
    ) -> Result<()> {
        self.check_ports(specs).await?;
        // Images take long but are not the lab's: they may be left half-way.
        let images = self.ensure_images(specs, progress);
        let images = async {
            tokio::select! {
                biased;
                () = stop.cancelled() => Ok(()),
                images = images => images,
            }
        };
        let network = network::ensure(&self.api, &self.names, self.settings.subnet);
        let volumes = self.ensure_volumes(specs);
        // Each goes to its end even when another one fails.
        let (images, network, volumes) = future::join3(images, network, volumes).await;
        images?;
        network?;
        volumes?;
        if stop.is_cancelled() {
            return Ok(());
        }
        let containers = specs.iter().map(|spec| self.ensure_container(spec));
        future::join_all(containers).await.into_iter().collect()
    }

    async fn start(&self, spec: &ServiceSpec) -> Result<()> {
        let name = self.names.container(&spec.name);
        let started = self
            .api
            .start_container(&name, None::<StartContainerOptions>);
        Ok(started.await?)
    }

    async fn stop(&self, spec: &ServiceSpec) -> Result<()> {
        let name = self.names.container(&spec.name);
        let stopped = self.api.stop_container(&name, None::<StopContainerOptions>);
        Ok(stopped.await?)
    }

    async fn discard(&self, spec: &ServiceSpec) -> Result<()> {
        let name = self.names.container(&spec.name);
        match self.status(&spec.name).await?.state {
            State::Absent => Ok(()),
            _ => self.remove_container(&name).await,
        }
    }

    async fn is_current(&self, spec: &ServiceSpec) -> Result<bool> {
        let name = self.names.container(&spec.name);
        let container = self
            .api
            .inspect_container(&name, None::<InspectContainerOptions>);
        let tag = self.names.image(spec);
        let image = images::inspect(&self.api, &tag);
        let (container, image) = future::try_join(
            async {
                container
                    .await
                    .with_context(|| format!("looking at {name}"))
            },
            image,
        )
        .await?;
        Ok(image.is_none_or(|image| container.image == Some(image.id)))
    }

    async fn rest(&self) -> Result<()> {
        // The daemon is not ours.
        Ok(())
    }

    async fn save_volume(&self, spec: &ServiceSpec, volume: &Volume, file: &Path) -> Result<()> {
        let name = self.names.container(&spec.name);
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(&format!("{}/.", volume.path.display()))
            .build();
        let mut archive = File::create(file)?;
        let mut parts = self.api.download_from_container(&name, Some(options));
        while let Some(part) = parts.next().await {
            let part = part.with_context(|| format!("copying {} of {name}", volume.name))?;
            archive.write_all(&part)?;
        }
        Ok(archive.sync_all()?)
    }

    async fn restore_volume(&self, spec: &ServiceSpec, volume: &Volume, file: &Path) -> Result<()> {
        let name = self.names.container(&spec.name);
        let options = UploadToContainerOptionsBuilder::default()
            .path(&volume.path.display().to_string())
            .build();
        let archive = std::fs::read(file)?;
        let uploaded =
            self.api
                .upload_to_container(&name, Some(options), body_full(archive.into()));
        uploaded
            .await
            .with_context(|| format!("copying {} into {name}", volume.name))
    }

    async fn kill(&self, spec: &ServiceSpec) -> Result<()> {
        let name = self.names.container(&spec.name);
        let killed = self.api.kill_container(&name, None::<KillContainerOptions>);
        killed.await.with_context(|| format!("killing {name}"))
    }

    async fn pause(&self, spec: &ServiceSpec) -> Result<()> {
        let name = self.names.container(&spec.name);
        let paused = self.api.pause_container(&name).await;
        paused.with_context(|| format!("pausing {name}"))
    }

    async fn resume(&self, spec: &ServiceSpec) -> Result<()> {
        let name = self.names.container(&spec.name);
        let resumed = self.api.unpause_container(&name).await;
        resumed.with_context(|| format!("resuming {name}"))
    }

    async fn status(&self, service: &str) -> Result<ServiceStatus> {
        let name = self.names.container(service);
        let inspected = self
            .api
            .inspect_container(&name, None::<InspectContainerOptions>)
            .await;
        let found = match inspected {
            Ok(found) => found,
            Err(error) if is_missing(&error) => return Ok(ServiceStatus::default()),
            Err(error) => return Err(error).with_context(|| format!("looking at {name}")),
        };
        let container = found.state.unwrap_or_default();
        let state = match container.status {
            Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED) => {
                State::Running
            }
            Some(ContainerStateStatusEnum::RESTARTING) => State::Restarting,
            _ => State::Stopped,
        };
        let running = state == State::Running;
        let started = container.started_at.as_deref().and_then(time::since);
        let exit = container
            .exit_code
            .and_then(|code| i32::try_from(code).ok());
        let pid = container.pid.and_then(|pid| u32::try_from(pid).ok());
        Ok(ServiceStatus {
            state,
            pid: pid.filter(|pid| *pid != 0),
            restarts: found
                .restart_count
                .and_then(|count| u64::try_from(count).ok())
                .unwrap_or_default(),
            exit: exit.filter(|_| !running).map(Exit::from_shell_code),
            uptime: started.filter(|_| running),
        })
    }

    async fn logs(&self, service: &str, range: LogRange) -> Result<Lines> {
        Ok(logs::read(&self.api, &self.names, service, range))
    }

    async fn remove(&self, progress: Progress<'_>) -> Result<Removed> {
        remove::remove(&self.api, &self.names, progress).await
    }
}

/// Whether the daemon says that there is no such thing.
fn is_missing(error: &bollard::errors::Error) -> bool {
    matches!(
        error,
        bollard::errors::Error::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}
