//! `lab reorg`

use anyhow::Result;
use orchestrator::fault::EXIT_FAILED;
use orchestrator::lab::{Lab, Reorg};
use terminal::quantity::number;

use crate::cli::ReorgArgs;
use crate::console::Console;

pub(crate) async fn run(args: &ReorgArgs, lab: &Lab, console: &Console) -> Result<u8> {
    let progress = |event| console.hear(event);
    let reorg = lab.reorg(args.depth, &progress).await;
    console.settle();
    let reorg = reorg?;
    match console.json {
        true => console.print_json(&reorg)?,
        false => console.print(&text(&reorg))?,
    }
    Ok(if reorg.settled { 0 } else { EXIT_FAILED })
}

fn text(reorg: &Reorg) -> String {
    let mut lines = vec![format!(
        "{} replaced by {}",
        number(reorg.replaced.len() as u64, "block"),
        number(reorg.mined.len() as u64, "block")
    )];
    for block in &reorg.mined {
        lines.push(format!("  mined     {} {}", block.height, block.hash));
    }
    for block in &reorg.ledger {
        let verdict = block.verdict.as_deref().unwrap_or("not asked yet");
        let height = block.height.map_or("?".to_owned(), |it| it.to_string());
        lines.push(format!(
            "  {:9} {height} {}: {verdict}",
            block.pool, block.hash
        ));
    }
    for template in &reorg.templates {
        let height = template.height.map_or("?".to_owned(), |it| it.to_string());
        lines.push(format!("  {:9} works on height {height}", template.service));
    }
    lines.push(match reorg.settled {
        true => "everybody has seen it".to_owned(),
        false => "NOT everybody has seen it".to_owned(),
    });
    lines.join("\n")
}
