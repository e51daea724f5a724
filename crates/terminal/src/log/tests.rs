use super::*;

fn log(lines: &[(Level, &str)]) -> Log {
    let mut log = Log::default();
    log.fit(3);
    for (level, text) in lines {
        log.push(line(*level, text));
    }
    log
}

fn line(level: Level, text: &str) -> LogLine {
    LogLine {
        level,
        source: String::new(),
        text: text.to_owned(),
    }
}

fn numbered(count: usize) -> Log {
    let mut log = log(&[]);
    for number in 1..=count {
        log.push(line(Level::Info, &format!("line {number}")));
    }
    log
}

#[track_caller]
fn check(log: &Log, expected: &[&str]) {
    let shown: Vec<String> = log.visible().iter().map(ToString::to_string).collect();
    assert_eq!(shown, expected);
}

#[test]
fn the_newest_lines_are_shown() {
    check(&numbered(5), &["line 3", "line 4", "line 5"]);
    check(&numbered(2), &["line 1", "line 2"]);
}

#[test]
fn who_scrolled_back_keeps_seeing_the_same_lines() {
    let mut log = numbered(10);
    log.scroll(-2);
    check(&log, &["line 6", "line 7", "line 8"]);
    log.push(line(Level::Info, "line 11"));
    check(&log, &["line 6", "line 7", "line 8"]);
    assert_eq!(log.about(), "3 newer below");
    log.scroll(3);
    check(&log, &["line 9", "line 10", "line 11"]);
}

#[test]
fn scrolling_ends_at_the_first_and_the_last_line() {
    let mut log = numbered(5);
    log.scroll(-100);
    check(&log, &["line 1", "line 2", "line 3"]);
    log.scroll(1);
    check(&log, &["line 2", "line 3", "line 4"]);
    log.scroll(100);
    check(&log, &["line 3", "line 4", "line 5"]);
}

#[test]
fn a_filter_wants_all_its_words_in_any_case_and_order() {
    let mut log = log(&[
        (Level::Info, "share accepted channel=1"),
        (Level::Info, "Block found channel=1"),
        (Level::Info, "block found channel=2"),
    ]);
    for typed in "=1 BLOCK".chars() {
        log.type_char(typed);
    }
    check(&log, &["Block found channel=1"]);
    assert_eq!(log.about(), "with \"=1 BLOCK\"");
    log.clear_filter();
    assert_eq!(log.visible().len(), 3);
}

#[test]
fn a_filter_leaves_out_what_has_a_minus() {
    let mut log = log(&[(Level::Info, "share accepted"), (Level::Info, "Share lost")]);
    "share -Accepted -"
        .chars()
        .for_each(|typed| log.type_char(typed));
    check(&log, &["Share lost"]);
}

#[test]
fn a_filter_finds_who_wrote_a_line() {
    let mut log = log(&[(Level::Info, "of somebody else")]);
    log.push(LogLine {
        source: "pool".to_owned(),
        ..line(Level::Info, "ready")
    });
    "pool".chars().for_each(|typed| log.type_char(typed));
    check(&log, &["pool ready"]);
}

#[test]
fn levels_hide_what_matters_less() {
    let mut log = log(&[
        (Level::Debug, "detail"),
        (Level::Error, "broken"),
        (Level::Info, "fine"),
    ]);
    log.next_level();
    check(&log, &["broken"]);
    assert_eq!(log.about(), "error and above");
    log.next_level();
    log.next_level();
    check(&log, &["broken", "fine"]);
}

#[test]
fn the_oldest_lines_go_when_there_are_too_many() {
    let mut log = numbered(MAX_LINES + 5);
    log.scroll(isize::MIN / 2);
    check(&log, &["line 6", "line 7", "line 8"]);
}
