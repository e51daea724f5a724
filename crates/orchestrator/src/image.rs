//! Packing programs of this machine into images, without a registry and without a build daemon.
//!
//! An image has two layers, a base that all share and a program with its libraries. Its content's
//! digest is a label, so an image that is up to date is recognised without packing it.

pub(crate) mod layer;
mod libraries;
mod rootfs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tar::{Builder, Header};

use crate::compose;
use crate::programs::Programs;
use crate::service::{CONTAINER_CONFIG, SERVICE_UID};
use crate::topology::Topology;
use layer::{Layer, digest};

/// What all images share, for [`unpack`].
const BASE: &str = "base";

/// Every image, with the programs in it; the first one is what it runs.
const IMAGES: &[(&str, &[&str])] = &[
    ("btc-node", &["bitcoin-node", "bitcoin-cli"]),
    ("explorer", &["explorer"]),
    ("jdc", &["jdc"]),
    ("jds", &["jds"]),
    ("lab", &["lab"]),
    ("mining-device", &["mining-device"]),
    ("pool", &["pool"]),
    ("relay", &["relay"]),
    ("template-provider", &["template-provider"]),
    ("translator", &["translator"]),
];

/// Label with the digest of an image's content.
pub const CONTENT_LABEL: &str = "sv2-lab.content";

/// Names of all images, which `lab build` also takes for services.
pub fn names() -> impl Iterator<Item = &'static str> {
    IMAGES.iter().map(|(name, _)| *name)
}

/// The programs of an image.
pub fn programs_of(image: &str) -> &'static [&'static str] {
    IMAGES
        .iter()
        .find(|(name, _)| *name == image)
        .map_or(&[], |(_, programs)| *programs)
}

/// The image that a service of this topology runs.
pub fn of_service(service: &str, topology: &Topology) -> Option<&'static str> {
    let specs = compose::specs_without_secrets(topology);
    let spec = specs.iter().find(|spec| spec.name == service)?;
    names().find(|name| *name == spec.image)
}

/// The image's full name in Docker.
pub fn tag(image: &str) -> String {
    format!("sv2-lab/{image}:latest")
}

/// An image that could be packed now.
#[derive(Debug)]
pub struct Image {
    /// Its full name.
    pub tag: String,
    /// Digest of everything in it.
    pub content: String,
    layers: [(String, Layer); 2],
    config: Value,
}

impl Image {
    /// Collects what goes into an image and takes its digest. Reads whole programs: call it where
    /// blocking is allowed.
    ///
    /// # Errors
    /// When a program, one of its libraries or busybox is missing.
    pub fn collect(name: &str, programs: &Programs) -> Result<Self> {
        Self::of(tag(name), &found(name, programs)?)
    }

    /// The same with a program of this machine that is none of ours.
    ///
    /// # Errors
    /// When the program, one of its libraries or busybox is missing.
    pub fn of_program(tag: String, name: &str, program: PathBuf) -> Result<Self> {
        Self::of(tag, &[(name.to_owned(), program)])
    }

    fn of(tag: String, programs: &[(String, PathBuf)]) -> Result<Self> {
        let (entry, _) = programs.first().context("an image has a program")?;
        let base = rootfs::base()?;
        let role = rootfs::role(programs)?;
        let layers = [(base.digest()?, base), (role.digest()?, role)];
        let digests: Vec<_> = layers
            .iter()
            .map(|(digest, _)| format!("sha256:{digest}"))
            .collect();
        let config = config(entry, &digests);
        let content = digest(config.to_string().as_bytes());
        Ok(Self {
            tag,
            content,
            layers,
            config,
        })
    }

    /// The archive that `docker load` reads.
    ///
    /// # Errors
    /// When a file changed or vanished since [`Self::collect`].
    pub fn pack(&self) -> Result<Vec<u8>> {
        let mut config = self.config.clone();
        config["config"]["Labels"] = json!({ CONTENT_LABEL: self.content });
        let config = config.to_string();
        let config_name = format!("{}.json", digest(config.as_bytes()));
        let mut files = BTreeMap::new();
        let mut layer_names = Vec::new();
        for (layer_digest, layer) in &self.layers {
            let bytes = layer.to_bytes()?;
            if digest(&bytes) != *layer_digest {
                anyhow::bail!("a program changed while it was being packed; build again");
            }
            let name = format!("{layer_digest}/layer.tar");
            layer_names.push(name.clone());
            files.insert(name, bytes);
        }
        let manifest = json!([{
            "Config": config_name,
            "RepoTags": [self.tag],
            "Layers": layer_names,
        }]);
        files.insert(config_name, config.into_bytes());
        files.insert("manifest.json".to_owned(), manifest.to_string().into());
        let mut archive = Builder::new(Vec::new());
        for (path, bytes) in &files {
            let mut header = Header::new_gnu();
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_size(u64::try_from(bytes.len())?);
            archive.append_data(&mut header, path, bytes.as_slice())?;
        }
        Ok(archive.into_inner()?)
    }
}

