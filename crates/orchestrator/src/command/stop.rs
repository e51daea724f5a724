//! `lab stop`

use anyhow::Result;
use orchestrator::lab::Lab;
use serde_json::json;

use crate::cli::ServicesArgs;
use crate::console::Console;

pub(crate) async fn run(args: &ServicesArgs, lab: &Lab, console: &Console) -> Result<()> {
    let _lock = lab.hold().await?;
    let progress = |event| console.hear(event);
    let stopped = lab.stop(&args.services, &progress).await;
    console.settle();
    let stopped = stopped?;
    if console.json {
        return console.print_json(&json!({ "name": lab.name(), "stopped": stopped }));
    }
    match stopped.is_empty() {
        true => console.print("nothing of that ran"),
        false => console.print(&format!("stopped: {}", stopped.join(", "))),
    }
}
