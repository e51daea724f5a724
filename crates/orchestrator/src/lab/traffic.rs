//! Transactions for the mempool: so many, so fast, paying and weighing what is wanted.
//!
//! The lab's wallet pays itself. Its coins are split first, so that no transaction waits for
//! another one; a coin is spent again when a block has its change.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::Result;
use bitcoin::{Amount, FeeRate, OutPoint};
use clap::ValueEnum;
use rand::Rng;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Lab, MinedBy};
use crate::fault::Fault;
use crate::progress::{Event, Progress};
use crate::rpc::Rpc;
use crate::wallet::Wallet;

/// Coins split off at once; one transaction has room for them.
const COINS: usize = 400;
/// What each is worth: enough for any number of outputs, at any fee that is let through.
const COIN: Amount = Amount::from_sat(2_000_000);
/// What each further output gets.
const OUTPUT: Amount = Amount::from_sat(2_000);
/// Satoshis a virtual byte that splitting pays.
const SPLIT_FEE: f64 = 2.0;
/// Weight of a virtual byte.
const WITNESS_SCALE: u64 = 4;
/// Virtual bytes of a transaction with one input and a change, and of each further output.
const REST_VSIZE: u32 = 110;
const OUTPUT_VSIZE: u32 = 31;
/// Outputs a transaction has at most, beside the change.
const MAX_OUTPUTS: u32 = 200;
/// How often a mempool that is full enough is looked at.
const HOLD: Duration = Duration::from_millis(100);
/// How long to wait for a block when every coin is spent.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// Transactions a second.
    pub rate: f64,
    /// Transactions in all; none for no end.
    pub count: Option<u64>,
    /// Weight that the mempool is kept at, by sending only while it is below; none to send anyway.
    pub weight: Option<u64>,
    /// How long to go on; none for as long as it takes.
    pub seconds: Option<u64>,
    /// Satoshis a virtual byte.
    pub fees: RangeInclusive<f64>,
    /// How they are spread.
    pub spread: Spread,
    /// Outputs beside the change: what makes a transaction large or small.
    pub outputs: RangeInclusive<u32>,
}

/// How fee rates are spread between the least and the most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Spread {
    /// As many from 1 to 2 as from 10 to 20: what people pay.
    #[default]
    Proportional,
    /// As many from 1 to 2 as from 10 to 11.
    Even,
}

/// The outputs beside the change that make a transaction about so large.
pub fn outputs_of(vsize: &RangeInclusive<u32>) -> RangeInclusive<u32> {
    let outputs = |vsize: u32| (vsize.saturating_sub(REST_VSIZE) / OUTPUT_VSIZE).max(1);
    outputs(*vsize.start())..=outputs(*vsize.end())
}

/// What was sent, and what the mempool has now.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TrafficReport {
    /// Transactions sent.
    pub sent: u64,
    /// In this time.
    pub seconds: f64,
    /// Their virtual size.
    pub vbytes: u64,
    /// What they pay, in satoshis.
    pub fees: u64,
    /// Transactions in the mempool.
    pub mempool_transactions: u64,
    /// What these weigh.
    pub mempool_weight: u64,
}

impl Traffic {
    /// Every problem with it, in words.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(self.rate > 0.0 && self.rate <= 100.0) {
            problems.push(format!("a rate of {} is not between 0 and 100", self.rate));
        }
        let (least, most) = (self.fees.start(), self.fees.end());
        if least > most {
            problems.push(format!(
                "fees of {least} to {most}: the least is above the most"
            ));
        } else if !(*least >= 0.1 && least <= most && *most <= 1000.0) {
            problems.push(format!(
                "fees of {least} to {most} are not between 0.1 and 1000"
            ));
        }
        let (least, most) = (self.outputs.start(), self.outputs.end());
        if least > most {
            problems.push(format!(
                "{least} to {most} outputs: the least is above the most"
            ));
        } else if !(*least >= 1 && least <= most && *most <= MAX_OUTPUTS) {
            let largest = REST_VSIZE + OUTPUT_VSIZE * MAX_OUTPUTS;
            problems.push(format!(
                "{least} to {most} outputs are not between 1 and {MAX_OUTPUTS}, which make {largest} \
                 vB"
            ));
        }
        if self.weight == Some(0) {
            problems.push("a weight of 0 is an empty mempool".to_owned());
        }
        problems
    }

    /// The fee rate at this place between the lowest, 0, and the highest, 1.
    fn fee_at(&self, place: f64) -> f64 {
        let (least, most) = (*self.fees.start(), *self.fees.end());
        match self.spread {
            Spread::Proportional => least * (most / least).powf(place),
            Spread::Even => least + (most - least) * place,
        }
    }

    /// How far it is, in words.
    fn so_far(&self, report: &TrafficReport) -> String {
        let of = self
            .count
            .map_or(String::new(), |count| format!(" of {count}"));
        let wanted = self.weight.map_or(String::new(), |weight| {
            let part = 100.0 * report.mempool_weight as f64 / weight as f64;
            format!(", {part:.0}% of what is wanted")
        });
        let rate = report.sent as f64 / report.seconds.max(0.001);
        format!(
            "{}{of} sent, {rate:.1}/s; the mempool has {} of together {} WU{wanted}",
            report.sent, report.mempool_transactions, report.mempool_weight
        )
    }

    /// Whether enough was sent.
    fn is_done(&self, sent: u64, since: Duration) -> bool {
        self.count.is_some_and(|count| sent >= count)
            || self
                .seconds
                .is_some_and(|seconds| since.as_secs() >= seconds)
    }
}

