//! A picture of the [`Model`].

use daemon::dial::{LinkView, Stage};
use daemon::http::Health;
use protocol::ranking::State;
use protocol::selection::wish::MAX_BLOCK_WEIGHT;
use terminal::pane::{Grid, Mood, draw_keys, draw_log, framed};
use terminal::quantity::{bitcoins, count, duration, hash_rate, micros, number};
use terminal::ratatui::Frame;
use terminal::ratatui::layout::{Constraint, Rect};
use terminal::ratatui::text::{Line, Span};
use terminal::ratatui::widgets::Paragraph;

use super::model::{JOBS, LINKS, LOG, MINERS, Model, TEMPLATE};
use crate::declarator::Pin;
use crate::show::{Chosen, DeclaredJob, MinerShown, TemplateShown, Upstream};

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let areas = model.areas(frame.area());
    frame.render_widget(head(model), areas.head);
    links(model).draw(frame, areas.panes[LINKS], &model.shell, LINKS);
    template(frame, areas.panes[TEMPLATE], model);
    jobs(model).draw(frame, areas.panes[JOBS], &model.shell, JOBS);
    miners(model).draw(frame, areas.panes[MINERS], &model.shell, MINERS);
    draw_log(frame, areas.panes[LOG], &model.shell, LOG);
    draw_keys(frame, areas.keys, &model.shell);
}

/// The role in one line.
fn head(model: &Model) -> Line<'static> {
    let shown = &model.shown;
    let health = match &model.health {
        Health::Ready => Mood::Good.text("ready"),
        Health::NotReady(reason) => Mood::Bad.text(format!("not ready: {reason}")),
    };
    let rate: f64 = shown.miners.iter().map(|miner| miner.hashrate_1m).sum();
    let totals = model.totals;
    Line::from(vec![
        Mood::Loud.text("jdc"),
        Span::raw("  "),
        health,
        Span::raw(format!(
            "  {}  {}  {}  {}",
            number(shown.miners.len() as u64, "miner"),
            hash_rate(rate),
            number(totals.accepted, "share"),
            number(totals.blocks, "block"),
        )),
    ])
}

fn links(model: &Model) -> Grid<'static> {
    let shown = &model.shown;
    let mut rows = Vec::new();
    let state = match shown.work {
        Some(_) => Mood::Good.text("template held"),
        None => Mood::Waiting.text("no template yet"),
    };
    let provider = &shown.provider;
    rows.push(link_row(
        ("template provider", &provider.address, &provider.link),
        state.into(),
        model.now_ms,
    ));
    for (number, upstream) in (1..).zip(&shown.upstreams) {
        let pool = format!("{number} pool");
        rows.push(link_row(
            (&pool, &upstream.pool, &upstream.pool_link),
            upstream_state(upstream),
            model.now_ms,
        ));
        rows.push(link_row(
            ("  job declarator", &upstream.jds, &upstream.jds_link),
            Mood::Quiet
                .text(format!("as {}", upstream.user_identity))
                .into(),
            model.now_ms,
        ));
    }
    Grid {
        title: "links".to_owned(),
        columns: &[
            ("server", Constraint::Length(17)),
            ("connection", Constraint::Length(12)),
            ("since", Constraint::Length(7)),
            ("address", Constraint::Length(21)),
            ("state", Constraint::Fill(1)),
        ],
        rows,
        empty: "",
    }
}

fn link_row(
    (name, address, link): (&str, &str, &LinkView),
    state: Line<'static>,
    now_ms: u64,
) -> Vec<Line<'static>> {
    let stage = match link.stage {
        Stage::Disconnected => Mood::Bad.text("disconnected"),
        Stage::Handshake => Mood::Waiting.text("handshake"),
        Stage::Open => Mood::Good.text("open"),
    };
    let mut state = state;
    if let (Stage::Disconnected | Stage::Handshake, Some(failure)) = (link.stage, &link.failure) {
        state.push_span(Mood::Quiet.text(format!("  {failure}")));
    }
    vec![
        name.to_owned().into(),
        stage.into(),
        ago(now_ms, link.since_ms).into(),
        address.to_owned().into(),
        state,
    ]
}

