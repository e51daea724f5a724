//! `lab top`
//!
//! [`model`] is what the view knows, [`draw`] makes a picture of it; here it is fed.

mod draw;
mod model;
mod picture;

use std::io;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{self, BoxStream, SelectAll};
use futures_util::{FutureExt, StreamExt};
use orchestrator::backend::LogRange;
use orchestrator::fault::Fault;
use orchestrator::lab::{Lab, Overview};
use orchestrator::log::{Entry, Level};
use terminal::log;
use terminal::screen::{self, Input, Screen};
use tokio::time::{MissedTickBehavior, interval};

use crate::cli::TopArgs;
use crate::console::Console;
use model::Model;

/// How often everybody is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// What has changed is drawn after this time at the latest; keys are answered at once.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// Lines of the past, per service.
const LINES: usize = 50;

pub(crate) async fn run(args: &TopArgs, lab: Lab, console: &Console) -> Result<()> {
    if console.json {
        return print(args, lab, console).await;
    }
    if args.follow {
        let cause = "the view follows by itself; --follow is for JSON";
        return Err(Fault::usage(cause, "leave it out, or add --json").into());
    }
    if !screen::is_there() {
        let cause = "there is no terminal to show anything in: standard output is none";
        let remedy = "run it in a terminal, or ask for JSON: lab top --json";
        return Err(Fault::usage(cause, remedy).into());
    }
    let logs = logs(&lab).await;
    let screen = Screen::enter().context("taking the terminal")?;
    let mut view = View {
        model: Model::new(lab.name()),
        screen,
        logs,
        fresh: Vec::new(),
    };
    let mut shown = lab;
    while let Some(lab) = view.run(&shown).await? {
        view.logs = self::logs(&lab).await;
        if !lab.goes_on(&shown) {
            // Its blocks are of a chain that is no more.
            view.model.overview = None;
        }
        shown = lab;
    }
    Ok(())
}

async fn print(args: &TopArgs, mut lab: Lab, console: &Console) -> Result<()> {
    let mut due = interval(ASK_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        if let Some(successor) = lab.successor().await {
            lab = successor;
        }
        console.print_json(&lab.overview().await?)?;
        if !args.follow {
            return Ok(());
        }
    }
}

/// Lines with the times they tell.
type Logs = SelectAll<BoxStream<'static, (String, log::LogLine)>>;

/// All services' logs. One that cannot be read is no reason to show nothing at all.
async fn logs(lab: &Lab) -> Logs {
    let range = LogRange {
        tail: LINES,
        follow: true,
    };
    let mut logs = SelectAll::new();
    let widths = lab.services().iter().map(|spec| spec.name.len());
    let width = widths.max().unwrap_or_default();
    for spec in lab.services() {
        let lines = match lab.logs(&spec.name, range).await {
            Ok(lines) => lines,
            Err(error) => stream::iter([Err(error)]).boxed(),
        };
        // One below the other.
        let name = format!("{:width$}", spec.name);
        let shown = lines.map(move |line| match line {
            Ok(text) => line_shown(&name, &text),
            Err(error) => {
                let text = format!("its log cannot be read: {error:#}");
                line_shown(&name, &text)
            }
        });
        logs.push(shown.boxed());
    }
    logs
}

struct View {
    model: Model,
    logs: Logs,
    /// Lines that were not drawn yet.
    fresh: Vec<(String, log::LogLine)>,
    screen: Screen,
}

impl View {
    /// Until the user leaves, or there is another lab of this name: then that one.
    async fn run(&mut self, lab: &Lab) -> Result<Option<Lab>> {
        let mut due = interval(DRAW_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked = interval(ASK_EVERY);
        asked.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asking: Option<LocalBoxFuture<'_, (Option<Lab>, Result<Overview>)>> = None;
        loop {
            let is_idle = asking.is_none();
            let answer = async {
                match asking.as_mut() {
                    Some(asking) => asking.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                input = self.screen.next() => match input {
                    Input::Key(key) if !self.model.shell.key(key) => return Ok(None),
                    Input::Key(_) | Input::Redraw => {}
                    Input::Gone => return Ok(None),
                },
                (successor, overview) = answer => {
                    asking = None;
                    if successor.is_some() {
                        return Ok(successor);
                    }
                    // A lab that is just being made has no logs to follow yet.
                    if self.logs.is_empty() && overview.is_ok() {
                        self.logs = logs(lab).await;
                    }
                    self.model.take(overview);
                    continue;
                }
                _ = asked.tick(), if is_idle => {
                    let ask = async { (lab.successor().await, lab.overview().await) };
                    asking = Some(ask.boxed_local());
                    continue;
                }
                Some(line) = self.logs.next() => {
                    self.fresh.push(line);
                    continue;
                }
                _ = due.tick() => self.take_lines(),
            }
            self.draw()?;
        }
    }

    /// In the order of their times, as far as they came together.
    fn take_lines(&mut self) {
        self.fresh.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (_, line) in self.fresh.drain(..) {
            self.model.shell.log.push(line);
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        self.model.now_ms = daemon::clock::unix_ms();
        self.model.fit(self.screen.area()?);
        self.screen.draw(|frame| draw::draw(frame, &self.model))
    }
}

/// Who, time of the day and what is said; the level is seen by the colour.
fn line_shown(service: &str, text: &str) -> (String, log::LogLine) {
    let entry = Entry::parse(text);
    let mut rest = text.trim();
    let mut time = "";
    if let Some(written) = &entry.time {
        rest = rest.strip_prefix(written.as_str()).unwrap_or(rest).trim();
        time = written.get(11..19).unwrap_or_default();
    }
    for level in ["TRACE ", "DEBUG ", "INFO ", "WARN ", "ERROR "] {
        rest = rest.strip_prefix(level).unwrap_or(rest);
    }
    let level = match entry.level {
        Level::Error => log::Level::Error,
        Level::Warn => log::Level::Warn,
        Level::Info => log::Level::Info,
        Level::Debug => log::Level::Debug,
        Level::Trace => log::Level::Trace,
    };
    let line = log::LogLine {
        level,
        source: service.to_owned(),
        text: format!("{time} {rest}").trim().to_owned(),
    };
    (entry.time.unwrap_or_default(), line)
}

#[cfg(test)]
mod tests;
