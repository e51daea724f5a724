//! What the view knows.

use std::sync::Arc;

use daemon::http::Health;
use terminal::pane::{FRAME, TABLE_FRAME};
use terminal::ratatui::layout::{Constraint, Layout, Rect};
use terminal::shell::Shell;

use crate::metrics::Metrics;
use crate::show::Shown;

/// The panes, from above; the log comes last.
pub(super) const LINKS: usize = 0;
pub(super) const TEMPLATE: usize = 1;
pub(super) const JOBS: usize = 2;
pub(super) const MINERS: usize = 3;
pub(super) const LOG: usize = 4;

/// Everything that is drawn.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) shell: Shell,
    pub(super) shown: Arc<Shown>,
    pub(super) health: Health,
    pub(super) totals: Totals,
    /// The present, in milliseconds since 1970.
    pub(super) now_ms: u64,
}

/// Since the role was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) accepted: u64,
    pub(super) blocks: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            shell: Shell::new(LOG),
            shown: Arc::default(),
            health: Health::not_ready("starting"),
            totals: Totals::default(),
            now_ms: 0,
        }
    }
}

/// Where everything goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Areas {
    pub(super) head: Rect,
    pub(super) panes: Vec<Rect>,
    pub(super) keys: Rect,
}

impl Model {
    pub(super) fn count(&mut self, metrics: &Metrics) {
        self.totals = Totals {
            accepted: metrics.accepted.get(),
            blocks: metrics.blocks.get(),
        };
    }

    /// Rows of the links' pane: the template provider, and two for each upstream.
    pub(super) fn link_rows(&self) -> usize {
        1 + 2 * self.shown.upstreams.len()
    }

    /// Rows of the template's pane: two of what it is, and two of the choice if there is one.
    fn template_rows(&self) -> u16 {
        if self.shown.selection.is_some() { 4 } else { 2 }
    }

    pub(super) fn areas(&self, area: Rect) -> Areas {
        let rows = [
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length(1),
        ];
        let [head, body, keys] = Layout::vertical(rows).areas(area);
        let links = self.link_rows().min(5) as u16 + TABLE_FRAME;
        let miners = self.shown.miners.len().clamp(1, 5) as u16 + TABLE_FRAME;
        let panes = self.shell.arrange(body, |body| {
            let heights = [
                Constraint::Length(links),
                Constraint::Length(self.template_rows() + FRAME),
                Constraint::Fill(3),
                Constraint::Length(miners),
                Constraint::Fill(2),
            ];
            Layout::vertical(heights).split(body).to_vec()
        });
        Areas { head, panes, keys }
    }

    /// Brings what keys have scrolled in line with the size of the terminal.
    pub(super) fn fit(&mut self, area: Rect) {
        let areas = self.areas(area).panes;
        let rows = |pane: usize| usize::from(areas[pane].height.saturating_sub(TABLE_FRAME));
        let panes = [
            (self.link_rows(), rows(LINKS)),
            (0, 0),
            (self.shown.jobs.len(), rows(JOBS)),
            (self.shown.miners.len(), rows(MINERS)),
        ];
        let log = usize::from(areas[LOG].height.saturating_sub(FRAME));
        self.shell.fit(panes, log);
    }
}
