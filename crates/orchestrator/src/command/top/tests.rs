//! Pictures of the view as text, in `tests/*.txt`. After a change that is meant, write them anew
//! with `UPDATE_PICTURES=1` and look at them.

use std::path::Path;

use orchestrator::backend::{BackendKind, State};
use orchestrator::lab::{
    BlockView, Chain, LinkView, Mining, Overview, ServiceReport, ServiceView, Stage, TemplateView,
};
use orchestrator::subnet::Subnet;
use terminal::ratatui::crossterm::event::KeyCode;
use terminal::ratatui::layout::Rect;
use terminal::testing;

use super::*;

/// The present of every test, in milliseconds since 1970.
const NOW_MS: u64 = 1_800_000_000_000;

fn service(kind: &str, host: u8, reason: Option<&str>, mining: Option<Mining>) -> ServiceView {
    ServiceView {
        report: ServiceReport {
            name: kind.to_owned(),
            state: match reason {
                Some("has ended") => State::Stopped,
                _ => State::Running,
            },
            ready: reason.is_none(),
            reason: reason.map(str::to_owned),
            version: None,
            shares: None,
            blocks: None,
            address: [10, 10, 0, host].into(),
            ports: [].into(),
            pid: Some(7),
            restarts: u64::from(kind == "pool"),
            uptime_seconds: Some(65),
        },
        kind: kind.to_owned(),
        mining,
    }
}

fn mining(miners: Option<u64>, accepted: u64, rejected: &[(&str, u64)]) -> Option<Mining> {
    let rejected = rejected.iter().map(|(why, n)| ((*why).to_owned(), *n));
    Some(Mining {
        miners,
        hashrate: 1.25e6,
        accepted,
        rejected: rejected.collect(),
        blocks: 3,
    })
}

fn link(from: &str, to: &str, stage: Stage) -> LinkView {
    LinkView {
        from: from.to_owned(),
        to: to.to_owned(),
        stage,
        told: true,
        failure: (stage == Stage::Disconnected).then(|| "connection refused".to_owned()),
        disturbed: match (from, to) {
            ("mining-device", "pool") => vec!["delay".to_owned()],
            _ => Vec::new(),
        },
    }
}

fn block(height: u64, user: &str, verdict: Option<&str>) -> BlockView {
    BlockView {
        height: Some(height),
        hash: format!("{height:064x}"),
        time_ms: NOW_MS - (130 - height) * 7_000,
        pool: "pool".to_owned(),
        user: user.to_owned(),
        worker: (user == "lab").then(|| "rack1".to_owned()),
        declared: user == "farm",
        verdict: verdict.map(str::to_owned),
    }
}

fn services() -> Vec<ServiceView> {
    let reasons = [("difficulty-too-low", 1), ("stale-share", 12)];
    vec![
        service("btc-node", 4, None, None),
        service("jdc", 2, None, mining(Some(1), 7, &[])),
        service("jds", 6, Some("has ended"), None),
        service("mining-device", 10, None, mining(None, 42, &[])),
        service("pool", 5, None, mining(Some(2), 12_345, &reasons)),
        service(
            "template-provider",
            3,
            Some("the node has made no template yet"),
            None,
        ),
    ]
}

