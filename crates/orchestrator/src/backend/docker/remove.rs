//! Removing everything of a lab from Docker, by label, whatever is left of it.

use anyhow::{Context, Result};
use bollard::Docker as Api;
use bollard::models::{ContainerSummary, NetworkDisconnectRequest};
use bollard::query_parameters::{
    InspectNetworkOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
    StopContainerOptions,
};
use futures_util::future;

use super::container::{Names, needs_of};
use super::{images, is_missing};
use crate::backend::Removed;
use crate::plan;
use crate::progress::{Event, Progress};

/// Rounds of removing containers. A command killed a moment ago may have left a request with the
/// daemon that makes one more while we remove the others.
const ROUNDS: usize = 5;

/// Removes containers, then networks, then volumes.
pub(super) async fn remove(api: &Api, names: &Names, progress: Progress<'_>) -> Result<Removed> {
    let mut removed = Removed::default();
    for _ in 0..ROUNDS {
        let containers = containers(api, names).await?;
        if containers.is_empty() {
            break;
        }
        stop_and_remove(api, &containers, progress, &mut removed).await?;
    }
    removed.networks = networks(api, names).await?;
    removed.volumes = volumes(api, names).await?;
    if !removed.containers.is_empty() {
        // Nothing of this lab keeps them any more.
        images::remove_outdated(api).await;
        images::remove_all(api, &names.own_images()).await;
    }
    Ok(removed)
}

async fn containers(api: &Api, names: &Names) -> Result<Vec<ContainerSummary>> {
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&names.filter())
        .build();
    api.list_containers(Some(options))
        .await
        .context("listing the lab's containers")
}

async fn stop_and_remove(
    api: &Api,
    containers: &[ContainerSummary],
    progress: Progress<'_>,
    removed: &mut Removed,
) -> Result<()> {
    let needs = |container: &ContainerSummary| {
        let labels = container.labels.clone().unwrap_or_default();
        needs_of(&labels)
    };
    for stage in plan::stop_stages(containers.iter().map(needs)) {
        progress(Event::Step(format!("stopping: {}", stage.join(", "))));
        let stage = containers.iter().filter(|c| stage.contains(&needs(c).0));
        let ended = future::join_all(stage.map(|container| stop_one(api, container)));
        for name in ended.await {
            removed.containers.push(name?);
        }
    }
    Ok(())
}

async fn stop_one(api: &Api, container: &ContainerSummary) -> Result<String> {
    let id = container.id.as_deref().unwrap_or_default();
    let name = container.names.iter().flatten().next();
    let name = name.map_or(id, |name| name.trim_start_matches('/'));
    // Stopping is a courtesy to the program; removing by force works in any case.
    let _ = api.stop_container(id, None::<StopContainerOptions>).await;
    let options = RemoveContainerOptionsBuilder::default()
        .force(true)
        .v(true)
        .build();
    match api.remove_container(id, Some(options)).await {
        Ok(()) => {}
        Err(error) if is_missing(&error) => {}
        Err(error) => return Err(error).with_context(|| format!("removing container {name}")),
    }
    Ok(name.to_owned())
}

async fn networks(api: &Api, names: &Names) -> Result<Vec<String>> {
    let options = ListNetworksOptionsBuilder::default()
        .filters(&names.filter())
        .build();
    let networks = api
        .list_networks(Some(options))
        .await
        .context("listing the lab's networks")?;
    let mut removed = Vec::new();
    for network in networks {
        let (Some(id), Some(name)) = (network.id, network.name) else {
            continue;
        };
        detach_strangers(api, &id).await?;
        match api.remove_network(&id).await {
            Ok(()) => {}
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error).with_context(|| format!("removing network {name}")),
        }
        removed.push(name);
    }
    Ok(removed)
}

/// Containers that somebody attached to the lab's network go on without it.
async fn detach_strangers(api: &Api, network: &str) -> Result<()> {
    let found = match api
        .inspect_network(network, None::<InspectNetworkOptions>)
        .await
    {
        Ok(found) => found,
        Err(error) if is_missing(&error) => return Ok(()),
        Err(error) => return Err(error).context("looking at the lab's network"),
    };
    for (container, _) in found.containers.into_iter().flatten() {
        let request = NetworkDisconnectRequest {
            container: container.clone(),
            force: Some(true),
        };
        // One that went by itself meanwhile is as good.
        let _ = api.disconnect_network(network, request).await;
    }
    Ok(())
}

async fn volumes(api: &Api, names: &Names) -> Result<Vec<String>> {
    let options = ListVolumesOptionsBuilder::default()
        .filters(&names.filter())
        .build();
    let listed = api
        .list_volumes(Some(options))
        .await
        .context("listing the lab's volumes")?;
    let mut removed = Vec::new();
    for volume in listed.volumes.into_iter().flatten() {
        let options = RemoveVolumeOptionsBuilder::default().force(true).build();
        match api.remove_volume(&volume.name, Some(options)).await {
            Ok(()) => {}
            Err(error) if is_missing(&error) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("removing volume {}", volume.name));
            }
        }
        removed.push(volume.name);
    }
    Ok(removed)
}
