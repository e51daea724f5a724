//! `lab snapshot`

use anyhow::Result;
use orchestrator::lab::{Bringup, Lab, UpOptions};
use orchestrator::programs::Programs;
use orchestrator::snapshot::{Snapshot, Snapshots};
use orchestrator::state;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cli::{SnapshotArgs, SnapshotVerb};
use crate::console::Console;

pub(crate) async fn run(args: &SnapshotArgs, name: &str, console: &Console) -> Result<()> {
    let home = state::home()?;
    match &args.snapshot {
        SnapshotVerb::List => list(&Snapshots::of(&home).list()?, console),
        SnapshotVerb::Save { snapshot } => {
            let lab = Lab::open(&home, name, Programs::from_env()).await?;
            let _lock = lab.hold().await?;
            let progress = |event| console.hear(event);
            let saved = lab.save(snapshot, &progress).await;
            console.settle();
            show("saved", &saved?, console)
        }
        SnapshotVerb::Restore { snapshot, replace } => {
            // Before anything is touched.
            let snapshot = Snapshots::of(&home).find(snapshot)?;
            let programs = Programs::from_env();
            let progress = |event| console.hear(event);
            if *replace {
                Lab::down(&home, name, programs.clone(), &progress).await?;
            }
            Lab::restore(&home, name, &snapshot, programs.clone(), &progress).await?;
            let options = UpOptions {
                began: Instant::now(),
                home,
                name: name.to_owned(),
                topology: None,
                backend: None,
                subnet: None,
                bind: None,
                build: true,
                wait_block: false,
                programs,
            };
            let bringup = Bringup::begin(&options, &progress).await?;
            let up = bringup.run(&progress, &CancellationToken::new()).await;
            console.settle();
            up?;
            show("restored", &snapshot, console)
        }
    }
}

fn show(what: &str, snapshot: &Snapshot, console: &Console) -> Result<()> {
    match console.json {
        true => console.print_json(snapshot),
        false => console.print(&format!("{what} {}", line(snapshot))),
    }
}

fn list(snapshots: &[Snapshot], console: &Console) -> Result<()> {
    if console.json {
        return console.print_json(&snapshots);
    }
    if snapshots.is_empty() {
        return console.print("there is no snapshot; make one: lab snapshot save NAME");
    }
    let lines: Vec<_> = snapshots.iter().map(line).collect();
    console.print(&lines.join("\n"))
}

fn line(snapshot: &Snapshot) -> String {
    let height = snapshot
        .height
        .map_or("height unknown".to_owned(), |height| {
            format!("height {height}")
        });
    format!(
        "{:20} of lab '{}' on {}, {height}",
        snapshot.name,
        snapshot.lab,
        snapshot.backend().name()
    )
}
