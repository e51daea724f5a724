//! The device's configuration: file, environment, and the command line, which wins.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use daemon::config::Reader;
use daemon::dial::{HostPort, Upstream};
use protocol::client::ChannelRequest;
use protocol::message::common::Protocol;
use protocol::setup::REQUIRES_STANDARD_JOBS;
use protocol::target::Target;
use sv1::client::Identity;

use crate::hasher::Speed;
use crate::kernel::Kernel;

/// How long to wait at most before a lost Stratum V1 server is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Channels one device may open on its connection.
const MAX_CHANNELS: usize = 1000;

/// What can be said on the command line; each option is the configuration key of the same name.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Mine for this Stratum V1 server instead, as stratum+tcp://HOST:PORT.
    #[arg(long, short = 'o', visible_alias = "url", value_name = "URL")]
    sv1: Option<String>,
    /// The pool, as HOST:PORT.
    #[arg(long, value_name = "HOST:PORT")]
    pool_address: Option<String>,
    /// The pool's authority key.
    #[arg(long, value_name = "KEY")]
    pool_public_key: Option<String>,
    /// Whom the shares are for.
    #[arg(long, short = 'u', visible_alias = "user", value_name = "NAME")]
    user_identity: Option<String>,
    /// The password, with Stratum V1; some servers read wishes from it, such as d=1000.
    #[arg(long, short = 'p', visible_alias = "pass", value_name = "TEXT")]
    password: Option<String>,
    /// User and password in one, as USER:PASSWORD.
    #[arg(long, short = 'O', value_name = "USER:PASS", conflicts_with_all = ["user_identity", "password"])]
    userpass: Option<String>,
    /// The difficulty to suggest to a Stratum V1 server; 0 suggests none.
    #[arg(long, value_name = "DIFFICULTY")]
    suggest_difficulty: Option<f64>,
    /// The longest pause between attempts to reach a Stratum V1 server.
    #[arg(long, short = 'R', value_name = "SECONDS")]
    retry_pause: Option<f64>,
    /// What is hashed; there is only one.
    #[arg(long, short = 'a', visible_alias = "algo", value_parser = ["sha256d"])]
    algorithm: Option<String>,
    /// `standard` or `extended`.
    #[arg(long, value_name = "KIND")]
    channel: Option<String>,
    /// Channels to open on the one connection; with Stratum V1, connections.
    #[arg(long, value_name = "N")]
    channels: Option<u32>,
    /// Hashes a second to declare to the pool, for each channel; 0 means to measure it.
    #[arg(long, value_name = "H/S")]
    nominal_hashrate: Option<f64>,
    /// Declare this many times the measured hash rate; to see how a pool copes with it.
    #[arg(long, value_name = "FACTOR")]
    nominal_hashrate_multiplier: Option<f64>,
    /// Spend at most this much of each thread's time hashing, in percent.
    #[arg(long, value_name = "1-100")]
    cpu_percent: Option<u8>,
    /// Hashing threads; 0 means one per core.
    #[arg(long, short = 't', value_name = "N")]
    threads: Option<u32>,
    /// Hash at most this many times a second; 0 means as fast as possible.
    #[arg(long, value_name = "H/S")]
    max_hashrate: Option<f64>,
    /// Rest until this many seconds have passed since the last share; 0 means never.
    #[arg(long, value_name = "SECONDS")]
    share_interval: Option<f64>,
    /// Stop after this many accepted blocks; 0 means never.
    #[arg(long, value_name = "N")]
    until_blocks: Option<u64>,
    /// Stop after this many accepted shares; 0 means never.
    #[arg(long, value_name = "N")]
    until_shares: Option<u64>,
    /// Write the JSON report here too; it always goes to standard output at the end.
    #[arg(long, value_name = "FILE")]
    report_file: Option<PathBuf>,
    /// Hash with this kernel instead of the fastest the machine has.
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
}

impl Options {
    /// Makes what was said win over file and environment.
    fn apply(&self, reader: &mut Reader) {
        let mut set = |key: &str, value: Option<toml::Value>| {
            if let Some(value) = value {
                reader.set(key, value);
            }
        };
        let text = |value: &Option<String>| value.clone().map(Into::into);
        set("sv1", text(&self.sv1));
        let (user, password) = match self.userpass.as_deref().map(|both| both.split_once(':')) {
            Some(Some((user, password))) => (Some(user.to_owned()), Some(password.to_owned())),
            Some(None) => (self.userpass.clone(), None),
            None => (self.user_identity.clone(), self.password.clone()),
        };
        set("user_identity", text(&user));
        set("password", text(&password));
        set(
            "suggest_difficulty",
            self.suggest_difficulty.map(Into::into),
        );
        set("retry_pause", self.retry_pause.map(Into::into));
        set("pool_address", text(&self.pool_address));
        set("pool_public_key", text(&self.pool_public_key));
        set("channel", text(&self.channel));
        set("kernel", text(&self.kernel));
        set("threads", self.threads.map(|count| i64::from(count).into()));
        let count = |value: Option<u32>| value.map(|value| i64::from(value).into());
        set("channels", count(self.channels));
        set("cpu_percent", count(self.cpu_percent.map(u32::from)));
        set("nominal_hashrate", self.nominal_hashrate.map(Into::into));
        let factor = self.nominal_hashrate_multiplier;
        set("nominal_hashrate_multiplier", factor.map(Into::into));
        let shares = self.until_shares;
        set("until_shares", shares.map(|count| (count as i64).into()));
        set("max_hashrate", self.max_hashrate.map(Into::into));
        let blocks = self.until_blocks;
        set("until_blocks", blocks.map(|count| (count as i64).into()));
        set("share_interval", self.share_interval.map(Into::into));
        let path = self.report_file.as_ref();
        set(
            "report_file",
            path.map(|path| path.display().to_string().into()),
        );
    }
}

