//! Threads that search headers, at the pace asked for.
//!
//! Every thread searches the headers of every channel in turn, in its own part of the nonces, so no
//! two ever try the same header and a channel that comes or goes changes nothing for the others.
//!
//! The threads share one small state behind a mutex with a condition variable, because they are
//! plain threads that must sleep without burning a core; the hot loop does not touch it. New work
//! is seen by a generation number that every thread looks at about once a millisecond.

mod pace;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use protocol::client::{Assignment, FoundShare};
use protocol::target::Target;
use tokio::sync::mpsc;

use crate::kernel::{Kernel, Search};
use crate::work::{Candidate, Headers};
use pace::{Pace, Step};

/// Nonces of the first slice; later ones take about [`SLICE_TIME`].
const FIRST_SLICE: u32 = 1 << 12;
const MAX_SLICE: u32 = 1 << 22;
/// How long a thread hashes before it looks up.
const SLICE_TIME: Duration = Duration::from_millis(1);

/// How fast to hash.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Threads.
    pub threads: usize,
    /// What hashes.
    pub kernel: Kernel,
    /// Hashes a second over all threads, at most.
    pub max_hashrate: Option<f64>,
    /// Of each thread's time, spent hashing; 1 to 100.
    pub cpu_percent: u8,
    /// From one share to the next, at least; zero for no rest.
    pub share_interval: Duration,
}

/// The threads. Dropping it ends them.
pub struct Hasher {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Changes whenever an assignment comes or goes.
    generation: AtomicU64,
    hashes: AtomicU64,
    /// A full queue means that nobody takes shares; further ones are dropped, hashing goes on.
    found: mpsc::Sender<FoundShare>,
}

struct State {
    /// What each channel mines.
    work: BTreeMap<u32, Arc<Assignment>>,
    pace: Pace,
    ended: bool,
}

