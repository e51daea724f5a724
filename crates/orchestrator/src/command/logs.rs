//! `lab logs`

use anyhow::Result;
use futures_util::StreamExt;
use futures_util::stream;
use orchestrator::backend::LogRange;
use orchestrator::lab::Lab;
use serde_json::json;

use crate::cli::LogsArgs;
use crate::console::Console;

pub(crate) async fn run(args: &LogsArgs, lab: &Lab, console: &Console) -> Result<()> {
    let mut names: Vec<&str> = Vec::new();
    for name in &args.services {
        names.push(&lab.service(name)?.name);
    }
    if names.is_empty() {
        names = lab
            .services()
            .iter()
            .map(|spec| spec.name.as_str())
            .collect();
    }
    let width = names
        .iter()
        .map(|name| name.len())
        .max()
        .unwrap_or_default();
    let range = LogRange {
        tail: args.lines,
        follow: args.follow,
    };
    let mut logs = Vec::new();
    for name in names {
        let lines = lab.logs(name, range).await?;
        logs.push(lines.map(move |line| (name, line)));
    }
    // Followed logs mingle as they come; what is past is easier to read one after the other.
    let mut lines = match args.follow {
        true => stream::select_all(logs).boxed_local(),
        false => stream::iter(logs).flatten().boxed_local(),
    };
    while let Some((service, line)) = lines.next().await {
        let line = line?;
        match console.json {
            true => console.print_json(&json!({ "service": service, "line": line }))?,
            false => console.print(&format!("{service:width$} | {line}"))?,
        }
    }
    Ok(())
}