fn upstream_state(upstream: &Upstream) -> Line<'static> {
    let (mood, text) = match upstream.state {
        State::Active => (Mood::Good, "▶ worked for"),
        State::Standby => (Mood::Waiting, "standby"),
        State::Connecting => (Mood::Waiting, "connecting"),
        State::Resting => (Mood::Bad, "resting"),
        State::OnProbation => (Mood::Waiting, "on probation"),
    };
    let mut line = Line::from(mood.text(text));
    // A connection that is lost says itself why.
    if let (State::Resting | State::OnProbation, Stage::Open, Some(reason)) = (
        upstream.state,
        upstream.pool_link.stage,
        &upstream.last_failure,
    ) {
        line.push_span(Mood::Quiet.text(format!("  {reason}")));
    }
    line
}

fn template(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    if area.is_empty() {
        return;
    }
    let block = framed("template", model.shell.has_focus(TEMPLATE));
    let Some(work) = &model.shown.work else {
        let text = Mood::Quiet.text("none yet: miners are let in with the first one");
        return frame.render_widget(Paragraph::new(text).block(block), area);
    };
    let template = &work.template;
    let unknown = || Mood::Quiet.text("not asked for");
    let transactions = template
        .transactions
        .map_or_else(unknown, |known| Span::raw(count(known as u64)));
    let weight = template.weight.map_or_else(unknown, |weight| {
        let part = 100.0 * weight as f64 / MAX_BLOCK_WEIGHT as f64;
        Span::raw(format!("{} WU ({part:.1} %)", count(weight)))
    });
    let field = |name: &'static str| Mood::Quiet.text(format!("{name} "));
    let first = Line::from(vec![
        field("height"),
        Mood::Loud.text(known(template.height)),
        field("  transactions"),
        transactions,
        field("  weight"),
        weight,
        field("  fees"),
        Span::raw(template.fees.map_or("-".to_owned(), bitcoins)),
        field("  age"),
        Span::raw(ago(model.now_ms, work.received_ms)),
    ]);
    let second = Line::from(vec![
        field("on"),
        Span::raw(template.prev_hash.clone().unwrap_or_default()),
        field("  for"),
        match &model.shown.active {
            Some(pool) => Span::raw(pool.clone()),
            None => Mood::Waiting.text("ourselves (solo)"),
        },
    ]);
    let mut lines = vec![first, second];
    if let Some(chosen) = &model.shown.selection {
        lines.extend(choice(chosen, template));
    }
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// What the miner's choice has done to the template, and the choice.
fn choice(chosen: &Chosen, template: &TemplateShown) -> [Line<'static>; 2] {
    let field = |name: &'static str| Mood::Quiet.text(format!("{name} "));
    let left_out = match template.left_out {
        Some(some) => Span::raw(number(some as u64, "transaction")),
        None => Mood::Bad.text("all transactions"),
    };
    let mut done = vec![
        field("left out"),
        left_out,
        field("  fees given up"),
        Span::raw(bitcoins(template.fees_left_out)),
    ];
    let all = chosen.pinned.len();
    if all > 0 {
        let are = |state: Pin| {
            let pins = chosen.pinned.iter();
            pins.filter(|pin| pin.state == state).count()
        };
        done.push(field("  pinned"));
        done.push(Span::raw(format!("{} of {all} in", are(Pin::Included))));
        let elsewhere = [
            (Pin::Barred, Mood::Bad),
            (Pin::Absent, Mood::Bad),
            (Pin::Waiting, Mood::Waiting),
            (Pin::Unknown, Mood::Waiting),
            (Pin::Confirmed, Mood::Good),
        ];
        for (state, mood) in elsewhere.into_iter().filter(|(state, _)| are(*state) > 0) {
            done.push(mood.text(format!("  {} {}", are(state), state.name())));
        }
    }
    let wanted = vec![
        field("wanted from"),
        Span::raw(format!("{} sat/vB", chosen.min_fee_rate)),
        field("  up to"),
        Span::raw(format!("{} WU", count(chosen.max_weight))),
        field("  banned"),
        Span::raw(count(chosen.banned as u64)),
    ];
    [done.into(), wanted.into()]
}

fn jobs(model: &Model) -> Grid<'static> {
    Grid {
        title: "declared jobs".to_owned(),
        columns: &[
            ("job", Constraint::Length(5)),
            ("height", Constraint::Length(7)),
            ("txs", Constraint::Length(5)),
            ("fate", Constraint::Length(10)),
            ("sent", Constraint::Length(8)),
            ("answer", Constraint::Length(8)),
            ("pool took", Constraint::Length(9)),
            ("found/relayed/taken", Constraint::Length(19)),
            ("", Constraint::Fill(1)),
        ],
        rows: model.shown.jobs.iter().map(job_row).collect(),
        empty: "none yet",
    }
}

