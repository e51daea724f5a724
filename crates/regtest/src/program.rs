//! A role of ours as a program, on ports of its own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use daemon::dial::{DialError, HostPort, Upstream};
use daemon::wire::TcpConnection;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::keys::AuthorityKey;
use protocol::message::common::Protocol;
use protocol::setup::Accepted;
use tempfile::TempDir;

use crate::{LIMIT, Port, free_port};

/// A running role; it is killed when it is dropped.
pub struct Program {
    path: PathBuf,
    directory: TempDir,
    authority: AuthorityKey,
    port: Port,
    monitoring_port: Port,
    process: Child,
}

impl Program {
    /// Starts the program at `path`, which is to listen on `port`. `keys` is its configuration
    /// beyond where it listens, plain keys first.
    pub fn start(path: impl Into<PathBuf>, port: Port, keys: &str) -> Self {
        Self::start_as(path, port, keys, |_| ())
    }

    /// The same, as a command that `adjust` has changed.
    pub fn start_as(
        path: impl Into<PathBuf>,
        port: Port,
        keys: &str,
        adjust: impl FnOnce(&mut Command),
    ) -> Self {
        let authority = AuthorityKey::generate(&mut rand::thread_rng());
        let keys = format!(
            "authority_public_key = \"{}\"\nauthority_secret_key = \"{}\"\n{keys}",
            authority.public_text(),
            authority.secret_text(),
        );
        Self::spawn(path.into(), port, authority, &keys, adjust)
    }

    /// Starts a program that shows its clients no certificate.
    pub fn start_plain(path: impl Into<PathBuf>, port: Port, keys: &str) -> Self {
        let authority = AuthorityKey::generate(&mut rand::thread_rng());
        Self::spawn(path.into(), port, authority, keys, |_| ())
    }

    fn spawn(
        path: PathBuf,
        port: Port,
        authority: AuthorityKey,
        keys: &str,
        adjust: impl FnOnce(&mut Command),
    ) -> Self {
        let directory = TempDir::new().unwrap();
        let monitoring_port = free_port();
        let config = format!(
            "listen_address = \"127.0.0.1:{port}\"\n\
             monitoring_address = \"127.0.0.1:{monitoring_port}\"\n{keys}"
        );
        fs::write(directory.path().join("config.toml"), config).unwrap();
        let mut command = command(&path, directory.path());
        adjust(&mut command);
        let process = command.spawn().unwrap();
        Self {
            path,
            directory,
            authority,
            port,
            monitoring_port,
            process,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port.number()))
    }

    /// Who signs its certificate.
    pub fn authority(&self) -> String {
        self.authority.public_text()
    }

    /// As a power cut would.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again as it was, after it has ended.
    pub fn restart(&mut self) {
        let mut command = command(&self.path, self.directory.path());
        self.process = command.spawn().unwrap();
    }

    /// Exit code of its `healthcheck`, and what that prints.
    pub fn health(&self) -> (Option<i32>, String) {
        let output = Command::new(&self.path)
            .arg("healthcheck")
            .arg("--config")
            .arg(self.file("config.toml"))
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    }

    /// Waits until `healthcheck` exits with this code; returns what it prints.
    #[track_caller]
    pub fn wait_for_health(&self, code: i32) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            let (seen, text) = self.health();
            if seen == Some(code) && !text.is_empty() {
                return text;
            }
            assert!(Instant::now() < deadline, "health stays {seen:?}: {text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The answer to a GET request on its monitoring port, head and body, as soon as it listens
    /// there.
    #[track_caller]
    pub fn get(&self, path: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        let mut stream = loop {
            match TcpStream::connect(("127.0.0.1", self.monitoring_port.number())) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "{path}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Waits until the metrics hold this line: they may come later than what they count.
    #[track_caller]
    pub fn wait_for_metric(&self, line: &str) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let metrics = self.get("/metrics");
            if metrics.lines().any(|seen| seen == line) {
                return;
            }
            assert!(Instant::now() < deadline, "no {line} in {metrics}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The program as its clients dial it.
    pub fn upstream(&self, protocol: Protocol) -> Upstream {
        let address = HostPort {
            host: "127.0.0.1".to_owned(),
            port: self.port.number(),
        };
        Upstream::new(address, self.authority.public(), protocol, "test")
    }

    /// Connects a client as soon as the program listens.
    ///
    /// # Errors
    /// The program refuses.
    pub async fn connect(
        &self,
        upstream: &Upstream,
    ) -> Result<(TcpConnection, Accepted), DialError> {
        let deadline = Instant::now() + LIMIT;
        loop {
            match upstream.connect().await {
                Err(DialError::Connect { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                connected => return connected,
            }
        }
    }

    /// Kills it as a power cut would, and starts it again.
    pub fn crash(&mut self) {
        self.kill();
        self.restart();
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for it to end by itself; returns what it wrote, too.
    #[track_caller]
    pub fn end(&mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the program does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        (status, fs::read_to_string(self.file("log")).unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.file("log")).unwrap_or_default();
            eprintln!("--- {}\n{log}", self.path.display());
        }
    }
}

fn command(path: &Path, directory: &Path) -> Command {
    // A file, because a pipe that nobody reads fills up and stops the program.
    let log = File::options()
        .create(true)
        .append(true)
        .open(directory.join("log"))
        .unwrap();
    let mut command = Command::new(path);
    let config = directory.join("config.toml");
    command.arg("--config").arg(config).stderr(log);
    command
}
