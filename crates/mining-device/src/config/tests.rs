use std::io::Write;

use clap::Parser;
use daemon::config::Problems;

use super::*;

const KEY: &str = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

fn read(text: &str, arguments: &[&str]) -> Result<Config, Problems> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let line = Line::parse_from([&["mining-device"], arguments].concat());
    let mut reader = Reader::load(Some(file.path()), "MINING_DEVICE", std::iter::empty())?;
    let config = Config::read(&line.options, &mut reader);
    reader.finish()?;
    Ok(config.unwrap())
}

fn read_v2(text: &str, arguments: &[&str]) -> Result<StratumV2, Problems> {
    read(text, arguments).map(|config| match config.pool {
        Pool::V2(pool) => pool,
        Pool::V1(pool) => panic!("{pool:?}"),
    })
}

fn read_v1(arguments: &[&str]) -> Result<StratumV1, Problems> {
    read("", arguments).map(|config| match config.pool {
        Pool::V1(pool) => pool,
        Pool::V2(pool) => panic!("{pool:?}"),
    })
}

fn good() -> String {
    format!(
        "pool_address = \"127.0.0.1:34254\"\npool_public_key = \"{KEY}\"\nuser_identity = \"a\"\n"
    )
}

#[test]
fn a_device_with_a_standard_channel_requires_standard_jobs() {
    // DEV-02
    let config = read_v2(&good(), &[]).unwrap();
    assert_eq!(config.upstream.request.flags, REQUIRES_STANDARD_JOBS);
    assert_eq!(config.request.min_extranonce_size, None);
    let config = read_v2(&good(), &["--channel", "extended"]).unwrap();
    assert_eq!(config.upstream.request.flags, 0);
    assert_eq!(config.request.min_extranonce_size, Some(4));
}

#[test]
fn the_command_line_wins_and_zero_means_no_limit() {
    let text = format!(
        "{}threads = 2\nmax_hashrate = 0.0\nuntil_blocks = 7\n",
        good()
    );
    let config = read(&text, &["--threads", "3", "--until-blocks", "0"]).unwrap();
    assert_eq!(
        (
            config.speed.threads,
            config.speed.max_hashrate,
            config.until_blocks
        ),
        (3, None, None)
    );
    let config = read(&text, &["--max-hashrate", "1000"]).unwrap();
    assert_eq!(
        (config.speed.threads, config.speed.max_hashrate),
        (2, Some(1000.0))
    );
    assert_eq!(config.until_blocks, Some(7));
}

#[test]
fn the_hash_rate_is_measured_unless_it_is_declared() {
    // DEV-04
    let measured = |multiplier| Nominal::Measured { multiplier };
    assert_eq!(read_v2(&good(), &[]).unwrap().nominal, measured(1.0));
    let config = read_v2(&good(), &["--nominal-hashrate-multiplier", "1000"]);
    assert_eq!(config.unwrap().nominal, measured(1000.0));
    let config = read_v2(&good(), &["--nominal-hashrate", "5e12"]).unwrap();
    assert_eq!(config.nominal, Nominal::Declared);
    assert!((config.request.nominal_hash_rate / 5e12 - 1.0).abs() < 1e-6);
}

#[test]
fn a_device_needs_no_file_at_all() {
    let line = Line::parse_from([
        "mining-device",
        "--pool-address",
        "p:1",
        "--pool-public-key",
        KEY,
        "--user-identity",
        "u",
    ]);
    let mut reader = Reader::load(None, "MINING_DEVICE", std::iter::empty()).unwrap();
    assert!(Config::read(&line.options, &mut reader).is_some());
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn wrong_values_are_named() {
    let cases = [
        ("channel = \"both\"", "channel"),
        ("share_interval = -1.0", "share_interval"),
        ("nominal_hashrate = -5.0", "nominal_hashrate"),
        ("kernel = \"abacus\"", "kernel"),
        ("max_hashrate = -1.0", "max_hashrate"),
        ("channels = 0", "channels"),
        ("cpu_percent = 101", "cpu_percent"),
        (
            "nominal_hashrate_multiplier = 0.0",
            "nominal_hashrate_multiplier",
        ),
    ];
    for (line, key) in cases {
        let problems = read(&format!("{}{line}\n", good()), &[]).unwrap_err();
        assert!(problems.lines()[0].starts_with(key), "{problems}");
    }
}

#[test]
fn a_v1_server_is_named_the_way_minerd_names_it() {
    let arguments = [
        "-a",
        "sha256d",
        "-o",
        "stratum+tcp://pool.example:3333/",
        "-u",
        "account.worker",
        "-p",
        "d=1000",
        "-t",
        "2",
        "--retry-pause",
        "30",
    ];
    let pool = read_v1(&arguments).unwrap();
    assert_eq!(pool.address.to_string(), "pool.example:3333");
    assert_eq!(pool.identity.user, "account.worker");
    assert_eq!(pool.identity.password, "d=1000");
    assert_eq!(pool.retry_pause, Duration::from_secs(30));
    assert_eq!(read("", &arguments).unwrap().speed.threads, 2);
    let url = ["--url", "tcp://p:1", "-O", "me:secret:more", "-R", "7"];
    let pool = read_v1(&url).unwrap();
    assert_eq!(pool.retry_pause, Duration::from_secs(7));
    assert_eq!(
        (pool.identity.user, pool.identity.password),
        ("me".to_owned(), "secret:more".to_owned())
    );
    let pool = read_v1(&[
        "--sv1",
        "p:1",
        "--user",
        "me",
        "--suggest-difficulty",
        "0.5",
    ])
    .unwrap();
    assert_eq!(pool.identity.password, "x");
    assert_eq!(pool.identity.wanted_difficulty, Some(0.5));
}

#[test]
fn only_plain_tcp_is_spoken_to_v1_servers() {
    for url in [
        "stratum+ssl://p:1",
        "http://p:1",
        "p",
        "stratum+tcp://p",
        "",
    ] {
        let text = format!("sv1 = {url:?}\nuser_identity = \"a\"\n");
        let problems = read(&text, &[]).unwrap_err();
        assert_eq!(problems.lines().len(), 1, "{problems}");
        assert!(problems.lines()[0].contains("stratum+tcp://HOST:PORT"));
        assert_eq!(read("", &["--sv1", url, "-u", "a"]).unwrap_err(), problems);
    }
}

#[test]
fn what_belongs_to_the_other_protocol_is_refused() {
    let text = format!("{}sv1 = \"p:1\"\nchannel = \"standard\"\n", good());
    let problems = read(&text, &[]).unwrap_err();
    let keys = ["pool_address", "pool_public_key", "channel"];
    assert_eq!(problems.lines().len(), keys.len(), "{problems}");
    for (problem, key) in problems.lines().iter().zip(keys) {
        assert!(problem.starts_with(&format!("{key}: means nothing with sv1")));
    }
    let problems = read(&format!("{}password = \"x\"\n", good()), &[]).unwrap_err();
    assert_eq!(problems.lines().len(), 1, "{problems}");
    assert!(problems.lines()[0].starts_with("password: means nothing without sv1"));
    for line in [
        "retry_pause = -1.0",
        "suggest_difficulty = -1.0",
        "suggest_difficulty = nan",
    ] {
        let text = format!("sv1 = \"p:1\"\nuser_identity = \"a\"\n{line}\n");
        let problems = read(&text, &[]).unwrap_err();
        let key = line.split(' ').next().unwrap();
        assert!(problems.lines()[0].starts_with(key), "{problems}");
    }
}