/// The full stack, in trouble.
fn busy() -> Model {
    let overview = Overview {
        at_ms: NOW_MS,
        name: "sv2lab".to_owned(),
        backend: BackendKind::Process,
        subnet: Subnet::DOCKER,
        chain: Some(Chain {
            height: 123,
            tip: "0f".repeat(32),
            tip_time: NOW_MS / 1000 - 9,
            mempool_transactions: 1_234,
            mempool_vbytes: 345_678,
        }),
        services: services(),
        links: vec![
            link("jdc", "jds", Stage::Disconnected),
            link("jdc", "pool", Stage::Open),
            link("jdc", "template-provider", Stage::Open),
            link("jds", "btc-node", Stage::Disconnected),
            link("mining-device", "pool", Stage::Open),
            link("pool", "btc-node", Stage::Open),
            link("pool", "template-provider", Stage::Open),
            link("template-provider", "btc-node", Stage::Handshake),
        ],
        templates: vec![
            TemplateView {
                service: "jdc".to_owned(),
                height: Some(124),
                age_ms: Some(3_400),
                value: Some(5_000_000_000),
                fees: Some(1),
                transactions: Some(42),
                weight: Some(23_562),
                left_out: None,
            },
            TemplateView {
                service: "pool".to_owned(),
                height: Some(124),
                age_ms: Some(4_400),
                value: Some(5_000_000_000),
                fees: None,
                transactions: None,
                weight: None,
                left_out: None,
            },
        ],
        blocks: vec![
            block(123, "farm", Some("accepted")),
            block(122, "lab", Some("stale")),
            block(121, "lab", None),
        ],
    };
    let mut model = Model::new("sv2lab");
    model.now_ms = NOW_MS;
    model.take(Ok(overview));
    for (service, text) in [
        (
            "pool",
            "2026-11-20T12:00:00.123456Z  INFO block found height=123",
        ),
        (
            "jdc",
            "2026-11-20T12:00:01.123456Z  WARN upstream failed reason=gone",
        ),
        ("btc-node", "2026-11-20T12:00:02Z UpdateTip: new best=0f"),
        (
            "pool",
            "lab: pool ended with signal 9, SIGKILL; starting it again",
        ),
    ] {
        model.shell.log.push(line_shown(service, text).1);
    }
    model
}

fn drawn(model: &mut Model, width: u16, height: u16) -> String {
    model.fit(Rect::new(0, 0, width, height));
    testing::picture(width, height, |frame| draw::draw(frame, model))
}

fn press(model: &mut Model, codes: &[KeyCode]) {
    testing::press(&mut model.shell, codes);
}

#[track_caller]
fn check(name: &str, actual: &str) {
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/command/top/tests");
    testing::check(&pictures.join(name), actual);
}

#[test]
fn everything_is_in_sight_on_a_usual_terminal() {
    check("busy.txt", &drawn(&mut busy(), 120, 36));
}

#[test]
fn a_small_terminal_shows_one_pane_after_the_other() {
    let mut model = busy();
    let mut panes = Vec::new();
    for _ in 0..=model::LOG {
        panes.push(drawn(&mut model, 50, 8));
        press(&mut model, &[KeyCode::Tab]);
    }
    check("small.txt", &panes.concat());
}

#[test]
fn before_the_first_answer_and_without_one_the_view_says_so() {
    let mut model = Model::new("sv2lab");
    let asking = drawn(&mut model, 80, 20);
    assert!(asking.contains("asking everybody"), "{asking}");
    model.take(Err(anyhow::anyhow!("Docker does not answer")));
    let trouble = drawn(&mut model, 80, 20);
    assert!(trouble.contains("Docker does not answer"), "{trouble}");
}

#[test]
fn what_is_held_stays_as_it_is() {
    let mut model = busy();
    press(&mut model, &[KeyCode::Char(' ')]);
    model.take(Err(anyhow::anyhow!("gone")));
    let text = drawn(&mut model, 120, 36);
    assert!(
        text.contains("HELD") && text.contains("height 123"),
        "{text}"
    );
    press(&mut model, &[KeyCode::Char(' ')]);
    model.take(Err(anyhow::anyhow!("gone")));
    assert!(drawn(&mut model, 120, 36).contains("gone"));
}

#[test]
fn what_a_pool_has_found_stays_when_the_pool_is_away() {
    let mut model = busy();
    let mut next = busy().overview.unwrap();
    next.blocks = vec![block(124, "lab", None)];
    model.take(Ok(next));
    let blocks = &model.overview.unwrap().blocks;
    let heights: Vec<_> = blocks.iter().filter_map(|block| block.height).collect();
    assert_eq!(heights, [124, 123, 122, 121]);
}

#[test]
fn services_that_nothing_connects_stand_alone() {
    let mut overview = busy().overview.unwrap();
    overview.links.clear();
    let rows: Vec<String> = picture::of(&overview)
        .iter()
        .map(ToString::to_string)
        .collect();
    let expected = [
        "● mining-device",
        "● jdc",
        "● pool",
        "○ jds",
        "◐ template-provider",
        "● btc-node",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn no_size_of_the_terminal_is_too_small_or_too_large() {
    let mut model = busy();
    for _ in 0..=model::LOG {
        for (width, height) in testing::SIZES {
            drawn(&mut model, width, height);
        }
        press(&mut model, &[KeyCode::Tab]);
    }
}
