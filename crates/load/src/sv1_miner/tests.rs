use super::*;

fn place(index: usize, phase: f64) -> Place {
    Place { index, phase }
}

fn hear(miner: &mut Miner, now: Instant, line: &str) -> Out {
    let mut out = Out::default();
    miner.received(now, line.as_bytes(), &mut out);
    miner.submit(now, &mut out);
    out
}

fn mining(pace: Pace) -> (Miner, Instant, Out) {
    let now = Instant::now();
    let mut miner = Miner::new(place(7, 0.5));
    hear(
        &mut miner,
        now,
        r#"{"id":1,"result":[[],"aabb",4],"error":null}"#,
    );
    hear(&mut miner, now, r#"{"id":2,"result":true,"error":null}"#);
    let job =
        r#"{"id":null,"method":"mining.notify","params":["j","","","",[],"0","0","65",true]}"#;
    assert!(matches!(
        hear(&mut miner, now, job).events[..],
        [MinerEvent::Tip]
    ));
    let mut out = Out::default();
    miner.set_pace(now, pace, &mut out);
    (miner, now, out)
}

#[test]
fn a_window_stays_full_and_no_two_shares_are_the_same() {
    let (mut miner, now, out) = mining(Pace::Window(3));
    let said = String::from_utf8(out.lines).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[1],
        r#"{"id":4,"method":"mining.submit","params":["load.7","j","00000000","00000065","00000004"]}"#
    );
    let out = hear(&mut miner, now, r#"{"id":3,"result":true,"error":null}"#);
    assert!(matches!(&out.events[..], [MinerEvent::Accepted(ages)] if ages.len() == 1));
    assert!(
        String::from_utf8(out.lines)
            .unwrap()
            .starts_with("{\"id\":6,")
    );
    let out = hear(
        &mut miner,
        now,
        r#"{"id":4,"result":null,"error":[23,"low",null]}"#,
    );
    assert!(matches!(&out.events[..], [MinerEvent::Rejected(reason)] if reason == "low"));
}

#[test]
fn a_paced_miner_sends_one_share_in_each_period() {
    let second = Duration::from_secs(1);
    let (mut miner, now, out) = mining(Pace::Every(second));
    assert!(out.lines.is_empty());
    assert_eq!(miner.deadline(), Some(now + second / 2));
    let mut out = Out::default();
    miner.submit(now + second / 2, &mut out);
    assert_eq!(out.lines.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert_eq!(miner.deadline(), Some(now + second * 3 / 2));
}

#[test]
fn a_translator_that_lets_nobody_in_is_told_of() {
    let mut miner = Miner::new(place(0, 0.0));
    let line = r#"{"id":1,"result":null,"error":[20,"full",null]}"#;
    assert!(hear(&mut miner, Instant::now(), line).failed.is_some());
}
