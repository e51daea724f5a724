//! A lab of a test's own: its own name, network and directory, gone when the test ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use orchestrator::lab::Lab;
use orchestrator::programs::Programs;
use rand::Rng;
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take. Nothing does unless it fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// What runs the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Process,
    Docker,
}

impl Backend {
    /// Whether this backend can be tested here; `scripts/test.sh` says so.
    pub(crate) fn is_testable(self) -> bool {
        match self {
            Self::Process => true,
            Self::Docker => std::env::var("LAB_TEST_DOCKER").as_deref() != Ok("off"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Docker => "docker",
        }
    }
}

/// A lab of a test's own.
pub(crate) struct Site {
    home: TempDir,
    pub(crate) name: String,
    subnet: String,
    /// Where containers publish their ports: an address no other lab uses.
    bind: String,
    backend: Backend,
}

impl Site {
    pub(crate) fn new(backend: Backend) -> Self {
        let mut rng = rand::thread_rng();
        let name = format!("t{:08x}", rng.r#gen::<u32>());
        // Loopback networks for processes; for containers a corner of the private range that
        // neither Docker nor home routers use by default.
        let subnet = match backend {
            Backend::Process => format!(
                "127.{}.{}.0/24",
                rng.gen_range(20..250),
                rng.gen_range(0..255)
            ),
            Backend::Docker => format!(
                "10.{}.{}.0/24",
                rng.gen_range(100..250),
                rng.gen_range(0..255)
            ),
        };
        Self {
            // Short, because the path of a unix socket must be.
            home: tempfile::Builder::new()
                .prefix("lab")
                .tempdir_in("/tmp")
                .unwrap(),
            name,
            subnet,
            bind: format!("127.{}.{}.1", rng.gen_range(20..250), rng.gen_range(0..255)),
            backend,
        }
    }

    /// A lab that is up and has mined its first block, with what `up` reported.
    pub(crate) fn up(backend: Backend) -> (Self, Value) {
        let site = Self::new(backend);
        let output = site.lab(&site.up_arguments(&[]));
        let report = last_json(&output);
        (site, report)
    }

    /// Where its labs keep their files.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The options that put a lab on this site's backend and network.
    pub(crate) fn place(&self) -> Vec<&str> {
        let mut options = vec!["--backend", self.backend.name(), "--subnet", &self.subnet];
        if self.backend == Backend::Docker {
            options.extend(["--bind", &self.bind]);
        }
        options
    }

    /// `up` on this site's backend and network, with `more`.
    pub(crate) fn up_arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = vec!["up"];
        arguments.extend(self.place());
        arguments.extend(more);
        arguments.push("--json");
        arguments
    }

    /// Runs `lab` and waits for it.
    pub(crate) fn lab(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_on(&self.name, arguments)
    }

    /// The same for a lab of another name.
    pub(crate) fn command_on(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("lab"));
        command
            .args(["--name", name])
            .args(arguments)
            .env("SV2_LAB_HOME", self.home.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs `lab … --json`, which must succeed.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.lab(&[arguments, &["--json"]].concat());
        last_json(&output)
    }

    pub(crate) async fn open(&self) -> Lab {
        self.open_as(&self.name).await
    }

    /// The same for a lab of another name.
    pub(crate) async fn open_as(&self, name: &str) -> Lab {
        let programs = Programs::from_env();
        Lab::open(self.home.path(), name, programs).await.unwrap()
    }

    /// Process ids of everything that carries this lab's marker.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let marker = self.home.path().display().to_string();
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid: &i32| {
                let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                String::from_utf8_lossy(&environment).contains(&marker)
            })
            .collect()
    }

    /// What Docker still has of this lab.
    pub(crate) fn docker_things(&self) -> String {
        let filter = format!("label=com.docker.compose.project={}", self.name);
        let list = |what: &[&str]| {
            let output = Command::new("docker")
                .args(what)
                .args(["--filter", &filter])
                .output();
            String::from_utf8(output.unwrap().stdout).unwrap()
        };
        let swapped = format!("sv2-lab/*:swap-{}", self.name);
        let images = Command::new("docker")
            .args(["images", "--quiet", &swapped])
            .output();
        [
            String::from_utf8(images.unwrap().stdout).unwrap(),
            list(&["ps", "--all", "--quiet"]),
            list(&["network", "ls", "--quiet"]),
            list(&["volume", "ls", "--quiet"]),
        ]
        .concat()
    }

    /// Nothing of the lab is left: no process, no file, nothing in Docker.
    #[track_caller]
    pub(crate) fn assert_gone(&self) {
        assert_eq!(self.processes(), Vec::<i32>::new());
        let files: Vec<_> = std::fs::read_dir(self.home.path())
            .unwrap()
            .flatten()
            .collect();
        assert!(files.is_empty(), "{files:?}");
        if self.backend == Backend::Docker {
            assert_eq!(self.docker_things(), "");
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let output = self.lab(&["down"]);
        if !output.status.success() && !std::thread::panicking() {
            panic!("down: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// The last line of standard output, which must be JSON, of a command that must have succeeded.
#[track_caller]
pub(crate) fn last_json(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let status = output.status;
    assert!(status.success(), "{status}\n{stdout}\n{stderr}");
    let line = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}"))
}

/// A program of the workspace, from the directory this test was built into.
pub(crate) fn program(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let directory = this.parent().and_then(Path::parent).unwrap();
    let program = directory.join(name);
    assert!(
        program.exists(),
        "{} is missing: cargo build --workspace --bins",
        program.display()
    );
    program
}

/// Asks again until the answer is `Ok`; after [`LIMIT`] the last refusal is the failure.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
    let since = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(last) => assert!(since.elapsed() < LIMIT, "{what}: {last}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
