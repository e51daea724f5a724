//! The terminal: taken when a view begins, given back as it was when the view ends, also by an
//! error, a dropped future or a panic anywhere in the program.

use std::io::{self, IsTerminal, Stdout, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{Event, EventStream, KeyEvent, KeyEventKind};
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use futures_util::StreamExt;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Rect, Size};
use ratatui::{Frame, Terminal};

/// The terminal while a view has it.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Gate>>,
    events: EventStream,
    hold: Hold,
}

/// What comes from the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has another size, or something else that is worth drawing again.
    Redraw,
    /// The terminal is gone, or was given back by a panic.
    Gone,
}

impl Screen {
    /// Takes the terminal that standard output is.
    ///
    /// # Errors
    /// Standard output is no terminal, or the terminal refuses.
    pub fn enter() -> io::Result<Self> {
        if !is_there() {
            return Err(io::Error::other("standard output is no terminal"));
        }
        let hold = Hold(Arc::new(AtomicBool::new(true)));
        restore_on_panic(&hold);
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        let gate = Gate {
            hold: Arc::clone(&hold.0),
            bytes: Vec::new(),
            out: io::stdout(),
        };
        Ok(Self {
            terminal: Terminal::new(CrosstermBackend::new(gate))?,
            events: EventStream::new(),
            hold,
        })
    }

    /// The part of the terminal there is to draw on: all of it.
    ///
    /// # Errors
    /// The terminal does not tell.
    pub fn area(&self) -> io::Result<Rect> {
        let Size { width, height } = self.terminal.size()?;
        Ok(Rect::new(0, 0, width, height))
    }

    /// Draws, and shows what has changed.
    ///
    /// # Errors
    /// The terminal does not take it.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw)?;
        Ok(())
    }

    /// Waits for the next key or change of size.
    pub async fn next(&mut self) -> Input {
        loop {
            let event = self.events.next().await;
            if !self.hold.0.load(Ordering::Acquire) {
                return Input::Gone;
            }
            match event {
                Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                    return Input::Key(key);
                }
                Some(Ok(Event::Resize(..) | Event::FocusGained)) => return Input::Redraw,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Input::Gone,
            }
        }
    }

    /// Whether a panic has given the terminal back; nothing is shown any more then.
    pub fn is_gone(&self) -> bool {
        !self.hold.0.load(Ordering::Acquire)
    }
}

/// Whether there is a terminal for a view: standard output is one.
pub fn is_there() -> bool {
    io::stdout().is_terminal()
}

/// Whether the terminal is ours. It is given back once, by whoever is first.
#[derive(Debug)]
struct Hold(Arc<AtomicBool>);

impl Hold {
    fn release(&self) {
        if self.0.swap(false, Ordering::AcqRel) {
            // Nobody is left to tell when this fails.
            let _ = disable_raw_mode();
            let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release();
    }
}

/// So that the message of a panic is readable, and the shell behind it usable.
fn restore_on_panic(hold: &Hold) {
    let hold = Hold(Arc::clone(&hold.0));
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        hold.release();
        before(info);
    }));
}

/// Lets whole frames through as long as the terminal is ours: a frame that another thread draws
/// while a panic gives the terminal back must not end up on the screen behind it.
struct Gate {
    hold: Arc<AtomicBool>,
    bytes: Vec<u8>,
    out: Stdout,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = match self.hold.load(Ordering::Acquire) {
            true => self.out.write_all(&self.bytes),
            false => Ok(()),
        };
        self.bytes.clear();
        written?;
        self.out.flush()
    }
}
