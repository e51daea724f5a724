//! The explorer's metrics, read from what it shows when they are asked for.

use daemon::http::Feed;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::event::Event;
use crate::node::Reach;
use crate::view::App;

pub(crate) fn register(registry: &mut Registry, app: &App) {
    registry.register_collector(Box::new(Seen(app.clone())));
}

struct Seen(App);

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seen").finish_non_exhaustive()
    }
}

impl Collector for Seen {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let app = &self.0;
        let (blocks, height, stale) = {
            let chain = app.chain.borrow();
            let height = chain.tip().map_or(0, |tip| tip.height);
            (chain.len(), height, chain.stale().count())
        };
        let is_current = app.follow.borrow().reach == Reach::Current;
        let mempool = app.conditions.borrow().mempool.info.size;
        let mut services = (0_i64, 0_i64);
        app.board.each(|service| {
            services.0 += 1;
            services.1 += i64::from(service.state.name() == "ready");
        });
        let feed: &Feed<Event> = &app.feed;
        for (name, help, value) in [
            (
                "explorer_tip_height",
                "Height of the tip shown",
                i64::from(height),
            ),
            (
                "explorer_node_current",
                "1 while the node's tip is shown",
                i64::from(is_current),
            ),
            ("explorer_blocks", "Blocks held", blocks as i64),
            (
                "explorer_stale_blocks",
                "Blocks held that are not in the chain",
                stale as i64,
            ),
            (
                "explorer_mempool_transactions",
                "Waiting transactions",
                mempool as i64,
            ),
            ("explorer_services", "Services configured", services.0),
            (
                "explorer_services_ready",
                "Services that are ready",
                services.1,
            ),
            (
                "explorer_listened_to",
                "1 while anybody listens to events",
                i64::from(feed.is_heard()),
            ),
        ] {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}
