use super::*;

fn problems(text: &str) -> Vec<String> {
    match Topology::parse(text) {
        Ok(_) => Vec::new(),
        Err(Problems(problems)) => problems,
    }
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let found = problems(text);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found:?} lacks {expected:?}");
    }
}

const NODE: &str = "[services.btc-node]\nkind = 'btc-node'\n";

#[test]
fn built_in_topologies_are_sound() {
    for (name, text) in BUILT_IN {
        assert_eq!(problems(text), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn minimal_has_the_addresses_users_know() {
    let topology = Topology::parse(&find("minimal").unwrap()).unwrap();
    let hosts: Vec<_> = topology
        .services
        .iter()
        .map(|service| (service.name.as_str(), service.host))
        .collect();
    let expected = [
        ("btc-node", 4),
        ("mining-device", 10),
        ("pool", 5),
        ("template-provider", 3),
    ];
    assert_eq!(hosts, expected);
}

#[test]
fn broken_toml_is_reported_with_its_line() {
    check("[services.btc-node\nkind = 'btc-node'", &["line 1"]);
}

#[test]
fn a_key_given_twice_is_reported() {
    check(
        "[services.btc-node]\nkind = 'btc-node'\nkind = 'btc-node'",
        &["duplicate key"],
    );
}

#[test]
fn every_problem_is_listed_not_only_the_first() {
    check(
        &format!(
            "colour = 'red'\n{NODE}host = 300\n\
             [services.pool]\nkind = 'pool'\nserver_id = 'x'\nsignature = 'x'\n\
             [services.Miner]\nkind = 'asic'\n\
             [services.x]\n"
        ),
        &[
            "colour: unknown key",
            "services.Miner.kind: there is no 'asic'",
            "services.btc-node.host: ",
            "services.pool.server_id: ",
            "services.pool.signature: unknown field",
            "services.x.kind: is missing",
            "services.pool.template_provider: there is no service 'template-provider'",
        ],
    );
}

#[test]
fn a_link_to_a_service_of_another_kind_is_refused() {
    check(
        &format!("{NODE}[services.tp]\nkind = 'template-provider'\nnode = 'tp'"),
        &[
            "services.tp.node: 'tp' is a template-provider, not a btc-node",
            "tp -> tp wait for each other",
        ],
    );
}

#[test]
fn a_source_of_templates_that_does_not_exist_is_refused_with_those_that_do() {
    let provider = "[services.template-provider]\nkind = 'template-provider'\nsource = 'zmq'";
    check(
        &format!("{NODE}{provider}"),
        &["services.template-provider.source: unknown variant `zmq`, expected `ipc` or `rpc`"],
    );
}

#[test]
fn a_setting_that_would_do_nothing_is_refused() {
    let provider = "[services.template-provider]\nkind = 'template-provider'\nempty_first = true";
    check(&format!("{NODE}{provider}"), &[]);
    check(
        &format!("{NODE}{provider}\nsource = 'rpc'"),
        &["services.template-provider.empty_first: only for source = \"ipc\""],
    );
}

#[test]
fn every_wish_of_a_client_that_cannot_be_fulfilled_is_listed() {
    let txid = "11".repeat(32);
    let text = find("full").unwrap().replace(
        "kind = \"jdc\"\n",
        &format!(
            "kind = 'jdc'\nnode = 'pool'\n\
             coinbase_outputs = [{{ script = 'x', percent = 60 }}, \
             {{ script = 'raw(51)', percent = 60 }}]\n\
             selection = {{ min_fee_rate = -1, max_weight = 9999, pinned = ['{txid}'], \
             banned = ['zz', '{txid}'] }}\n"
        ),
    );
    check(
        &text,
        &[
            "services.jdc.node: 'pool' is a pool, not a btc-node",
            "services.jdc.selection.min_fee_rate: -1: must be 0 to 1000000",
            "services.jdc.selection.max_weight: 9999: must be 10000 to 4000000",
            "services.jdc.selection.banned: \"zz\": expected a txid",
            "services.jdc.coinbase_outputs.script: \"x\": not an output descriptor",
            "services.jdc.coinbase_outputs.percent: 120 percent of the reward",
        ],
    );
    check(
        &text
            .replace("node = 'pool'", "node = 'btc-node'")
            .replace("-1", "1")
            .replace("9999", "10000")
            .replace("'zz', ", "")
            .replace("'x', percent = 60", "'raw(6a)'"),
        &["services.jdc.selection.pinned: 1111"],
    );
    check(
        &find("full").unwrap().replace(
            "kind = \"jdc\"\n",
            "kind = 'jdc'\nselection = { pined = [] }\n",
        ),
        &["services.jdc.selection: unknown field `pined`"],
    );
}

#[test]
fn an_unknown_name_in_after_is_refused() {
    check(
        &format!("{NODE}after = ['ghost']"),
        &["services.btc-node.after: there is no service 'ghost'; there are btc-node"],
    );
}

#[test]
fn services_that_wait_for_each_other_are_named() {
    check(
        &format!(
            "{NODE}after = ['template-provider']\n\
             [services.template-provider]\nkind = 'template-provider'"
        ),
        &["btc-node -> template-provider -> btc-node wait for each other"],
    );
}

#[test]
fn two_services_cannot_share_an_address() {
    check(
        &format!("{NODE}[services.second]\nkind = 'btc-node'"),
        &["services.second.host: 4 is also the host number of 'btc-node'"],
    );
    check(
        &format!("{NODE}[services.second]\nkind = 'btc-node'\nhost = 20"),
        &[],
    );
}

#[test]
fn addresses_of_the_gateway_and_of_strangers_are_refused() {
    for host in [0, 1, 128, 255] {
        check(&format!("{NODE}host = {host}"), &["services.btc-node.host"]);
    }
}

#[test]
fn a_name_must_be_a_host_name() {
    check(
        "[services.Node_1]\nkind = 'btc-node'",
        &["services.Node_1: cannot be a host name"],
    );
}

#[test]
fn an_empty_topology_is_refused() {
    check("about = 'nothing'", &["services: there are none"]);
}

#[test]
fn an_unknown_topology_names_those_there_are() {
    let error = find("maximal").unwrap_err();
    let fault = crate::fault::find(&error).unwrap();
    assert!(fault.remedy.contains("minimal"), "{}", fault.remedy);
}
