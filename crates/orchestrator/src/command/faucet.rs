//! `lab faucet`

use anyhow::Result;
use orchestrator::lab::Lab;
use terminal::quantity::bitcoins;

use crate::cli::FaucetArgs;
use crate::console::Console;

pub(crate) async fn run(args: &FaucetArgs, lab: &Lab, console: &Console) -> Result<()> {
    let progress = |event| console.hear(event);
    let funded = lab.faucet(&args.address, args.amount, &progress).await;
    console.settle();
    let funded = funded?;
    if console.json {
        return console.print_json(&funded);
    }
    console.print(&format!(
        "{} to {} in block {} as {}",
        bitcoins(funded.amount),
        funded.address,
        funded.height,
        funded.txid
    ))
}
