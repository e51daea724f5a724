//! `lab status`

use anyhow::Result;
use orchestrator::lab::{Lab, ServiceReport};
use terminal::quantity::duration;

use crate::console::Console;

pub(crate) async fn run(lab: &Lab, console: &Console) -> Result<()> {
    let status = lab.status().await?;
    if console.json {
        return console.print_json(&status);
    }
    let height = match status.height {
        Some(height) => format!("{} at height {height}", status.chain),
        None => "the node does not answer".to_owned(),
    };
    let title = format!(
        "lab '{}' on {} ({}): {height}",
        status.name,
        status.backend.name(),
        status.subnet
    );
    let width = status.services.iter().map(|one| one.name.len()).max();
    let width = width.unwrap_or_default().max("service".len());
    let head = format!(
        "{:width$}  {:12} {:16} {:9} {:>8} {:>8} {:>7} {:>7}  ready",
        "service", "state", "address", "version", "uptime", "restarts", "shares", "blocks"
    );
    let lines = status.services.iter().map(|service| line(service, width));
    let lines: Vec<String> = [title, head].into_iter().chain(lines).collect();
    console.print(&lines.join("\n"))
}

fn line(service: &ServiceReport, width: usize) -> String {
    let uptime = service.uptime_seconds.map_or("-".to_owned(), duration);
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    let ready = match &service.reason {
        None => "yes".to_owned(),
        Some(reason) => format!("no: {reason}"),
    };
    format!(
        "{:width$}  {:12} {:16} {:9} {:>8} {:>8} {:>7} {:>7}  {ready}",
        service.name,
        service.state.name(),
        service.address,
        service.version.as_deref().unwrap_or("-"),
        uptime,
        service.restarts,
        number(service.shares),
        number(service.blocks)
    )
}
