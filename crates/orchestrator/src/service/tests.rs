use super::*;
use crate::topology;

fn secrets() -> Secrets {
    Secrets {
        authority_secret_key: "secret-key".to_owned(),
        authority_public_key: "public-key".to_owned(),
        rpc_user: "lab".to_owned(),
        rpc_password: "hunter2".to_owned(),
        job_declaration_secret: "shared-secret".to_owned(),
        wallet_key: "tprv".to_owned(),
    }
}

fn minimal(subnet: Subnet, paths: &Paths) -> BTreeMap<String, ServiceSpec> {
    specs_of(&topology::find("minimal").unwrap(), subnet, paths)
}

fn specs_of(text: &str, subnet: Subnet, paths: &Paths) -> BTreeMap<String, ServiceSpec> {
    let topology = Topology::parse(text).unwrap();
    let secrets = secrets();
    let site = Site {
        name: "the-lab",
        subnet,
        paths,
        secrets: &secrets,
        reward_address: "bcrt1qlab",
        links: None,
    };
    let by_name = |spec: ServiceSpec| (spec.name.clone(), spec);
    specs(&topology, &site).into_iter().map(by_name).collect()
}

fn config(spec: &ServiceSpec) -> toml::Table {
    spec.files[0].text.parse().unwrap()
}

#[test]
fn links_become_addresses_of_the_lab() {
    let specs = minimal(Subnet::DOCKER, &Paths::Container);
    let pool = config(&specs["pool"]);
    assert_eq!(pool["listen_address"].as_str(), Some("10.10.0.5:34254"));
    assert_eq!(pool["monitoring_address"].as_str(), Some("10.10.0.5:9090"));
    let upstream = &pool["template_provider"];
    assert_eq!(upstream["address"].as_str(), Some("10.10.0.3:8442"));
    assert_eq!(upstream["public_key"].as_str(), Some("public-key"));
    assert_eq!(
        pool["node"]["rpc_address"].as_str(),
        Some("10.10.0.4:18443")
    );
    assert_eq!(
        pool["coinbase_reward_script"].as_str(),
        Some("addr(bcrt1qlab)")
    );
    let device = config(&specs["mining-device"]);
    assert_eq!(device["pool_address"].as_str(), Some("10.10.0.5:34254"));
    assert_eq!(device["channel"].as_str(), Some("standard"));
}

/// Whether a text names a service's address for anything but its HTTP, which no relay carries.
fn names(text: &str, service: &ServiceSpec) -> bool {
    let address = service.address.to_string();
    let http = service
        .socket("http")
        .map(|socket| format!(":{}", socket.port()));
    let mut found = text
        .match_indices(&address)
        .map(|(at, _)| &text[at + address.len()..]);
    found.any(|rest| {
        let longer = rest.starts_with(|c: char| c.is_ascii_digit());
        !longer && !http.as_ref().is_some_and(|http| rest.starts_with(http))
    })
}

#[test]
fn with_relays_every_link_passes_the_relay() {
    let built_in = topology::BUILT_IN.iter();
    for (name, text) in built_in {
        let text = topology::with_relays(text);
        assert_eq!(topology::with_relays(&text), text);
        let specs = specs_of(&text, Subnet::DOCKER, &Paths::Container);
        let relay = config(&specs["relay"]);
        let links = relay["links"].as_array().unwrap();
        let listening = links.iter().map(|link| link["listen_address"].as_str());
        let listening: BTreeSet<_> = listening.collect();
        assert_eq!(listening.len(), links.len(), "{name}");
        for client in specs.values().filter(|spec| spec.name != "relay") {
            let texts = client.files.iter().map(|file| &file.text);
            for text in texts.chain(&client.args) {
                for server in specs.values().filter(|server| server.name != client.name) {
                    let forgotten = server.name != "relay" && names(text, server);
                    assert!(!forgotten, "{name}: {} dials {}", client.name, server.name);
                }
            }
            let names = links.iter().map(|link| link["name"].as_str().unwrap());
            let mut clients = names.map(|name| name.split_once(':').unwrap().0);
            let needs = client.needs.contains(&"relay".to_owned());
            assert_eq!(clients.any(|one| one == client.name), needs);
        }
    }
    let text = topology::with_relays(&topology::find("minimal").unwrap());
    let specs = specs_of(&text, Subnet::DOCKER, &Paths::Container);
    let relay = config(&specs["relay"]);
    let names = relay["links"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|link| link["name"].as_str().unwrap()).collect();
    let expected = [
        "mining-device:pool",
        "pool:template-provider",
        "pool:btc-node",
    ];
    assert_eq!(names, expected);
}

