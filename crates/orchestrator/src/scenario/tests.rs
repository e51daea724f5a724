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
        [[steps]]
        expect = { message = { link = "pool:btc-node", message = "SetTargt" } }
        [[steps]]
        expect = { message = { link = "pool", message = "SetTarget", fields = { x = "== 1" }, fate = "pased" } }
        [[steps]]
        rewrite = { link = "mining-device:pool", message = "SetTarget", set = { maximum = 1 } }
        [[steps]]
        garbage = { service = "pool", port = "minning", connections = 1, bytes = 1 }
        [[steps]]
        expect = { metric = { service = "btc-node", name = "x", is = "> 0" } }
        [[steps]]
        heal = ["pool:jdc"]
        "#,
    )
    .unwrap_err();
    for says in [
        "about: is missing",
        "speed: unknown key",
        "quick: ",
        "limit: 'soon'",
        "steps[0].fly: there is no such step; name one of expect, mine",
        "steps[1]: within and hold belong to expect",
        "steps[2]",
        "'>= many' can never be",
        "no service 'nobody'; name one of btc-node",
        "no link 'pool:nobody', nor such a service; did you mean pool:btc-node",
        "steps[6]: give within",
        "steps[7]: does not do exactly one thing",
        "no message 'SetTargt'; did you mean SetTarget?",
        "SetTarget has no field 'x'; name one of channel_id",
        "'pased' is no fate of a message; did you mean passed?",
        "SetTarget has no field 'maximum'",
        "pool has no port 'minning'; did you mean mining?",
        "btc-node has no port 'http'; name one of rpc, p2p",
        "no link 'pool:jdc'",
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
