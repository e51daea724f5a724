//! `[[coinbase_outputs]]`: what else stands in the miner's coinbases.

use bitcoin::Network;
use daemon::config::{Entry, Reader};
use daemon::payout;

use crate::declarator::OwnOutput;

const KEY: &str = "coinbase_outputs";

/// Outputs at most. Each takes room from transactions.
const MAX_OUTPUTS: usize = 16;
/// Bytes of all their scripts at most; servers have limits of their own for a coinbase.
const MAX_SCRIPTS: usize = 4_000;

/// `None` when a problem was noted.
pub(super) fn read(reader: &mut Reader, network: Network) -> Option<Vec<OwnOutput>> {
    let outputs = reader.entries(KEY, true, |entry| output(entry, network))?;
    let bytes: usize = outputs.iter().map(|output| output.script.len()).sum();
    let percent: u32 = outputs.iter().map(|output| u32::from(output.percent)).sum();
    let mut problems = Vec::new();
    if outputs.len() > MAX_OUTPUTS {
        problems.push(format!("{} outputs; at most {MAX_OUTPUTS}", outputs.len()));
    }
    if bytes > MAX_SCRIPTS {
        problems.push(format!("scripts of {bytes} bytes; at most {MAX_SCRIPTS}"));
    }
    if percent > 100 {
        problems.push(format!("{percent} percent of the reward"));
    }
    let are_good = problems.is_empty();
    for problem in problems {
        reader.problem(KEY, problem);
    }
    are_good.then_some(outputs)
}

fn output(entry: &mut Entry<'_>, network: Network) -> Option<OwnOutput> {
    let percent = entry.percent("percent");
    let text = entry.text("script")?;
    match payout::script(&text, network) {
        Ok(script) => Some(OwnOutput {
            script,
            percent: percent?,
        }),
        Err(problem) => {
            entry.problem("script", problem);
            None
        }
    }
}