impl Lab {
    /// Sends transactions until there are enough.
    ///
    /// # Errors
    /// When what is wanted makes no sense, or the wallet has no coins that can be spent.
    pub async fn traffic(&self, wanted: &Traffic, progress: Progress<'_>) -> Result<TrafficReport> {
        let problems = wanted.problems();
        if !problems.is_empty() {
            let cause = problems.join("; ");
            return Err(Fault::usage(cause, "see lab tx --help").into());
        }
        let rpc = self.rpc()?;
        let mut sender = Sender {
            coins: self.split(&rpc, progress).await?,
            wallet: self.wallet()?,
            rpc,
            report: TrafficReport::default(),
        };
        let began = Instant::now();
        let mut due = interval(Duration::from_secs_f64(1.0 / wanted.rate));
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Instant::now();
        while !wanted.is_done(sender.report.sent, began.elapsed()) {
            due.tick().await;
            sender.look().await?;
            let weight = sender.report.mempool_weight;
            match wanted.weight.is_none_or(|wanted| weight < wanted) {
                true => sender.send(wanted).await?,
                false => tokio::time::sleep(HOLD).await,
            }
            sender.report.seconds = began.elapsed().as_secs_f64();
            if told.elapsed() >= Duration::from_secs(1) {
                told = Instant::now();
                progress(Event::Step(wanted.so_far(&sender.report)));
            }
        }
        sender.look().await?;
        sender.report.seconds = began.elapsed().as_secs_f64();
        Ok(sender.report)
    }

    /// Has coins to spend, and splits some when there are few.
    async fn split(&self, rpc: &Rpc, progress: Progress<'_>) -> Result<Vec<OutPoint>> {
        let mut wallet = self.wallet()?;
        progress(Event::Step("looking for the wallet's coins".to_owned()));
        wallet.sync(rpc).await?;
        let coins = wallet.coins(COIN);
        if coins.len() >= COINS / 2 {
            return Ok(coins);
        }
        let needed = COIN * COINS as u64;
        if wallet.spendable() <= needed {
            return Err(Fault::failed(
                format!(
                    "the lab's wallet can spend {}, less than {needed}",
                    wallet.spendable()
                ),
                "coins of a block can be spent after 100 more: lab mine 100 --rpc",
            )
            .into());
        }
        progress(Event::Step(format!("splitting off {COINS} coins")));
        let outputs = vec![COIN; COINS];
        wallet
            .pay_itself(rpc, None, &outputs, fee_rate(SPLIT_FEE))
            .await?;
        self.mine(1, MinedBy::Rpc, progress).await?;
        wallet.sync(rpc).await?;
        Ok(wallet.coins(COIN))
    }
}

struct Sender {
    wallet: Wallet,
    rpc: Rpc,
    coins: Vec<OutPoint>,
    report: TrafficReport,
}

impl Sender {
    async fn look(&mut self) -> Result<()> {
        let info: Value = self.rpc.call("getmempoolinfo", json!([])).await?;
        self.report.mempool_transactions = info["size"].as_u64().unwrap_or_default();
        self.report.mempool_weight = WITNESS_SCALE * info["bytes"].as_u64().unwrap_or_default();
        Ok(())
    }

