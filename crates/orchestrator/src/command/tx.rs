//! `lab tx`

use anyhow::Result;
use orchestrator::lab::{Lab, Traffic, outputs_of};

use crate::cli::TxArgs;
use crate::console::Console;

/// Transactions a second that a node takes without effort.
const MOST: f64 = 100.0;

pub(crate) async fn run(args: &TxArgs, lab: &Lab, console: &Console) -> Result<()> {
    let holds = args.weight.is_some();
    let endless = args.weight.is_some() || args.seconds.is_some();
    let wanted = Traffic {
        rate: args.rate.unwrap_or(if holds { MOST } else { 10.0 }),
        count: args.count.or((!endless).then_some(100)),
        weight: args.weight,
        seconds: args.seconds,
        fees: args.fee_rate.clone(),
        spread: args.spread,
        outputs: match (&args.outputs, &args.vsize) {
            (Some(outputs), _) => outputs.clone(),
            (None, Some(vsize)) => outputs_of(vsize),
            (None, None) if holds => 10..=100,
            (None, None) => 1..=4,
        },
    };
    let progress = |event| console.hear(event);
    let report = lab.traffic(&wanted, &progress).await;
    console.settle();
    let report = report?;
    if console.json {
        return console.print_json(&report);
    }
    console.print(&report.to_string())
}
