use std::io::Write;

use daemon::config::Problems;
use protocol::keys::AuthorityKey;

use super::*;

fn read(text: &str) -> Result<Config, Problems> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut reader =
        Reader::load(Some(file.path()), "TEMPLATE_PROVIDER", std::iter::empty()).unwrap();
    let config = Config::read(&mut reader);
    reader.finish()?;
    Ok(config.unwrap())
}

fn keys() -> String {
    let key = AuthorityKey::generate(&mut rand::thread_rng());
    let (public, secret) = (key.public_text(), key.secret_text());
    format!("authority_public_key = \"{public}\"\nauthority_secret_key = \"{secret}\"\n")
}

fn addresses() -> &'static str {
    "listen_address = \"127.0.0.1:8442\"\nmonitoring_address = \"127.0.0.1:9094\"\n"
}

#[test]
fn least_configuration_has_defaults_for_the_rest() {
    let text = format!(
        "{}{}[node]\nipc_socket = \"/run/node.sock\"\n",
        addresses(),
        keys()
    );
    let config = read(&text).unwrap();
    assert_eq!(config.listen.address.port(), 8442);
    let NodeAccess::Ipc(access) = config.node else {
        panic!("{config:?}");
    };
    assert_eq!(access.socket, PathBuf::from("/run/node.sock"));
    assert!(access.empty_first);
    let refresh = Refresh {
        fee_threshold: Some(1_000),
        min_interval: Duration::from_secs(5),
    };
    assert_eq!(config.refresh, refresh);
    assert_eq!(config.listen.cert_validity, Duration::from_secs(3_600));
}

#[test]
fn every_problem_is_named_at_once() {
    let problems = read(
        "listen_address = \"here\"\nauthority_secret_key = \"abc\"\nfee_threshold = 0\n\
         cert_validity_sec = 0\nmin_intervall = 5\n",
    )
    .unwrap_err();
    for key in [
        "listen_address",
        "monitoring_address: missing",
        "authority_public_key: missing",
        "authority_secret_key",
        "fee_threshold",
        "cert_validity_sec",
        "node.ipc_socket: missing",
        "min_intervall: unknown key",
    ] {
        assert!(
            problems.lines().iter().any(|line| line.starts_with(key)),
            "{key}: {problems}"
        );
    }
    assert_eq!(problems.lines().len(), 8, "{problems}");
}

#[test]
fn keys_that_are_no_pair_are_refused() {
    let other = AuthorityKey::generate(&mut rand::thread_rng()).public_text();
    let text = format!(
        "{}{}[node]\nipc_socket = \"/run/node.sock\"\n",
        addresses(),
        keys()
    );
    let mut lines: Vec<&str> = text.lines().collect();
    let foreign = format!("authority_public_key = \"{other}\"");
    lines[2] = &foreign;
    let problems = read(&lines.join("\n")).unwrap_err();
    assert!(
        problems.lines()[0].starts_with("authority_public_key"),
        "{problems}"
    );
}

#[test]
fn path_too_long_for_a_socket_is_refused() {
    let socket = |length: usize| format!("[node]\nipc_socket = \"/{}\"\n", "a".repeat(length - 1));
    let text = |length| format!("{}{}{}", addresses(), keys(), socket(length));
    assert!(read(&text(107)).is_ok());
    let problems = read(&text(108)).unwrap_err();
    assert!(problems.lines()[0].contains("107"), "{problems}");
}

#[track_caller]
fn check_node(section: &str, expected: &[&str]) {
    let read = read(&format!("{}{}[node]\n{section}", addresses(), keys()));
    let lines = read
        .err()
        .map_or(Vec::new(), |problems| problems.lines().to_vec());
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
}

#[test]
fn source_rpc_wants_address_and_credentials_and_nothing_of_ipc() {
    let address = "source = \"rpc\"\nrpc_address = \"127.0.0.1:18443\"\n";
    let credentials = "rpc_user = \"lab\"\nrpc_password = \"secret\"\n";
    check_node(&format!("{address}{credentials}"), &[]);
    check_node(
        "source = \"rpc\"\nipc_socket = \"/run/node.sock\"\nempty_first = true\n",
        &[
            "node.ipc_socket: only for node.source = \"ipc\"",
            "node.empty_first: only for node.source = \"ipc\"",
            "node.rpc_address: missing",
            "node.rpc_user: missing",
            "node.rpc_password: missing",
        ],
    );
    for wrong in ["localhost", ":18443", "127.0.0.1:rpc", "127.0.0.1:70000"] {
        let section = format!("source = \"rpc\"\nrpc_address = \"{wrong}\"\n{credentials}");
        check_node(&section, &["node.rpc_address: "]);
    }
}

#[test]
fn source_ipc_wants_a_socket_and_nothing_of_rpc() {
    for source in ["", "source = \"ipc\"\n"] {
        check_node(&format!("{source}ipc_socket = \"/run/node.sock\"\n"), &[]);
        check_node(
            &format!("{source}rpc_address = \"127.0.0.1:18443\"\nrpc_user = \"lab\"\n"),
            &[
                "node.rpc_address: only for node.source = \"rpc\"",
                "node.rpc_user: only for node.source = \"rpc\"",
                "node.ipc_socket: missing",
            ],
        );
    }
}

#[test]
fn source_of_another_name_is_the_only_problem_of_its_section() {
    let section = "source = \"zmq\"\nipc_socket = \"/run/node.sock\"\nempty_first = false\n\
                   rpc_user = \"lab\"\n";
    check_node(section, &["node.source: \"zmq\""]);
}

#[test]
fn password_stays_out_of_what_is_logged() {
    let section = "[node]\nsource = \"rpc\"\nrpc_address = \"127.0.0.1:18443\"\n\
                   rpc_user = \"lab\"\nrpc_password = \"hidden\"\n";
    let config = read(&format!("{}{}{section}", addresses(), keys())).unwrap();
    assert!(!format!("{config:?}").contains("hidden"));
}
