//! What people and programs see: results on standard output, everything else on standard error.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use orchestrator::fault;
use orchestrator::progress::Event;
use owo_colors::OwoColorize;
use serde::Serialize;
use serde_json::json;

/// A service that is not ready after this time is worth a line on what it waits for.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

/// What to do about a failure that nobody has thought of.
const UNFORESEEN: &str = "lab doctor looks for what may be wrong; lab dump packs what a bug report \
                          needs";

/// The two standard streams.
pub(crate) struct Console {
    pub(crate) json: bool,
    colour: bool,
    began: Instant,
    view: View,
}

enum View {
    /// One moving line per service.
    Live {
        screen: MultiProgress,
        bars: Mutex<BTreeMap<String, ProgressBar>>,
    },
    /// One line per event, for files and pipes. Remembers when a service was started, and the
    /// reason it gave last.
    Plain(Mutex<BTreeMap<String, (Instant, String)>>),
}

impl Console {
    pub(crate) fn new(json: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let view = match terminal {
            true => View::Live {
                screen: MultiProgress::new(),
                bars: Mutex::default(),
            },
            false => View::Plain(Mutex::default()),
        };
        Self {
            json,
            colour: terminal && std::env::var_os("NO_COLOR").is_none(),
            began: Instant::now(),
            view,
        }
    }

    /// Whether results may be coloured: for people at a terminal who did not refuse.
    pub(crate) fn colours_output(&self) -> bool {
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
    }

    /// Prints a result for people.
    pub(crate) fn print(&self, text: &str) -> Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }

    /// Prints a result for programs: one line.
    pub(crate) fn print_json(&self, value: &impl Serialize) -> Result<()> {
        self.print(&serde_json::to_string(value)?)
    }

    /// Says something beside the result.
    pub(crate) fn say(&self, text: &str) {
        match &self.view {
            // Above the moving lines, which would overwrite it otherwise.
            View::Live { screen, .. } => drop(screen.println(text)),
            View::Plain(_) => {
                let _ = writeln!(io::stderr(), "{text}");
            }
        }
    }

    /// Reports an error and gives its exit code.
    pub(crate) fn failed(&self, error: &anyhow::Error) -> u8 {
        if is_broken_pipe(error) {
            // Whoever read our output has seen enough: `lab logs | head`.
            return 0;
        }
        let code = fault::exit_code(error);
        let fault = fault::of(error);
        // A fault that is not among the causes says what they amount to.
        if let (Some(fault), None) = (&fault, fault::find(error)) {
            self.say(&fault.cause);
        }
        let remedy = fault.map_or_else(|| UNFORESEEN.to_owned(), |fault| fault.remedy);
        let title = match self.colour {
            true => "error:".red().bold().to_string(),
            false => "error:".to_owned(),
        };
        self.say(&format!("{title} {error:#}"));
        self.say(&format!("remedy: {remedy}"));
        if self.json {
            let message = format!("{error:#}");
            let _ = self.print_json(
                &json!({"error": {"message": message, "remedy": remedy, "exit_code": code}}),
            );
        }
        code
    }

    /// Tells programs that the command line makes no sense.
    pub(crate) fn refused(&self, message: &str) -> Result<()> {
        let remedy = "see lab help, and lab COMMAND --help";
        self.print_json(&json!({
            "error": {"message": message, "remedy": remedy, "exit_code": fault::EXIT_USAGE}
        }))
    }

    /// Shows how far a long command is.
    pub(crate) fn hear(&self, event: Event) {
        match &self.view {
            View::Live { screen, bars } => {
                let mut bars = bars.lock().expect("no holder panics");
                live(screen, &mut bars, event);
            }
            View::Plain(seen) => {
                let mut seen = seen.lock().expect("no holder panics");
                if let Some(line) = plain(&mut seen, event) {
                    let at = self.began.elapsed().as_secs_f64();
                    let _ = writeln!(io::stderr(), "[{at:6.2} s] {line}");
                }
            }
        }
    }

    /// Ends the moving lines, so that what follows stands below them.
    pub(crate) fn settle(&self) {
        if let View::Live { screen, bars } = &self.view {
            bars.lock().expect("no holder panics").clear();
            let _ = screen.clear();
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref());
    kinds
        .map(io::Error::kind)
        .any(|kind| kind == ErrorKind::BrokenPipe)
}

fn live(screen: &MultiProgress, bars: &mut BTreeMap<String, ProgressBar>, event: Event) {
    let mut bar = |service: String| {
        bars.entry(service)
            .or_insert_with_key(|service| {
                let style = ProgressStyle::with_template("{spinner} {prefix:18} {wide_msg}")
                    .expect("the template is a constant");
                let bar = screen.add(ProgressBar::new_spinner().with_style(style));
                bar.set_prefix(service.clone());
                bar.enable_steady_tick(Duration::from_millis(100));
                bar
            })
            .clone()
    };
    match event {
        Event::Step(text) => bar("lab".to_owned()).set_message(text),
        Event::Warning(text) => drop(screen.println(format!("warning: {text}"))),
        Event::FirstBlock { path, after } => {
            bar("first block".to_owned()).set_message(first_block(&path, after));
        }
        Event::Starting { service } => bar(service).set_message("starting"),
        Event::Waiting { service, reason } => bar(service).set_message(reason),
        Event::Ready { service, after } => {
            bar(service).finish_with_message(format!("ready at {:.2} s", after.as_secs_f64()));
        }
    }
}

fn plain(seen: &mut BTreeMap<String, (Instant, String)>, event: Event) -> Option<String> {
    match event {
        Event::Step(text) => Some(text),
        Event::Warning(text) => Some(format!("warning: {text}")),
        Event::Starting { service } => {
            seen.insert(service, (Instant::now(), String::new()));
            None
        }
        Event::Waiting { service, reason } => {
            let (since, last) = seen.get_mut(&service)?;
            if since.elapsed() < WORTH_A_LINE || *last == reason {
                return None;
            }
            last.clone_from(&reason);
            Some(format!("{service} is not ready: {reason}"))
        }
        Event::FirstBlock { path, after } => Some(first_block(&path, after)),
        Event::Ready { service, .. } => Some(format!("{service} is ready")),
    }
}

fn first_block(path: &[String], after: Duration) -> String {
    let seconds = after.as_secs_f64();
    format!(
        "first block through {} at {seconds:.2} s",
        path.join(" -> ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_output_tells_a_reason_once_and_only_when_it_takes_long() {
        let mut seen = BTreeMap::new();
        let waiting = |reason: &str| Event::Waiting {
            service: "pool".to_owned(),
            reason: reason.to_owned(),
        };
        let service = "pool".to_owned();
        assert_eq!(plain(&mut seen, Event::Starting { service }), None);
        assert_eq!(plain(&mut seen, waiting("no template")), None);
        seen.get_mut("pool").unwrap().0 = Instant::now() - WORTH_A_LINE;
        let line = plain(&mut seen, waiting("no template")).unwrap();
        assert_eq!(line, "pool is not ready: no template");
        assert_eq!(plain(&mut seen, waiting("no template")), None);
        assert!(plain(&mut seen, waiting("no prev-hash")).is_some());
    }
}