/// The programs of an image, and where this machine has them.
fn found(name: &str, programs: &Programs) -> Result<Vec<(String, PathBuf)>> {
    let found: Vec<(String, PathBuf)> = programs_of(name)
        .iter()
        .map(|program| Ok(((*program).to_owned(), programs.find(program)?)))
        .collect::<Result<_>>()?;
    anyhow::ensure!(!found.is_empty(), "there is no image '{name}'");
    Ok(found)
}

/// Writes into a directory what an image adds to the base that all share, or that base itself;
/// owners are those of whoever runs this.
///
/// # Errors
/// When a program, one of its libraries or busybox is missing, or a file cannot be written.
pub fn unpack(name: &str, programs: &Programs, directory: &Path) -> Result<()> {
    let layer = match name {
        BASE => rootfs::base()?,
        image => rootfs::role(&found(image, programs)?)?,
    };
    let bytes = layer.to_bytes()?;
    let mut archive = tar::Archive::new(bytes.as_slice());
    archive.set_preserve_permissions(true);
    std::fs::create_dir_all(directory)
        .and_then(|()| archive.unpack(directory))
        .with_context(|| format!("writing {}", directory.display()))
}

/// How a container is asked for its health when nobody says otherwise: by the program itself, with
/// its configuration under its usual name.
fn health(entry: &str) -> Value {
    let test = match entry {
        "lab" => json!(["NONE"]),
        "bitcoin-node" => json!(["CMD", "bitcoin-cli", "getblockcount"]),
        role => {
            let config = format!("{CONTAINER_CONFIG}/{role}.toml");
            json!(["CMD", role, "healthcheck", "--config", config])
        }
    };
    const SECOND: u64 = 1_000_000_000;
    json!({ "Test": test, "Interval": 30 * SECOND, "Timeout": 5 * SECOND, "Retries": 2 })
}

/// The image's configuration, by the OCI image specification.
fn config(entry: &str, layers: &[String]) -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let created = "1970-01-01T00:00:00Z";
    json!({
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {
            "User": format!("{SERVICE_UID}:{SERVICE_UID}"),
            "Env": [
                format!("PATH={}:/bin", rootfs::PROGRAMS),
                format!("LD_LIBRARY_PATH={}", rootfs::LIBRARIES),
            ],
            "Entrypoint": [format!("{}/{entry}", rootfs::PROGRAMS)],
            "WorkingDir": rootfs::HOME,
            "Healthcheck": health(entry),
        },
        "rootfs": { "type": "layers", "diff_ids": layers },
        "history": layers.iter().map(|_| json!({ "created": created })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn image(program: &std::path::Path) -> Image {
        let role = rootfs::role(&[("pool".to_owned(), program.to_owned())]).unwrap();
        let digest = role.digest().unwrap();
        Image {
            tag: tag("pool"),
            content: "content".to_owned(),
            layers: [(digest.clone(), role.clone()), (digest.clone(), role)],
            config: config("pool", &[digest.clone(), digest]),
        }
    }

    #[test]
    fn packing_twice_makes_the_same_archive() {
        let program = std::env::current_exe().unwrap();
        let [one, two] = [image(&program), image(&program)].map(|image| image.pack().unwrap());
        assert!(one == two);
    }

    #[test]
    fn the_manifest_names_what_the_archive_holds() {
        let bytes = image(&std::env::current_exe().unwrap()).pack().unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(path, bytes);
        }
        let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        let config = &files[manifest[0]["Config"].as_str().unwrap()];
        let config: Value = serde_json::from_slice(config).unwrap();
        assert_eq!(config["config"]["Labels"][CONTENT_LABEL], "content");
        let layers = manifest[0]["Layers"].as_array().unwrap();
        let ids = config["rootfs"]["diff_ids"].as_array().unwrap();
        assert_eq!(layers.len(), ids.len());
        for layer in layers {
            assert!(files.contains_key(layer.as_str().unwrap()));
        }
    }

    #[test]
    fn every_service_of_the_built_in_topologies_has_an_image() {
        for (_, text) in crate::topology::BUILT_IN {
            let topology = crate::topology::Topology::parse(text).unwrap();
            for spec in crate::compose::specs_without_secrets(&topology) {
                assert!(programs_of(&spec.image).contains(&spec.program.as_str()));
            }
        }
    }

    #[test]
    fn a_service_is_built_by_its_own_name() {
        let full = Topology::parse(&crate::topology::find("full").unwrap()).unwrap();
        let found = ["translator-proxy", "cpuminer", "btc-explorer", "ghost"]
            .map(|service| of_service(service, &full));
        let expected = [
            Some("translator"),
            Some("mining-device"),
            Some("explorer"),
            None,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_program_replaced_while_it_is_packed_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("pool");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let image = image(&program);
        std::fs::write(&program, "other").unwrap();
        assert!(image.pack().is_err());
    }
}
