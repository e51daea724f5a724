//! The device's configuration: file, environment, and the command line, which wins.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use daemon::config::Reader;
use daemon::dial::Upstream;
use protocol::client::ChannelRequest;
use protocol::message::common::Protocol;
use protocol::setup::REQUIRES_STANDARD_JOBS;

use crate::hasher::Speed;
use crate::kernel::Kernel;

/// Channels one device may open on its connection.
const MAX_CHANNELS: usize = 1000;

/// What can be said on the command line; each option is the configuration key of the same name.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The pool, as HOST:PORT.
    #[arg(long, value_name = "HOST:PORT")]
    pool_address: Option<String>,
    /// The pool's authority key.
    #[arg(long, value_name = "KEY")]
    pool_public_key: Option<String>,
    /// Whom the shares are for.
    #[arg(long, value_name = "NAME")]
    user_identity: Option<String>,
    /// `standard` or `extended`.
    #[arg(long, value_name = "KIND")]
    channel: Option<String>,
    /// Channels to open on the one connection.
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
    #[arg(long, value_name = "N")]
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
        set("pool_address", text(&self.pool_address));
        set("pool_public_key", text(&self.pool_public_key));
        set("user_identity", text(&self.user_identity));
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
    /// The pool and the flags to set up with.
    pub upstream: Upstream,
    /// The channel to open; its hash rate is for [`Nominal::Declared`] only.
    pub request: ChannelRequest,
    /// Channels to open.
    pub channels: usize,
    /// Where the hash rate told to the pool comes from.
    pub nominal: Nominal,
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
        let request = read_request(reader);
        let upstream = read_upstream(reader, request.as_ref());
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
        let nominal = read_nominal(reader, request.as_ref());
        let until_shares: u64 = reader.or("until_shares", 0);
        let until_blocks: u64 = reader.or("until_blocks", 0);
        let monitoring_address = reader.optional("monitoring_address");
        let report_file: Option<String> = reader.optional("report_file");
        Some(Self {
            upstream: upstream?,
            request: request?,
            channels,
            nominal,
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
