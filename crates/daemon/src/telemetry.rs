//! Logs: one event vocabulary, as text for people or JSON for machines, on standard error, and as
//! short lines for a view in the terminal.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;
use tokio::sync::broadcast;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::writer::MakeWriterExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt as text};

use crate::clock;

/// Lines a view has not taken yet. When there are more, the oldest are lost to it, and counted.
const MAX_UNSEEN: usize = 4096;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// One readable line per event.
    #[default]
    Text,
    /// One JSON object per event.
    Json,
}

/// Installs the subscriber. `RUST_LOG` takes directives such as `pool=debug`; the default is `info`.
/// A view gets the same lines through `tap`.
pub fn init(format: LogFormat, tap: Option<&Tap>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let is_screen = io::stderr().is_terminal();
    let taken = tap.map(|tap| Arc::clone(&tap.screen_taken));
    let is_free = move |_: &Metadata<'_>| {
        let taken = taken.as_ref();
        !(is_screen && taken.is_some_and(|taken| taken.load(Ordering::Acquire)))
    };
    let lines = text::layer()
        .with_writer(io::stderr.with_filter(is_free))
        .with_ansi(is_screen);
    let lines = match format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let tapped = tap.map(|tap| {
        text::layer()
            .with_writer(tap.clone())
            .with_ansi(false)
            .with_target(false)
            .with_level(false)
            .with_timer(TimeOfDay)
    });
    let registry = tracing_subscriber::registry().with(filter);
    registry.with(lines).with(tapped).init();
}

/// One event, as a view shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// Time of the day, message and fields.
    pub text: String,
}

/// Where a view in the terminal gets the log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tap {
    lines: broadcast::Sender<LogLine>,
    screen_taken: Arc<AtomicBool>,
}

impl Default for Tap {
    fn default() -> Self {
        Self {
            lines: broadcast::Sender::new(MAX_UNSEEN),
            screen_taken: Arc::default(),
        }
    }
}

impl Tap {
    /// The lines from now on.
    pub fn lines(&self) -> broadcast::Receiver<LogLine> {
        self.lines.subscribe()
    }

    /// As long as the answer lives, nothing is written to standard error if that is a terminal. A
    /// file or a pipe gets its lines all the same.
    pub fn take_screen(&self) -> ScreenTaken {
        self.screen_taken.store(true, Ordering::Release);
        ScreenTaken(Arc::clone(&self.screen_taken))
    }
}

/// The terminal belongs to a view.
#[derive(Debug)]
pub struct ScreenTaken(Arc<AtomicBool>);

impl Drop for ScreenTaken {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl<'a> MakeWriter<'a> for Tap {
    type Writer = TapWriter<'a>;

    fn make_writer(&'a self) -> TapWriter<'a> {
        TapWriter {
            lines: &self.lines,
            level: Level::INFO,
        }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> TapWriter<'a> {
        TapWriter {
            lines: &self.lines,
            level: *meta.level(),
        }
    }
}

/// Takes the lines of one event.
#[derive(Debug)]
pub struct TapWriter<'a> {
    lines: &'a broadcast::Sender<LogLine>,
    level: Level,
}

impl Write for TapWriter<'_> {
    /// An event is written in one piece.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in String::from_utf8_lossy(bytes).lines() {
            let text = line.to_owned();
            // Nobody may be looking.
            let _ = self.lines.send(LogLine {
                level: self.level,
                text,
            });
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hours, minutes and seconds: a line of a view has little room.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let ms = clock::unix_ms() % 86_400_000;
        let (seconds, ms) = (ms / 1000, ms % 1000);
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(
            writer,
            "{hours:02}:{minutes:02}:{:02}.{ms:03}",
            seconds % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tapped(tap: &Tap, log: impl FnOnce()) {
        let layer = text::layer()
            .with_writer(tap.clone())
            .with_ansi(false)
            .with_level(false)
            .with_target(false)
            .with_timer(TimeOfDay);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
    }

    #[test]
    fn a_view_gets_each_line_with_its_level() {
        let tap = Tap::default();
        let mut lines = tap.lines();
        tapped(&tap, || tracing::warn!(job = 7, "job over"));
        let line = lines.try_recv().unwrap();
        assert_eq!(line.level, Level::WARN);
        let (time, text) = line.text.split_once(' ').unwrap();
        assert_eq!(time.len(), "12:34:56.789".len());
        assert_eq!(text, "job over job=7");
    }

    #[test]
    fn who_does_not_look_holds_nobody_up() {
        let tap = Tap::default();
        tapped(&tap, || tracing::info!("nobody looks"));
        let mut lines = tap.lines();
        tapped(&tap, || {
            for number in 0..MAX_UNSEEN + 3 {
                tracing::info!(number, "");
            }
        });
        let missed = lines.try_recv().unwrap_err();
        assert_eq!(missed, broadcast::error::TryRecvError::Lagged(3));
        assert!(lines.try_recv().unwrap().text.ends_with("number=3"));
    }

    #[test]
    fn the_screen_is_free_again_when_a_view_ends() {
        let tap = Tap::default();
        let taken = tap.take_screen();
        assert!(tap.screen_taken.load(Ordering::Acquire));
        drop(taken);
        assert!(!tap.screen_taken.load(Ordering::Acquire));
    }
}
