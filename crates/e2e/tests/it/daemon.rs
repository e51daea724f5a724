//! A Docker daemon that is restarted under a lab: everything comes back, on its own address.
//!
//! The daemon is the test's own, on a network and among processes that nobody else sees, so that
//! no other container notices.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use serde_json::Value;
use tempfile::TempDir;

use crate::site::{Backend, Site, last_json, until};

/// A daemon of a test's own. Whatever happens, nothing of it outlives the test.
struct Daemon {
    directory: TempDir,
    /// Holds the network while the daemon is away.
    network: Child,
    process: Option<Child>,
}

/// A command that ends when the test does, even when that is killed.
fn mortal(words: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).args(words);
    command.stdin(Stdio::null());
    command
}

impl Daemon {
    /// Nothing where there is no right to make networks, or no program to run.
    async fn start() -> Option<Self> {
        if !Backend::Docker.is_testable() || !Uid::effective().is_root() {
            return None;
        }
        if Command::new("dockerd").arg("--version").output().is_err() {
            return None;
        }
        let network = "ip link set lo up && echo up && exec sleep infinity";
        let mut network = mortal(&["unshare", "--net", "sh", "-c", network])
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut said = String::new();
        let mut stdout = BufReader::new(network.stdout.take().unwrap());
        stdout.read_line(&mut said).unwrap();
        let mut daemon = Self {
            directory: tempfile::Builder::new()
                .prefix("dd")
                .tempdir_in("/tmp")
                .unwrap(),
            network,
            process: None,
        };
        if said.trim() != "up" {
            return None;
        }
        std::fs::write(daemon.path("daemon.json"), "{}").unwrap();
        daemon.run().await.then_some(daemon)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn host(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    /// Whether it runs now. It ends at once where it lacks a right, such as that to mount.
    async fn run(&mut self) -> bool {
        let log = std::fs::File::create(self.path("log")).unwrap();
        let network = self.network.id().to_string();
        let mut command = mortal(&["nsenter", "--target", &network, "--net", "--"]);
        // Among processes of its own: when it ends, its containers and their keeper do.
        command.args([
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]);
        command.args(["dockerd", "--bridge", "none", "--host", &self.host()]);
        for (option, name) in [
            ("--config-file", "daemon.json"),
            ("--data-root", "root"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
        ] {
            command.arg(option).arg(self.path(name));
        }
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let mut process = command.spawn().unwrap();
        let runs = until("the daemon", async || {
            let has_ended = process.try_wait().unwrap().is_some();
            let answer = self.docker(&["version"]);
            let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
            match answer.status.success() || has_ended {
                true => Ok(!has_ended),
                false => Err(log.lines().last().unwrap_or_default().to_owned()),
            }
        })
        .await;
        self.process = Some(process);
        runs
    }

    /// As when the machine is shut down: told to end, and waited for.
    fn end(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        let children = format!("/proc/{0}/task/{0}/children", process.id());
        let children = std::fs::read_to_string(children).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
            let _ = kill(Pid::from_raw(child), Signal::SIGTERM);
        }
        process.wait().unwrap();
    }

    fn docker(&self, arguments: &[&str]) -> Output {
        let mut docker = Command::new("docker");
        docker.args(arguments).env("DOCKER_HOST", self.host());
        docker.output().unwrap()
    }

    /// Runs `lab` on the daemon's network.
    fn lab(&self, site: &Site, arguments: &[&str]) -> Output {
        let lab = site.command(arguments);
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.network.id().to_string(), "--net", "--"])
            .arg(lab.get_program())
            .args(lab.get_args())
            .env("DOCKER_HOST", self.host());
        for (name, value) in lab.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Containers that run, with their addresses as the daemon has given them.
    fn addresses(&self) -> Vec<String> {
        let running = self.docker(&["ps", "--quiet"]).stdout;
        let running = String::from_utf8(running).unwrap();
        let format = "{{.Name}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let mut inspect = vec!["inspect", "--format", format];
        inspect.extend(running.split_whitespace());
        let lines = String::from_utf8(self.docker(&inspect).stdout).unwrap();
        let mut lines: Vec<String> = lines.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
        let _ = self.network.kill();
        let _ = self.network.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_comes_back_with_the_daemon_it_runs_on() {
    let Some(mut daemon) = Daemon::start().await else {
        eprintln!("no daemon can be started here: NO DOCKER DAEMON IS RESTARTED");
        return;
    };
    let site = Site::new(Backend::Docker);
    last_json(&daemon.lab(&site, &site.up_arguments(&[])));
    let before = daemon.addresses();
    assert_eq!(before.len(), 4, "{before:?}");

    daemon.end();
    assert!(daemon.run().await, "the daemon does not start again");
    until("everything back", async || {
        let output = daemon.lab(&site, &["status", "--json"]);
        let status = String::from_utf8(output.stdout).unwrap();
        let services: Value = serde_json::from_str(&status).map_err(|_| status.clone())?;
        let mut services = services["services"].as_array().into_iter().flatten();
        match services.all(|service| service["ready"] == true) {
            true => Ok(()),
            false => Err(status),
        }
    })
    .await;
    assert_eq!(daemon.addresses(), before);
    let mined = last_json(&daemon.lab(&site, &["mine", "1", "--json"]));
    assert_eq!(mined["mined_by"], "device", "{mined}");
    last_json(&daemon.lab(&site, &["down", "--json"]));
    assert_eq!(daemon.addresses(), Vec::<String>::new());
}