    async fn send(&mut self, wanted: &Traffic) -> Result<()> {
        let coin = self.next_coin().await?;
        let (place, outputs) = {
            let mut rng = rand::thread_rng();
            (
                rng.gen_range(0.0..=1.0),
                rng.gen_range(wanted.outputs.clone()),
            )
        };
        let fee = fee_rate(wanted.fee_at(place));
        let outputs = vec![OUTPUT; outputs as usize];
        let sent = self
            .wallet
            .pay_itself(&self.rpc, Some(coin), &outputs, fee)
            .await?;
        self.report.sent += 1;
        self.report.vbytes += sent.vsize() as u64;
        self.report.fees += (fee * sent.weight()).to_sat();
        Ok(())
    }

    /// Coins come back with the blocks that have their change.
    async fn next_coin(&mut self) -> Result<OutPoint> {
        let deadline = Instant::now() + PATIENCE;
        if self.report.sent == 0 {
            self.wallet.sync(&self.rpc).await?;
        }
        loop {
            if let Some(coin) = self.coins.pop() {
                return Ok(coin);
            }
            self.wallet.sync(&self.rpc).await?;
            self.coins = self.wallet.coins(OUTPUT * 500);
            if self.coins.is_empty() && Instant::now() > deadline {
                return Err(Fault::failed(
                    format!("every coin waits in the mempool, and no block came for {PATIENCE:?}"),
                    "see what stands still: lab status; or lab mine 1 --rpc",
                )
                .into());
            }
            if self.coins.is_empty() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Satoshis a virtual byte.
fn fee_rate(satoshis: f64) -> FeeRate {
    FeeRate::from_sat_per_kwu((satoshis * 250.0).ceil() as u64)
}

impl std::fmt::Display for TrafficReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} transactions sent ({} vB, {} sat of fees); the mempool has {} of together {} WU",
            self.sent, self.vbytes, self.fees, self.mempool_transactions, self.mempool_weight
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic() -> Traffic {
        Traffic {
            rate: 10.0,
            count: Some(5),
            weight: None,
            seconds: Some(3),
            fees: 1.0..=100.0,
            spread: Spread::Proportional,
            outputs: 1..=4,
        }
    }

    #[test]
    fn fees_are_spread_in_proportion_or_evenly() {
        for (place, expected) in [(0.0, 1.0), (0.5, 10.0), (1.0, 100.0)] {
            assert!((traffic().fee_at(place) - expected).abs() < 1e-9, "{place}");
        }
        let one = Traffic {
            fees: 7.0..=7.0,
            ..traffic()
        };
        assert!((one.fee_at(0.3) - 7.0).abs() < 1e-9);
        let even = Traffic {
            spread: Spread::Even,
            ..traffic()
        };
        assert!((even.fee_at(0.5) - 50.5).abs() < 1e-9);
    }

    #[test]
    fn a_size_is_made_of_outputs() {
        assert_eq!(outputs_of(&(1..=1)), 1..=1);
        assert_eq!(outputs_of(&(141..=1000)), 1..=28);
    }

    #[test]
    fn progress_says_how_much_is_missing() {
        let report = TrafficReport {
            sent: 20,
            seconds: 4.0,
            mempool_transactions: 7,
            mempool_weight: 5_000,
            ..TrafficReport::default()
        };
        assert_eq!(
            traffic().so_far(&report),
            "20 of 5 sent, 5.0/s; the mempool has 7 of together 5000 WU"
        );
        let held = Traffic {
            count: None,
            weight: Some(20_000),
            ..traffic()
        };
        assert_eq!(
            held.so_far(&report),
            "20 sent, 5.0/s; the mempool has 7 of together 5000 WU, 25% of what is wanted"
        );
    }

    #[test]
    fn it_ends_by_number_or_by_time() {
        let (soon, late) = (Duration::from_secs(1), Duration::from_secs(3));
        assert!(!traffic().is_done(4, soon));
        assert!(traffic().is_done(5, soon) && traffic().is_done(0, late));
        let endless = Traffic {
            count: None,
            seconds: None,
            ..traffic()
        };
        assert!(!endless.is_done(u64::MAX, late));
    }

    #[test]
    fn what_makes_no_sense_is_told_all_at_once() {
        assert_eq!(traffic().problems(), Vec::<String>::new());
        let wrong = Traffic {
            rate: 0.0,
            fees: 5.0..=1.0,
            outputs: 0..=1,
            ..traffic()
        };
        assert_eq!(wrong.problems().len(), 3);
        let not_a_number = Traffic {
            rate: f64::NAN,
            ..traffic()
        };
        assert_eq!(not_a_number.problems().len(), 1);
    }
}