#[test]
fn both_backends_get_the_same_specs_but_for_addresses_and_paths() {
    let docker = minimal(Subnet::DOCKER, &Paths::Container);
    let directory = Paths::Directory(PathBuf::from("/state"));
    let process = minimal(Subnet::PROCESS, &directory);
    for (name, docker) in &docker {
        let process = &process[name];
        assert_eq!(docker.program, process.program);
        assert_eq!(docker.ports, process.ports);
        assert_eq!(docker.probe, process.probe);
        assert_eq!(docker.needs, process.needs);
        assert_eq!(docker.address.octets()[3], process.address.octets()[3]);
    }
}

#[test]
fn node_and_template_provider_share_the_socket() {
    for paths in [Paths::Container, Paths::Directory(PathBuf::from("/state"))] {
        let specs = minimal(Subnet::DOCKER, &paths);
        let shared = &specs["template-provider"].volumes[0];
        assert!(specs["btc-node"].volumes.contains(shared));
        let socket = config(&specs["template-provider"])["node"]["ipc_socket"].clone();
        let argument = format!("-ipcbind=unix:{}", socket.as_str().unwrap());
        assert!(specs["btc-node"].args.contains(&argument), "{argument}");
    }
}

#[test]
fn a_pool_records_in_a_volume_of_its_own() {
    for paths in [Paths::Container, Paths::Directory(PathBuf::from("/state"))] {
        let specs = minimal(Subnet::DOCKER, &paths);
        let [volume] = &specs["pool"].volumes[..] else {
            panic!("not one volume: {:?}", specs["pool"].volumes);
        };
        let directory = config(&specs["pool"])["ledger"]["directory"].clone();
        assert_eq!(directory.as_str(), volume.path.to_str());
        let others = specs.values().filter(|spec| spec.volumes.contains(volume));
        assert_eq!(others.count(), 1);
    }
}

#[test]
fn a_template_provider_by_rpc_shares_no_socket_and_the_node_opens_none() {
    let text = topology::find("minimal").unwrap();
    let by_rpc = text.replace("source = \"ipc\"", "source = \"rpc\"");
    assert_ne!(text, by_rpc);
    let specs = specs_of(&by_rpc, Subnet::DOCKER, &Paths::Container);
    let provider = &specs["template-provider"];
    assert!(provider.volumes.is_empty());
    let expected = toml::toml! {
        source = "rpc"
        rpc_address = "10.10.0.4:18443"
        rpc_user = "lab"
        rpc_password = "hunter2"
    };
    assert_eq!(config(provider)["node"].as_table(), Some(&expected));
    let node = &specs["btc-node"];
    assert_eq!(node.volumes.len(), 1);
    assert!(!node.args.iter().any(|argument| argument.contains("ipc")));

    // One that does needs the socket, whatever the others do.
    let second = "[services.second]\nkind = 'template-provider'\nhost = 20\n";
    let specs = specs_of(
        &format!("{by_rpc}{second}"),
        Subnet::DOCKER,
        &Paths::Container,
    );
    assert_eq!(specs["btc-node"].volumes.len(), 2);
    assert_eq!(specs["second"].volumes.len(), 1);
}

