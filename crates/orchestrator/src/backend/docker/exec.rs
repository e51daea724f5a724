//! Running a program inside a container.

use anyhow::Result;
use bollard::container::LogOutput;
use bollard::exec::{ResizeExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::Docker;
use crate::fault::Fault;
use crate::service::ServiceSpec;

/// A terminal's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Lines.
    pub rows: u16,
    /// Characters of each.
    pub columns: u16,
}

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

/// A container that does not run is told from other refusals.
fn refused(service: &str, error: bollard::errors::Error) -> anyhow::Error {
    match error {
        bollard::errors::Error::DockerResponseServerError {
            status_code: 409,
            message,
        } if message.contains("paused") => Fault::unavailable(
            format!("nothing can run beside {service}, which is paused: {message}"),
            format!("let it go on: lab chaos heal {service}"),
        )
        .into(),
        bollard::errors::Error::DockerResponseServerError {
            status_code: 404 | 409,
            message,
        } => Fault::unavailable(
            format!("nothing can run beside {service}, whose container does not: {message}"),
            format!("start it: lab start {service}"),
        )
        .into(),
        other => anyhow::Error::new(other).context(format!("running a command beside {service}")),
    }
}

impl Docker {
    /// Runs a command in the container of a service, in the directory of its configuration, to its
    /// end.
    ///
    /// # Errors
    /// When the container does not run, or has no such program.
    pub async fn run_inside<'a>(
        &self,
        spec: &ServiceSpec,
        command: impl Iterator<Item = &'a str>,
    ) -> Result<Ran> {
        let container = self.names.container(&spec.name);
        let config = ExecConfig {
            working_dir: spec.directory(),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.map(str::to_owned).collect()),
            ..ExecConfig::default()
        };
        let exec = self.api.create_exec(&container, config).await;
        let exec = exec.map_err(|error| refused(&spec.name, error))?;
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

    /// The same with this program's own standard streams; returns the command's exit code.
    ///
    /// # Errors
    /// As [`Self::run_inside`].
    pub async fn run_attached(
        &self,
        spec: &ServiceSpec,
        command: &[String],
        terminal: Option<Terminal>,
    ) -> Result<i32> {
        let container = self.names.container(&spec.name);
        let config = ExecConfig {
            working_dir: spec.directory(),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(terminal.is_some()),
            cmd: Some(command.to_vec()),
            ..ExecConfig::default()
        };
        let exec = self.api.create_exec(&container, config).await;
        let exec = exec.map_err(|error| refused(&spec.name, error))?;
        let started = self.api.start_exec(&exec.id, None).await?;
        if let Some(Terminal { rows, columns }) = terminal {
            let options = ResizeExecOptions {
                height: rows,
                width: columns,
            };
            // A program that ended at once has no size any more.
            let _ = self.api.resize_exec(&exec.id, options).await;
        }
        if let StartExecResults::Attached {
            mut output,
            mut input,
        } = started
        {
            // Ends with the command's output, whatever else is typed.
            let typed = tokio::spawn(async move {
                let mut stdin = tokio::io::stdin();
                let _ = tokio::io::copy(&mut stdin, &mut input).await;
                let _ = input.shutdown().await;
            });
            let (mut out, mut err) = (tokio::io::stdout(), tokio::io::stderr());
            while let Some(part) = output.next().await {
                match part? {
                    LogOutput::StdErr { message } => err.write_all(&message).await?,
                    other => out.write_all(other.as_ref()).await?,
                }
                out.flush().await?;
            }
            typed.abort();
        }
        let code = self.api.inspect_exec(&exec.id).await?.exit_code;
        Ok(code.and_then(|code| i32::try_from(code).ok()).unwrap_or(1))
    }
}
