//! A picture of the [`Model`].

use orchestrator::lab::{BlockView, Mining, Overview, ServiceView, Stage};
use terminal::pane::{Grid, Mood, draw_keys, draw_log, framed};
use terminal::quantity::{count, duration, hash_rate, number};
use terminal::ratatui::Frame;
use terminal::ratatui::layout::{Constraint, Rect};
use terminal::ratatui::text::{Line, Span};
use terminal::ratatui::widgets::Paragraph;

use super::model::{BLOCKS, LOG, Model, SERVICES, TOPOLOGY};
use super::picture;

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let areas = model.areas(frame.area());
    frame.render_widget(head(model), areas.head);
    topology(frame, areas.panes[TOPOLOGY], model);
    services(model).draw(frame, areas.panes[SERVICES], &model.shell, SERVICES);
    blocks(model).draw(frame, areas.panes[BLOCKS], &model.shell, BLOCKS);
    draw_log(frame, areas.panes[LOG], &model.shell, LOG);
    draw_keys(frame, areas.keys, &model.shell);
}

/// The lab in one line.
fn head(model: &Model) -> Line<'static> {
    let mut line = Line::from(Mood::Loud.text(format!("lab {}", model.name)));
    if let Some(trouble) = &model.trouble {
        line.push_span(Mood::Bad.text(format!("  {trouble}")));
        return line;
    }
    let Some(overview) = &model.overview else {
        line.push_span(Mood::Waiting.text("  asking everybody"));
        return line;
    };
    line.push_span(format!(
        " on {} ({})",
        overview.backend.name(),
        overview.subnet
    ));
    match &overview.chain {
        Some(chain) => {
            let age = (model.now_ms / 1000).saturating_sub(chain.tip_time);
            line.push_span(format!(
                "  height {}, {} ago  mempool {}, {} vB",
                chain.height,
                duration(age),
                number(chain.mempool_transactions, "transaction"),
                count(chain.mempool_vbytes),
            ));
        }
        None => line.push_span(Mood::Bad.text("  the node does not answer")),
    }
    line
}

fn topology(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    if area.is_empty() {
        return;
    }
    let legend = Mood::Quiet
        .text(" ● ready ◐ not ready ○ down  ━▶ open ≈▶ disturbed ╌▷ being set up ✗ none ");
    let block = framed("topology", model.shell.has_focus(TOPOLOGY))
        .title(Line::from(legend).right_aligned());
    let rows = model.overview.as_ref().map(picture::of).unwrap_or_default();
    let rows: Vec<Line<'_>> = rows.into_iter().skip(model.shell.first(TOPOLOGY)).collect();
    frame.render_widget(Paragraph::new(rows).block(block), area);
}

fn services(model: &Model) -> Grid<'static> {
    let rows = model.overview.iter().flat_map(|overview| {
        let services = overview.services.iter();
        services.map(|service| service_row(service, overview))
    });
    Grid {
        title: "services".to_owned(),
        columns: &[
            ("service", Constraint::Length(17)),
            ("up", Constraint::Length(7)),
            ("hash rate", Constraint::Length(9)),
            ("accepted", Constraint::Length(8)),
            ("template", Constraint::Length(14)),
            ("rejected, by reason", Constraint::Fill(2)),
            ("state", Constraint::Fill(3)),
        ],
        rows: rows.collect(),
        empty: "asking",
    }
}

fn service_row(service: &ServiceView, overview: &Overview) -> Vec<Line<'static>> {
    let report = &service.report;
    let mining = service.mining.as_ref();
    let uptime = report.uptime_seconds.map_or("-".to_owned(), duration);
    let rate = mining.map(|mining| hash_rate(mining.hashrate));
    let accepted = mining.map(|mining| count(mining.accepted));
    vec![
        report.name.clone().into(),
        uptime.into(),
        rate.unwrap_or_default().into(),
        accepted.unwrap_or_default().into(),
        template(&report.name, overview).into(),
        mining.map(rejected).unwrap_or_default(),
        state(service, overview),
    ]
}