#[test]
fn the_node_listens_on_its_own_address_and_answers_the_lab_only() {
    let specs = minimal(Subnet::PROCESS, &Paths::Container);
    let conf = &specs["btc-node"].files[0].text;
    for line in [
        "rpcbind=127.10.0.4",
        "bind=127.10.0.4:18444",
        "rpcallowip=127.10.0.0/24",
        "rpcpassword=hunter2",
    ] {
        assert!(conf.lines().any(|found| found == line), "{line} in {conf}");
    }
}

#[test]
fn who_only_reads_asks_the_node_as_somebody_who_cannot_act() {
    let text = topology::find("full").unwrap();
    let quiet = text.replace("actions = true", "actions = false");
    assert_ne!(text, quiet);
    let specs = specs_of(&text, Subnet::DOCKER, &Paths::Container);
    let conf = &specs["btc-node"].files[0].text;
    let reader = secrets().rpc_reader_password();
    assert!(
        conf.contains("\nrpcauth=reader:") && !conf.contains(&reader),
        "{conf}"
    );
    for name in ["pool", "btc-explorer"] {
        let node = &config(&specs[name])["node"];
        assert_eq!(node["rpc_user"].as_str(), Some("reader"), "{name}");
        assert_eq!(node["rpc_password"].as_str(), Some(&reader[..]), "{name}");
    }
    assert!(!specs["pool"].files[0].text.contains("hunter2"));
    // What visitors may do, the explorer has to be able to do.
    let actions = &config(&specs["btc-explorer"])["actions"];
    assert_eq!(actions["rpc_password"].as_str(), Some("hunter2"));
    let specs = specs_of(&quiet, Subnet::DOCKER, &Paths::Container);
    let explorer = &specs["btc-explorer"].files[0].text;
    assert!(
        !explorer.contains("hunter2") && !explorer.contains("tprv"),
        "{explorer}"
    );
}

#[test]
fn the_explorer_is_titled_with_the_labs_name() {
    let text = topology::find("full").unwrap();
    let specs = specs_of(&text, Subnet::DOCKER, &Paths::Container);
    let explorer = config(&specs["btc-explorer"]);
    assert_eq!(explorer["lab_name"].as_str(), Some("the-lab"));
}

#[test]
fn no_secret_is_on_a_command_line_or_in_an_environment() {
    for spec in minimal(Subnet::DOCKER, &Paths::Container).values() {
        let visible = format!("{:?} {:?}", spec.args, spec.env);
        assert!(!visible.contains("hunter2") && !visible.contains("secret-key"));
    }
}

#[test]
fn pool_and_job_declarator_server_share_a_secret_and_whom_to_pay() {
    // JDS-31
    let minimal_text = topology::find("minimal").unwrap();
    let with_jds = format!("{minimal_text}\n[services.jds]\nkind = 'jds'\n");
    let specs = specs_of(&with_jds, Subnet::DOCKER, &Paths::Container);
    let (pool, jds) = (config(&specs["pool"]), config(&specs["jds"]));
    assert_eq!(jds["listen_address"].as_str(), Some("10.10.0.6:34264"));
    assert_eq!(jds["monitoring_address"].as_str(), Some("10.10.0.6:9093"));
    let secret = jds["job_declaration"]["secret"].as_str();
    assert_eq!(secret, Some("shared-secret"));
    for key in ["job_declaration", "coinbase_reward_script"] {
        assert_eq!(jds[key], pool[key], "{key}");
    }
    assert_eq!(specs["jds"].needs, ["btc-node"]);

    let alone = config(&minimal(Subnet::DOCKER, &Paths::Container)["pool"]);
    assert!(!alone.contains_key("job_declaration"));
}

/// The minimal topology with everything for declared jobs, and its miner behind the client.
fn declared(mode: &str) -> String {
    let minimal = topology::find("minimal").unwrap();
    let behind = minimal.replace("pool = \"pool\"", "pool = \"jdc\"");
    assert_ne!(minimal, behind);
    format!(
        "{behind}\n[services.jds]\nkind = 'jds'\n[services.jdc]\nkind = 'jdc'\nmode = '{mode}'\n"
    )
}