/// What the device is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whom it mines for.
    pub pool: Pool,
    /// Channels to open; with Stratum V1, connections.
    pub channels: usize,
    /// How fast to hash.
    pub speed: Speed,
    /// Stop after so many accepted blocks.
    pub until_blocks: Option<u64>,
    /// Stop after so many accepted shares.
    pub until_shares: Option<u64>,
    /// Where health and metrics are served, if anywhere.
    pub monitoring_address: Option<SocketAddr>,
    /// Where the report is written besides standard output.
    pub report_file: Option<PathBuf>,
}

/// Whom a device mines for, and in which protocol.
#[derive(Debug, Clone)]
pub enum Pool {
    /// A Stratum V2 pool or job declarator client.
    V2(StratumV2),
    /// A Stratum V1 server.
    V1(StratumV1),
}

/// A Stratum V2 pool, and what to ask of it.
#[derive(Debug, Clone)]
pub struct StratumV2 {
    /// The pool and the flags to set up with.
    pub upstream: Upstream,
    /// The channel to open; its hash rate is for [`Nominal::Declared`] only.
    pub request: ChannelRequest,
    /// Where the hash rate told to the pool comes from.
    pub nominal: Nominal,
}

/// A Stratum V1 server, and who it is told the miner is.
#[derive(Debug, Clone, PartialEq)]
pub struct StratumV1 {
    /// Where it listens.
    pub address: HostPort,
    /// User, password, program.
    pub identity: Identity,
    /// The longest pause between attempts to reach it.
    pub retry_pause: Duration,
}

/// The address of a Stratum V1 server as miners write it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Url(HostPort);

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "expected stratum+tcp://HOST:PORT";
        let address = match text.split_once("://") {
            Some(("stratum+tcp" | "tcp", address)) => address,
            Some((scheme, _)) => return Err(format!("{wanted}; {scheme} is not spoken")),
            None => text,
        };
        let address = address.strip_suffix('/').unwrap_or(address).parse();
        address.map(Self).map_err(|_| wanted.to_owned())
    }
}

/// Where the hash rate that is told to the pool comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Nominal {
    /// The configuration.
    Declared,
    /// A measurement at the start.
    Measured {
        /// What it is multiplied with.
        multiplier: f64,
    },
}

