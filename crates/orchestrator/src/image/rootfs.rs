//! The file system of an image: a small base, and a program with its libraries.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::layer::{Layer, Owner};
use super::libraries::{self, Library};
use crate::fault::Fault;
use crate::service::{CONTAINER_CONFIG, CONTAINER_VOLUMES, SERVICE_UID, VolumeRole};

/// Where libraries go, whatever directory this machine keeps them in.
pub(super) const LIBRARIES: &str = "/lib/lab";
/// Where programs go.
pub(super) const PROGRAMS: &str = "/usr/local/bin";
/// Home of the services' user.
pub(super) const HOME: &str = "/home/lab";

const SERVICE: Owner = Owner::Service(SERVICE_UID);

/// The layer that all images share: a shell and tools for looking around, and the user.
pub(super) fn base() -> Result<Layer> {
    let busybox = busybox()?;
    let output = Command::new(&busybox)
        .arg("--list")
        .output()
        .with_context(|| format!("asking {} for its tools", busybox.display()))?;
    let mut layer = Layer::default();
    for tool in String::from_utf8_lossy(&output.stdout).lines() {
        if tool != "busybox" {
            layer.link(&format!("/bin/{tool}"), "busybox");
        }
    }
    let passwd = format!(
        "root:x:0:0:root:/:/bin/sh\nlab:x:{SERVICE_UID}:{SERVICE_UID}:lab:{HOME}:/bin/sh\n"
    );
    layer
        .copy("/bin/busybox", busybox)
        .text("/etc/passwd", &passwd, 0o644, Owner::Root)
        .text(
            "/etc/group",
            &format!("root:x:0:\nlab:x:{SERVICE_UID}:\n"),
            0o644,
            Owner::Root,
        )
        .text(
            "/etc/nsswitch.conf",
            "hosts: files dns\n",
            0o644,
            Owner::Root,
        )
        .directory("/tmp", 0o1777, Owner::Root)
        .directory(HOME, 0o755, SERVICE)
        // So that `bitcoin-cli getblockcount` just works where there is one.
        .directory(&format!("{HOME}/.bitcoin"), 0o755, SERVICE)
        .link(
            &format!("{HOME}/.bitcoin/bitcoin.conf"),
            &format!("{CONTAINER_CONFIG}/bitcoin.conf"),
        )
        .directory(CONTAINER_CONFIG, 0o700, SERVICE)
        .directory(CONTAINER_VOLUMES, 0o755, SERVICE);
    if let Some(ping) = ping() {
        with_libraries(&mut layer, "/bin/ping", ping)?;
    }
    for role in VolumeRole::ALL {
        layer.directory(
            &format!("{CONTAINER_VOLUMES}/{}", role.directory()),
            0o700,
            SERVICE,
        );
    }
    Ok(layer)
}

/// The layer of one image: its programs and the libraries they need.
///
/// The programs were built on this machine, so this machine's libraries are the right ones.
pub(super) fn role(programs: &[(String, PathBuf)]) -> Result<Layer> {
    let mut layer = Layer::default();
    for (name, path) in programs {
        with_libraries(&mut layer, &format!("{PROGRAMS}/{name}"), path.clone())?;
    }
    Ok(layer)
}

/// Adds a program of this machine and the libraries it needs.
fn with_libraries(layer: &mut Layer, target: &str, program: PathBuf) -> Result<()> {
    for library in libraries::of(&program)? {
        match library {
            Library::Shared { name, path } => layer.copy(&format!("{LIBRARIES}/{name}"), path),
            Library::Loader(path) => {
                let target = path.display().to_string();
                layer.copy(&target, path)
            }
        };
    }
    layer.copy(target, program);
    Ok(())
}

/// A `ping` that works for users without privileges, if this machine has one.
///
/// Busybox's own asks for a raw socket, which the services' user does not get.
fn ping() -> Option<PathBuf> {
    let found = ["/bin/ping", "/usr/bin/ping"].map(Path::new);
    let found = found.into_iter().find(|path| path.is_file())?;
    let target = found.canonicalize().ok()?;
    (!target.ends_with("busybox")).then_some(target)
}

fn busybox() -> Result<PathBuf> {
    let missing = |cause: String| {
        Fault::unavailable(
            cause,
            "install it (Debian/Ubuntu: apt-get install busybox-static), or use --backend process",
        )
    };
    let found = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .map(Path::new)
        .find(|path| path.is_file())
        .ok_or_else(|| {
            missing("images need a statically linked busybox, and there is none".to_owned())
        })?;
    if !libraries::of(found)?.is_empty() {
        let cause = format!(
            "images need a statically linked busybox, and {} is not",
            found.display()
        );
        return Err(missing(cause).into());
    }
    Ok(found.to_owned())
}
