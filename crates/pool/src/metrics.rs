//! The pool's metrics. Names and labels are those of SRI's monitoring where the same thing is meant;
//! unlike there, a total never falls as long as its series is there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ledger::{Totals, Verdict};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder,
    NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::stats::{Channel, Open, REASONS, Rates, Stats};

/// What is counted where it happens, because it happens seldom. Everything else is read from
/// [`Stats`] and the ledger when it is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    pub(crate) targets_changed: Counter,
}

impl Metrics {
    /// `max_series` channels have series of their own.
    pub(crate) fn register(
        registry: &mut Registry,
        stats: Arc<Stats>,
        totals: watch::Receiver<Arc<Totals>>,
        max_series: usize,
    ) -> Self {
        let metrics = Self::default();
        registry.register(
            "sv2_pool_targets_changed",
            "Targets changed by vardiff",
            metrics.targets_changed.clone(),
        );
        registry.register_collector(Box::new(Miners {
            stats,
            totals,
            max_series,
        }));
        metrics
    }
}

/// Writes what is known when it is asked for.
#[derive(Debug)]
struct Miners {
    stats: Arc<Stats>,
    totals: watch::Receiver<Arc<Totals>>,
    max_series: usize,
}

/// A channel and its labels.
#[derive(Debug)]
struct Series {
    client_id: String,
    channel_id: String,
    channel: Arc<Channel>,
}

impl Series {
    fn new(client_id: u64, channel: Arc<Channel>) -> Self {
        Self {
            client_id: client_id.to_string(),
            channel_id: channel.opening.channel_id.to_string(),
            channel,
        }
    }

    fn labels(&self) -> [(&'static str, &str); 3] {
        [
            ("client_id", &self.client_id),
            ("channel_id", &self.channel_id),
            ("user_identity", &self.channel.opening.user_identity),
        ]
    }

    fn labels_with<'a>(&'a self, error_code: &'a str) -> [(&'static str, &'a str); 4] {
        let [client, channel, user] = self.labels();
        [client, channel, user, ("error_code", error_code)]
    }
}

impl Collector for Miners {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        let clients = self.stats.clients();
        let series: Vec<_> = clients
            .iter()
            .flat_map(|client| client.channels().into_iter().map(|c| (client.id, c)))
            .take(self.max_series)
            .map(|(client_id, channel)| Series::new(client_id, channel))
            .collect();
        let mut open = Open::default();
        let mut rates = Rates::default();
        let now_ms = self.stats.now();
        for client in &clients {
            open += client.open();
            rates += client.shares.rates(now_ms);
        }
        families.of_clients(clients.len(), &open)?;
        families.of_channels(&series)?;
        families.of_pool(&Arc::clone(&self.totals.borrow()), rates)?;
        families.gauge(
            "sv2_pool_channels_without_series",
            "Open channels that are in the sums only",
            open.channels() - series.len().min(open.channels()),
        )
    }
}

/// Writes metrics and all their series.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn of_clients(&mut self, clients: usize, open: &Open) -> fmt::Result {
        self.gauge("sv2_clients_total", "Connected clients", clients)?;
        let types = [("extended", open.extended), ("standard", open.standard)];
        self.gauges(
            "sv2_client_channels",
            "Open channels",
            types.map(|(channel_type, count)| ([("channel_type", channel_type)], count)),
        )?;
        self.gauge(
            "sv2_client_hashrate_total",
            "Hashes a second that the open channels are believed to do",
            open.believed,
        )
    }

    /// Series that end with their channel.
    fn of_channels(&mut self, series: &[Series]) -> fmt::Result {
        self.gauges(
            "sv2_client_channel_hashrate",
            "Hashes a second that an open channel is believed to do",
            series
                .iter()
                .map(|of| (of.labels(), of.channel.terms().believed)),
        )?;
        self.counters(
            "sv2_client_shares_accepted",
            "Accepted shares of an open channel",
            series
                .iter()
                .map(|of| (of.labels(), of.channel.shares.sums().accepted)),
        )?;
        self.counters(
            "sv2_client_shares_rejected",
            "Rejected shares of an open channel",
            series.iter().flat_map(|of| {
                let sums = of.channel.shares.sums();
                let reasons: Vec<_> = sums.by_reason().collect();
                reasons
                    .into_iter()
                    .map(|(reason, count)| (of.labels_with(reason), count))
            }),
        )
    }

    /// What the pool has recorded since its ledger was begun, and does now.
    fn of_pool(&mut self, totals: &Totals, rates: Rates) -> fmt::Result {
        self.counter("sv2_client_blocks_found", "Blocks found", totals.blocks)?;
        let judged = |verdict| totals.verdicts.get(&verdict).copied().unwrap_or(0);
        self.counters(
            "sv2_pool_blocks_judged",
            "Blocks found, by what the node said of them",
            Verdict::ALL.map(|verdict| ([("verdict", verdict.name())], judged(verdict))),
        )?;
        let accepted = totals.accepted;
        self.counter("sv2_pool_shares_accepted", "Accepted shares", accepted)?;
        let mut rejected: BTreeMap<&str, u64> = REASONS.map(|reason| (reason, 0)).into();
        let recorded = totals.rejected.iter();
        rejected.extend(recorded.map(|(reason, count)| (&**reason, *count)));
        self.counters(
            "sv2_pool_shares_rejected",
            "Rejected shares",
            rejected
                .into_iter()
                .map(|(reason, count)| ([("error_code", reason)], count)),
        )?;
        self.counter(
            "sv2_pool_hashes",
            "Hashes that the accepted shares took on average",
            totals.hashes,
        )?;
        let windows = [("1m", rates.one_minute), ("10m", rates.ten_minutes)];
        self.gauges(
            "sv2_pool_hashrate",
            "Hashes a second of those connected, as their shares of the last minutes show them",
            windows.map(|(window, rate)| ([("window", window)], rate)),
        )
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeGaugeValue + Copy,
    ) -> fmt::Result {
        let mut family = self.family(name, help, MetricType::Gauge)?;
        family.encode_gauge(&value)
    }

    fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, MetricType::Gauge)?;
        for (labels, value) in series {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn counter(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeCounterValue + Copy,
    ) -> fmt::Result {
        let mut family = self.family(name, help, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, MetricType::Counter)?;
        for (labels, value) in series {
            let mut series = family.encode_family(&labels)?;
            series.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    /// The names of a counter's series end with `_total`.
    fn family<'a>(
        &'a mut self,
        name: &'a str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'a>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }
}

#[cfg(test)]
mod tests;
