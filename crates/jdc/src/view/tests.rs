//! Pictures of the view as text, in `tests/*.txt`. After a change that is meant, write them anew
//! with `UPDATE_PICTURES=1` and look at them.

use std::path::Path;

use daemon::dial::{LinkView, Stage};
use protocol::ranking::State;
use terminal::ratatui::crossterm::event::KeyCode;
use terminal::ratatui::layout::Rect;
use terminal::testing;

use super::*;
use crate::declarator::{Pin, Tally};
use crate::show::{
    Chosen, CustomJobShown, DeclarationShown, DeclaredJob, MinerShown, Pinned, Provider,
    SharesShown, TemplateShown, Upstream, WorkShown,
};

/// The present of every test, in milliseconds since 1970.
const NOW_MS: u64 = 1_800_000_000_000;

fn link(stage: Stage, seconds: u64, failure: Option<&str>) -> LinkView {
    LinkView {
        stage,
        since_ms: NOW_MS - seconds * 1000,
        failure: failure.map(str::to_owned),
    }
}

fn upstream(host: u8, state: State, pool: LinkView, jds: LinkView) -> Upstream {
    Upstream {
        pool: format!("10.10.0.{host}:34254"),
        pool_link: pool,
        jds: format!("10.10.0.{}:34264", host + 1),
        jds_link: jds,
        user_identity: format!("farm.{host}"),
        state,
        last_failure: (state == State::Resting).then(|| "pool: the peer is gone".to_owned()),
    }
}

fn template(transactions: Option<usize>) -> TemplateShown {
    TemplateShown {
        template_id: 9,
        height: Some(123),
        prev_hash: Some("0f".repeat(32)),
        value: 5_000_012_300,
        fees: Some(12_300),
        transactions,
        left_out: None,
        fees_left_out: 0,
        weight: transactions.map(|count| 561 * count as u64),
    }
}

fn job(number: u64, state: &'static str, reason: Option<&str>, tally: Tally) -> DeclaredJob {
    let passed = |micros: u128| (state != "waiting").then_some(micros);
    DeclaredJob {
        job: number,
        upstream: Some("10.10.0.5:34254".to_owned()),
        state,
        reason: reason.map(str::to_owned),
        created: NOW_MS / 1000,
        created_ms: NOW_MS,
        template: template(Some(42)),
        declaration: DeclarationShown {
            sent_us: passed(812),
            accepted_us: passed(4_912),
            provided: if number == 3 { 2 } else { 0 },
        },
        custom_job: CustomJobShown {
            job_id: Some(number as u32),
            accepted_us: passed(1_205_000).filter(|_| state == "set"),
        },
        shares: SharesShown {
            tally,
            waiting: if state == "waiting" { 3 } else { 0 },
        },
        blocks: vec!["00".repeat(32); usize::from(number == 2)],
    }
}

fn miner(slot: u32, user: &str, rejected: u64) -> MinerShown {
    MinerShown {
        client_id: slot,
        user_identity: Some(user.to_owned()),
        peer: format!("10.10.0.10:4000{slot}"),
        vendor: "sv2-lab".to_owned(),
        hardware_version: String::new(),
        firmware: "mining-device".to_owned(),
        device_id: format!("rack{slot}"),
        extended_channels_count: 0,
        standard_channels_count: 1,
        total_hashrate: 1e6,
        hashrate_1m: 1.25e6,
        hashrate_10m: 1.2e6,
        shares_accepted: 12_345,
        shares_rejected: rejected,
        blocks_found: 2,
        connected_ms: NOW_MS - 60_000,
        last_share_ms: Some(NOW_MS - 4_000),
    }
}

/// Everything there can be to see.
fn busy() -> Model {
    let taken = Tally {
        accepted: 7,
        relayed: 6,
        acknowledged: 5,
        ..Tally::default()
    };
    let unlucky = Tally {
        rejected: 1,
        lost: 2,
        ..taken
    };
    let shown = Shown {
        provider: Provider {
            address: "10.10.0.3:8442".to_owned(),
            link: link(Stage::Open, 3_725, None),
        },
        upstreams: vec![
            upstream(
                5,
                State::Active,
                link(Stage::Open, 65, None),
                link(Stage::Open, 65, None),
            ),
            upstream(
                15,
                State::Resting,
                link(Stage::Disconnected, 8, Some("connection refused")),
                link(Stage::Handshake, 1, None),
            ),
        ],
        jobs: vec![
            job(4, "waiting", None, Tally::default()),
            job(3, "set", None, taken),
            job(2, "over", Some("its tip is gone"), taken),
            job(1, "over", Some("the pool refuses a job"), unlucky),
        ],
        work: Some(WorkShown {
            job: 4,
            template: template(Some(42)),
            received_ms: NOW_MS - 2_000,
        }),
        active: Some("10.10.0.5:34254".to_owned()),
        miners: vec![miner(0, "farm.a", 0), miner(1, "farm.b", 17)],
        selection: None,
    };
    let mut model = Model {
        shown: Arc::new(shown),
        health: Health::Ready,
        now_ms: NOW_MS,
        ..Model::default()
    };
    (model.totals.accepted, model.totals.blocks) = (24_690, 4);
    for (level, text) in [
        (log::Level::Info, "12:00:00.001 miner connected peer=a"),
        (log::Level::Warn, "12:00:01.001 upstream failed reason=gone"),
        (log::Level::Info, "12:00:02.001 block found height=122"),
    ] {
        model.shell.log.push(log::LogLine {
            level,
            source: String::new(),
            text: text.to_owned(),
        });
    }
    model
}

