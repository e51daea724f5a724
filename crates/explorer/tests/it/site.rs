//! An explorer of a test's own, beside a real node.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use regtest::{LIMIT, Node, Port, free_port};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

/// What lets visitors act, as a user of the node that the explorer does not read as.
pub(crate) const ACTIONS: &str =
    "[actions]\nenabled = true\nrpc_user = \"test\"\nrpc_password = \"test\"\n";

/// A running explorer; it is killed when it is dropped.
pub(crate) struct Site {
    pub(crate) port: Port,
    directory: TempDir,
    process: Child,
    client: reqwest::Client,
}

impl Site {
    /// Beside `node`, which it can only read, and with further keys, plain ones first.
    pub(crate) fn start(node: &Node, keys: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let port = free_port();
        let (plain, tables) = keys.split_once("[").unwrap_or((keys, ""));
        let tables = if tables.is_empty() {
            String::new()
        } else {
            format!("[{tables}")
        };
        let config = format!(
            "listen_address = \"127.0.0.1:{port}\"\n{plain}\n[node]\n{}{tables}",
            node.reader_access()
        );
        std::fs::write(directory.path().join("config.toml"), config).unwrap();
        let process = spawn(&directory);
        Self {
            port,
            directory,
            process,
            client: reqwest::Client::new(),
        }
    }

    /// Once it shows the node's tip.
    pub(crate) async fn ready(node: &Node, keys: &str) -> Self {
        let site = Self::start(node, keys);
        let tip = node.tip().await;
        site.shows(&tip).await;
        site
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path))
    }

    /// The status and body of an answer.
    pub(crate) async fn text(&self, request: RequestBuilder) -> (StatusCode, String) {
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// A page, as browsers get it, which must be there.
    pub(crate) async fn page(&self, path: &str) -> String {
        let request = self.get(path).header("accept", "text/html");
        let (status, text) = self.text(request).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        text
    }

    /// JSON, which must be there.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let (status, text) = self.text(self.get(path)).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// Waits until `path` tells what is wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let since = Instant::now();
        loop {
            let answer = self.get(path).send().await;
            let value = match answer {
                Ok(answer) => answer.json::<Value>().await.unwrap_or_default(),
                Err(error) => Value::String(error.to_string()),
            };
            if wanted(&value) {
                return value;
            }
            assert!(since.elapsed() < LIMIT, "{path} stays {value}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the tip is this block.
    pub(crate) async fn shows(&self, hash: &str) {
        self.until("/api/v1/status", |status| status["tip"] == hash)
            .await;
    }
}

fn spawn(directory: &TempDir) -> Child {
    let log = File::create(directory.path().join("log")).unwrap();
    Command::new(PathBuf::from(env!("CARGO_BIN_EXE_explorer")))
        .arg("--config")
        .arg(directory.path().join("config.toml"))
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.path().join("log"));
            eprintln!("--- explorer\n{}", log.unwrap_or_default());
        }
    }
}
