//! What full-screen views in a terminal have in common, once.
//!
//! - [`screen`]: takes the terminal and gives it back, whatever happens;
//! - [`shell`]: what keys do in every view: move between panes, scroll, enlarge one, hold, quit;
//! - [`log`]: a pane of log lines with a filter;
//! - [`pane`]: frames, tables and the bar of keys;
//! - [`quantity`]: numbers as people read them;
//! - [`testing`]: views as text, for tests.
//!
//! A view is a plain model, a function that draws it, and a loop at the edge that feeds it. Only
//! [`screen`] does I/O.

pub mod log;
pub mod pane;
pub mod quantity;
pub mod screen;
pub mod shell;
pub mod testing;

pub use crossterm::event::KeyEvent;
pub use ratatui;
