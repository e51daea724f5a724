//! `lab start` and `lab restart`

use anyhow::Result;
use orchestrator::lab::Lab;
use orchestrator::startup::Started;
use serde_json::{Value, json};

use crate::cli::ServicesArgs;
use crate::console::Console;

pub(crate) async fn run(args: &ServicesArgs, lab: &Lab, console: &Console) -> Result<()> {
    let _lock = lab.hold().await?;
    let progress = |event| console.hear(event);
    let started = lab.start(&args.services, &progress).await;
    console.settle();
    print(lab, &started?, console)
}

pub(crate) async fn restart(args: &ServicesArgs, lab: &Lab, console: &Console) -> Result<()> {
    let _lock = lab.hold().await?;
    let progress = |event| console.hear(event);
    let started = lab.restart(&args.services, &progress).await;
    console.settle();
    print(lab, &started?, console)
}

/// What is ready, and how long each took.
pub(super) fn print(lab: &Lab, started: &[Started], console: &Console) -> Result<()> {
    if console.json {
        let services: Vec<Value> = started
            .iter()
            .map(|one| {
                json!({
                    "name": one.service,
                    "started_seconds": one.started.as_secs_f64(),
                    "ready_seconds": one.ready.as_secs_f64(),
                })
            })
            .collect();
        return console.print_json(&json!({ "name": lab.name(), "services": services }));
    }
    for one in started {
        let took = one.ready.saturating_sub(one.started).as_secs_f64();
        console.print(&format!("{:24} ready after {took:.2} s", one.service))?;
    }
    Ok(())
}
