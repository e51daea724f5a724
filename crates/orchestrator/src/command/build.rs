//! `lab build`

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use orchestrator::backend::BackendKind;
use orchestrator::backend::docker::{Docker, Packed, Settings};
use orchestrator::fault::Fault;
use orchestrator::image;
use orchestrator::lab::Lab;
use orchestrator::names;
use orchestrator::programs::{CORE_SCRIPT, Programs};
use orchestrator::state::{self, Record, StateDir};
use orchestrator::subnet::Subnet;
use orchestrator::topology::{self, Topology};
use serde_json::json;
use tokio::process::Command;

use crate::cli::BuildArgs;
use crate::console::Console;

pub(crate) async fn run(args: &BuildArgs, lab: &str, console: &Console) -> Result<()> {
    let record = StateDir::new(&state::home()?, lab)?.record()?;
    let images = chosen(args, record.as_ref())?;
    let programs = Programs::from_env();
    let compiled = match &programs.workspace {
        Some(workspace) if !args.no_compile => {
            compile(workspace, &programs, &images).await?;
            true
        }
        Some(_) => false,
        None => {
            console.say("lab does not run from a checkout: programs are packed as they are");
            false
        }
    };
    let (packed, why_not) = match record.map(|record| record.backend) {
        Some(BackendKind::Process) => (Vec::new(), Some("this lab runs as processes".to_owned())),
        on_docker => match (pack(lab, programs, &images, console).await?, on_docker) {
            // Without a lab it may become one of processes, so this is no failure.
            (Err(fault), None) => (Vec::new(), Some(fault.cause)),
            (Err(fault), Some(_)) => return Err(fault.into()),
            (Ok(packed), _) => (packed, None),
        },
    };
    let replaced = match args.no_restart {
        true => Vec::new(),
        false => replace(lab, &images, console).await?,
    };
    if console.json {
        return console.print_json(&json!({
            "compiled": compiled,
            "images": packed,
            "images_skipped": why_not,
            "restarted": replaced,
        }));
    }
    for image in &packed {
        console.print(&line(image))?;
    }
    if let Some(why) = why_not {
        console.print(&format!("no images were packed: {why}"))?;
    }
    for service in &replaced {
        console.print(&format!("{service} runs the new build"))?;
    }
    Ok(())
}

/// Packs the images, or says why there is no daemon to take them.
async fn pack(
    lab: &str,
    programs: Programs,
    images: &[&str],
    console: &Console,
) -> Result<Result<Vec<Packed>, Fault>> {
    let settings = Settings {
        subnet: Subnet::DOCKER,
        bind: Ipv4Addr::LOCALHOST,
        build: true,
        programs,
    };
    let docker = match Docker::connect(lab, settings).await {
        Ok(docker) => docker,
        Err(fault) => return Ok(Err(fault)),
    };
    let progress = |event| console.hear(event);
    let packed = docker.build(images, &progress).await;
    console.settle();
    packed.map(Ok)
}

/// Restarts the services of the lab, if there is one, that run an older build; the others go on.
async fn replace(name: &str, images: &[&str], console: &Console) -> Result<Vec<String>> {
    let home = state::home()?;
    if StateDir::new(&home, name)?.record()?.is_none() {
        return Ok(Vec::new());
    }
    let lab = Lab::open(&home, name, Programs::from_env()).await?;
    let _lock = lab.hold().await?;
    let outdated = lab.outdated(images).await?;
    let progress = |event| console.hear(event);
    for service in &outdated {
        let replaced = lab.replace(service, &progress).await;
        console.settle();
        replaced?;
    }
    Ok(outdated)
}

/// The images of the named services, of all when none is named.
fn chosen(args: &BuildArgs, record: Option<&Record>) -> Result<Vec<&'static str>> {
    if args.services.is_empty() {
        return Ok(image::names().collect());
    }
    let topology = match record {
        Some(record) => Topology::parse(&record.topology)?.scaled(&record.replicas)?,
        None => Topology::parse(&topology::find("full")?)?,
    };
    let find = |name: &String| {
        let by_service = image::of_service(name, &topology);
        let found = by_service.or_else(|| image::names().find(|known| known == name));
        found.ok_or_else(|| {
            let services = topology.services.iter().map(|one| one.name.as_str());
            let mut known: BTreeSet<&str> = services.collect();
            for image in image::names() {
                known.insert(image);
            }
            Fault::usage(
                format!("there is no service '{name}' to build"),
                names::remedy(name, known),
            )
        })
    };
    let chosen: BTreeSet<_> = args.services.iter().map(find).collect::<Result<_, _>>()?;
    Ok(chosen.into_iter().collect())
}

fn line(image: &Packed) -> String {
    let what = match image.packed {
        true => "packed",
        false => "up to date",
    };
    format!("{:34} {what} ({:.2} s)", image.image, image.seconds)
}

/// Compiles the roles with cargo, in the profile of the running program, and Bitcoin Core with its
/// script; each is quick when nothing changed.
async fn compile(workspace: &Path, programs: &Programs, images: &[&str]) -> Result<()> {
    let is_core = |program: &&str| program.starts_with("bitcoin-");
    let wanted = images.iter().flat_map(|image| image::programs_of(image));
    let (core, roles): (Vec<&str>, Vec<&str>) = wanted.copied().partition(is_core);
    if !core.is_empty() {
        let mut script = Command::new("bash");
        script.arg(workspace.join(CORE_SCRIPT));
        succeed(script, workspace).await?;
    }
    if !roles.is_empty() {
        let mut cargo = Command::new("cargo");
        cargo.arg("build");
        if programs
            .role_dirs
            .iter()
            .any(|dir| dir.ends_with("release"))
        {
            cargo.arg("--release");
        }
        cargo.args(roles.iter().flat_map(|program| ["--bin", program]));
        succeed(cargo, workspace).await?;
    }
    Ok(())
}

/// Runs a builder, whose own progress goes to standard error.
async fn succeed(mut command: Command, workspace: &Path) -> Result<()> {
    let shown = format!("{:?}", command.as_std());
    let status = command
        .current_dir(workspace)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("running {shown}"))?;
    if status.success() {
        return Ok(());
    }
    Err(Fault::failed(
        format!("{shown} ended with {status}"),
        "correct what it complains about above",
    )
    .into())
}
