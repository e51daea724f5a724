//! The command line.

mod chain;
mod disturbance;
mod program;
mod record;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use orchestrator::backend::BackendKind;
use orchestrator::difficulty::Difficulty;
use orchestrator::log::Level;
use orchestrator::subnet::Subnet;

pub(crate) use chain::{FaucetArgs, MineArgs, ReorgArgs, TxArgs};
pub(crate) use disturbance::{
    Chaos, ChaosArgs, InspectArgs, KeepArgs, ScenarioArgs, ScenarioRunArgs, ScenarioVerb,
    ServiceFault,
};
pub(crate) use program::{BuildArgs, ComposeArgs, InitArgs, RootfsArgs, ScaleArgs, SwapArgs};
pub(crate) use record::{DoctorArgs, DumpArgs, SnapshotArgs, SnapshotVerb};

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

    /// Stop services, or the whole lab, and keep what they have.
    #[command(after_help = "\
Examples:
  lab stop                     everything; lab start brings it back, also in a month
  lab stop pool                one service; the others go on without it

Nobody is stopped before those who need it.")]
    Stop(ServicesArgs),

    /// Start services that were stopped, with what they need.
    #[command(after_help = "\
Examples:
  lab start
  lab start pool
  lab start --json | jq .services

Returns when they are ready. What runs already is left alone.")]
    Start(ServicesArgs),

    /// Stop services and start them again.
    #[command(after_help = "\
Examples:
  lab restart pool
  lab restart                  everything, in order")]
    Restart(ServicesArgs),

    /// Show how each service is doing.
    #[command(after_help = "\
Examples:
  lab status
  lab status --json | jq '.services[] | select(.ready | not)'")]
    Status,

    /// Show what services wrote.
    Logs(LogsArgs),

    /// Run a command where a service runs.
    Exec(ExecArgs),

    /// Watch the whole lab: connections, templates, shares, blocks, logs.
    Top(TopArgs),

    /// Open the explorer's page in a browser, and print its address.
    Explorer(ExplorerArgs),

    /// Mine blocks now.
    Mine(MineArgs),

    /// Pay to an address, and have the payment in the chain at once.
    Faucet(FaucetArgs),

    /// Send transactions: traffic for the mempool.
    Tx(TxArgs),

    /// Replace the newest blocks by others, and tell what everybody makes of it.
    Reorg(ReorgArgs),

    /// Mine a block on every way and check its story hop by hop against chain and explorer.
    #[command(after_help = "\
Examples:
  lab verify
  lab verify --json | jq '.blocks[].checks[] | select(.holds | not)'

Who cannot be asked, because the lab has no explorer or runs somebody else's program, is left out,
and named. Exits with 1 when a hop does not agree.")]
    Verify,

    /// Ask the lab's node with bitcoin-cli.
    #[command(after_help = "\
Examples:
  lab cli getblockchaininfo
  lab cli getblock $(lab cli getbestblockhash) 2
  lab cli -named generatetoaddress nblocks=1 address=bcrt1...

Everything after `cli` goes to bitcoin-cli, with the lab's address and password.")]
    Cli(CliArgs),

    /// Disturb services and links, and heal them.
    Chaos(ChaosArgs),

    /// Show the messages between two roles as they pass; drop or change some.
    Inspect(InspectArgs),

    /// Keep chain, ledgers, keys and configuration of a lab, and go back to them.
    Snapshot(SnapshotArgs),

    /// Say what is wrong with this machine and the lab, and what to do about it.
    Doctor(DoctorArgs),

    /// Write one archive for a bug report, without the lab's secrets.
    Dump(DumpArgs),

    /// Play scenarios: steps and expectations with deadlines, each on a lab of its own.
    Scenario(ScenarioArgs),

    /// Build services from source and pack their images.
    Build(BuildArgs),

    /// Run somebody else's build of a role in place of ours.
    Swap(SwapArgs),

    /// Have so many of a miner.
    Scale(ScaleArgs),

    /// Print a topology as a compose file.
    Compose(ComposeArgs),

    /// Prepare the volumes, or the chain, of a compose file's services; run by the file itself.
    #[command(hide = true)]
    Init(InitArgs),

    /// Write an image, or the base of all, into a directory; run while images are built inside
    /// Docker.
    #[command(hide = true)]
    Rootfs(RootfsArgs),

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

    /// End a fault when its time is over; started by `chaos`.
    #[command(hide = true)]
    Keep(KeepArgs),

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
  lab up full --difficulty mid                a block takes some fifty shares
  lab up my.toml --name second --subnet 10.11.0.0/24 --bind 127.0.0.2
  lab up --json | jq .first_block_seconds

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

    /// Put a relay on every link, for chaos and inspect; it adds a hop.
    #[arg(long)]
    pub(crate) relays: bool,

    /// A chain on which a share is no block, a signet of the lab's own: how long a miner takes
    /// for a block [default: regtest, where a share is a block].
    #[arg(long, value_enum)]
    pub(crate) difficulty: Option<Difficulty>,

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
pub(crate) struct ServicesArgs {
    /// Which services; all when none is named.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab exec jdc ping -c 1 template-provider
  lab exec pool sh
  lab exec btc-node bitcoin-cli getblockcount
  lab exec pool pool healthcheck --config pool.toml

On docker the command runs in the service's container, as processes on this machine; either way in
the directory of the service's configuration. Exits with the command's own code.")]
pub(crate) struct ExecArgs {
    /// Where.
    pub(crate) service: String,

