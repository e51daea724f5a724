//! What the view knows.

use anyhow::Result;
use orchestrator::lab::{BlockView, Overview};
use terminal::pane::{FRAME, TABLE_FRAME};
use terminal::ratatui::layout::{Constraint, Layout, Rect};
use terminal::shell::Shell;

use super::picture;

/// The panes, from above; the log comes last.
pub(super) const TOPOLOGY: usize = 0;
pub(super) const SERVICES: usize = 1;
pub(super) const BLOCKS: usize = 2;
pub(super) const LOG: usize = 3;

/// Rows that a pane of blocks and one of the log are to have at least.
const LEAST: u16 = 5;

/// Everything that is drawn.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) shell: Shell,
    /// The newest; none before the first answer.
    pub(super) overview: Option<Overview>,
    /// Why there is no newer one.
    pub(super) trouble: Option<String>,
    /// The present, in milliseconds since 1970.
    pub(super) now_ms: u64,
}

/// Blocks kept, the newest.
const MAX_BLOCKS: usize = 100;

fn keep(blocks: &mut Vec<BlockView>, before: Vec<BlockView>) {
    let is_new = |old: &BlockView| blocks.iter().all(|block| block.hash != old.hash);
    let kept: Vec<BlockView> = before.into_iter().filter(is_new).collect();
    blocks.extend(kept);
    blocks.sort_by_key(|block| std::cmp::Reverse(block.time_ms));
    blocks.truncate(MAX_BLOCKS);
}

/// Where everything goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Areas {
    pub(super) head: Rect,
    pub(super) panes: Vec<Rect>,
    pub(super) keys: Rect,
}

impl Model {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            shell: Shell::new(LOG),
            overview: None,
            trouble: None,
            now_ms: 0,
        }
    }

    /// An answer, unless what is shown is held.
    pub(super) fn take(&mut self, answer: Result<Overview>) {
        if self.shell.is_held() {
            return;
        }
        match answer {
            Ok(mut overview) => {
                // A pool that is away has found what it found.
                let before = self.overview.take().map(|it| it.blocks);
                keep(&mut overview.blocks, before.unwrap_or_default());
                (self.overview, self.trouble) = (Some(overview), None);
            }
            Err(error) => self.trouble = Some(format!("{error:#}")),
        }
    }

    pub(super) fn areas(&self, area: Rect) -> Areas {
        let rows = [
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length(1),
        ];
        let [head, body, keys] = Layout::vertical(rows).areas(area);
        let panes = self.shell.arrange(body, |body| {
            let rows = |count: usize| u16::try_from(count.max(1)).unwrap_or(u16::MAX);
            let heights = [
                Constraint::Length(rows(self.picture_rows()).saturating_add(FRAME)),
                Constraint::Length(rows(self.service_rows()).saturating_add(TABLE_FRAME)),
                Constraint::Min(LEAST),
                Constraint::Min(LEAST),
            ];
            Layout::vertical(heights).split(body).to_vec()
        });
        Areas { head, panes, keys }
    }

    /// Brings what keys have scrolled in line with the size of the terminal.
    pub(super) fn fit(&mut self, area: Rect) {
        let areas = self.areas(area).panes;
        let rows = |pane: usize, frame| usize::from(areas[pane].height.saturating_sub(frame));
        let panes = [
            (self.picture_rows(), rows(TOPOLOGY, FRAME)),
            (self.service_rows(), rows(SERVICES, TABLE_FRAME)),
            (self.block_rows(), rows(BLOCKS, TABLE_FRAME)),
        ];
        self.shell.fit(panes, rows(LOG, FRAME));
    }

    fn picture_rows(&self) -> usize {
        self.overview.as_ref().map_or(0, |it| picture::of(it).len())
    }

    fn service_rows(&self) -> usize {
        self.overview.as_ref().map_or(0, |it| it.services.len())
    }

    fn block_rows(&self) -> usize {
        self.overview.as_ref().map_or(0, |it| it.blocks.len())
    }
}