/// Latencies: template to declaration, declaration to its answer, template to the pool's answer.
fn job_row(job: &DeclaredJob) -> Vec<Line<'static>> {
    let fate = match job.state {
        "set" => Mood::Good.text("set"),
        "solo" => Mood::Waiting.text("solo"),
        "over" => Mood::Quiet.text("over"),
        other => Mood::Waiting.text(other),
    };
    let declaration = &job.declaration;
    let answer = match (declaration.sent_us, declaration.accepted_us) {
        (Some(sent), Some(accepted)) => Some(accepted.saturating_sub(sent)),
        (_, accepted) => accepted,
    };
    let time = |time: Option<u128>| time.map_or("-".to_owned(), micros);
    let shares = &job.shares;
    let tally = &shares.tally;
    let mut note = Line::default();
    if !job.blocks.is_empty() {
        let blocks = number(job.blocks.len() as u64, "block");
        note.push_span(Mood::Good.text(format!("{blocks}  ")));
    }
    if tally.rejected > 0 {
        note.push_span(Mood::Bad.text(format!("{} rejected  ", tally.rejected)));
    }
    if tally.lost > 0 {
        note.push_span(Mood::Bad.text(format!("{} lost  ", tally.lost)));
    }
    if shares.waiting > 0 {
        note.push_span(Mood::Waiting.text(format!("{} waiting  ", shares.waiting)));
    }
    if declaration.provided > 0 {
        note.push_span(Mood::Quiet.text(format!("{} provided  ", declaration.provided)));
    }
    if let Some(reason) = &job.reason {
        note.push_span(Mood::Quiet.text(reason.clone()));
    }
    vec![
        job.job.to_string().into(),
        known(job.template.height).into(),
        known(job.template.transactions).into(),
        fate.into(),
        time(declaration.sent_us).into(),
        time(answer).into(),
        time(job.custom_job.accepted_us).into(),
        format!(
            "{}/{}/{}",
            tally.accepted, tally.relayed, tally.acknowledged
        )
        .into(),
        note,
    ]
}

fn miners(model: &Model) -> Grid<'static> {
    let rows = model.shown.miners.iter();
    Grid {
        title: "miners".to_owned(),
        columns: &[
            ("user", Constraint::Fill(2)),
            ("device", Constraint::Fill(2)),
            ("peer", Constraint::Length(21)),
            ("hash rate", Constraint::Length(10)),
            ("accepted", Constraint::Length(8)),
            ("rejected", Constraint::Length(8)),
            ("blocks", Constraint::Length(6)),
            ("last share", Constraint::Length(10)),
        ],
        rows: rows.map(|miner| miner_row(miner, model.now_ms)).collect(),
        empty: "none connected",
    }
}

fn miner_row(miner: &MinerShown, now_ms: u64) -> Vec<Line<'static>> {
    let rejected = match miner.shares_rejected {
        0 => Span::raw("0"),
        some => Mood::Bad.text(count(some)),
    };
    let names = [&miner.device_id, &miner.firmware, &miner.vendor];
    let device = names.into_iter().find(|name| !name.is_empty());
    let last = miner.last_share_ms.map(|at| ago(now_ms, at));
    vec![
        miner.user_identity.clone().unwrap_or_default().into(),
        device.cloned().unwrap_or_default().into(),
        miner.peer.clone().into(),
        hash_rate(miner.hashrate_1m).into(),
        count(miner.shares_accepted).into(),
        rejected.into(),
        count(miner.blocks_found).into(),
        last.unwrap_or("-".to_owned()).into(),
    ]
}

fn known(number: Option<impl ToString>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}

/// How long ago that was.
fn ago(now_ms: u64, then_ms: u64) -> String {
    duration(now_ms.saturating_sub(then_ms) / 1000)
}
