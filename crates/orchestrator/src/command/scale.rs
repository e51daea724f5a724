//! `lab scale`

use anyhow::Result;
use orchestrator::lab::Lab;
use serde_json::json;

use crate::cli::ScaleArgs;
use crate::console::Console;

pub(crate) async fn run(args: &ScaleArgs, mut lab: Lab, console: &Console) -> Result<()> {
    let _lock = lab.hold().await?;
    let counts = args.counts.iter().cloned().collect();
    let progress = |event| console.hear(event);
    let scaled = lab.scale(&counts, &progress).await;
    console.settle();
    let scaled = scaled?;
    let started: Vec<_> = scaled.started.iter().map(|one| &one.service).collect();
    if console.json {
        return console.print_json(&json!({
            "started": started,
            "removed": scaled.removed,
            "restarted": scaled.restarted,
        }));
    }
    for (name, count) in &counts {
        console.print(&format!("{name}: {count}"))?;
    }
    console.print(&format!(
        "{} started, {} removed",
        started.len(),
        scaled.removed.len()
    ))
}
