//! Finding the Docker daemon.

use std::fmt;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker as Api};

use crate::fault::Fault;

/// Seconds that one request to the daemon may take; stopping a node takes up to 30.
const REQUEST_SECONDS: u64 = 120;
/// A daemon on this machine answers in milliseconds; a hanging one must not stall the command.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where to look for the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Socket(PathBuf),
    Http(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Http(url) => f.write_str(url),
        }
    }
}

/// Connects to the daemon that `DOCKER_HOST` names, else to the first usual socket that answers.
/// The API version is the newest that both sides know.
pub(super) async fn connect() -> Result<(Api, String), Fault> {
    let host = std::env::var("DOCKER_HOST").ok();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let places = places(host.as_deref(), home.as_deref(), runtime.as_deref())?;
    let mut tried = Vec::new();
    for place in places {
        match answer(&place).await {
            Ok(api) => return Ok((api, place.to_string())),
            Err(reason) => tried.push(reason),
        }
    }
    Err(Fault::unavailable(
        format!("no Docker daemon answers: {}", tried.join("; ")),
        "start it (systemctl start docker), or let it in (usermod -aG docker $USER), or point \
         DOCKER_HOST at it, or go without: --backend process",
    ))
}

fn places(
    host: Option<&str>,
    home: Option<&Path>,
    runtime: Option<&Path>,
) -> Result<Vec<Place>, Fault> {
    match host.filter(|host| !host.is_empty()) {
        Some(host) if host.starts_with("unix://") => {
            let path = host.trim_start_matches("unix://");
            Ok(vec![Place::Socket(path.into())])
        }
        Some(host) if host.starts_with("tcp://") || host.starts_with("http://") => {
            Ok(vec![Place::Http(host.to_owned())])
        }
        Some(host) => Err(Fault::usage(
            format!("DOCKER_HOST is {host}, which is neither unix:// nor tcp://"),
            "correct or unset DOCKER_HOST",
        )),
        None => {
            let usual = [
                Some(PathBuf::from("/var/run/docker.sock")),
                runtime.map(|dir| dir.join("docker.sock")),
                home.map(|dir| dir.join(".docker/run/docker.sock")),
                home.map(|dir| dir.join(".colima/default/docker.sock")),
                home.map(|dir| dir.join(".orbstack/run/docker.sock")),
            ];
            Ok(usual.into_iter().flatten().map(Place::Socket).collect())
        }
    }
}

/// The daemon at a place, or one clause on why it is none.
async fn answer(place: &Place) -> Result<Api, String> {
    let api = match place {
        Place::Socket(path) => {
            // The client library cannot tell these apart, and people need to know which it is.
            UnixStream::connect(path).map_err(|error| match error.kind() {
                ErrorKind::NotFound => format!("{place} does not exist"),
                ErrorKind::PermissionDenied => format!("{place} is not open to this user"),
                ErrorKind::ConnectionRefused => format!("nobody listens on {place}"),
                _ => format!("{place}: {error}"),
            })?;
            Api::connect_with_unix(&place.to_string(), REQUEST_SECONDS, API_DEFAULT_VERSION)
        }
        Place::Http(url) => Api::connect_with_http(url, REQUEST_SECONDS, API_DEFAULT_VERSION),
    };
    let api = api.map_err(|error| format!("{place}: {error}"))?;
    match tokio::time::timeout(PATIENCE, api.negotiate_version()).await {
        Ok(Ok(api)) => Ok(api),
        Ok(Err(error)) => Err(format!("{place}: {error}")),
        Err(_) => Err(format!("{place} gives no answer for {PATIENCE:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(path: &str) -> Place {
        Place::Socket(path.into())
    }

    #[test]
    fn docker_host_alone_decides_when_it_is_set() {
        let home = Some(Path::new("/home/ada"));
        let found = places(Some("unix:///run/d.sock"), home, None).unwrap();
        assert_eq!(found, [socket("/run/d.sock")]);
        let found = places(Some("tcp://10.0.0.1:2375"), home, None).unwrap();
        assert_eq!(found, [Place::Http("tcp://10.0.0.1:2375".to_owned())]);
        assert!(places(Some("ssh://ada@host"), home, None).is_err());
    }

    #[test]
    fn the_usual_sockets_are_tried_in_order() {
        let runtime = Some(Path::new("/run/user/1000"));
        let found = places(None, Some(Path::new("/home/ada")), runtime).unwrap();
        assert_eq!(found[0], socket("/var/run/docker.sock"));
        assert_eq!(found[1], socket("/run/user/1000/docker.sock"));
        assert_eq!(found[2], socket("/home/ada/.docker/run/docker.sock"));
        assert_eq!(places(Some(""), None, None).unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_missing_socket_is_named() {
        let reason = answer(&socket("/nonexistent/docker.sock"))
            .await
            .unwrap_err();
        assert_eq!(reason, "/nonexistent/docker.sock does not exist");
    }

    #[tokio::test]
    async fn a_socket_nobody_listens_on_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let reason = answer(&Place::Socket(path)).await.unwrap_err();
        assert!(reason.starts_with("nobody listens on"), "{reason}");
    }
}
