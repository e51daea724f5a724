//! The compose file, by `docker-compose` itself.

use std::path::Path;
use std::process::{Command, Output};

use rand::Rng;
use serde_json::Value;
use tempfile::TempDir;

use crate::site::{Backend, Site, until};

/// A project of a test's own, gone when the test ends.
struct Project {
    directory: TempDir,
    name: String,
    bind: String,
    subnet: String,
}

impl Project {
    fn new() -> Self {
        let mut rng = rand::thread_rng();
        let (a, b) = (rng.gen_range(100..250), rng.gen_range(0..255));
        Self {
            directory: TempDir::new().unwrap(),
            name: format!("c{:08x}", rng.r#gen::<u32>()),
            bind: format!("127.{a}.{b}.1"),
            subnet: format!("10.{a}.{b}"),
        }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new("docker-compose")
            .args(["--project-name", &self.name])
            .args(arguments)
            .env("LAB_BIND", &self.bind)
            .current_dir(self.directory.path())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.run(&["down", "--volumes"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_full_stack_comes_up_by_compose_alone_and_mines() {
    let has_compose = Command::new("docker-compose")
        .arg("version")
        .output()
        .is_ok();
    if !Backend::Docker.is_testable() || !has_compose {
        eprintln!("no docker-compose here: THE COMPOSE FILE IS NOT TRIED");
        return;
    }
    let site = Site::new(Backend::Process);
    site.json(&["build", "--no-compile", "--no-restart"]);
    let project = Project::new();
    let subnet = format!("{}.0/24", project.subnet);
    let printed = site.lab(&["compose", "full", "--subnet", &subnet]);
    let file = project.directory.path().join("docker-compose.yml");
    std::fs::write(&file, &printed.stdout).unwrap();

    project.succeed(&["up", "--detach", "--no-build"]);
    let pinged = project.succeed(&["exec", "-T", "jdc", "ping", "-c", "1", "template-provider"]);
    assert!(pinged.contains("1 received"), "{pinged}");
    let address = format!("{}.10:9095", project.subnet);
    let mine = format!("http://{address}/api/v1/mine?blocks=2");
    // It has been started, which is not to say that it listens.
    let released = until("the device", async || {
        let sent = reqwest::Client::new().post(&mine).send().await;
        sent.map_err(|error| error.to_string())
    });
    assert!(released.await.status().is_success());
    until("blocks of the device", async || {
        let url = format!("http://{address}/api/v1/status");
        let answer = reqwest::get(url).await.map_err(|error| error.to_string())?;
        let status: Value = answer.json().await.map_err(|error| error.to_string())?;
        match status["blocks_accepted"].as_u64() {
            Some(2..) => Ok(()),
            _ => Err(status.to_string()),
        }
    })
    .await;
    let height = project.succeed(&["exec", "-T", "btc-node", "bitcoin-cli", "getblockcount"]);
    let height: u64 = height.trim().parse().unwrap();
    assert!(height >= 103, "{height}");
    healthy(&project).await;

    // Keys and chain are still there after everything was gone but the volumes.
    project.succeed(&["down"]);
    project.succeed(&["up", "--detach", "--no-build"]);
    let later = project.succeed(&["exec", "-T", "btc-node", "bitcoin-cli", "getblockcount"]);
    assert!(later.trim().parse::<u64>().unwrap() >= height, "{later}");
}

/// Docker itself, by each program's own health check, finds every service well.
async fn healthy(project: &Project) {
    until("health", async || {
        let ids = project.succeed(&["ps", "--quiet"]);
        let format = "{{.Name}} {{.State.Status}} {{with .State.Health}}{{.Status}}{{end}}";
        let inspected = Command::new("docker")
            .args(["inspect", "--format", format])
            .args(ids.split_whitespace())
            .output()
            .unwrap();
        let states = String::from_utf8(inspected.stdout).unwrap();
        let well = |line: &str| line.ends_with(" healthy") || line.contains(" exited ");
        match states.lines().all(well) && states.lines().count() >= 8 {
            true => Ok(()),
            false => Err(states),
        }
    })
    .await;
}

/// What the classic builder understands, and every crate where a program needs it: nobody finds
/// out otherwise but those who have nothing but Docker.
#[test]
fn the_dockerfile_builds_every_image_with_any_builder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let dockerfile = std::fs::read_to_string(root.join(".docker/Dockerfile")).unwrap();
    let (before, programs) = dockerfile.split_once("AS packer").unwrap();
    let (_, libraries) = before.split_once("AS libraries").unwrap();
    for image in orchestrator::image::names() {
        let directory = match image {
            "btc-node" => continue,
            "lab" => "orchestrator",
            role => {
                let roles = programs.lines().find(|line| line.starts_with("# ROLE: "));
                assert!(roles.unwrap().contains(role), "{role}");
                role
            }
        };
        let manifest = root.join("crates").join(directory).join("Cargo.toml");
        let manifest = std::fs::read_to_string(manifest).unwrap();
        let (needs, _) = manifest.split_once("[dev-dependencies]").unwrap();
        for need in needs
            .lines()
            .filter_map(|line| line.split(['.', ' ']).next())
        {
            let ours = !need.is_empty() && root.join("crates").join(need).is_dir();
            let copied = format!("COPY crates/{need} crates/{need}\n");
            assert!(!ours || libraries.contains(&copied), "{image} needs {need}");
        }
    }
    for buildkit in ["RUN --mount", "COPY --link", "<<EOF", "# syntax="] {
        assert!(!dockerfile.contains(buildkit), "{buildkit}");
    }
}
