//! Keeping images up to date in the daemon.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use bollard::query_parameters::{ImportImageOptions, ListImagesOptionsBuilder, RemoveImageOptions};
use bollard::{Docker as Api, body_full};
use futures_util::{StreamExt, future};
use serde::Serialize;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::is_missing;
use crate::fault::Fault;
use crate::image::{self, CONTENT_LABEL, Image};
use crate::programs::Programs;
use crate::progress::{Event, Progress};

/// What became of an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Packed {
    /// Its full name in Docker.
    pub image: String,
    /// Whether it had to be packed; else it was up to date.
    pub packed: bool,
    /// How long that took.
    pub seconds: f64,
}

/// An image as the daemon has it.
pub(super) struct Present {
    pub(super) id: String,
    content: Option<String>,
}

/// The image under its full name, if it is there.
pub(super) async fn inspect(api: &Api, tag: &str) -> Result<Option<Present>> {
    match api.inspect_image(tag).await {
        Ok(found) => Ok(Some(Present {
            id: found.id.unwrap_or_default(),
            content: found
                .config
                .and_then(|config| config.labels)
                .and_then(|mut labels| labels.remove(CONTENT_LABEL)),
        })),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("looking for {tag}")),
    }
}

/// Packs every image that is missing or not made of today's programs.
pub(super) async fn ensure(
    api: &Api,
    images: &BTreeSet<&str>,
    programs: &Programs,
    progress: Progress<'_>,
) -> Result<Vec<Packed>> {
    let all = images.iter().flat_map(|name| image::programs_of(name));
    programs.check(all.copied())?;
    let each = images
        .iter()
        .map(|name| ensure_one(api, name, programs, progress));
    let packed: Vec<Packed> = future::join_all(each)
        .await
        .into_iter()
        .collect::<Result<_>>()?;
    if packed.iter().any(|image| image.packed) {
        remove_outdated(api).await;
    }
    Ok(packed)
}

async fn ensure_one(
    api: &Api,
    name: &str,
    programs: &Programs,
    progress: Progress<'_>,
) -> Result<Packed> {
    let (owned_name, programs) = (name.to_owned(), programs.clone());
    let collect = move || Image::collect(&owned_name, &programs);
    pack(api, image::tag(name), collect, progress).await
}

/// Packs a program of this machine that is none of ours, unless it is packed already.
pub(super) async fn pack_program(
    api: &Api,
    tag: String,
    name: String,
    program: PathBuf,
    progress: Progress<'_>,
) -> Result<Packed> {
    let owned_tag = tag.clone();
    let collect = move || Image::of_program(owned_tag, &name, program);
    pack(api, tag, collect, progress).await
}

async fn pack(
    api: &Api,
    tag: String,
    collect: impl FnOnce() -> Result<Image> + Send + 'static,
    progress: Progress<'_>,
) -> Result<Packed> {
    let began = Instant::now();
    let (image, present) = future::join(spawn_blocking(collect), inspect(api, &tag)).await;
    let (image, present) = (image??, present?);
    let up_to_date = present
        .as_ref()
        .is_some_and(|present| present.content.as_ref() == Some(&image.content));
    if !up_to_date {
        progress(Event::Step(format!("packing {tag}")));
        load(api, image).await?;
    }
    Ok(Packed {
        image: tag,
        packed: !up_to_date,
        seconds: rounded(began.elapsed()),
    })
}

async fn load(api: &Api, image: Image) -> Result<()> {
    let name = image.tag.clone();
    let archive = spawn_blocking(move || image.pack())
        .await?
        .with_context(|| format!("packing {name}"))?;
    let options = ImportImageOptions::default();
    let mut answers = std::pin::pin!(api.import_image(options, body_full(archive.into()), None));
    while let Some(answer) = answers.next().await {
        answer.with_context(|| format!("loading {name} into Docker"))?;
    }
    Ok(())
}

/// Removes images of ours that a newer one took the name of; they would pile up with every build.
///
/// Best effort: one that a container of another lab still uses goes the next time.
pub(super) async fn remove_outdated(api: &Api) {
    let filter = |key: &str, value: &str| (key.to_owned(), vec![value.to_owned()]);
    let filters = [filter("dangling", "true"), filter("label", CONTENT_LABEL)];
    remove_all(api, &filters.into()).await;
}

/// Removes the images that a filter finds; best effort, as above.
pub(super) async fn remove_all(api: &Api, filters: &HashMap<String, Vec<String>>) {
    let options = ListImagesOptionsBuilder::default().filters(filters).build();
    for image in api.list_images(Some(options)).await.unwrap_or_default() {
        // The names that were found: another one, as of a program that is ours after all, stays.
        let names = match &image.repo_tags[..] {
            [] => std::slice::from_ref(&image.id),
            [only] if only == "<none>:<none>" => std::slice::from_ref(&image.id),
            tags => tags,
        };
        for name in names {
            let removed = api.remove_image(name, None::<RemoveImageOptions>, None);
            let _ = removed.await;
        }
    }
}

/// Fails when an image is missing, for those who want nothing to be packed.
pub(super) async fn require(api: &Api, images: &BTreeSet<&str>) -> Result<()> {
    for name in images {
        if inspect(api, &image::tag(name)).await?.is_none() {
            return Err(Fault::unavailable(
                format!("there is no image {}", image::tag(name)),
                format!("pack it with: lab build {name}; or leave out --no-build"),
            )
            .into());
        }
    }
    Ok(())
}

/// Fails when an image of somebody else is missing.
pub(super) async fn require_foreign(api: &Api, tag: &str) -> Result<()> {
    match inspect(api, tag).await? {
        Some(_) => Ok(()),
        None => Err(Fault::unavailable(
            format!("there is no image {tag}"),
            format!("get it with: docker pull {tag}; or build it with: docker build -t {tag} ."),
        )
        .into()),
    }
}

fn rounded(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
