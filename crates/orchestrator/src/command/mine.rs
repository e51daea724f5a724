//! `lab mine`

use anyhow::Result;
use orchestrator::lab::{Lab, MinedBy};
use serde_json::json;

use crate::cli::MineArgs;
use crate::console::Console;

pub(crate) async fn run(args: &MineArgs, lab: &Lab, console: &Console) -> Result<()> {
    let by = match args.rpc {
        true => MinedBy::Rpc,
        false => lab.miner(),
    };
    let progress = |event| console.hear(event);
    let mined = lab.mine(args.blocks, by, &progress).await;
    console.settle();
    let mined = mined?;
    if console.json {
        return console.print_json(&json!({ "mined_by": by, "blocks": mined }));
    }
    for block in mined {
        console.print(&format!("{} {}", block.height, block.hash))?;
    }
    Ok(())
}
