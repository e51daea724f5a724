//! `lab tx`

use anyhow::Result;
use orchestrator::lab::{Lab, Traffic};

use crate::cli::TxArgs;
use crate::console::Console;

pub(crate) async fn run(args: &TxArgs, lab: &Lab, console: &Console) -> Result<()> {
    let endless = args.weight.is_some() || args.seconds.is_some();
    let wanted = Traffic {
        rate: args.rate,
        count: args.count.or((!endless).then_some(100)),
        weight: args.weight,
        seconds: args.seconds,
        fees: args.fee.clone(),
        outputs: args.outputs.clone(),
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
