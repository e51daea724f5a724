//! Blocks and coins.

use std::ops::RangeInclusive;
use std::str::FromStr;

use bitcoin::{Amount, Denomination};
use clap::Args;
use orchestrator::lab::Spread;

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
#[command(after_help = "\
Examples:
  lab faucet bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080 1.5
  lab faucet bcrt1q... 0.001 --json | jq -r .txid

The lab's wallet pays; blocks of the lab pay that wallet. The node itself mines the block.")]
pub(crate) struct FaucetArgs {
    /// An address of the lab's chain: bcrt1q… on regtest, tb1q… on a signet.
    pub(crate) address: String,

    /// How much, in BTC.
    #[arg(value_name = "BTC", value_parser = bitcoins)]
    pub(crate) amount: Amount,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab tx                                  a hundred, ten a second
  lab tx --count 1000 --rate 50 --fee-rate 1..200
  lab tx --fee-rate 5                     all alike
  lab tx --fee-rate 1..50 --spread even   as many above 25 sat/vB as below
  lab tx --weight 2000000                 hold the mempool at half a block, until Ctrl-C
  lab tx --vsize 1000..4000 --seconds 30  large ones
  lab tx --count 10 --json | jq .mempool_transactions

The lab's wallet pays itself. Its coins are split first, and the node mines a block for that.")]
pub(crate) struct TxArgs {
    /// How many [default: 100, without an end with --weight or --seconds].
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) count: Option<u64>,

    /// Transactions a second, at most 100 [default: 10, as many as possible with --weight].
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<f64>,

    /// Fee rates in sat/vB: a number, or from..to.
    #[arg(long, alias = "fee", default_value = "1..50", value_name = "LEAST..MOST", value_parser = range::<f64>)]
    pub(crate) fee_rate: RangeInclusive<f64>,

    /// How fee rates are spread between the least and the most.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) spread: Spread,

    /// Outputs of each, which decide on its size [default: 1..4, 10..100 with --weight].
    #[arg(long, value_name = "LEAST..MOST", value_parser = range::<u32>)]
    pub(crate) outputs: Option<RangeInclusive<u32>>,

    /// Virtual bytes of each, as near as outputs can come to it.
    #[arg(long, value_name = "LEAST..MOST", value_parser = range::<u32>, conflicts_with = "outputs")]
    pub(crate) vsize: Option<RangeInclusive<u32>>,

    /// Send only while the mempool weighs less than this; a block has room for 4000000.
    #[arg(long, value_name = "WU")]
    pub(crate) weight: Option<u64>,

    /// Stop after this time.
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<u64>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lab reorg                  the newest block is replaced by two
  lab reorg --depth 6 --json | jq '.ledger[] | {height, verdict}'

Exits with 1 when a pool or a client does not follow.")]
pub(crate) struct ReorgArgs {
    /// How many blocks are replaced.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) depth: u64,
}

fn bitcoins(text: &str) -> Result<Amount, String> {
    let amount = Amount::from_str_in(text, Denomination::Bitcoin);
    let amount = amount.map_err(|error| error.to_string())?;
    // What pays less is not passed on.
    match amount.to_sat() {
        0..546 => Err(format!("{amount} is dust; at least 0.00000546 BTC")),
        _ => Ok(amount),
    }
}

/// `LEAST..MOST`, or one number for both. A dash does as well.
fn range<T: FromStr + Clone>(text: &str) -> Result<RangeInclusive<T>, String> {
    let parts = text.split_once("..").or_else(|| text.split_once('-'));
    let (least, most) = parts.unwrap_or((text, text));
    let number = |text: &str| {
        let wrong = |_| format!("'{text}' is no number; write 5 or 1..10");
        text.trim().parse::<T>().map_err(wrong)
    };
    Ok(number(least)?..=number(most)?)
}
