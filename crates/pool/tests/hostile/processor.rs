//! How much of the processors a program gets of what it asks for.

use std::fs;
use std::time::{Duration, Instant};

/// Nanoseconds that all threads of a program ran, and that they waited for a processor.
#[derive(Clone, Copy, Default)]
struct Times {
    ran: u64,
    waited: u64,
}

impl Times {
    /// Nothing where the kernel does not count it.
    fn of(pid: u32) -> Self {
        let threads = fs::read_dir(format!("/proc/{pid}/task"));
        let threads = threads.into_iter().flatten().flatten();
        let each = threads.filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            let mut numbers = text.split_whitespace().map(str::parse);
            let (ran, waited) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
            Some(Self { ran, waited })
        });
        each.fold(Self::default(), |sum, one| Self {
            ran: sum.ran + one.ran,
            waited: sum.waited + one.waited,
        })
    }

    /// The part of what was asked for that was granted since `before`.
    fn granted_since(self, before: Self) -> f64 {
        let ran = self.ran.saturating_sub(before.ran) as f64;
        let waited = self.waited.saturating_sub(before.waited) as f64;
        if ran > 0.0 { ran / (ran + waited) } else { 1.0 }
    }
}

/// One program, watched second by second.
pub(super) struct Processor {
    pid: u32,
    began: Instant,
    before: Times,
    granted: Vec<f64>,
}

impl Processor {
    pub(super) fn watch(pid: u32, began: Instant) -> Self {
        Self {
            pid,
            began,
            before: Times::of(pid),
            granted: Vec::new(),
        }
    }

    /// The part that was granted in each second so far. To be asked several times a second.
    pub(super) fn granted(&mut self) -> &[f64] {
        let over = self.began.elapsed().as_secs() as usize;
        if self.granted.len() < over {
            let now = Times::of(self.pid);
            self.granted.resize(over, now.granted_since(self.before));
            self.before = now;
        }
        &self.granted
    }
}

/// The least that is believed: what is late is not to be excused without end.
const LEAST: f64 = 0.05;

/// What takes so long with a processor of one's own, where this part of it is granted.
pub(super) fn stretched(time: Duration, granted: f64) -> Duration {
    time.div_f64(granted.max(LEAST))
}
