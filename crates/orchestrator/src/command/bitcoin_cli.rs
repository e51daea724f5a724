//! `lab cli`

use std::io::Write;

use anyhow::{Context, Result};
use orchestrator::lab::Lab;
use orchestrator::programs::Programs;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::cli::CliArgs;
use crate::console::Console;

/// What a program that ran left behind.
struct Ran {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    code: u8,
}

pub(crate) async fn run(args: &CliArgs, lab: &Lab, console: &Console) -> Result<u8> {
    let ran = match Programs::from_env().find("bitcoin-cli") {
        Ok(program) => {
            let output = Command::new(&program)
                .arg(format!("-conf={}", lab.cli_conf()?.display()))
                .args(&args.args)
                .output()
                .await
                .with_context(|| format!("running {}", program.display()))?;
            Ran {
                code: code(output.status.code()),
                stdout: output.stdout,
                stderr: output.stderr,
            }
        }
        Err(missing) => {
            let docker = lab.docker().ok_or(missing)?;
            let arguments = args.args.iter().map(String::as_str);
            let command = std::iter::once("bitcoin-cli").chain(arguments);
            let ran = docker.run_inside(lab.node()?, command).await?;
            Ran {
                code: code(Some(ran.code)),
                stdout: ran.stdout,
                stderr: ran.stderr,
            }
        }
    };
    if console.json {
        let text = String::from_utf8_lossy(&ran.stdout);
        let result = serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text.trim()));
        let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        let error = (ran.code != 0).then(|| {
            let remedy = match said.contains("Could not connect") {
                true => "see whether the node runs (lab status), and start it: lab start",
                false => "lab cli help lists what can be asked, lab cli help METHOD how",
            };
            json!({ "message": &said, "remedy": remedy, "exit_code": ran.code })
        });
        console.print_json(&json!({
            "exit_code": ran.code, "result": result, "stderr": said, "error": error,
        }))?;
    } else {
        std::io::stdout().write_all(&ran.stdout)?;
        std::io::stderr().write_all(&ran.stderr)?;
    }
    Ok(ran.code)
}

/// bitcoin-cli tells RPC errors apart by codes of its own; for us they are all failures.
fn code(code: Option<i32>) -> u8 {
    match code {
        Some(0) => 0,
        _ => orchestrator::fault::EXIT_FAILED,
    }
}
