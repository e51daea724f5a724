use super::*;

#[test]
fn every_scenario_that_comes_with_the_lab_can_be_read() {
    for (name, text) in BUILT_IN {
        if let Err(fault) = Scenario::parse(text) {
            panic!("{name}: {}", fault.cause);
        }
    }
}

#[test]
fn every_file_comes_with_the_lab() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    files.sort();
    let names: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    assert_eq!(files, names);
    assert!(names.len() >= 20);
    let quick = |text: &&str| Scenario::parse(text).unwrap().quick;
    assert!(
        BUILT_IN
            .iter()
            .map(|(_, text)| text)
            .filter(|text| quick(text))
            .count()
            >= 5
    );
}

#[test]
fn every_problem_is_told_at_once() {
    let fault = Scenario::parse(
        r#"
        speed = 1
        quick = "yes"
        limit = "soon"
        [[steps]]
        fly = 1
        [[steps]]
        mine = { blocks = 1 }
        within = "3s"
        [[steps]]
        kill = { service = "pool", whom = 1 }
        [[steps]]
        expect = { told = { service = "pool", path = "/", at = "/x", is = ">= many" } }
        [[steps]]
        expect = { ready = "nobody" }
        [[steps]]
        partition = { link = "pool:nobody" }
        [[steps]]
        expect = { ready = "pool" }
        within = "1s"
        hold = "1s"
        [[steps]]
        mine = { blocks = 1 }
        send = 1
        "#,
    )
    .unwrap_err();
    for says in [
        "about: is missing",
        "speed: unknown key",
        "quick: ",
        "limit: 'soon'",
        "steps[0].fly: there is no such step; there are expect, mine",
        "steps[1]: within and hold belong to expect",
        "steps[2]",
        "'>= many' can never be",
        "has no 'nobody'; it has btc-node",
        "steps[6]: give within",
        "steps[7]: does not do exactly one thing",
    ] {
        assert!(fault.cause.contains(says), "{says}: {}", fault.cause);
    }
}

#[test]
fn scenarios_are_found_by_name_and_by_file() {
    let (name, text) = BUILT_IN[0];
    assert_eq!(find(name).unwrap(), text);
    assert!(find("no-such").is_err());
    assert!(find("/nonexistent/x.toml").is_err());
}
