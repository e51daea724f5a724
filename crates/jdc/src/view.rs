//! The view in the terminal: links, template, declared jobs, miners and log.
//!
//! It is a task of its own that reads what the desk publishes. [`model`] is what it knows, [`draw`]
//! makes a picture of it; here it is fed.

mod draw;
mod model;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use daemon::clock;
use daemon::http::Health;
use daemon::shutdown::Shutdown;
use daemon::telemetry::{LogLine, Tap};
use terminal::log;
use terminal::screen::{Input, Screen};
use tokio::sync::{broadcast, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::Level;

use crate::metrics::Metrics;
use crate::show::Shown;
use model::Model;

/// What has changed is drawn after this time at the latest; keys are answered at once.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// What is looked at.
pub(crate) struct Sources {
    shown: watch::Receiver<Arc<Shown>>,
    health: watch::Receiver<Health>,
    metrics: Metrics,
}

impl Sources {
    pub(crate) fn new(
        shown: &watch::Sender<Arc<Shown>>,
        health: watch::Receiver<Health>,
        metrics: &Metrics,
    ) -> Self {
        Self {
            shown: shown.subscribe(),
            health,
            metrics: metrics.clone(),
        }
    }
}

/// Takes the terminal until the role stops; when the user quits, the role stops.
///
/// # Errors
/// The terminal cannot be taken.
pub(crate) fn spawn(
    sources: Sources,
    (tap, lines): (Tap, broadcast::Receiver<LogLine>),
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let screen = Screen::enter().context("taking the terminal for --tui")?;
    let stop = shutdown.stop().clone();
    let runtime = tokio::runtime::Handle::current();
    // A terminal that does not take what is drawn holds up this thread and nobody else.
    let view = tokio::task::spawn_blocking(move || {
        let view = View {
            lines,
            sources,
            model: Model::default(),
            screen,
        };
        let taken = tap.take_screen();
        let ended = runtime.block_on(view.run(&stop));
        drop(taken);
        match ended {
            Ok(End::Quit) => stop.cancel(),
            Ok(End::Stopped) => {}
            // The role is of use without anybody who looks.
            Ok(End::Gone) => tracing::warn!("the terminal is gone, the role goes on without"),
            Err(error) => tracing::warn!(%error, "the view has ended, the role goes on without"),
        }
    });
    shutdown.spawn(view);
    Ok(())
}

enum End {
    /// The user wants it.
    Quit,
    /// The role stops.
    Stopped,
    /// There is nothing to draw on any more.
    Gone,
}

struct View {
    sources: Sources,
    lines: broadcast::Receiver<LogLine>,
    model: Model,
    screen: Screen,
}

impl View {
    async fn run(mut self, stop: &CancellationToken) -> std::io::Result<End> {
        let mut due = interval(DRAW_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(End::Stopped),
                input = self.screen.next() => match input {
                    Input::Key(key) if !self.model.shell.key(key) => return Ok(End::Quit),
                    Input::Key(_) | Input::Redraw => {}
                    Input::Gone => return Ok(End::Gone),
                },
                _ = due.tick() => {}
            }
            self.update();
            if self.screen.is_gone() {
                return Ok(End::Gone);
            }
            self.model.fit(self.screen.area()?);
            self.screen.draw(|frame| draw::draw(frame, &self.model))?;
        }
    }

    /// Takes in what is new.
    fn update(&mut self) {
        loop {
            match self.lines.try_recv() {
                Ok(line) => self.model.shell.log.push(line_shown(line)),
                Err(broadcast::error::TryRecvError::Lagged(missed)) => {
                    self.model.shell.log.push(log::LogLine {
                        level: log::Level::Warn,
                        source: String::new(),
                        text: format!("{missed} lines came too fast to be shown"),
                    });
                }
                Err(_) => break,
            }
        }
        if self.model.shell.is_held() {
            return;
        }
        self.model.shown = Arc::clone(&self.sources.shown.borrow_and_update());
        self.model.health = self.sources.health.borrow_and_update().clone();
        self.model.count(&self.sources.metrics);
        self.model.now_ms = clock::unix_ms();
    }
}

fn line_shown(line: LogLine) -> log::LogLine {
    let level = match line.level {
        Level::ERROR => log::Level::Error,
        Level::WARN => log::Level::Warn,
        Level::INFO => log::Level::Info,
        Level::DEBUG => log::Level::Debug,
        Level::TRACE => log::Level::Trace,
    };
    log::LogLine {
        level,
        source: String::new(),
        text: line.text,
    }
}

#[cfg(test)]
mod tests;