    /// The command and its arguments.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab logs pool
  lab logs -f -n 20 pool mining-device
  lab logs --level warn
  lab logs --event \"block found\"
  lab logs --id template_id=12 pool template-provider
  lab logs --id 3f21c9                          a block's or share's hash, wherever it passed
  lab logs --json btc-node | jq -r .line

Services are merged by the time their lines carry.")]
pub(crate) struct LogsArgs {
    /// Go on with what comes.
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Only lines this grave or graver.
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub(crate) level: Option<Level>,

    /// Only lines whose event has these words.
    #[arg(long, value_name = "WORDS")]
    pub(crate) event: Option<String>,

    /// Only lines with this id: KEY=VALUE, or a value of any field; six characters of a hash are
    /// enough.
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,

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
  lab top                     in the terminal; the keys are at the bottom
  lab top --json | jq '.links[] | select(.stage != \"open\")'
  lab top --json --follow | jq -c '.services[] | {name, mining}'

Asks every service over HTTP once a second and changes nothing.")]
pub(crate) struct TopArgs {
    /// With --json: a line every second.
    #[arg(short, long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab explorer
  lab explorer $(lab cli getbestblockhash)
  curl -s $(lab explorer --no-open)/miners

Where there is no screen, the address is all it does.")]
pub(crate) struct ExplorerArgs {
    /// A block by hash or height, a transaction, an address; the first page when nothing is given.
    #[arg(value_name = "WHAT")]
    pub(crate) query: Option<String>,

    /// Only print the address.
    #[arg(long)]
    pub(crate) no_open: bool,
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
            "stop",
            "start",
            "restart",
            "status",
            "logs",
            "exec",
            "top",
            "explorer",
            "mine",
            "faucet",
            "tx",
            "reorg",
            "verify",
            "cli",
            "chaos",
            "inspect",
            "snapshot",
            "doctor",
            "dump",
            "scenario",
            "build",
            "swap",
            "scale",
            "compose",
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

    /// The lines of a document that call `lab`, without what a shell or a reader makes of them.
    fn calls(document: &str) -> impl Iterator<Item = &str> {
        document.lines().filter_map(|line| {
            let call = line.strip_prefix("lab ").map(|_| line)?;
            let ends = ["  ", " | ", " > ", "; "];
            let end = ends.iter().filter_map(|end| call.find(end)).min();
            Some(&call[..end.unwrap_or(call.len())])
        })
    }

    #[test]
    fn what_documents_tell_people_to_type_can_be_typed() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut files = vec![root.join("README.md"), root.join("docs/scenarios.md")];
        let guides = std::fs::read_dir(root.join("docs/guides")).unwrap();
        files.extend(guides.map(|entry| entry.unwrap().path()));
        let mut seen = 0;
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for call in calls(&text) {
                seen += 1;
                match parse(call) {
                    Ok(_) => {}
                    Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => {}
                    Err(error) => panic!("{}: {call}: {error}", file.display()),
                }
            }
        }
        assert!(seen > 40, "{seen}");
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
            "lab faucet bcrt1q",
            "lab faucet bcrt1q 0",
            "lab faucet bcrt1q 0.00000545",
            "lab faucet bcrt1q many",
            "lab tx --fee low",
            "lab tx --outputs 1-",
            "lab reorg --depth 0",
            "lab mine -1",
            "lab logs -n x",
            "lab cli",
            "lab fly",
            "lab scale mining-device",
            "lab scale mining-device=0",
            "lab scale mining-device=1000",
            "lab swap pool",
            "lab swap pool --ours --bin x",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
