//! What commands and the supervisor say to each other: one JSON line each way.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::backend::ServiceStatus;
use crate::service::Restart;
use crate::state::StateDir;

/// Longest line; a launch with a long argument list is some kilobytes.
const LINE_LIMIT: u64 = 1 << 20;

/// A command line and everything around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) service: String,
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) needs: Vec<String>,
    pub(super) log: PathBuf,
    pub(super) restart: Restart,
    pub(super) stop_grace: Duration,
}

/// What a command wants.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Request {
    Start(Launch),
    Stop(String),
    Status(String),
}

/// What the supervisor answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reply {
    Done,
    Status(ServiceStatus),
    Failed(String),
}

/// Asks the supervisor of a lab. Stopping takes as long as the service's grace.
pub(super) async fn ask(state: &StateDir, request: &Request) -> Result<Reply> {
    let path = state.supervisor_socket();
    let mut stream = UnixStream::connect(&path)
        .await
        .with_context(|| format!("the supervisor does not listen on {}", path.display()))?;
    send(&mut stream, request).await?;
    receive(&mut stream).await
}

/// Sends one line.
pub(super) async fn send(stream: &mut UnixStream, message: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    Ok(())
}

/// Receives one line.
pub(super) async fn receive<T: DeserializeOwned>(stream: &mut UnixStream) -> Result<T> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_LIMIT))
        .read_line(&mut line)
        .await?;
    serde_json::from_str(&line).context("the other side hung up")
}