impl Config {
    /// Takes everything out of `reader`; `None` when a problem was noted.
    pub(crate) fn read(options: &Options, reader: &mut Reader) -> Option<Self> {
        options.apply(reader);
        let pool = if reader.has("sv1") {
            read_v1(reader).map(Pool::V1)
        } else {
            read_v2(reader).map(Pool::V2)
        };
        let threads = match reader.or("threads", 0) {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let kernel = reader.has("kernel").then(|| reader.parsed("kernel"));
        let max_hashrate: f64 = reader.or("max_hashrate", 0.0);
        if !(max_hashrate.is_finite() && max_hashrate >= 0.0) {
            reader.problem("max_hashrate", format!("{max_hashrate}: must be 0 or more"));
        }
        let share_interval = reader.or("share_interval", 0.0);
        let share_interval = Duration::try_from_secs_f64(share_interval).unwrap_or_else(|error| {
            reader.problem("share_interval", format!("{share_interval}: {error}"));
            Duration::ZERO
        });
        let channels: usize = reader.or("channels", 1);
        if !(1..=MAX_CHANNELS).contains(&channels) {
            let what = format!("{channels}: must be between 1 and {MAX_CHANNELS}");
            reader.problem("channels", what);
        }
        let cpu_percent: u8 = reader.or("cpu_percent", 100);
        if !(1..=100).contains(&cpu_percent) {
            let what = format!("{cpu_percent}: must be between 1 and 100");
            reader.problem("cpu_percent", what);
        }
        let until_shares: u64 = reader.or("until_shares", 0);
        let until_blocks: u64 = reader.or("until_blocks", 0);
        let monitoring_address = reader.optional("monitoring_address");
        let report_file: Option<String> = reader.optional("report_file");
        Some(Self {
            pool: pool?,
            channels,
            speed: Speed {
                threads,
                kernel: match kernel {
                    Some(named) => named?,
                    None => Kernel::best(),
                },
                max_hashrate: (max_hashrate > 0.0).then_some(max_hashrate),
                cpu_percent,
                share_interval,
            },
            until_blocks: (until_blocks > 0).then_some(until_blocks),
            until_shares: (until_shares > 0).then_some(until_shares),
            monitoring_address,
            report_file: report_file.map(PathBuf::from),
        })
    }
}

fn read_v1(reader: &mut Reader) -> Option<StratumV1> {
    let url: Option<Url> = reader.parsed("sv1");
    let user = reader.required("user_identity");
    let password = reader.or("password", "x".to_owned());
    let wanted_difficulty: f64 = reader.or("suggest_difficulty", 0.0);
    if !(wanted_difficulty.is_finite() && wanted_difficulty >= 0.0) {
        let what = format!("{wanted_difficulty}: must be 0 or more");
        reader.problem("suggest_difficulty", what);
    }
    let retry_pause = reader.or("retry_pause", RETRY_PAUSE.as_secs_f64());
    let retry_pause = Duration::try_from_secs_f64(retry_pause).unwrap_or_else(|error| {
        reader.problem("retry_pause", format!("{retry_pause}: {error}"));
        RETRY_PAUSE
    });
    refuse(
        reader,
        &V2_ONLY,
        "means nothing with sv1, which is set as well",
    );
    Some(StratumV1 {
        address: url?.0,
        identity: Identity {
            user,
            password,
            agent: concat!("mining-device/", env!("CARGO_PKG_VERSION")).to_owned(),
            wanted_difficulty: (wanted_difficulty > 0.0).then_some(wanted_difficulty),
        },
        retry_pause,
    })
}

fn read_v2(reader: &mut Reader) -> Option<StratumV2> {
    let request = read_request(reader);
    let upstream = read_upstream(reader, request.as_ref());
    let nominal = read_nominal(reader, request.as_ref());
    refuse(
        reader,
        &V1_ONLY,
        "means nothing without sv1, which is not set",
    );
    Some(StratumV2 {
        upstream: upstream?,
        request: request?,
        nominal,
    })
}

/// Keys that only Stratum V1 knows.
const V1_ONLY: [&str; 3] = ["password", "suggest_difficulty", "retry_pause"];
/// Keys that only Stratum V2 knows.
const V2_ONLY: [&str; 6] = [
    "pool_address",
    "pool_public_key",
    "channel",
    "device_id",
    "nominal_hashrate",
    "nominal_hashrate_multiplier",
];

/// Who sets one of these expects something of it.
fn refuse(reader: &mut Reader, keys: &[&str], why: &str) {
    for key in keys {
        if reader.has(key) {
            let _ = reader.or(key, toml::Value::Boolean(false));
            reader.problem(key, why);
        }
    }
}

fn read_request(reader: &mut Reader) -> Option<ChannelRequest> {
    let user_identity = reader.required("user_identity");
    let nominal_hash_rate: f32 = reader.or("nominal_hashrate", 0.0);
    if !(nominal_hash_rate.is_finite() && nominal_hash_rate >= 0.0) {
        let what = format!("{nominal_hash_rate}: must be 0 or more");
        reader.problem("nominal_hashrate", what);
    }
    let kind = reader.or("channel", "standard".to_owned());
    let min_extranonce_size = match kind.as_str() {
        "standard" => None,
        "extended" => Some(4),
        other => {
            let what = format!("{other:?}: must be \"standard\" or \"extended\"");
            reader.problem("channel", what);
            return None;
        }
    };
    Some(ChannelRequest {
        user_identity,
        nominal_hash_rate,
        max_target: Target::MAX,
        min_extranonce_size,
    })
}

fn read_nominal(reader: &mut Reader, request: Option<&ChannelRequest>) -> Nominal {
    let multiplier: f64 = reader.or("nominal_hashrate_multiplier", 1.0);
    if !(multiplier.is_finite() && multiplier > 0.0) {
        let what = format!("{multiplier}: must be above 0");
        reader.problem("nominal_hashrate_multiplier", what);
    }
    match request {
        Some(request) if request.nominal_hash_rate > 0.0 => Nominal::Declared,
        _ => Nominal::Measured { multiplier },
    }
}

fn read_upstream(reader: &mut Reader, request: Option<&ChannelRequest>) -> Option<Upstream> {
    let address = reader.parsed("pool_address");
    let authority = reader.parsed("pool_public_key");
    let device_id = reader.or("device_id", String::new());
    let protocol = Protocol::MiningProtocol;
    let mut upstream = Upstream::new(address?, authority?, protocol, "mining-device");
    upstream.request.device_id = device_id;
    // SV2 5.2.1: a device with a standard channel hashes headers only.
    if request?.min_extranonce_size.is_none() {
        upstream.request.flags = REQUIRES_STANDARD_JOBS;
    }
    Some(upstream)
}

#[cfg(test)]
mod tests;
