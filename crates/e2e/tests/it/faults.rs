//! Wrong input and broken surroundings: a clear cause and remedy, soon, and nothing left behind.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::site::{Backend, Site, program, until};

/// A refusal is there within this: long before anybody gives up waiting for a service, and late
/// enough for a machine that is busy with other things.
const SOON: Duration = Duration::from_secs(30);

#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "no {word:?} in: {stderr}");
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn every_problem_of_a_role_s_configuration_is_named_at_once() {
    for (role, required) in [
        ("pool", "listen_address"),
        ("template-provider", "listen_address"),
        ("mining-device", "pool_address"),
    ] {
        let config = file("nonsense = 1\nmonitoring_address = \"here\"\n");
        let output = Command::new(program(role))
            .arg("--config")
            .arg(config.path())
            .output()
            .unwrap();
        refused(
            &output,
            64,
            &["nonsense: unknown key", "monitoring_address", required],
        );

        let broken = file("a = [\n");
        let output = Command::new(program(role))
            .arg("--config")
            .arg(broken.path())
            .output()
            .unwrap();
        let path = broken.path().display().to_string();
        refused(&output, 64, &[&path, "line"]);
    }
}

#[test]
fn a_topology_with_mistakes_is_refused_with_all_of_them() {
    let topology = file(
        "about = \"x\"\n[services.pool]\nkind = \"pool\"\ntemplate_provider = \"nobody\"\ncolour = 1\n",
    );
    let site = Site::new(Backend::Process);
    let path = topology.path().display().to_string();
    let output = site.lab(&site.up_arguments(&[&path]));
    refused(&output, 64, &["colour"]);
    site.assert_gone();
}

#[test]
fn a_taken_port_is_named_with_its_holder() {
    let site = Site::new(Backend::Process);
    let arguments = site.up_arguments(&["--no-wait-block"]);
    let subnet = arguments[4].trim_end_matches("0/24").to_owned();
    let _held = TcpListener::bind(format!("{subnet}5:34254")).unwrap();
    let since = Instant::now();
    let output = site.lab(&arguments);
    assert!(since.elapsed() < SOON);
    let pid = std::process::id().to_string();
    refused(&output, 69, &["34254", &pid]);
    site.assert_gone();
}

