//! What one connection is held to while it is driven.

use std::time::{Duration, Instant};

use super::Ended;
use crate::accept::{Limit, Limits, Reached};

/// Sealed bytes a client may leave unread before nothing more is read from it. Whoever does not
/// take its answers asks for no more, so that their queue grows by what the role says unasked only.
const ANSWERS_FIRST: usize = 64 * 1024;

/// Frames handed to a core before other connections have their turn.
pub(crate) const TURN: usize = 64;

/// The limits of one connection, and where it is counted when it reaches one.
#[derive(Debug)]
pub(crate) struct Bounds {
    pub(crate) rate: Rate,
    /// While more sealed bytes than these are unread, nothing is read.
    pub(crate) answers_first: usize,
    pub(crate) max_unread: usize,
    pub(crate) stall: Duration,
    reached: Reached,
}

impl Bounds {
    /// For a client.
    pub(crate) fn of_client(limits: &Limits, reached: Reached) -> Self {
        Self {
            rate: Rate::new(limits.max_messages_per_second),
            answers_first: ANSWERS_FIRST,
            max_unread: limits.max_unread,
            stall: limits.stall,
            reached,
        }
    }

    /// For a server we have chosen ourselves. It is always listened to: if both sides waited for
    /// the other to read first, both would wait for ever.
    pub(crate) fn of_server() -> Self {
        let limits = Limits {
            max_messages_per_second: 0,
            ..Limits::default()
        };
        Self {
            answers_first: usize::MAX,
            ..Self::of_client(&limits, Reached::default())
        }
    }

    /// A message of so many bytes arrived.
    pub(crate) fn received(&mut self, now: Instant, len: usize) {
        self.rate.take(now, len);
        if self.rate.closed_until(now).is_some() {
            self.reached.count(Limit::Messages);
        }
    }

    /// A limit was reached that only the loop sees.
    pub(crate) fn reached(&self, limit: Limit) {
        self.reached.count(limit);
    }

    /// The connection is over.
    pub(crate) fn ended(&self, ended: &Ended) {
        match ended {
            Ended::Frame(error) => self.reached.frame(error),
            Ended::Slow { .. } => self.reached.count(Limit::UnreadBytes),
            Ended::Stalled { .. } => self.reached.count(Limit::UnreadTime),
            Ended::ByUs(_) | Ended::ByPeer | Ended::Io(_) | Ended::Stopping => {}
        }
    }
}

/// So many messages a second. A second's worth may come at once.
#[derive(Debug)]
pub(crate) struct Rate {
    /// What one message takes of the peer's time; zero for no limit.
    each: Duration,
    /// Until when the peer has used up its time.
    spent: Option<Instant>,
}

/// How far ahead of time the peer may be.
const BURST: Duration = Duration::from_secs(1);
/// Bytes that cost about as much to decrypt as a short message costs in all. Otherwise a few long
/// ones would keep a processor busy within the limit.
const LONG: usize = 1024;

impl Rate {
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            each: BURST.checked_div(per_second).unwrap_or_default(),
            spent: None,
        }
    }

    /// When the peer may go on, if it has to wait.
    pub(crate) fn closed_until(&self, now: Instant) -> Option<Instant> {
        let open = self.spent?.checked_sub(BURST)?;
        (open > now).then_some(open)
    }

    /// One message; a long one counts as several.
    pub(crate) fn take(&mut self, now: Instant, len: usize) {
        if !self.each.is_zero() {
            let spent = self.spent.map_or(now, |spent| spent.max(now));
            self.spent = Some(spent + self.each * (1 + len / LONG) as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many messages get through at `now`, of 100,000.
    fn through(rate: &mut Rate, now: Instant) -> usize {
        let admitted = |_: &usize| {
            let open = rate.closed_until(now).is_none();
            if open {
                rate.take(now, 24);
            }
            open
        };
        (0..100_000).take_while(admitted).count()
    }

    #[test]
    fn a_second_s_worth_comes_at_once_and_then_as_many_as_time_allows() {
        let (mut rate, began) = (Rate::new(10), Instant::now());
        // The one that goes over the limit is the last.
        assert_eq!(through(&mut rate, began), 11);
        assert_eq!(through(&mut rate, began), 0);
        let wait = rate.closed_until(began).unwrap() - began;
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(through(&mut rate, began + wait), 1);
        assert_eq!(through(&mut rate, began + Duration::from_secs(1)), 9);
        // What was not said in an hour cannot be said at once.
        assert_eq!(through(&mut rate, began + Duration::from_secs(3600)), 11);
    }

    #[test]
    fn who_keeps_to_the_limit_never_waits() {
        let (mut rate, began) = (Rate::new(10), Instant::now());
        for tenths in 0..10_000 {
            let now = began + Duration::from_millis(100) * tenths;
            assert_eq!(rate.closed_until(now), None);
            rate.take(now, 24);
        }
    }

    #[test]
    fn a_long_message_counts_as_several() {
        let (mut rate, began) = (Rate::new(10), Instant::now());
        rate.take(began, 8 * LONG);
        assert_eq!(through(&mut rate, began), 2);
    }

    #[test]
    fn no_limit_is_no_limit() {
        assert_eq!(through(&mut Rate::new(0), Instant::now()), 100_000);
    }
}
