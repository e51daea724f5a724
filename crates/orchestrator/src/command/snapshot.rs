//! `lab snapshot`

use std::path::PathBuf;

use anyhow::{Context, Result};
use orchestrator::lab::{Bringup, Lab, UpOptions};
use orchestrator::programs::Programs;
use orchestrator::progress::Progress;
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
            Lab::can_restore(&home, &snapshot, programs.clone()).await?;
            if *replace {
                Lab::down(&home, name, programs.clone(), &progress).await?;
            }
            // Refuses a lab that is there; from here on it is all of this command's making.
            Lab::restore(&home, name, &snapshot, programs.clone(), &progress).await?;
            let up = Box::pin(up(home.clone(), name, programs.clone(), &progress)).await;
            console.settle();
            if let Err(error) = up {
                let removed = Lab::down(&home, name, programs, &progress).await;
                removed.context("removing what was restored")?;
                return Err(error.context("the snapshot is as it was, and no lab is left"));
            }
            show("restored", &snapshot, console)
        }
    }
}

async fn up(home: PathBuf, name: &str, programs: Programs, progress: Progress<'_>) -> Result<()> {
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
    let bringup = Bringup::begin(&options, progress).await?;
    bringup.run(progress, &CancellationToken::new()).await?;
    Ok(())
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
