//! `lab rootfs`: an image as a directory, for builds inside Docker

use std::path::Path;

use anyhow::Result;
use orchestrator::image;
use orchestrator::programs::Programs;

use crate::cli::RootfsArgs;

pub(crate) fn run(args: &RootfsArgs) -> Result<()> {
    let programs = Programs::from_env();
    for name in image::names() {
        let target = Path::new(&args.directory).join(name);
        image::Image::collect(name, &programs)?.unpack(&target)?;
    }
    Ok(())
}
