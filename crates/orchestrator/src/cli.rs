//! The command line.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use orchestrator::backend::BackendKind;
use orchestrator::subnet::Subnet;

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed: something that was started did not work
  64   usage: wrong command line, topology or option
  69   unavailable: no such lab, no Docker daemon, a port or a program missing or taken
  130  interrupted by Ctrl-C or SIGTERM

Environment:
  LAB_BIN_DIR                where the services' programs are (default: beside lab)
  BITCOIN_NODE, BITCOIN_CLI  other Bitcoin Core programs than the ones built here
  SV2_LAB_HOME               where labs keep their files (default: ~/.local/state/sv2-lab)
  DOCKER_HOST                another Docker daemon";

/// A Stratum V2 mining network on one machine: Bitcoin Core on regtest, template provider, pool
/// and miner, up with one command.
#[derive(Debug, Parser)]
#[command(name = "lab", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Which lab; several can be up side by side.
    #[arg(long, global = true, default_value = "sv2lab", value_name = "NAME")]
    pub(crate) name: String,

    /// Print JSON on standard output, for programs.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring a lab up and wait for the first block that its own miner finds.
    Up(UpArgs),

    /// Take a lab down and remove everything of it.
    #[command(after_help = "\
Examples:
  lab down
  lab down --name second

Works on whatever is left of a lab, also after `lab up` was killed. Removes processes, containers,
networks, volumes and files; images stay. Exits with 0 when there was nothing.")]
    Down,

    /// Show how each service is doing.
    #[command(after_help = "\
Examples:
  lab status
  lab status --json | jq '.services[] | select(.ready | not)'")]
    Status,

    /// Show what services wrote.
    Logs(LogsArgs),

    /// Mine blocks now.
    Mine(MineArgs),

    /// Ask the lab's node with bitcoin-cli.
    #[command(after_help = "\
Examples:
  lab cli getblockchaininfo
  lab cli getblock $(lab cli getbestblockhash) 2
  lab cli -named generatetoaddress nblocks=1 address=bcrt1...

Everything after `cli` goes to bitcoin-cli, with the lab's address and password.")]
    Cli(CliArgs),

    /// Build services from source and pack their images.
    Build(BuildArgs),

    /// Print completions for a shell.
    #[command(after_help = "\
Examples:
  lab completions bash > ~/.local/share/bash-completion/completions/lab
  lab completions zsh > ~/.zfunc/_lab
  lab completions fish > ~/.config/fish/completions/lab.fish")]
    Completions {
        /// Which shell.
        shell: Shell,
    },

    /// Own the processes of a lab; started by `up`.
    #[command(hide = true)]
    Supervise {
        /// Directory of all labs.
        #[arg(long)]
        home: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab up                                      the minimal topology, on Docker or as processes
  lab up --backend process                    without Docker
  lab up my.toml --name second --subnet 10.11.0.0/24 --bind 127.0.0.2
  lab up --json | tail -n 1 | jq .first_block_seconds

A lab that is up already is left as it is, and what is missing of it is started. Ctrl-C removes
what this command made.")]
pub(crate) struct UpArgs {
    /// A topology by name (minimal) or the path of a .toml file [default: minimal, or that of the
    /// lab that is there].
    pub(crate) topology: Option<String>,

    /// What runs the services; auto is docker where a daemon answers, else process.
    #[arg(long, value_enum, default_value_t = BackendChoice::Auto)]
    pub(crate) backend: BackendChoice,

    /// The lab's addresses [default: 10.10.0.0/24 on docker, 127.10.0.0/24 as processes].
    #[arg(long, value_name = "A.B.C.0/24")]
    pub(crate) subnet: Option<Subnet>,

    /// Publish the containers' ports on this address of the host [default: 127.0.0.1].
    #[arg(long, value_name = "ADDR")]
    pub(crate) bind: Option<Ipv4Addr>,

    /// Return as soon as every service is ready.
    #[arg(long)]
    pub(crate) no_wait_block: bool,

    /// Use images as they are, also when programs are newer.
    #[arg(long)]
    pub(crate) no_build: bool,

    /// When something fails, leave the rest standing to look at it.
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendChoice {
    Auto,
    Docker,
    Process,
}

impl BackendChoice {
    pub(crate) fn kind(self) -> Option<BackendKind> {
        match self {
            Self::Auto => None,
            Self::Docker => Some(BackendKind::Docker),
            Self::Process => Some(BackendKind::Process),
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab logs pool
  lab logs -f -n 20 pool mining-device
  lab logs --json btc-node | jq -r .line")]
pub(crate) struct LogsArgs {
    /// Go on with what comes.
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Lines of the past, per service.
    #[arg(short = 'n', long, default_value_t = 100, value_name = "N")]
    pub(crate) lines: usize,

    /// Which services; all when none is named.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab mine            one block, found by the mining device through the pool
  lab mine 10
  lab mine 100 --rpc  by the node itself, at once")]
pub(crate) struct MineArgs {
    /// How many.
    #[arg(default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) blocks: u64,

    /// Let the node mine instead of the mining device.
    #[arg(long)]
    pub(crate) rpc: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CliArgs {
    /// Arguments of bitcoin-cli.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS"
    )]
    pub(crate) args: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab build
  lab build pool

Compiles with cargo when lab itself runs from a checkout, then packs images when a Docker daemon
answers. An image whose content did not change is left alone.")]
pub(crate) struct BuildArgs {
    /// Which services; all when none is named.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_verbs_are_these() {
        let command = Cli::command();
        let verbs: Vec<_> = command
            .get_subcommands()
            .filter(|verb| !verb.is_hide_set())
            .map(|verb| verb.get_name().to_owned())
            .collect();
        let expected = [
            "up",
            "down",
            "status",
            "logs",
            "mine",
            "cli",
            "build",
            "completions",
        ];
        assert_eq!(verbs, expected);
    }

    #[test]
    fn every_verb_shows_examples() {
        let mut command = Cli::command();
        for verb in command.get_subcommands_mut().filter(|v| !v.is_hide_set()) {
            let help = verb.render_long_help().to_string();
            assert!(help.contains("Examples:"), "{}: {help}", verb.get_name());
        }
        let help = command.render_long_help().to_string();
        assert!(
            help.contains("Exit codes:") && help.contains("130"),
            "{help}"
        );
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let cli = parse("lab up").unwrap();
        assert_eq!(cli.name, "sv2lab");
        let Command::Up(up) = cli.command else {
            panic!("not up");
        };
        assert_eq!(up.topology, None);
        assert_eq!(up.backend, BackendChoice::Auto);
        assert!(!up.no_wait_block && !up.no_build && !up.keep && up.subnet.is_none());
    }

    #[test]
    fn global_options_stand_on_either_side_of_the_verb() {
        for line in ["lab --name x --json status", "lab status --json --name x"] {
            let cli = parse(line).unwrap();
            assert!(cli.json && cli.name == "x", "{line}");
        }
    }

    #[test]
    fn bitcoin_cli_gets_its_options_untouched() {
        let cli = parse("lab cli -named getblock verbosity=2 --help").unwrap();
        let Command::Cli(cli) = cli.command else {
            panic!("not cli");
        };
        assert_eq!(cli.args, ["-named", "getblock", "verbosity=2", "--help"]);
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "lab up --subnet 10.0.0.0/8",
            "lab up --backend podman",
            "lab up --bind nowhere",
            "lab mine 0",
            "lab mine -1",
            "lab logs -n x",
            "lab cli",
            "lab fly",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
