//! One link: what it is asked to do with what passes, and what has passed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use daemon::clock;
use daemon::http::Feed;
use protocol::frame::{FrameHeader, HEADER_LEN};
use rand::Rng;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::config::Settings;
use crate::fault::Fault;
use crate::fields::{self, Fields};
use crate::rule::{Direction, Rule};
use crate::timeline::{Fate, LinkEvent, Seen, Timeline};

/// Faults and rules that a link has at most.
const MAX_ORDERS: usize = 64;

/// Something that a link was asked to do, and until when.
#[derive(Debug, Clone, PartialEq)]
struct Order<T> {
    what: T,
    /// For ever, or until it is healed, when there is none.
    until: Option<Instant>,
}

impl<T> Order<T> {
    fn is_due(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// All that a link was asked to do. What is over is left out when it is looked at, so that nobody
/// has to be there to end it.
#[derive(Debug, Clone, Default)]
struct Orders {
    faults: Vec<Order<Fault>>,
    rules: Vec<Order<Rule>>,
}

impl Orders {
    fn forget_what_is_over(&mut self, now: Instant) {
        self.faults.retain(|order| order.is_due(now));
        self.rules.retain(|order| order.is_due(now));
    }

    fn faults(&self, now: Instant) -> impl Iterator<Item = &Order<Fault>> {
        self.faults.iter().filter(move |order| order.is_due(now))
    }

    /// Until when nothing passes: `None` when it does, `Some(None)` for no end known.
    fn partition(&self, now: Instant) -> Option<Option<Instant>> {
        self.faults(now)
            .find(|order| order.what == Fault::Partition)
            .map(|order| order.until)
    }

    /// Takes the rule for a message, if there is one; the first counts.
    fn take_rule(
        &mut self,
        layout: &fields::Layout,
        direction: Direction,
        now: Instant,
    ) -> Option<Rule> {
        let is_it =
            |order: &Order<Rule>| order.is_due(now) && order.what.is_about(layout, direction);
        let at = self.rules.iter().position(is_it)?;
        let rule = self.rules[at].what.clone();
        if let Some(times) = &mut self.rules[at].what.times {
            *times -= 1;
            if *times == 0 {
                self.rules.remove(at);
            }
        }
        Some(rule)
    }
}

/// One link. Its connections read what to do, HTTP changes it.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) settings: Settings,
    orders: watch::Sender<Orders>,
    timeline: Timeline,
    feed: Feed<LinkEvent>,
    connections: AtomicU64,
    open: AtomicU64,
    bytes: [AtomicU64; 2],
}

/// A link as it is now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LineShown {
    #[serde(flatten)]
    settings: Settings,
    /// Connections that are open.
    connections: u64,
    /// Connections there were.
    connections_total: u64,
    /// Messages there were; none on a link of bytes.
    messages_total: u64,
    /// Bytes from the client to the server.
    bytes_up_total: u64,
    /// Bytes from the server to the client.
    bytes_down_total: u64,
    faults: Vec<OrderShown<Fault>>,
    rules: Vec<OrderShown<Rule>>,
}

/// What a link was asked to do.
#[derive(Debug, Serialize, ToSchema)]
struct OrderShown<T> {
    #[serde(flatten)]
    what: T,
    /// Milliseconds until it is over by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_ms: Option<u64>,
}

impl<T: Clone> OrderShown<T> {
    fn of(order: &Order<T>, now: Instant) -> Self {
        let left = |until: Instant| until.saturating_duration_since(now).as_millis();
        Self {
            what: order.what.clone(),
            remaining_ms: order.until.map(|until| left(until) as u64),
        }
    }
}

/// Too much was asked of a link.
#[derive(Debug, thiserror::Error)]
#[error("a link has {MAX_ORDERS} faults and rules at most; heal it first")]
pub(crate) struct TooMany;

