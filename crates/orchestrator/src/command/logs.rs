//! `lab logs`

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use orchestrator::backend::LogRange;
use orchestrator::lab::Lab;
use orchestrator::log::{Entry, Filter};
use owo_colors::{AnsiColors, OwoColorize};
use serde_json::json;
use tokio::time::Instant;

use crate::cli::LogsArgs;
use crate::console::Console;

/// Lines that come within this time of each other are put in order before they are shown.
const GATHER: Duration = Duration::from_millis(50);

struct Line {
    service: String,
    entry: Entry,
    text: String,
    /// That of the last line of the service that had one: what follows belongs to it.
    time: String,
}

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
    let filter = Filter {
        level: args.level,
        event: args.event.clone(),
        id: args.id.clone(),
    };
    // What the filter leaves out does not count.
    let range = LogRange {
        tail: match filter == Filter::default() {
            true => args.lines,
            false => usize::MAX,
        },
        follow: args.follow,
    };
    let mut logs = Vec::new();
    for name in &names {
        let name = (*name).to_owned();
        let lines = lab.logs(&name, range).await?;
        logs.push(lines.map(move |line| (name.clone(), line)).boxed());
    }
    let print = |lines: Vec<Line>| show(&lines, &names, console);
    gather(stream::select_all(logs), &filter, args.lines, print).await
}

/// Shows what comes, in the order of its time as far as it comes together.
async fn gather(
    mut lines: stream::SelectAll<BoxStream<'_, (String, Result<String>)>>,
    filter: &Filter,
    tail: usize,
    print: impl Fn(Vec<Line>) -> Result<()>,
) -> Result<()> {
    let mut times: BTreeMap<String, String> = BTreeMap::new();
    let mut gathered: Vec<Line> = Vec::new();
    let mut is_past = true;
    let mut deadline = Instant::now() + GATHER;
    loop {
        let next = tokio::select! {
            biased;
            next = lines.next() => Some(next),
            () = tokio::time::sleep_until(deadline), if !gathered.is_empty() => None,
        };
        if let Some(Some((service, text))) = next {
            let text = text?;
            let entry = Entry::parse(&text);
            if let Some(time) = &entry.time {
                times.insert(service.clone(), time.clone());
            }
            if gathered.is_empty() || is_past {
                deadline = Instant::now() + GATHER;
            }
            if filter.takes(&entry) {
                let time = times.get(&service).cloned().unwrap_or_default();
                gathered.push(Line {
                    service,
                    entry,
                    text,
                    time,
                });
            }
            continue;
        }
        let mut ready = std::mem::take(&mut gathered);
        ready.sort_by(|a, b| a.time.cmp(&b.time));
        if is_past {
            keep_last(&mut ready, tail);
            is_past = false;
        }
        print(ready)?;
        if matches!(next, Some(None)) {
            return Ok(());
        }
    }
}

/// The last `tail` lines of each service.
fn keep_last(lines: &mut Vec<Line>, tail: usize) {
    let mut left: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines.iter() {
        *left.entry(line.service.clone()).or_default() += 1;
    }
    lines.retain(|line| {
        let left = left.entry(line.service.clone()).or_default();
        *left -= 1;
        *left < tail
    });
}

fn show(lines: &[Line], names: &[&str], console: &Console) -> Result<()> {
    let width = names
        .iter()
        .map(|name| name.len())
        .max()
        .unwrap_or_default();
    for line in lines {
        if console.json {
            console.print_json(&json!({
                "service": line.service,
                "time": line.entry.time,
                "level": line.entry.level,
                "event": line.entry.event,
                "fields": line.entry.fields,
                "line": line.text,
            }))?;
            continue;
        }
        let label = format!("{:width$} |", line.service);
        let label = match console.colours_output() {
            true => label.color(colour(&line.service, names)).to_string(),
            false => label,
        };
        console.print(&format!("{label} {}", line.text))?;
    }
    Ok(())
}

/// The same colour for the same service, and different ones for neighbours.
fn colour(service: &str, names: &[&str]) -> AnsiColors {
    const COLOURS: [AnsiColors; 6] = [
        AnsiColors::Cyan,
        AnsiColors::Yellow,
        AnsiColors::Green,
        AnsiColors::Magenta,
        AnsiColors::Blue,
        AnsiColors::BrightRed,
    ];
    let at = names.iter().position(|name| *name == service);
    COLOURS[at.unwrap_or_default() % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    async fn shown(logs: &[(&str, &[&str])], filter: &Filter, tail: usize) -> Vec<String> {
        let logs = logs.iter().map(|(name, lines)| {
            let lines = lines
                .iter()
                .map(|line| ((*name).to_owned(), Ok((*line).to_owned())));
            stream::iter(lines.collect::<Vec<_>>()).boxed()
        });
        let seen = RefCell::new(Vec::new());
        let print = |lines: Vec<Line>| {
            seen.borrow_mut()
                .extend(lines.into_iter().map(|line| line.text));
            Ok(())
        };
        gather(stream::select_all(logs), filter, tail, print)
            .await
            .unwrap();
        seen.into_inner()
    }

    const POOL: &[&str] = &[
        "2026-01-01T00:00:01Z  INFO a",
        "  and more",
        "2026-01-01T00:00:03Z WARN c",
    ];
    const NODE: &[&str] = &["2026-01-01T00:00:02Z b", "2026-01-01T00:00:04Z d"];

    #[tokio::test]
    async fn services_are_merged_by_time_and_what_has_none_stays_behind_its_line() {
        let lines = shown(&[("pool", POOL), ("node", NODE)], &Filter::default(), 10).await;
        assert_eq!(lines, [POOL[0], POOL[1], NODE[0], POOL[2], NODE[1]]);
    }

    #[tokio::test]
    async fn the_tail_counts_lines_of_each_service_that_are_wanted() {
        let lines = shown(&[("pool", POOL), ("node", NODE)], &Filter::default(), 1).await;
        assert_eq!(lines, [POOL[2], NODE[1]]);
        let filter = Filter {
            event: Some("a".to_owned()),
            ..Filter::default()
        };
        assert_eq!(
            shown(&[("pool", POOL), ("node", NODE)], &filter, 1).await,
            ["  and more"]
        );
    }
}
