//! What services run: builds, swaps, images, compose files.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use orchestrator::difficulty::Difficulty;
use orchestrator::subnet::Subnet;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab build
  lab build pool

Compiles with cargo when lab itself runs from a checkout. For a lab on Docker, and when there is no
lab yet and a daemon answers, it packs images; one whose content did not change is left alone.
Services of the lab that is up and run an older build are restarted alone; the rest goes on.")]
pub(crate) struct BuildArgs {
    /// Pack programs as they are.
    #[arg(long)]
    pub(crate) no_compile: bool,

    /// Restart nothing.
    #[arg(long)]
    pub(crate) no_restart: bool,

    /// Which services; all when none is named.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("program").required(true).args(["image", "bin", "ours"]))]
#[command(after_help = "\
Examples:
  lab swap pool --bin ~/.cargo/bin/pool_sv2 --config docs/swap/pool.toml
  lab swap jdc --image me/jdc:dev
  lab swap pool --bin ./my-pool -- -c ${pool.config_file}
  lab swap pool --ours

The program gets the address, ports and volumes of the service it replaces, and the arguments ours
gets: --config FILE. In FILE and in arguments ${SERVICE.address}, ${SERVICE.mining_port},
${authority_public_key} and so on are filled in. When it does not come up, the former one is
brought back. docs/swap.md shows it with the reference implementation's roles.")]
pub(crate) struct SwapArgs {
    /// Which service.
    pub(crate) service: String,

    /// Run this image, which the Docker daemon has.
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,

    /// Run this program of the machine, in containers too.
    #[arg(long, value_name = "PATH")]
    pub(crate) bin: Option<PathBuf>,

    /// Run ours again.
    #[arg(long)]
    pub(crate) ours: bool,

    /// Its configuration, with places to fill in.
    #[arg(long, value_name = "FILE", conflicts_with = "ours")]
    pub(crate) config: Option<PathBuf>,

    /// Its arguments in place of --config FILE.
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) args: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab scale mining-device=3
  lab scale cpuminer=20 mining-device=1

The further ones are services of their own, NAME-2 and so on, with addresses of their own.")]
pub(crate) struct ScaleArgs {
    /// How many of which miner.
    #[arg(required = true, value_name = "MINER=N", value_parser = count)]
    pub(crate) counts: Vec<(String, u8)>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab compose > docker-compose.yml
  lab compose full --difficulty mid > mid.yml
  lab compose two-pools --subnet 10.12.0.0/24 > two-pools.yml

The file holds no secret: each lab that is brought up from it makes its own.")]
pub(crate) struct ComposeArgs {
    /// A topology that comes with the program.
    #[arg(default_value = "full")]
    pub(crate) topology: String,

    /// The services' addresses [default: 10.10.0.0/24].
    #[arg(long, value_name = "A.B.C.0/24")]
    pub(crate) subnet: Option<Subnet>,

    /// How long a miner takes for a block, on a signet of the lab's own [default: regtest].
    #[arg(long, value_enum)]
    pub(crate) difficulty: Option<Difficulty>,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    pub(crate) topology: String,

    #[arg(long, value_enum)]
    pub(crate) difficulty: Option<Difficulty>,

    #[arg(long)]
    pub(crate) subnet: Subnet,

    /// Mine a young chain's first blocks instead.
    #[arg(long)]
    pub(crate) first_blocks: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RootfsArgs {
    pub(crate) image: String,

    pub(crate) directory: PathBuf,
}

fn count(text: &str) -> Result<(String, u8), String> {
    let wrong = || format!("'{text}' is not MINER=N with N from 1 to 100");
    let (name, count) = text.split_once('=').ok_or_else(wrong)?;
    let count = count.parse().ok().filter(|count| (1..=100).contains(count));
    Ok((name.to_owned(), count.ok_or_else(wrong)?))
}