#[test]
fn a_job_declarator_client_stands_between_miner_and_pool() {
    let specs = specs_of(
        &declared("full-template"),
        Subnet::DOCKER,
        &Paths::Container,
    );
    let jdc = config(&specs["jdc"]);
    assert_eq!(jdc["listen_address"].as_str(), Some("10.10.0.2:34265"));
    assert_eq!(jdc["monitoring_address"].as_str(), Some("10.10.0.2:9091"));
    assert_eq!(jdc["mode"].as_str(), Some("full-template"));
    let upstream = &jdc["upstreams"][0];
    assert_eq!(upstream["pool_address"].as_str(), Some("10.10.0.5"));
    assert_eq!(upstream["pool_port"].as_integer(), Some(34254));
    assert_eq!(upstream["jds_address"].as_str(), Some("10.10.0.6"));
    assert_eq!(upstream["jds_port"].as_integer(), Some(34264));
    assert_eq!(specs["jdc"].needs, ["jds", "pool", "template-provider"]);
    let device = config(&specs["mining-device"]);
    assert_eq!(device["pool_address"].as_str(), Some("10.10.0.2:34265"));
    assert_eq!(specs["mining-device"].needs, ["jdc"]);
}

#[test]
fn a_solo_client_needs_nobody() {
    let specs = specs_of(&declared("solo"), Subnet::DOCKER, &Paths::Container);
    assert_eq!(specs["jdc"].needs, ["template-provider"]);
    assert_eq!(
        config(&specs["jdc"])["upstreams"].as_array().unwrap().len(),
        0
    );
}

/// A client of two nodes' lab that wants this of transactions.
fn choosing(wishes: &str) -> String {
    let node = "[services.second]\nkind = 'btc-node'\nhost = 40\n";
    format!("{}\n{node}", declared("full-template")).replace(
        "kind = 'jdc'\n",
        &format!("kind = 'jdc'\nnode = 'second'\n{wishes}\n"),
    )
}

#[test]
fn a_client_that_chooses_transactions_asks_its_node() {
    let txid = "11".repeat(32);
    let wishes = format!(
        "selection = {{ min_fee_rate = 2.5, pinned = ['{txid}'] }}\n\
         coinbase_outputs = [{{ script = 'raw(6a)' }}, {{ script = 'raw(51)', percent = 40 }}]"
    );
    let specs = specs_of(&choosing(&wishes), Subnet::DOCKER, &Paths::Container);
    let jdc = config(&specs["jdc"]);
    let selection = &jdc["selection"];
    assert_eq!(selection["min_fee_rate"].as_float(), Some(2.5));
    assert_eq!(selection["max_weight"].as_integer(), Some(4_000_000));
    assert_eq!(selection["pinned"][0].as_str(), Some(txid.as_str()));
    assert_eq!(selection["banned"].as_array().unwrap().len(), 0);
    assert_eq!(
        jdc["node"]["rpc_address"].as_str(),
        Some("10.10.0.40:18443")
    );
    let [first, second] = jdc["coinbase_outputs"].as_array().unwrap().as_slice() else {
        panic!("not two outputs");
    };
    assert_eq!(first["script"].as_str(), Some("raw(6a)"));
    assert_eq!(second["percent"].as_integer(), Some(40));
    let needs = ["jds", "pool", "second", "template-provider"];
    assert_eq!(specs["jdc"].needs, needs);
}

#[test]
fn a_client_that_wants_every_transaction_asks_no_node() {
    let specs = specs_of(&choosing(""), Subnet::DOCKER, &Paths::Container);
    let jdc = config(&specs["jdc"]);
    for key in ["selection", "node", "coinbase_outputs"] {
        assert!(!jdc.contains_key(key), "{key}");
    }
    assert!(!specs["jdc"].needs.contains(&"second".to_owned()));
}
