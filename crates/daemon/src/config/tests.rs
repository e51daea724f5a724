use std::io::Write;
use std::net::SocketAddr;

use super::*;

fn reader(text: &str, environment: &[(&str, &str)]) -> Reader {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Reader::load(Some(file.path()), "POOL", environment).unwrap()
}

#[test]
fn every_problem_is_reported_at_once_with_its_key() {
    let mut reader = reader(
        "listen_adress = \"1.2.3.4:5\"\nserver_id = \"seven\"\nshares_per_minute = 6\n[node]\nrpc = 1\n",
        &[],
    );
    let _: Option<SocketAddr> = reader.parsed("listen_address");
    let _: u8 = reader.required("server_id");
    let _: f32 = reader.required("shares_per_minute");
    let _: String = reader.required("pool_signature");
    let problems = reader.finish().unwrap_err();
    let lines = problems.lines();
    assert_eq!(lines[0], "listen_address: missing");
    assert!(
        lines[1].starts_with("server_id: \"seven\": invalid type"),
        "{}",
        lines[1]
    );
    assert_eq!(lines[2], "pool_signature: missing");
    assert!(lines.contains(&"listen_adress: unknown key; did you mean listen_address?".to_owned()));
    assert!(lines.contains(&"node.rpc: unknown key".to_owned()));
    assert_eq!(lines.len(), 5);
}

#[test]
fn the_environment_wins_over_the_file() {
    let mut reader = reader(
        "server_id = 1\n[template_provider]\naddress = \"a:1\"\n",
        &[
            ("POOL__SERVER_ID", "2"),
            ("POOL__TEMPLATE_PROVIDER__ADDRESS", "b:2"),
            ("PATH", "/bin"),
        ],
    );
    assert_eq!(reader.required::<u8>("server_id"), 2);
    assert_eq!(
        reader.required::<String>("template_provider.address"),
        "b:2"
    );
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn an_unknown_variable_is_an_unknown_key() {
    let reader = reader("", &[("POOL__SERVER_IT", "2")]);
    assert_eq!(
        reader.finish().unwrap_err().lines(),
        ["server_it: unknown key"]
    );
}

#[test]
fn broken_toml_names_file_and_place() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"a = 1\nb = [\n").unwrap();
    let problems = Reader::load(Some(file.path()), "POOL", std::iter::empty())
        .err()
        .unwrap();
    let text = problems.to_string();
    assert!(text.contains(&file.path().display().to_string()));
    assert!(text.contains("line 2") || text.contains("line 3"), "{text}");
}

#[test]
fn a_missing_file_names_the_remedy() {
    let missing = Path::new("/nonexistent/pool.toml");
    let problems = Reader::load(Some(missing), "POOL", std::iter::empty())
        .err()
        .unwrap();
    assert!(problems.to_string().contains("/nonexistent/pool.toml"));
    assert!(problems.to_string().contains("--config"));
}

#[test]
fn a_value_that_does_not_parse_is_shown() {
    let mut reader = reader("listen_address = \"nowhere\"\n", &[]);
    assert_eq!(reader.parsed::<SocketAddr>("listen_address"), None);
    let problems = reader.finish().unwrap_err();
    assert!(problems.lines()[0].starts_with("listen_address: \"nowhere\": "));
}
