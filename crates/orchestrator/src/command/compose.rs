//! `lab compose`, and what its file needs inside

use std::path::Path;

use anyhow::Result;
use orchestrator::compose::{self, CONFIGURATIONS, Choice, SECRETS};
use orchestrator::fault::Fault;
use orchestrator::names;
use orchestrator::subnet::Subnet;
use orchestrator::topology;
use serde_json::json;

use crate::cli::{ComposeArgs, InitArgs};
use crate::console::Console;

pub(crate) fn run(args: &ComposeArgs, console: &Console) -> Result<()> {
    let names: Vec<_> = topology::BUILT_IN.iter().map(|(name, _)| *name).collect();
    if !names.contains(&args.topology.as_str()) {
        return Err(Fault::usage(
            format!("'{}' does not come with the program", args.topology),
            format!(
                "{}; its image has these and no file of yours",
                names::remedy(&args.topology, names)
            ),
        )
        .into());
    }
    let text = compose::print(&Choice {
        name: &args.topology,
        difficulty: args.difficulty,
        subnet: args.subnet.unwrap_or(Subnet::DOCKER),
    })?;
    match console.json {
        true => console.print_json(&json!({ "topology": args.topology, "compose": text })),
        false => console.print(text.trim_end()),
    }
}

pub(crate) async fn init(args: &InitArgs) -> Result<()> {
    let choice = Choice {
        name: &args.topology,
        difficulty: args.difficulty,
        subnet: args.subnet,
    };
    let (topology, keys) = (choice.topology()?, Path::new(SECRETS));
    match args.first_blocks {
        true => compose::first_blocks(&topology, args.subnet, keys).await,
        false => compose::write_volumes(&topology, args.subnet, keys, Path::new(CONFIGURATIONS)),
    }
}