fn picture(model: &mut Model, width: u16, height: u16) -> String {
    model.fit(Rect::new(0, 0, width, height));
    testing::picture(width, height, |frame| draw::draw(frame, model))
}

fn press(model: &mut Model, codes: &[KeyCode]) {
    testing::press(&mut model.shell, codes);
}

#[track_caller]
fn check(name: &str, actual: &str) {
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/view/tests");
    testing::check(&pictures.join(name), actual);
}

#[test]
fn everything_is_in_sight_on_a_usual_terminal() {
    check("busy.txt", &picture(&mut busy(), 110, 36));
}

#[test]
fn before_anything_has_happened_the_view_says_what_it_waits_for() {
    check("starting.txt", &picture(&mut Model::default(), 80, 24));
}

#[test]
fn a_small_terminal_shows_one_pane_after_the_other() {
    let mut model = busy();
    let log = picture(&mut model, 50, 8);
    press(&mut model, &[KeyCode::Tab]);
    let links = picture(&mut model, 50, 8);
    press(&mut model, &[KeyCode::Tab]);
    let template = picture(&mut model, 50, 8);
    press(&mut model, &[KeyCode::Tab]);
    let jobs = picture(&mut model, 50, 8);
    check("small.txt", &[log, links, template, jobs].concat());
}

#[test]
fn solo_work_without_transactions_is_told_as_such() {
    let mut model = busy();
    let mut shown = (*model.shown).clone();
    shown.active = None;
    shown.upstreams.clear();
    shown.jobs.truncate(1);
    shown.jobs[0].state = "solo";
    shown.work.as_mut().unwrap().template = template(None);
    model.shown = Arc::new(shown);
    model.health = Health::not_ready("solo work: no upstream can be worked for");
    check("solo.txt", &picture(&mut model, 100, 24));
}

/// Pinned transactions in every place where one can be.
fn choosing() -> Model {
    let mut model = busy();
    let mut shown = (*model.shown).clone();
    let places = [
        Pin::Included,
        Pin::Included,
        Pin::Confirmed,
        Pin::Waiting,
        Pin::Unknown,
        Pin::Barred,
        Pin::Absent,
    ];
    let pinned = places.into_iter().map(|state| Pinned {
        txid: "11".repeat(32),
        state,
    });
    shown.selection = Some(Chosen {
        min_fee_rate: 2.5,
        max_weight: 1_000_000,
        banned: 3,
        pinned: pinned.collect(),
    });
    let work = shown.work.as_mut().unwrap();
    (work.template.left_out, work.template.fees_left_out) = (Some(17), 4_200);
    model.shown = Arc::new(shown);
    model
}

#[test]
fn a_choice_of_transactions_is_shown_with_what_it_has_done() {
    check("choosing.txt", &picture(&mut choosing(), 110, 24));
}

#[test]
fn a_template_that_could_not_be_chosen_from_is_shown_as_empty() {
    let mut model = choosing();
    let mut shown = (*model.shown).clone();
    let work = shown.work.as_mut().unwrap();
    (work.template.left_out, work.template.fees_left_out) = (None, 12_300);
    shown.selection.as_mut().unwrap().pinned.clear();
    model.shown = Arc::new(shown);
    let text = picture(&mut model, 110, 24);
    let line = "left out all transactions  fees given up 0.00012300 BTC  ";
    assert!(text.contains(line), "{text}");
    assert!(!text.contains("pinned"), "{text}");
}

#[test]
fn the_filter_shows_matching_lines_while_it_is_typed() {
    let mut model = busy();
    press(&mut model, &[KeyCode::Char('/')]);
    for typed in "block".chars() {
        press(&mut model, &[KeyCode::Char(typed)]);
    }
    let text = picture(&mut model, 110, 36);
    assert!(text.contains("filter: block"), "{text}");
    assert!(text.contains("block found height=122"), "{text}");
    assert!(!text.contains("miner connected"), "{text}");
}

#[test]
fn no_size_of_the_terminal_is_too_small_or_too_large() {
    for mut model in [busy(), choosing()] {
        for _ in 0..=model::LOG {
            for (width, height) in testing::SIZES {
                picture(&mut model, width, height);
            }
            press(&mut model, &[KeyCode::Tab]);
        }
    }
}