/// Age and content of what the miners of a service work on.
fn template(name: &str, overview: &Overview) -> String {
    let mut templates = overview.templates.iter();
    let Some(template) = templates.find(|template| template.service == name) else {
        return String::new();
    };
    let age = template.age_ms.map(|age| duration(age / 1000));
    let mut text = age.unwrap_or_default();
    if let Some(transactions) = template.transactions {
        text.push_str(&format!(", {}", count(transactions)));
        // Of how many, where the miner has a choice.
        if let Some(left_out) = template.left_out {
            text.push_str(&format!("/{}", count(transactions + left_out)));
        }
        text.push_str(" txs");
    }
    text
}

fn rejected(mining: &Mining) -> Line<'static> {
    if mining.rejected.is_empty() {
        return Mood::Quiet.text("none").into();
    }
    let reasons = mining.rejected.iter();
    let parts: Vec<_> = reasons
        .map(|(why, n)| format!("{} {why}", count(*n)))
        .collect();
    Mood::Bad.text(parts.join(", ")).into()
}

/// Ready, or why not; and what is wrong with its connections.
fn state(service: &ServiceView, overview: &Overview) -> Line<'static> {
    let report = &service.report;
    let mut line = Line::from(match &report.reason {
        None => Mood::Good.text("ready"),
        Some(reason) => Mood::Bad.text(reason.clone()),
    });
    if let Some(miners) = service.mining.as_ref().and_then(|mining| mining.miners) {
        line.push_span(Mood::Quiet.text(format!("  {}", number(miners, "miner"))));
    }
    if report.restarts > 0 {
        let restarts = number(report.restarts, "restart");
        line.push_span(Mood::Waiting.text(format!("  {restarts}")));
    }
    let lost = overview
        .links
        .iter()
        .filter(|link| link.told && link.from == report.name && link.stage == Stage::Disconnected);
    let disturbed = overview
        .links
        .iter()
        .filter(|link| link.from == report.name && !link.disturbed.is_empty());
    for link in disturbed {
        let what = link.disturbed.join(", ");
        line.push_span(Mood::Waiting.text(format!("  {}: {what}", link.to)));
    }
    for link in lost {
        let why = link.failure.as_deref().unwrap_or("not connected");
        line.push_span(Mood::Bad.text(format!("  {}: {why}", link.to)));
    }
    line
}

fn blocks(model: &Model) -> Grid<'static> {
    let overview = model.overview.iter();
    let rows = overview.flat_map(|overview| &overview.blocks);
    Grid {
        title: "blocks".to_owned(),
        columns: &[
            ("height", Constraint::Length(7)),
            ("ago", Constraint::Length(8)),
            ("by", Constraint::Fill(2)),
            ("work of", Constraint::Length(8)),
            ("node says", Constraint::Length(9)),
            ("pool", Constraint::Length(12)),
            ("hash", Constraint::Fill(3)),
        ],
        rows: rows.map(|block| block_row(block, model.now_ms)).collect(),
        empty: "none of the lab's own yet",
    }
}

fn block_row(block: &BlockView, now_ms: u64) -> Vec<Line<'static>> {
    let verdict = match block.verdict.as_deref() {
        Some("accepted") => Mood::Good.text("accepted"),
        Some(other) => Mood::Bad.text(other.to_owned()),
        None => Mood::Waiting.text("not asked"),
    };
    let by = match &block.worker {
        Some(worker) => format!("{} ({worker})", block.user),
        None => block.user.clone(),
    };
    let work = match block.declared {
        true => Span::raw("miner"),
        false => Mood::Quiet.text("pool"),
    };
    let height = block.height.map(|height| height.to_string());
    vec![
        height.unwrap_or_default().into(),
        duration(now_ms.saturating_sub(block.time_ms) / 1000).into(),
        by.into(),
        work.into(),
        verdict.into(),
        block.pool.clone().into(),
        Mood::Quiet.text(block.hash.clone()).into(),
    ]
}
