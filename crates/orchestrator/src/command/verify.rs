//! `lab verify`

use anyhow::Result;
use orchestrator::fault::EXIT_FAILED;
use orchestrator::lab::{Lab, Story};
use serde_json::json;

use crate::console::Console;

pub(crate) async fn run(lab: &Lab, console: &Console) -> Result<u8> {
    let progress = |event| console.hear(event);
    let stories = lab.verify(&progress).await;
    console.settle();
    let stories = stories?;
    let holds = stories.iter().all(Story::holds);
    if console.json {
        console.print_json(&json!({ "verified": holds, "blocks": stories }))?;
    } else {
        for story in &stories {
            console.print(&text(story))?;
        }
        let (count, verdict) = (
            stories.len(),
            if holds { "verified" } else { "NOT verified" },
        );
        console.print(&format!("{count} of {count} paths mined, {verdict}"))?;
    }
    Ok(if holds { 0 } else { EXIT_FAILED })
}

fn text(story: &Story) -> String {
    let mut lines = vec![format!(
        "{}: height {}, {}",
        story.path.join(" -> "),
        story.height,
        story.hash
    )];
    for check in &story.checks {
        let mark = if check.holds { "ok  " } else { "FAIL" };
        lines.push(format!(
            "  {mark} {:18} {}: {}",
            check.hop, check.claim, check.evidence
        ));
    }
    for omission in &story.left_out {
        lines.push(format!(
            "  --   {:18} left out: {}",
            omission.hop, omission.why
        ));
    }
    lines.join("\n")
}
