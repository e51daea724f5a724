//! The device's metrics, read from its account when they are asked for.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::stats::Stats;

pub(crate) fn register(registry: &mut Registry, stats: watch::Receiver<Stats>) {
    registry.register_collector(Box::new(Account(stats)));
}

#[derive(Debug)]
struct Account(watch::Receiver<Stats>);

impl Collector for Account {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let stats = self.0.borrow().clone();
        let rejected: u64 = stats.shares_rejected.values().sum();
        let counters = [
            ("sv2_device_hashes", "Headers hashed", stats.hashes),
            (
                "sv2_device_connections",
                "Connections set up",
                stats.connections,
            ),
            (
                "sv2_device_shares_submitted",
                "Shares sent",
                stats.shares_submitted,
            ),
            (
                "sv2_device_shares_accepted",
                "Shares accepted",
                stats.shares_accepted,
            ),
            ("sv2_device_shares_rejected", "Shares rejected", rejected),
            (
                "sv2_device_blocks_accepted",
                "Accepted shares that are blocks",
                stats.blocks_accepted,
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        let gauge = ConstGauge::new(stats.hashrate);
        let name = "sv2_device_hashrate";
        let metric =
            encoder.encode_descriptor(name, "Hashes a second", None, gauge.metric_type())?;
        gauge.encode(metric)
    }
}
