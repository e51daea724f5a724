//! From the command line to a running role and its exit code: the same for every role.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{Problems, Reader};
use crate::shutdown::Shutdown;
use crate::telemetry::{self, LogFormat, Tap};

/// The exit code for a configuration that cannot be used (sysexits' EX_USAGE).
pub const EXIT_USAGE: u8 = 64;

/// A role: what [`main`] needs to know of it.
pub trait Role {
    /// The program's name.
    const NAME: &'static str;
    /// One line for `--help`.
    const ABOUT: &'static str;
    /// What its environment variables start with.
    const ENV_PREFIX: &'static str;
    /// Its own command-line options; [`NoOptions`] if it has none.
    type Options: Args;
    /// What else the program can do; [`NoVerbs`] if nothing.
    type Verb: Verb<Self::Config>;
    /// Its configuration.
    type Config: Send + 'static;

    /// Reads the configuration; problems go to the reader. `None` only when a problem was noted.
    fn configure(options: &Self::Options, reader: &mut Reader) -> Option<Self::Config>;

    /// Where it serves its health; `None` for a role that may go without.
    fn monitoring_address(config: &Self::Config) -> Option<SocketAddr>;

    /// Where a view of the role in the terminal gets the log, if there is to be one.
    fn tap(_config: &Self::Config) -> Option<&Tap> {
        None
    }

    /// Runs until `shutdown` is cancelled; start-up failures are errors.
    fn run(
        config: Self::Config,
        shutdown: Shutdown,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// For roles without options of their own.
#[derive(Debug, Clone, Copy, Args)]
pub struct NoOptions {}

/// Something that a role's program does instead of running the role.
pub trait Verb<C>: Subcommand {
    /// Does it. `config` reads the role's configuration, if it is needed.
    ///
    /// # Errors
    /// It cannot be done; [`Problems`] are those of the configuration.
    fn perform(self, config: impl FnOnce() -> Result<C, Problems>) -> anyhow::Result<ExitCode>;
}

/// For roles without verbs of their own.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum NoVerbs {}

impl<C> Verb<C> for NoVerbs {
    fn perform(self, _config: impl FnOnce() -> Result<C, Problems>) -> anyhow::Result<ExitCode> {
        match self {}
    }
}

#[derive(Parser)]
struct CommandLine<O: Args, V: Subcommand> {
    #[command(subcommand)]
    verb: Option<AnyVerb<V>>,
    /// The configuration file (TOML).
    #[arg(short, long, global = true)]
    config: Option<PathBuf>,
    /// Only check the configuration, then exit: 0 when it is usable, 64 when not.
    #[arg(long)]
    check_config: bool,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t, global = true)]
    log_format: LogFormat,
    #[command(flatten)]
    options: O,
}

#[derive(Subcommand)]
enum AnyVerb<V: Subcommand> {
    /// Ask the running role whether it is ready: exit 0 when it is, 1 when not.
    Healthcheck,
    #[command(flatten)]
    Own(V),
}

type Line<R> = CommandLine<<R as Role>::Options, <R as Role>::Verb>;

/// The `main` of a role.
pub fn main<R: Role>() -> ExitCode {
    let command = Line::<R>::command()
        .name(R::NAME)
        .about(R::ABOUT)
        .version(env!("CARGO_PKG_VERSION"));
    let line = match Line::<R>::from_arg_matches(&command.get_matches()) {
        Ok(line) => line,
        Err(error) => error.exit(),
    };
    perform::<R>(line).unwrap_or_else(|error| {
        if let Some(problems) = error.downcast_ref::<Problems>() {
            eprint!("{}: the configuration cannot be used:\n{problems}", R::NAME);
            return ExitCode::from(EXIT_USAGE);
        }
        eprintln!("{}: {error:#}", R::NAME);
        ExitCode::FAILURE
    })
}

/// Does what the command line asks for.
fn perform<R: Role>(line: Line<R>) -> anyhow::Result<ExitCode> {
    let read_config = || read_config::<R>(line.config.as_deref(), &line.options);
    match line.verb {
        _ if line.check_config => {
            read_config()?;
            eprintln!("{}: the configuration is usable", R::NAME);
        }
        Some(AnyVerb::Own(verb)) => return verb.perform(read_config),
        Some(AnyVerb::Healthcheck) => {
            return Ok(healthcheck(R::monitoring_address(&read_config()?)));
        }
        None => {
            let config = read_config()?;
            telemetry::init(line.log_format, R::tap(&config));
            run::<R>(config)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read_config<R: Role>(path: Option<&Path>, options: &R::Options) -> Result<R::Config, Problems> {
    let mut reader = Reader::load(path, R::ENV_PREFIX, std::env::vars())?;
    let config = R::configure(options, &mut reader);
    if config.is_none() {
        // A role that gives up without a word would start with nothing.
        reader.require_problem();
    }
    reader.finish()?;
    config.ok_or_else(Problems::none)
}

fn run<R: Role>(config: R::Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        let shutdown = Shutdown::default();
        shutdown.on_signals()?;
        let result = R::run(config, shutdown.clone()).await;
        shutdown.finish().await;
        result
    });
    // A blocking call that never returns must not keep a stopped role alive.
    runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

/// Asks `/healthz` with nothing but the standard library: this runs every second in a container.
fn healthcheck(address: Option<SocketAddr>) -> ExitCode {
    let Some(address) = address else {
        eprintln!("no monitoring_address is configured, so there is nobody to ask");
        return ExitCode::FAILURE;
    };
    let ask = || -> std::io::Result<String> {
        let timeout = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    match ask() {
        Ok(answer) => {
            println!("{}", answer.rsplit("\r\n\r\n").next().unwrap_or_default());
            let ready = answer.split(' ').nth(1) == Some("200");
            if ready {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("{address}: {error}");
            ExitCode::FAILURE
        }
    }
}