impl Line {
    pub(crate) fn new(settings: Settings, feed: Feed<LinkEvent>) -> Self {
        Self {
            settings,
            orders: watch::Sender::default(),
            timeline: Timeline::default(),
            feed,
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
            bytes: Default::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(crate) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Counts a connection, and gives it its number.
    pub(crate) fn opened(&self) -> u64 {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Disturbs what passes from now on, for this long or until it is healed.
    pub(crate) fn disturb(&self, fault: Fault, lasts: Option<Duration>) -> Result<(), TooMany> {
        self.order(lasts, |orders, until| {
            orders.faults.retain(|order| !order.what.is_like(&fault));
            orders.faults.push(Order { what: fault, until });
        })
    }

    /// Drops or changes messages from now on, for this long or until it is healed.
    pub(crate) fn rule(&self, rule: Rule, lasts: Option<Duration>) -> Result<(), TooMany> {
        self.order(lasts, |orders, until| {
            orders.rules.push(Order { what: rule, until });
        })
    }

    fn order(
        &self,
        lasts: Option<Duration>,
        change: impl FnOnce(&mut Orders, Option<Instant>),
    ) -> Result<(), TooMany> {
        let now = Instant::now();
        let until = lasts.and_then(|lasts| now.checked_add(lasts));
        let mut result = Ok(());
        self.orders.send_modify(|orders| {
            orders.forget_what_is_over(now);
            if orders.faults.len() + orders.rules.len() == MAX_ORDERS {
                result = Err(TooMany);
            } else {
                change(orders, until);
            }
        });
        result
    }

    /// Lets everything pass as it comes.
    pub(crate) fn heal(&self) {
        self.orders.send_replace(Orders::default());
    }

    /// Waits while nothing passes.
    pub(crate) async fn passable(&self) {
        let mut orders = self.orders.subscribe();
        loop {
            let partition = orders.borrow_and_update().partition(Instant::now());
            let Some(until) = partition else { return };
            let over = clock::until(until.map(Instant::into_std));
            tokio::select! {
                () = over => {}
                changed = orders.changed() => if changed.is_err() { return },
            }
        }
    }

    /// How much later something arrives that comes now.
    pub(crate) fn holds_back(&self, chance: &mut impl Rng) -> Duration {
        let orders = self.orders.borrow();
        let faults = orders.faults(Instant::now());
        faults.map(|order| order.what.holds_back(chance)).sum()
    }

    /// Counts bytes that go on.
    pub(crate) fn count(&self, direction: Direction, bytes: usize) {
        self.bytes[direction as usize].fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Shows a frame that came, and says what goes on of it: nothing if it is dropped.
    pub(crate) fn examine(
        &self,
        connection: u64,
        direction: Direction,
        frame: Vec<u8>,
    ) -> Option<Vec<u8>> {
        let (head, payload) = frame.split_first_chunk::<HEADER_LEN>()?;
        let mut header = FrameHeader::from_bytes(*head);
        let layout = fields::layout(header.extension, header.msg_type);
        let rule = layout.and_then(|layout| self.rule_for(layout, direction));
        let (fate, rewritten) = match (&rule, layout) {
            (Some(rule), _) if rule.set.is_empty() => (Fate::Dropped, None),
            (Some(rule), Some(layout)) => match rule.rewrite(layout, payload) {
                Some(payload) => (Fate::Rewritten, Some(payload)),
                None => (Fate::Passed, None),
            },
            _ => (Fate::Passed, None),
        };
        let goes_on = rewritten.as_deref().unwrap_or(payload);
        header.len = goes_on.len();
        let seen = self.timeline.add(|number| Seen {
            number,
            time_ms: clock::unix_ms(),
            link: self.name().to_owned(),
            connection,
            direction,
            message: layout.map_or("unknown", |layout| layout.name),
            extension: header.extension,
            msg_type: header.msg_type,
            bytes: goes_on.len(),
            fate,
            fields: layout.map_or(Fields(Vec::new()), |layout| layout.read(goes_on)),
        });
        self.feed.tell(|| LinkEvent::Message(seen));
        match (fate, rewritten) {
            (Fate::Dropped, _) => None,
            (_, Some(payload)) => Some([header.to_bytes().to_vec(), payload].concat()),
            (_, None) => Some(frame),
        }
    }

    fn rule_for(&self, layout: &fields::Layout, direction: Direction) -> Option<Rule> {
        // Nearly always there is none, and nothing is changed.
        if self.orders.borrow().rules.is_empty() {
            return None;
        }
        let mut taken = None;
        self.orders
            .send_modify(|orders| taken = orders.take_rule(layout, direction, Instant::now()));
        taken
    }

    /// As it is now.
    pub(crate) fn shown(&self) -> LineShown {
        let now = Instant::now();
        let orders = self.orders.borrow();
        let rules = orders.rules.iter().filter(|order| order.is_due(now));
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LineShown {
            settings: self.settings.clone(),
            connections: load(&self.open),
            connections_total: load(&self.connections),
            messages_total: self.timeline.count(),
            bytes_up_total: load(&self.bytes[Direction::Up as usize]),
            bytes_down_total: load(&self.bytes[Direction::Down as usize]),
            faults: orders
                .faults(now)
                .map(|order| OrderShown::of(order, now))
                .collect(),
            rules: rules.map(|order| OrderShown::of(order, now)).collect(),
        }
    }

    /// Bytes that went on, messages, and open connections.
    pub(crate) fn counts(&self) -> (u64, u64, u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [up, down] = &self.bytes;
        (
            load(up),
            load(down),
            self.timeline.count(),
            load(&self.open),
        )
    }
}

#[cfg(test)]
mod tests {
    use protocol::message::{self, mining};
    use serde_json::json;

    use super::*;
    use crate::config::Protocol;

    fn line() -> Line {
        let settings = Settings {
            name: "mining-device:pool".to_owned(),
            listen_address: "127.0.0.1:1".parse().unwrap(),
            server_address: "127.0.0.1:2".parse().unwrap(),
            protocol: Protocol::Sv2,
        };
        Line::new(settings, Feed::default())
    }

    fn share(nonce: u32) -> Vec<u8> {
        let mut frame = Vec::new();
        let share = mining::SubmitSharesStandard {
            channel_id: 1,
            sequence_number: 2,
            job_id: 3,
            nonce,
            ntime: 5,
            version: 6,
        };
        message::encode(
            message::MiningOwned::SubmitSharesStandard(share),
            &mut frame,
        );
        frame
    }

    fn rule(value: serde_json::Value) -> Rule {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_rule_that_counts_is_over_when_it_has_counted() {
        let line = line();
        let drop = rule(json!({ "message": "SubmitSharesStandard", "times": 2 }));
        line.rule(drop, None).unwrap();
        let gone: Vec<_> = (0..4)
            .map(|nonce| line.examine(1, Direction::Up, share(nonce)).is_none())
            .collect();
        assert_eq!(gone, [true, true, false, false]);
        assert_eq!(line.timeline().count(), 4);
    }

    #[test]
    fn a_rewritten_message_is_what_its_sender_could_have_sent() {
        let line = line();
        let set = json!({ "nonce": 9 });
        line.rule(
            rule(json!({ "message": "SubmitSharesStandard", "set": set })),
            None,
        )
        .unwrap();
        assert_eq!(line.examine(1, Direction::Up, share(4)), Some(share(9)));
        let part = line.timeline().part(Default::default());
        assert_eq!(part.items[0].fate, Fate::Rewritten);
        assert_eq!(part.items[0].fields.get("nonce"), Some(&json!(9)));
    }

    #[test]
    fn unknown_messages_pass_as_they_are() {
        let line = line();
        let frame = vec![0x34, 0x12, 0x77, 1, 0, 0, 0xff];
        assert_eq!(line.examine(1, Direction::Down, frame.clone()), Some(frame));
        let part = line.timeline().part(Default::default());
        assert_eq!(part.items[0].message, "unknown");
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_ends_by_itself() {
        let line = line();
        let began = Instant::now();
        let lasts = Duration::from_secs(30);
        line.disturb(Fault::Partition, Some(lasts)).unwrap();
        line.passable().await;
        assert_eq!(began.elapsed(), lasts);
        assert!(line.shown().faults.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn healing_ends_a_partition_at_once() {
        let line = std::sync::Arc::new(line());
        line.disturb(Fault::Partition, None).unwrap();
        let began = Instant::now();
        let waits = line.passable();
        let heals = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            line.heal();
        };
        tokio::join!(waits, heals);
        assert_eq!(began.elapsed(), Duration::from_secs(1));
    }

    #[test]
    fn a_new_fault_takes_the_place_of_one_of_its_kind() {
        let line = line();
        let delay = |delay_ms| Fault::Delay {
            delay_ms,
            jitter_ms: 0,
        };
        for delay_ms in [10, 20] {
            line.disturb(delay(delay_ms), None).unwrap();
        }
        let held = line.holds_back(&mut rand::thread_rng());
        assert_eq!(held, Duration::from_millis(20));
    }

    #[test]
    fn what_is_asked_of_a_link_has_an_end() {
        let line = line();
        let drop = || rule(json!({ "message": "SetTarget" }));
        for _ in 0..MAX_ORDERS {
            line.rule(drop(), None).unwrap();
        }
        assert!(line.rule(drop(), None).is_err());
        line.heal();
        assert!(line.rule(drop(), None).is_ok());
    }
}