impl Hasher {
    /// Starts the threads; they sleep until there is work. Shares go to `found`.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(speed: Speed, found: mpsc::Sender<FoundShare>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                work: BTreeMap::new(),
                pace: Pace::new(speed.max_hashrate, speed.share_interval),
                ended: false,
            }),
            changed: Condvar::new(),
            generation: AtomicU64::new(0),
            hashes: AtomicU64::new(0),
            found,
        });
        let mut threads = Vec::new();
        for nonces in split(speed.threads) {
            let worker = Worker {
                shared: Arc::clone(&shared),
                kernel: speed.kernel,
                cpu_percent: u32::from(speed.cpu_percent.clamp(1, 100)),
                nonces,
                slice: FIRST_SLICE,
                debt: Duration::ZERO,
            };
            let thread = std::thread::Builder::new()
                .name("hasher".into())
                .spawn(move || worker.run())?;
            threads.push(thread);
        }
        Ok(Self { shared, threads })
    }

    /// Replaces what a channel mines, at once.
    pub fn mine(&self, work: Arc<Assignment>) {
        self.change(|state| {
            let prev_hash = work.prev_hash;
            let before = state.work.insert(work.channel_id, work);
            if before.is_none_or(|before| before.prev_hash != prev_hash) {
                state.pace.new_tip();
            }
        });
    }

    /// Ends the work of a channel.
    pub fn rest(&self, channel_id: u32) {
        self.change(|state| drop(state.work.remove(&channel_id)));
    }

    /// Ends all work; the threads sleep.
    pub fn rest_all(&self) {
        self.change(|state| state.work.clear());
    }

    /// Changes the state so that no thread misses it: under the lock, or one about to wait would
    /// sleep on.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.shared.lock();
        change(&mut state);
        self.shared.generation.fetch_add(1, Relaxed);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Lets the next `count` shares through without rest.
    pub fn release(&self, count: u64) {
        self.shared.lock().pace.release(count);
        self.shared.changed.notify_all();
    }

    /// Has the next `blocks` blocks found without rest, as fast as the machine can.
    pub fn hurry(&self, blocks: u64) {
        self.shared.lock().pace.hurry(blocks);
        self.shared.changed.notify_all();
    }

    /// Headers hashed since the start.
    pub fn hashes(&self) -> u64 {
        self.shared.hashes.load(Relaxed)
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        self.change(|state| state.ended = true);
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to say.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher")
            .field("threads", &self.threads.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements, also after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Splits the nonces: first and last of each thread's part.
fn split(threads: usize) -> impl Iterator<Item = (u32, u32)> {
    let threads = threads.max(1) as u64;
    let bound = move |part: u64| (part << 32) / threads;
    (0..threads).map(move |part| (bound(part) as u32, (bound(part + 1) - 1) as u32))
}

struct Worker {
    shared: Arc<Shared>,
    kernel: Kernel,
    cpu_percent: u32,
    /// First and last nonce.
    nonces: (u32, u32),
    slice: u32,
    /// Rest owed to the processor.
    debt: Duration,
}

/// Where a thread is in the headers of one assignment. It is kept when other channels' work
/// changes: starting anew would find the same shares again.
struct Lane {
    headers: Headers,
    current: Option<(Candidate, Search)>,
    next: u32,
}

impl Lane {
    fn new(work: Arc<Assignment>) -> Self {
        Self {
            headers: Headers::new(work),
            current: None,
            next: 0,
        }
    }

    fn is_for(&self, work: &Arc<Assignment>) -> bool {
        Arc::ptr_eq(self.headers.assignment(), work)
    }
}

impl Worker {
    fn run(mut self) {
        let mut lanes: Vec<Lane> = Vec::new();
        while let Some((generation, work)) = self.wait_for_work() {
            lanes.retain(|lane| work.iter().any(|work| lane.is_for(work)));
            for work in work {
                if !lanes.iter().any(|lane| lane.is_for(&work)) {
                    lanes.push(Lane::new(work));
                }
            }
            while self.shared.generation.load(Relaxed) == generation {
                let mut idle = true;
                for lane in &mut lanes {
                    idle &= !self.advance(generation, lane);
                }
                if idle {
                    // Nothing to try until the clock moves on.
                    self.sleep(generation, Duration::from_millis(50));
                }
            }
        }
    }

    /// Hashes one slice; whether there was anything to hash.
    fn advance(&mut self, generation: u64, lane: &mut Lane) -> bool {
        let (first, last) = self.nonces;
        if lane.current.is_none() {
            let Some(candidate) = lane.headers.next(daemon::clock::now()) else {
                return false;
            };
            let target = lane.headers.assignment().target;
            let search = Search::new(&candidate.header, target);
            lane.current = Some((candidate, search));
            lane.next = first;
        }
        let Some((candidate, search)) = &lane.current else {
            return false;
        };
        let Some(count) = self.permission(generation) else {
            return true;
        };
        let count = count.min((last - lane.next).saturating_add(1));
        let began = Instant::now();
        let scan = self.kernel.scan(search, lane.next, count);
        let took = began.elapsed();
        self.shared
            .hashes
            .fetch_add(u64::from(scan.hashed), Relaxed);
        if scan.hashed < count {
            self.shared.lock().pace.give_back(count - scan.hashed);
        }
        if let Some(nonce) = scan.found {
            let share = candidate.share(lane.headers.assignment(), nonce);
            self.found(&lane.headers, share);
        } else {
            self.adapt(took, scan.hashed);
        }
        match lane.next.checked_add(scan.hashed) {
            Some(next) if next <= last => lane.next = next,
            _ => lane.current = None,
        }
        self.pay(generation, took);
        true
    }

    /// Gives the processor its rest, in pieces that are worth going to sleep for.
    fn pay(&mut self, generation: u64, took: Duration) {
        self.debt += took * (100 - self.cpu_percent) / self.cpu_percent;
        if self.debt > Duration::from_millis(5) {
            let rest = std::mem::take(&mut self.debt);
            self.sleep(generation, rest);
        }
    }

    /// Waits until the pace allows a slice; `None` when there is other work.
    fn permission(&self, generation: u64) -> Option<u32> {
        let mut state = self.shared.lock();
        loop {
            if self.shared.generation.load(Relaxed) != generation {
                return None;
            }
            match state.pace.step(Instant::now(), self.slice) {
                Step::Hash(count) => return Some(count),
                Step::Rest(time) => {
                    let wait = self.shared.changed.wait_timeout(state, time);
                    state = wait.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    fn found(&self, headers: &Headers, share: FoundShare) {
        let assignment = headers.assignment();
        let mut state = self.shared.lock();
        // A job that was superseded while this slice was hashed is good until the tip changes
        // (SV2 5.3.17).
        let newest = state.work.get(&assignment.channel_id);
        if newest.is_none_or(|newest| newest.prev_hash != assignment.prev_hash) {
            return;
        }
        let block = Target::from_compact(assignment.n_bits);
        let is_block = Target::from_le_bytes(share.hash) <= block;
        if state.pace.found(Instant::now(), is_block) {
            // Under the lock, or it could follow shares of work that has replaced its own. A full
            // queue: nobody takes shares now.
            let _ = self.shared.found.try_send(share);
        }
    }

    fn wait_for_work(&self) -> Option<(u64, Vec<Arc<Assignment>>)> {
        let mut state = self.shared.lock();
        loop {
            if state.ended {
                return None;
            }
            if !state.work.is_empty() {
                let work = state.work.values().map(Arc::clone).collect();
                return Some((self.shared.generation.load(Relaxed), work));
            }
            let woken = self.shared.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn sleep(&self, generation: u64, time: Duration) {
        let state = self.shared.lock();
        if self.shared.generation.load(Relaxed) == generation {
            drop(self.shared.changed.wait_timeout(state, time));
        }
    }

    /// Makes slices last about [`SLICE_TIME`].
    fn adapt(&mut self, took: Duration, hashed: u32) {
        if took < SLICE_TIME / 2 && hashed >= self.slice {
            self.slice = (self.slice * 2).min(MAX_SLICE);
        } else if took > SLICE_TIME * 2 {
            self.slice = (self.slice / 2).max(FIRST_SLICE / 16);
        }
    }
}

#[cfg(test)]
mod tests;
