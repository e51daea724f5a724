//! Running a program inside a container.

use anyhow::{Context, Result};
use bollard::container::LogOutput;
use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use futures_util::StreamExt;

use super::Docker;

/// A program that ran inside a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
    /// Its exit code.
    pub code: i32,
}

impl Docker {
    /// Runs a command in the container of a service, to its end.
    ///
    /// # Errors
    /// When the container does not run, or has no such program.
    pub async fn run_inside<'a>(
        &self,
        service: &str,
        command: impl Iterator<Item = &'a str>,
    ) -> Result<Ran> {
        let container = self.names.container(service);
        let config = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.map(str::to_owned).collect()),
            ..ExecConfig::default()
        };
        let exec = self.api.create_exec(&container, config).await;
        let exec = exec.with_context(|| format!("running a command in {container}"))?;
        let mut ran = Ran::default();
        if let StartExecResults::Attached { mut output, .. } =
            self.api.start_exec(&exec.id, None).await?
        {
            while let Some(part) = output.next().await {
                match part? {
                    LogOutput::StdErr { message } => ran.stderr.extend_from_slice(&message),
                    other => ran.stdout.extend_from_slice(other.as_ref()),
                }
            }
        }
        let code = self.api.inspect_exec(&exec.id).await?.exit_code;
        ran.code = code.and_then(|code| i32::try_from(code).ok()).unwrap_or(1);
        Ok(ran)
    }
}
