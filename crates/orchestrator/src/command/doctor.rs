//! `lab doctor` and `lab dump`

use anyhow::Result;
use orchestrator::doctor::{self, Facts, Severity};
use orchestrator::dump;
use orchestrator::fault::{EXIT_FAILED, Fault};
use orchestrator::lab::Lab;
use orchestrator::programs::Programs;
use orchestrator::state::{self, StateDir};
use serde_json::json;

use crate::cli::{DoctorArgs, DumpArgs};
use crate::console::Console;

/// The lab, if there is one, and everything that is known.
async fn facts(name: &str) -> Result<(Option<Lab>, Facts)> {
    let home = state::home()?;
    let programs = Programs::from_env();
    let lab = match StateDir::new(&home, name)?.record()? {
        Some(_) => Some(Lab::open(&home, name, programs.clone()).await?),
        None => None,
    };
    let facts = doctor::gather(&home, name, &programs, lab.as_ref()).await;
    Ok((lab, facts))
}

pub(crate) async fn run(args: &DoctorArgs, name: &str, console: &Console) -> Result<u8> {
    if args.list {
        for (code, about) in doctor::CODES {
            match console.json {
                true => console.print_json(&json!({ "code": code, "about": about }))?,
                false => console.print(&format!("{code:24} {about}"))?,
            }
        }
        return Ok(0);
    }
    let (_, facts) = Box::pin(facts(name)).await?;
    let found = doctor::examine(&facts);
    let is_ill = found.iter().any(|one| one.severity == Severity::Error);
    if console.json {
        console.print_json(&found)?;
    } else {
        for one in &found {
            let mut lines = vec![
                format!("{}: {} [{}]", one.severity.name(), one.cause, one.code),
                format!("  remedy: {}", one.remedy),
            ];
            lines.extend(one.evidence.iter().map(|line| format!("  | {line}")));
            console.print(&lines.join("\n"))?;
        }
        console.print(&match found.is_empty() {
            true => format!(
                "all is well: none of {} diagnoses fits",
                doctor::CODES.len()
            ),
            false => format!("{} of {} diagnoses fit", found.len(), doctor::CODES.len()),
        })?;
    }
    Ok(if is_ill { EXIT_FAILED } else { 0 })
}

pub(crate) async fn dump(args: &DumpArgs, name: &str, console: &Console) -> Result<()> {
    let (lab, facts) = Box::pin(facts(name)).await?;
    let lab = match lab {
        Some(lab) => lab,
        // Says that there is none, and what to do.
        None => Lab::open(&state::home()?, name, Programs::from_env()).await?,
    };
    let archive = Box::pin(dump::archive(&lab, &facts)).await?;
    let file = match &args.file {
        Some(file) => file.clone(),
        None => format!("lab-{name}.tar").into(),
    };
    std::fs::write(&file, &archive).map_err(|error| {
        Fault::unavailable(
            format!("cannot write {}: {error}", file.display()),
            "give a path in a directory that is there: lab dump PATH",
        )
    })?;
    match console.json {
        true => console.print_json(&json!({ "file": file, "bytes": archive.len() })),
        false => console.print(&format!(
            "{} ({} kB), with the lab's secrets removed; look into it before you share it",
            file.display(),
            archive.len() / 1024
        )),
    }
}
