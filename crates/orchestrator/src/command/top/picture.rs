//! The topology as a picture: who is connected to whom, from the miners to the node.
//!
//! ```text
//! ● mining-device ━━▶ ● pool ┳━▶ ● template-provider ━━▶ ● btc-node
//!                            ┗━▶ ● btc-node
//! ● jdc ┳━▶ ● pool …
//!       ┗━▶ ● jds ━━▶ ● btc-node
//! ```
//!
//! A service that was drawn already is named again without what is behind it.

use std::collections::BTreeSet;

use orchestrator::backend::State;
use orchestrator::lab::{LinkView, Overview, ServiceView, Stage};
use terminal::pane::Mood;
use terminal::ratatui::text::{Line, Span};

/// The picture's rows.
pub(super) fn of(overview: &Overview) -> Vec<Line<'static>> {
    let mut tree = Tree {
        overview,
        drawn: BTreeSet::new(),
        rows: Vec::new(),
    };
    let is_target = |name: &str| overview.links.iter().any(|link| link.to == name);
    let mut roots: Vec<&ServiceView> = overview
        .services
        .iter()
        .filter(|service| !is_target(&service.report.name))
        .collect();
    roots.sort_by_key(|service| rank(&service.kind));
    for root in roots {
        tree.grow(&root.report.name, Line::default(), &[]);
    }
    tree.rows
}

/// Those nearer to the miners are drawn first, and are whom a way leads to first.
fn rank(kind: &str) -> usize {
    const ORDER: [&str; 8] = [
        "mining-device",
        "cpuminer",
        "translator-proxy",
        "translator",
        "jdc",
        "pool",
        "jds",
        "template-provider",
    ];
    let at = ORDER.iter().position(|known| *known == kind);
    at.unwrap_or(ORDER.len())
}

struct Tree<'a> {
    overview: &'a Overview,
    drawn: BTreeSet<String>,
    rows: Vec<Line<'static>>,
}

impl Tree<'_> {
    /// Draws a service behind `row`, and what it is connected to. `rails` are the columns in which
    /// something else is yet to come further down.
    fn grow(&mut self, name: &str, mut row: Line<'static>, rails: &[usize]) {
        let service = self.service(name);
        row.push_span(dot(service));
        row.push_span(Span::raw(format!(" {name}")));
        let targets = self.targets(name);
        if targets.is_empty() {
            return self.rows.push(row);
        }
        if !self.drawn.insert(name.to_owned()) {
            row.push_span(Mood::Quiet.text(" …"));
            return self.rows.push(row);
        }
        let column = row.width() + 1;
        let last = targets.len() - 1;
        for (at, (target, link)) in targets.into_iter().enumerate() {
            let mut row = match at {
                0 => {
                    row.push_span(" ");
                    row.clone()
                }
                _ => margin(rails, column),
            };
            let corner = match (at, last) {
                (0, 0) => "━",
                (0, _) => "┳",
                _ if at == last => "┗",
                _ => "┣",
            };
            row.push_span(arrow(corner, link));
            let below: Vec<usize> = match at < last {
                true => rails.iter().copied().chain([column]).collect(),
                false => rails.to_vec(),
            };
            self.grow(&target, row, &below);
        }
    }

    fn service(&self, name: &str) -> Option<&ServiceView> {
        let mut services = self.overview.services.iter();
        services.find(|service| service.report.name == name)
    }

    fn targets(&self, name: &str) -> Vec<(String, Look)> {
        let links = self.overview.links.iter().filter(|link| link.from == name);
        let mut targets: Vec<_> = links
            .map(|link| (link.to.clone(), Look::of(link)))
            .collect();
        let kind = |name: &str| self.service(name).map_or("", |it| it.kind.as_str());
        targets.sort_by_key(|(target, _)| rank(kind(target)));
        targets
    }
}

/// Blanks up to a column, with a rail in each of these.
fn margin(rails: &[usize], column: usize) -> Line<'static> {
    let cell = |at| match rails.contains(&at) {
        true => '┃',
        false => ' ',
    };
    let text: String = (0..column).map(cell).collect();
    Line::from(Mood::Quiet.text(text))
}

fn dot(service: Option<&ServiceView>) -> Span<'static> {
    match service.map(|service| &service.report) {
        Some(report) if report.ready => Mood::Good.text("●"),
        Some(report) if matches!(report.state, State::Running | State::Unsupervised) => {
            Mood::Waiting.text("◐")
        }
        _ => Mood::Bad.text("○"),
    }
}

/// What is seen of a link.
#[derive(Clone, Copy)]
enum Look {
    Stage(Stage),
    /// Open, and the relay does something to it.
    Disturbed,
}

impl Look {
    fn of(link: &LinkView) -> Self {
        match link.stage {
            Stage::Open if !link.disturbed.is_empty() => Self::Disturbed,
            stage => Self::Stage(stage),
        }
    }
}

fn arrow(corner: &'static str, look: Look) -> Span<'static> {
    match look {
        Look::Stage(Stage::Open) => Mood::Good.text(format!("{corner}━▶ ")),
        Look::Disturbed => Mood::Waiting.text(format!("{corner}≈▶ ")),
        Look::Stage(Stage::Handshake) => Mood::Waiting.text(format!("{corner}╌▷ ")),
        Look::Stage(Stage::Disconnected) => Mood::Bad.text(format!("{corner} ✗ ")),
    }
}
