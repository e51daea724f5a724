//! Faults, what passes between roles, scenarios.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use orchestrator::duration;
use orchestrator::subnet::Subnet;

use super::BackendChoice;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab chaos kill pool                               as in a power cut; it comes back at once
  lab chaos kill btc-node --for 20s                 it stays away for so long
  lab chaos pause template-provider --for 30s
  lab chaos partition mining-device:pool --for 1m   a cable that was pulled
  lab chaos delay pool 200ms --jitter 50ms          all links of the pool
  lab chaos loss pool:template-provider 5%
  lab chaos list
  lab chaos heal

A link is CLIENT:SERVER. Links can be disturbed in a lab that was brought up with --relays. A fault
with --for is healed when its time is over, also when this command is gone by then.")]
pub(crate) struct ChaosArgs {
    #[command(subcommand)]
    pub(crate) chaos: Chaos,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Chaos {
    /// End a service at once, as a power cut would.
    Kill(ServiceFault),
    /// Make a service stand still; its connections stay open.
    Pause(ServiceFault),
    /// Let nothing pass; connections stay open, as with a cable that was pulled.
    Partition(LinkFault),
    /// Let everything pass later.
    Delay {
        /// CLIENT:SERVER, or a service for all its links.
        #[arg(value_name = "LINK|SERVICE")]
        target: String,
        /// How much later, each way.
        #[arg(value_parser = duration::parse)]
        delay: Duration,
        /// Up to so much more, by chance.
        #[arg(long, value_parser = duration::parse, default_value = "0ms")]
        jitter: Duration,
        /// Heal it after this time.
        #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
        lasts: Option<Duration>,
    },
    /// Lose a part, which TCP sends again: it comes late, and what is behind it waits.
    Loss {
        /// CLIENT:SERVER, or a service for all its links.
        #[arg(value_name = "LINK|SERVICE")]
        target: String,
        /// Percent.
        #[arg(value_parser = percent)]
        percent: f64,
        /// Heal it after this time.
        #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
        lasts: Option<Duration>,
    },
    /// End faults; all of them when nothing is named.
    Heal {
        /// Services and links.
        #[arg(value_name = "LINK|SERVICE")]
        targets: Vec<String>,
    },
    /// Show the links and what is disturbed.
    List,
}

#[derive(Debug, Args)]
pub(crate) struct ServiceFault {
    /// Which.
    pub(crate) service: String,
    /// Heal it after this time.
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    pub(crate) lasts: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct LinkFault {
    /// CLIENT:SERVER, or a service for all its links.
    #[arg(value_name = "LINK|SERVICE")]
    pub(crate) target: String,
    /// Heal it after this time.
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    pub(crate) lasts: Option<Duration>,
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').parse::<f64>();
    match number {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err(format!("'{text}' is no percentage; write 0% to 100%")),
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab inspect                                          all links, the newest messages
  lab inspect mining-device:pool -f
  lab inspect pool -f --type SetNewPrevHash --type NewTemplate
  lab inspect --json jdc:jds | jq 'select(.message == \"DeclareMiningJob\") | .fields'
  lab inspect pool:template-provider --drop SubmitSolution --times 1
  lab inspect mining-device:pool --rewrite SubmitSharesStandard.nonce=0 --for 30s
  lab inspect --heal

A link is CLIENT:SERVER; a service means all its links. Up is from the client to the server. Needs a
lab that was brought up with --relays, where a relay decrypts what passes: it holds the lab's keys.")]
pub(crate) struct InspectArgs {
    /// CLIENT:SERVER, or a service for all its links; all links when nothing is named.
    #[arg(value_name = "LINK|SERVICE")]
    pub(crate) link: Option<String>,

    /// Go on with what comes.
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Messages of the past, of those that are wanted.
    #[arg(short = 'n', long, default_value_t = 100, value_name = "N")]
    pub(crate) lines: usize,

    /// Only messages of this type; can be given more than once.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) types: Vec<String>,

    /// Only this way; of --drop and --rewrite, too.
    #[arg(long, value_enum)]
    pub(crate) direction: Option<Direction>,

    /// Drop messages of this type from now on.
    #[arg(long, value_name = "TYPE")]
    pub(crate) drop: Vec<String>,

    /// Change a field of messages of this type from now on.
    #[arg(long, value_name = "TYPE.FIELD=VALUE")]
    pub(crate) rewrite: Vec<String>,

    /// Drop or change only so many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) times: Option<u32>,

    /// End what --drop and --rewrite began after this time.
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    pub(crate) lasts: Option<Duration>,

    /// End everything that drops, changes or disturbs first.
    #[arg(long)]
    pub(crate) heal: bool,
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

impl Direction {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab scenario list
  lab scenario run fallback-and-return
  lab scenario run my.toml --junit report.xml
  lab scenario run --quick                     those that take seconds
  lab scenario run --all --json | jq -c '{name, passed, seconds}'
  lab scenario run partition --keep            and look at the lab when it failed

Each is played on a lab of its own, beside any other, which is gone afterwards. Exits with 0 when all
passed, 1 when one failed.")]
pub(crate) struct ScenarioArgs {
    #[command(subcommand)]
    pub(crate) scenario: ScenarioVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScenarioVerb {
    /// Those that come with the lab.
    List,
    /// Play some.
    Run(ScenarioRunArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ScenarioRunArgs {
    /// Names of scenarios that come with the lab, or paths of .toml files.
    #[arg(value_name = "NAME|FILE", required_unless_present_any = ["quick", "all"])]
    pub(crate) scenarios: Vec<String>,

    /// All that come with the lab and take seconds.
    #[arg(long, conflicts_with = "scenarios")]
    pub(crate) quick: bool,

    /// All that come with the lab.
    #[arg(long, conflicts_with_all = ["scenarios", "quick"])]
    pub(crate) all: bool,

    /// What runs the services; auto is docker where a daemon answers, else process.
    #[arg(long, value_enum, default_value_t = BackendChoice::Auto)]
    pub(crate) backend: BackendChoice,

    /// The labs' addresses, one lab after the other.
    #[arg(long, value_name = "A.B.C.0/24")]
    pub(crate) subnet: Option<Subnet>,

    /// Publish the containers' ports on this address of the host [default: 127.0.0.1].
    #[arg(long, value_name = "ADDR")]
    pub(crate) bind: Option<Ipv4Addr>,

    /// Write a JUnit report.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// Write a report as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Leave the lab of a scenario that failed standing, and stop there.
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KeepArgs {
    /// Whose.
    pub(crate) service: String,
    /// Directory of all labs.
    #[arg(long)]
    pub(crate) home: PathBuf,
    /// Which fault.
    #[arg(long)]
    pub(crate) since_ms: u64,
    /// How long to sleep.
    #[arg(long)]
    pub(crate) for_ms: u64,
}
