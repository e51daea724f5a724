//! `lab down`

use anyhow::Result;
use orchestrator::lab::Lab;
use orchestrator::programs::Programs;
use orchestrator::state;
use serde_json::json;

use crate::console::Console;

pub(crate) async fn run(name: &str, console: &Console) -> Result<()> {
    let progress = |event| console.hear(event);
    let removed = Lab::down(&state::home()?, name, Programs::from_env(), &progress).await;
    console.settle();
    let removed = removed?;
    if console.json {
        return console.print_json(&json!({ "name": name, "removed": removed }));
    }
    if removed.is_empty() {
        return console.print(&format!("there is nothing of a lab '{name}'"));
    }
    let count = |count: usize, one: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        // The only word here whose plural is not made with an s.
        _ if one == "process" => Some(format!("{count} processes")),
        _ if one == "directory" => Some(format!("{count} directories")),
        _ => Some(format!("{count} {one}s")),
    };
    let counts = [
        count(removed.processes.len(), "process"),
        count(removed.containers.len(), "container"),
        count(removed.networks.len(), "network"),
        count(removed.volumes.len(), "volume"),
        count(removed.directories.len(), "directory"),
    ];
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    console.print(&format!(
        "lab '{name}' is down: removed {}",
        counts.join(", ")
    ))
}
