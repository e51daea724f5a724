//! Wrong input and broken surroundings: a clear cause and remedy, soon, and nothing left behind.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::site::{Backend, Site, program, until};

/// A refusal is there within this; generous, because tests share two cores.
const SOON: Duration = Duration::from_secs(5);

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
    let line = until("its complaint", SOON, async || {
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
    let up = site
        .command(&site.up_arguments(&[]))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut up = up.unwrap();
    until("something to interrupt", SOON, async || {
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
