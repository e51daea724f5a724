//! `lab swap`

use std::path::Path;

use anyhow::{Context, Result};
use orchestrator::fault::Fault;
use orchestrator::lab::Lab;
use orchestrator::service::Origin;
use orchestrator::swap::Swap;

use crate::cli::SwapArgs;
use crate::console::Console;

pub(crate) async fn run(args: &SwapArgs, mut lab: Lab, console: &Console) -> Result<()> {
    let _lock = lab.hold().await?;
    let swap = match (&args.image, &args.bin) {
        (Some(image), _) => Some(Origin::Image(image.clone())),
        (_, Some(path)) => {
            let path = std::path::absolute(path).context("reading --bin")?;
            Some(Origin::Binary(path))
        }
        (None, None) => None,
    }
    .map(|origin| swap(args, origin))
    .transpose()?;
    let progress = |event| console.hear(event);
    let started = lab.swap(&args.service, swap, &progress).await;
    console.settle();
    super::start::print(&lab, &started?, console)
}

fn swap(args: &SwapArgs, origin: Origin) -> Result<Swap> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| {
            Fault::usage(
                format!("cannot read {}: {error}", path.display()),
                "give a file that is there: --config FILE",
            )
        })
    };
    Ok(Swap {
        origin,
        args: (!args.args.is_empty()).then(|| args.args.clone()),
        config: args.config.as_deref().map(read).transpose()?,
    })
}
