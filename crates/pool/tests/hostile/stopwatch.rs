//! How long shares wait for their acknowledgement, second by second.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Of all miners of one pool.
pub(super) struct Stopwatch {
    began: Instant,
    seconds: Mutex<Vec<Second>>,
}

/// The shares that were sent in it.
#[derive(Default)]
struct Second {
    /// Not acknowledged yet.
    waiting: usize,
    /// What the others waited at most.
    latest: Duration,
}

/// One share on its way.
pub(super) struct Running {
    second: usize,
    sent: Instant,
}

impl Stopwatch {
    pub(super) fn new(began: Instant) -> Self {
        Self {
            began,
            seconds: Mutex::default(),
        }
    }

    /// A share is sent.
    pub(super) fn start(&self) -> Running {
        let sent = Instant::now();
        let second = (sent - self.began).as_secs() as usize;
        let mut seconds = self.seconds.lock().unwrap();
        if seconds.len() <= second {
            seconds.resize_with(second + 1, Second::default);
        }
        seconds[second].waiting += 1;
        Running { second, sent }
    }

    /// It is acknowledged.
    pub(super) fn stop(&self, running: &Running) {
        let waited = running.sent.elapsed();
        let mut seconds = self.seconds.lock().unwrap();
        let second = &mut seconds[running.second];
        second.waiting -= 1;
        second.latest = second.latest.max(waited);
    }

    /// How long the latest share of each second waited, up to the first second of which not all
    /// shares are sent and acknowledged.
    pub(super) fn latest(&self) -> Vec<Duration> {
        let over = self.began.elapsed().as_secs() as usize;
        let seconds = self.seconds.lock().unwrap();
        let mut latest: Vec<_> = seconds
            .iter()
            .take_while(|second| second.waiting == 0)
            .map(|second| second.latest)
            .collect();
        latest.truncate(over);
        latest
    }
}
