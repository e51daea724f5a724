//! `lab scenario`

use std::path::Path;
use std::pin::pin;

use anyhow::{Context, Result};
use orchestrator::fault::{EXIT_FAILED, EXIT_INTERRUPTED, Fault};
use orchestrator::lab::{Bringup, UpOptions};
use orchestrator::programs::Programs;
use orchestrator::scenario::report::{self, Report};
use orchestrator::scenario::run::play;
use orchestrator::scenario::{self, Scenario};
use orchestrator::state;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Interrupt;
use crate::cli::{ScenarioArgs, ScenarioRunArgs, ScenarioVerb};
use crate::console::Console;

pub(crate) async fn run(
    args: &ScenarioArgs,
    name: &str,
    console: &Console,
    interrupt: &mut Interrupt,
) -> Result<u8> {
    match &args.scenario {
        ScenarioVerb::List => list(console).map(|()| 0),
        ScenarioVerb::Run(args) => Box::pin(run_all(args, name, console, interrupt)).await,
    }
}

fn list(console: &Console) -> Result<()> {
    for (name, text) in scenario::BUILT_IN {
        let scenario = Scenario::parse(text)?;
        match console.json {
            true => console.print_json(&json!({
                "name": name,
                "about": scenario.about,
                "quick": scenario.quick,
                "steps": scenario.steps.len(),
            }))?,
            false => {
                let quick = if scenario.quick { "quick" } else { "" };
                console.print(&format!("{name:24} {quick:6} {}", scenario.about))?;
            }
        }
    }
    Ok(())
}

/// A scenario that is to be played.
struct Chosen {
    name: String,
    scenario: Scenario,
}

/// Reads all of them before the first is played.
fn chosen(args: &ScenarioRunArgs) -> Result<Vec<Chosen>> {
    let mut chosen = Vec::new();
    if args.quick || args.all {
        for (name, text) in scenario::BUILT_IN {
            let scenario = Scenario::parse(text)?;
            if args.all || scenario.quick {
                chosen.push(Chosen {
                    name: (*name).to_owned(),
                    scenario,
                });
            }
        }
    }
    for argument in &args.scenarios {
        let text = scenario::find(argument)?;
        let stem = Path::new(argument).file_stem();
        let name = stem.map_or(argument.clone(), |stem| stem.to_string_lossy().into_owned());
        let scenario = Scenario::parse(&text).context(argument.clone())?;
        chosen.push(Chosen { name, scenario });
    }
    Ok(chosen)
}

async fn run_all(
    args: &ScenarioRunArgs,
    name: &str,
    console: &Console,
    interrupt: &mut Interrupt,
) -> Result<u8> {
    let chosen = chosen(args)?;
    // Before the first is played: a report that cannot be written is known by then.
    for file in args.junit.iter().chain(&args.report) {
        write(file, b"")?;
    }
    let lab = format!("{}-try", &name[..name.len().min(28)]);
    let mut reports: Vec<Report> = Vec::new();
    let mut interrupted = false;
    let mut broken = None;
    for one in &chosen {
        console.say(&format!("{}: {}", one.name, one.scenario.about));
        let report = match Box::pin(run_one(one, &lab, args, console, interrupt)).await {
            Ok(Some(report)) => report,
            Ok(None) => {
                interrupted = true;
                break;
            }
            // Those that were played stay in the report.
            Err(error) => {
                broken = Some(error);
                break;
            }
        };
        print(&report, console)?;
        let failed = !report.passed;
        reports.push(report);
        if failed && args.keep {
            console.say(&format!(
                "the lab is left standing: lab status --name {lab}"
            ));
            break;
        }
    }
    if let Some(file) = &args.junit {
        write(file, report::junit(&reports).as_bytes())?;
    }
    if let Some(file) = &args.report {
        write(file, &serde_json::to_vec_pretty(&reports)?)?;
    }
    if let Some(error) = broken {
        return Err(error);
    }
    let failed = reports.iter().filter(|report| !report.passed).count();
    console.say(&format!(
        "{} of {} scenarios passed",
        reports.len() - failed,
        chosen.len()
    ));
    Ok(match (interrupted, failed) {
        (true, _) => EXIT_INTERRUPTED,
        (false, 0) => 0,
        (false, _) => EXIT_FAILED,
    })
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Fault> {
    std::fs::write(file, bytes).map_err(|error| {
        Fault::unavailable(
            format!("cannot write {}: {error}", file.display()),
            "give a path in a directory that is there",
        )
    })
}

/// Plays one on a lab of its own; `None` when it was interrupted. The lab is gone in any case.
async fn run_one(
    one: &Chosen,
    lab: &str,
    args: &ScenarioRunArgs,
    console: &Console,
    interrupt: &mut Interrupt,
) -> Result<Option<Report>> {
    let began = Instant::now();
    let programs = Programs::from_env();
    let options = UpOptions {
        began,
        home: state::home()?,
        name: lab.to_owned(),
        topology: Some(one.scenario.topology.clone()),
        backend: args.backend.kind(),
        subnet: args.subnet,
        bind: args.bind,
        build: true,
        wait_block: false,
        programs,
    };
    let progress = |event| console.hear(event);
    // What an earlier one left behind, of another topology.
    let _ = orchestrator::lab::Lab::down(
        &options.home,
        lab,
        options.programs.clone(),
        &orchestrator::progress::silent,
    )
    .await?;
    let bringup = Bringup::begin(&options, &orchestrator::progress::silent).await?;
    let stop = CancellationToken::new();
    let mut report = Report {
        name: one.name.clone(),
        about: one.scenario.about.clone(),
        passed: false,
        took: began.elapsed(),
        steps: Vec::new(),
        failure: None,
    };
    let up = {
        let mut run = pin!(bringup.run(&orchestrator::progress::silent, &stop));
        tokio::select! {
            biased;
            () = interrupt.next() => {
                stop.cancel();
                let _ = run.await;
                None
            }
            up = &mut run => Some(up),
        }
    };
    let mut interrupted = up.is_none();
    match up {
        None => {}
        Some(Err(error)) => report.failure = Some(format!("the lab did not come up: {error:#}")),
        Some(Ok(_)) => {
            match interrupt
                .or(Box::pin(play(&one.scenario, bringup.lab(), &progress)))
                .await
            {
                Ok(steps) => report.steps = steps,
                Err(_) => interrupted = true,
            }
        }
    }
    console.settle();
    let went_well = report.steps.iter().all(|step| step.failure.is_none());
    report.passed = report.failure.is_none() && went_well && !interrupted;
    if !(report.passed || interrupted) && args.keep {
        report.took = began.elapsed();
        return Ok(Some(report));
    }
    bringup.undo(&orchestrator::progress::silent).await?;
    report.took = began.elapsed();
    Ok((!interrupted).then_some(report))
}

fn print(report: &Report, console: &Console) -> Result<()> {
    if console.json {
        return console.print_json(report);
    }
    let mut lines = Vec::new();
    for step in &report.steps {
        let took = step.took.as_secs_f64();
        match &step.failure {
            None => lines.push(format!("  ok   {took:7.2} s  {}", step.title)),
            Some(failure) => {
                lines.push(format!("  FAIL {took:7.2} s  {}", step.title));
                lines.push(format!("       {failure}"));
            }
        }
    }
    if let Some(failure) = &report.failure {
        lines.push(format!("  FAIL {failure}"));
    }
    let verdict = if report.passed { "passed" } else { "FAILED" };
    lines.push(format!(
        "{}: {verdict} in {:.2} s",
        report.name,
        report.took.as_secs_f64()
    ));
    console.print(&lines.join("\n"))
}
