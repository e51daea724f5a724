//! `lab exec`

use std::io::{IsTerminal, Write};
use std::process::Stdio;

use anyhow::{Context, Result};
use orchestrator::backend::docker::Terminal;
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
            let ran = docker.run_inside(&spec.name, command).await?;
            print(&ran.stdout, &ran.stderr, ran.code, console)?;
            ran.code
        }
        Some(docker) => {
            let raw = RawTerminal::take();
            let size = raw.as_ref().map(|raw| raw.size);
            let ran = docker.run_attached(&spec.name, &args.command, size).await;
            drop(raw);
            ran?
        }
        None => {
            let mut command = lab.host_command(spec, &args.command)?;
            if !console.json {
                status(&mut command).await?
            } else {
                let output = Command::from(command).output().await?;
                let code = output.status.code().unwrap_or(1);
                print(&output.stdout, &output.stderr, code, console)?;
                code
            }
        }
    };
    Ok(u8::try_from(code).unwrap_or(1))
}

async fn status(command: &mut std::process::Command) -> Result<i32> {
    let shown = command.get_program().to_owned();
    let command = std::mem::replace(command, std::process::Command::new(""));
    let status = Command::from(command).status().await;
    let status = status.with_context(|| format!("running {}", shown.display()))?;
    Ok(status.code().unwrap_or(1))
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
