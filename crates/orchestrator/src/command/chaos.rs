//! `lab chaos`

use std::time::Duration;

use anyhow::Result;
use orchestrator::chaos::{Blow, Struck};
use orchestrator::fault::Fault;
use orchestrator::lab::Lab;
use orchestrator::links::Link;
use serde_json::{Value, json};

use crate::cli::{Chaos, ChaosArgs, ServiceFault};
use crate::console::Console;

pub(crate) async fn run(args: &ChaosArgs, lab: &Lab, console: &Console) -> Result<()> {
    match &args.chaos {
        Chaos::Kill(fault) => strike(fault, Blow::Kill, lab, console).await,
        Chaos::Pause(fault) => strike(fault, Blow::Pause, lab, console).await,
        Chaos::Partition(fault) => {
            let partition = json!({ "fault": "partition" });
            disturb(&fault.target, &partition, fault.lasts, lab, console).await
        }
        Chaos::Delay {
            target,
            delay,
            jitter,
            lasts,
        } => {
            let delay = json!({
                "fault": "delay",
                "delay_ms": delay.as_millis() as u64,
                "jitter_ms": jitter.as_millis() as u64,
            });
            disturb(target, &delay, *lasts, lab, console).await
        }
        Chaos::Loss {
            target,
            percent,
            lasts,
        } => {
            let loss = json!({ "fault": "loss", "probability": percent / 100.0 });
            disturb(target, &loss, *lasts, lab, console).await
        }
        Chaos::Heal { targets } => heal(targets, lab, console).await,
        Chaos::List => list(lab, console).await,
    }
}

async fn strike(fault: &ServiceFault, blow: Blow, lab: &Lab, console: &Console) -> Result<()> {
    let struck = lab.strike(&fault.service, blow, fault.lasts).await?;
    if console.json {
        return console.print_json(&json!({ "fault": blow, "struck": struck }));
    }
    let service = &fault.service;
    console.print(&match (struck, fault.lasts) {
        (None, _) => format!("{service} was killed and is started again"),
        (Some(_), Some(lasts)) => {
            format!(
                "{}: {service}, for {lasts:?}; then it is healed by itself",
                blow.name()
            )
        }
        (Some(_), None) => format!("{}: {service}, until lab chaos heal {service}", blow.name()),
    })
}

async fn disturb(
    target: &str,
    fault: &Value,
    lasts: Option<Duration>,
    lab: &Lab,
    console: &Console,
) -> Result<()> {
    let relay = lab.relay()?;
    let mut disturbed = Vec::new();
    for link in relay.find(target).await? {
        disturbed.push(relay.disturb(&link.name, fault.clone(), lasts).await?);
    }
    show(&disturbed, &[], console)
}

async fn heal(targets: &[String], lab: &Lab, console: &Console) -> Result<()> {
    let healed = lab.heal(targets).await?;
    if console.json {
        return console.print_json(&healed);
    }
    let services = healed.services.into_iter().map(|one| one.service);
    let names: Vec<_> = services.chain(healed.links).collect();
    console.print(&match names.is_empty() {
        true => "nothing was disturbed".to_owned(),
        false => format!("healed: {}", names.join(", ")),
    })
}

async fn list(lab: &Lab, console: &Console) -> Result<()> {
    let struck = lab.struck()?;
    let links = match lab.relay() {
        Ok(relay) => relay.links().await?,
        Err(_) => Vec::new(),
    };
    if links.is_empty() && struck.is_empty() && !console.json {
        return Err(Fault::usage(
            "nothing is disturbed, and the lab has no relay on its links",
            "disturb services with lab chaos kill and pause; for links use lab up --relays",
        )
        .into());
    }
    show(&links, &struck, console)
}

fn show(links: &[Link], struck: &[Struck], console: &Console) -> Result<()> {
    if console.json {
        return console.print_json(&json!({ "links": links, "services": struck }));
    }
    let mut lines = Vec::new();
    for one in struck {
        lines.push(format!("{:34} {}", one.service, one.fault.name()));
    }
    for link in links {
        let orders: Vec<_> = link.faults.iter().chain(&link.rules).map(order).collect();
        let orders = match orders.is_empty() {
            true => "-".to_owned(),
            false => orders.join("; "),
        };
        lines.push(format!("{:34} {:4} {orders}", link.name, link.protocol));
    }
    console.print(&lines.join("\n"))
}

/// A fault or a rule in a few words.
fn order(order: &Value) -> String {
    let what = match (order["fault"].as_str(), order["message"].as_str()) {
        (Some("delay"), _) => format!(
            "delay {} ms (+{} ms)",
            order["delay_ms"], order["jitter_ms"]
        ),
        (Some("loss"), _) => {
            let percent = order["probability"].as_f64().unwrap_or_default() * 100.0;
            format!("loss {percent:.1}%")
        }
        (Some(fault), _) => fault.to_owned(),
        (None, Some(message)) => match order["set"].as_object() {
            Some(set) => format!("rewrite {message} {}", Value::from(set.clone())),
            None => format!("drop {message}"),
        },
        (None, None) => order.to_string(),
    };
    match order["remaining_ms"].as_u64() {
        Some(left) => format!("{what}, {:.1} s left", left as f64 / 1000.0),
        None => what,
    }
}