#[test]
fn without_a_docker_daemon_the_docker_backend_says_where_it_looked() {
    let site = Site::new(Backend::Process);
    let since = Instant::now();
    let output = site
        .command(&["up", "--backend", "docker", "--json"])
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .output()
        .unwrap();
    assert!(since.elapsed() < SOON);
    refused(&output, 69, &["/nonexistent/docker.sock"]);
    site.assert_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_with_the_wrong_authority_key_says_so_and_sends_no_share() {
    let (site, _) = Site::up(Backend::Process);
    let lab = site.open().await;
    let pool = lab.service("pool").unwrap().socket("mining").unwrap();
    // A key of the right form that is not this pool's.
    let other = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";
    let mut device = Command::new(program("mining-device"))
        .args([
            "--pool-address",
            &pool.to_string(),
            "--pool-public-key",
            other,
        ])
        .args(["--user-identity", "stranger", "--until-blocks", "1"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = device.stderr.take().unwrap();
    let said = std::thread::spawn(move || {
        use std::io::BufRead;
        let lines = std::io::BufReader::new(stderr).lines();
        lines
            .map_while(Result::ok)
            .find(|line| line.contains(other))
    });
    let line = until("its complaint", async || {
        if said.is_finished() {
            Ok(())
        } else {
            Err("silent".into())
        }
    });
    line.await;
    let line = said.join().unwrap().unwrap();
    assert!(line.contains("not signed by authority key"), "{line}");
    device.kill().unwrap();
    device.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupting_up_takes_everything_down_again() {
    let site = Site::new(Backend::Process);
    // A pool that never gets ready: nothing is over before it is interrupted.
    let programs = programs_with("pool", "exec sleep 1000");
    let up = site
        .command(&site.up_arguments(&[]))
        .env("LAB_BIN_DIR", programs.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut up = up.unwrap();
    until("something to interrupt", async || {
        // The supervisor and at least one service.
        let count = site.processes().len();
        if count > 2 {
            Ok(())
        } else {
            Err(format!("{count} processes"))
        }
    })
    .await;
    kill(Pid::from_raw(up.id() as i32), Signal::SIGINT).unwrap();
    let code = up.wait().unwrap().code();
    assert_eq!(code, Some(130));
    site.assert_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn down_removes_what_a_killed_up_and_a_killed_supervisor_left() {
    let (site, _) = Site::up(Backend::Process);
    for pid in site.processes() {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&arguments).contains("supervise") {
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        }
    }
    assert!(site.lab(&["down"]).status.success());
    site.assert_gone();
    let again = site.lab(&["down"]);
    assert!(again.status.success());
}

/// A directory with the real programs, but for one that is this script.
fn programs_with(name: &str, script: &str) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    for role in ["pool", "template-provider", "mining-device"] {
        std::os::unix::fs::symlink(program(role), directory.path().join(role)).unwrap();
    }
    let path = directory.path().join(name);
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

#[test]
fn a_role_that_ends_again_and_again_is_named_with_its_last_words() {
    let site = Site::new(Backend::Process);
    let programs = programs_with("pool", "echo the stone is too heavy >&2; exit 3");
    let mut up = site.command(&site.up_arguments(&[]));
    let output = up.env("LAB_BIN_DIR", programs.path()).output().unwrap();
    refused(
        &output,
        1,
        &[
            "pool ended",
            "exit code 3",
            "the stone is too heavy",
            "remedy:",
        ],
    );
    site.assert_gone();
}

#[test]
fn a_bitcoin_core_without_mining_interface_is_told_from_a_broken_one() {
    let site = Site::new(Backend::Process);
    let said = "Error: Error parsing command line arguments: Invalid parameter -ipcbind=unix:x";
    let programs = programs_with("bitcoin-node", &format!("echo '{said}' >&2; exit 1"));
    let mut up = site.command(&site.up_arguments(&[]));
    up.env("BITCOIN_NODE", programs.path().join("bitcoin-node"));
    let output = up.output().unwrap();
    refused(
        &output,
        1,
        &["btc-node ended", "no mining interface", "30 or newer"],
    );
    site.assert_gone();
}

#[test]
fn an_image_that_is_missing_is_named() {
    if !Backend::Docker.is_testable() {
        return;
    }
    let (site, _) = Site::up(Backend::Docker);
    let output = site.lab(&["swap", "pool", "--image", "nobody/has-this:ever"]);
    refused(&output, 69, &["nobody/has-this:ever", "docker pull"]);
    assert_eq!(site.json(&["mine", "1"])["mined_by"], "device");
}

/// Stands between the command and the daemon until it is dropped: then the daemon is gone.
struct Between {
    socket: std::path::PathBuf,
    streams: std::sync::Arc<std::sync::Mutex<Vec<std::os::unix::net::UnixStream>>>,
    _directory: tempfile::TempDir,
}

impl Between {
    fn new() -> Self {
        use std::os::unix::net::{UnixListener, UnixStream};
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let streams = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = std::sync::Arc::clone(&streams);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let daemon = UnixStream::connect("/var/run/docker.sock").unwrap();
                let ends = [(&client, &daemon), (&daemon, &client)];
                for (from, to) in ends {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Write);
                    });
                }
                seen.lock().unwrap().extend([client, daemon]);
            }
        });
        Self {
            socket,
            streams,
            _directory: directory,
        }
    }

    fn die(&self) {
        std::fs::remove_file(&self.socket).unwrap();
        for stream in self.streams.lock().unwrap().iter() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_dies_during_up_is_named_and_nothing_stays_behind() {
    if !Backend::Docker.is_testable() {
        return;
    }
    let site = Site::new(Backend::Docker);
    let daemon = Between::new();
    let up = site
        .command(&site.up_arguments(&[]))
        .env("DOCKER_HOST", format!("unix://{}", daemon.socket.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("something of the lab", async || {
        match site.docker_things().is_empty() {
            true => Err("nothing yet".to_owned()),
            false => Ok(()),
        }
    })
    .await;
    daemon.die();
    let since = Instant::now();
    let output = up.wait_with_output().unwrap();
    assert!(since.elapsed() < SOON);
    refused(&output, 69, &["Docker daemon", "remedy:"]);
    assert!(site.lab(&["down"]).status.success());
    site.assert_gone();
}
