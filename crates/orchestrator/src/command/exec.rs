//! `lab exec`

use std::io::{IsTerminal, Write};
use std::process::Stdio;

use anyhow::Result;
use orchestrator::backend::docker::Terminal;
use orchestrator::fault::Fault;
use orchestrator::lab::Lab;
use serde_json::json;
use tokio::process::Command;

use crate::cli::ExecArgs;
use crate::console::Console;

pub(crate) async fn run(args: &ExecArgs, lab: &Lab, console: &Console) -> Result<u8> {
    let spec = lab.service(&args.service)?;
    let code = match lab.docker() {
        Some(docker) if console.json => {
            let command = args.command.iter().map(String::as_str);
            let ran = docker.run_inside(spec, command).await?;
            print(&ran.stdout, &ran.stderr, ran.code, console)?;
            ran.code
        }
        Some(docker) => {
            let raw = RawTerminal::take();
            let size = raw.as_ref().map(|raw| raw.size);
            let ran = docker.run_attached(spec, &args.command, size).await;
            drop(raw);
            ran?
        }
        None => {
            let mut command = Command::from(lab.host_command(spec, &args.command)?);
            let missing = |error: std::io::Error| {
                let program = args.command.first().map_or("", String::as_str);
                Fault::usage(
                    format!("cannot run {program} beside {}: {error}", spec.name),
                    "name a program of the lab or of the PATH, or give its whole path",
                )
            };
            if console.json {
                let output = command.output().await.map_err(missing)?;
                let code = output.status.code().unwrap_or(1);
                print(&output.stdout, &output.stderr, code, console)?;
                code
            } else {
                let status = command.status().await.map_err(missing)?;
                status.code().unwrap_or(1)
            }
        }
    };
    Ok(u8::try_from(code).unwrap_or(1))
}

fn print(stdout: &[u8], stderr: &[u8], code: i32, console: &Console) -> Result<()> {
    console.print_json(&json!({
        "exit_code": code,
        "stdout": String::from_utf8_lossy(stdout),
        "stderr": String::from_utf8_lossy(stderr),
    }))
}

/// This terminal, passing every key on; as it was when it is dropped.
struct RawTerminal {
    size: Terminal,
    before: String,
}

impl RawTerminal {
    /// `None` when this is no terminal, as in a script.
    fn take() -> Option<Self> {
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            return None;
        }
        let size = stty(&["size"])?;
        let (rows, columns) = size.trim().split_once(' ')?;
        let raw = Self {
            size: Terminal {
                rows: rows.parse().ok()?,
                columns: columns.parse().ok()?,
            },
            before: stty(&["-g"])?.trim().to_owned(),
        };
        stty(&["raw", "-echo"])?;
        Some(raw)
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        stty(&[&self.before]);
        let _ = std::io::stdout().flush();
    }
}

fn stty(arguments: &[&str]) -> Option<String> {
    let mut command = std::process::Command::new("stty");
    let command = command.args(arguments).stdin(Stdio::inherit());
    let output = command.output().ok().filter(|o| o.status.success())?;
    String::from_utf8(output.stdout).ok()
}
