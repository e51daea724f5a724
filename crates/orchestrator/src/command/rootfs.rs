//! `lab rootfs`: an image as a directory, for builds inside Docker

use anyhow::Result;
use orchestrator::image;
use orchestrator::programs::Programs;

use crate::cli::RootfsArgs;

pub(crate) fn run(args: &RootfsArgs) -> Result<()> {
    image::unpack(&args.image, &Programs::from_env(), &args.directory)
}
