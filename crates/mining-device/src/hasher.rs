//! Threads that search headers, at the pace asked for.
//!
//! The threads share one small state behind a mutex with a condition variable, because they are
//! plain threads that must sleep without burning a core; the hot loop does not touch it. New work
//! is seen by a generation number that every thread looks at about once a millisecond.

mod pace;

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
    /// Changes with every new assignment.
    generation: AtomicU64,
    hashes: AtomicU64,
    /// A full queue means that nobody takes shares; further ones are dropped, hashing goes on.
    found: mpsc::Sender<FoundShare>,
}

struct State {
    work: Option<Arc<Assignment>>,
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
                work: None,
                pace: Pace::new(speed.max_hashrate, speed.share_interval),
                ended: false,
            }),
            changed: Condvar::new(),
            generation: AtomicU64::new(0),
            hashes: AtomicU64::new(0),
            found,
        });
        let mut threads = Vec::new();
        for (start, end) in split(speed.threads) {
            let worker = Worker {
                shared: Arc::clone(&shared),
                kernel: speed.kernel,
                nonces: (start, end),
                slice: FIRST_SLICE,
            };
            let thread = std::thread::Builder::new()
                .name("hasher".into())
                .spawn(move || worker.run())?;
            threads.push(thread);
        }
        Ok(Self { shared, threads })
    }

    /// Replaces what is searched, at once; `None` lets the threads sleep.
    pub fn set_work(&self, work: Option<Arc<Assignment>>) {
        let mut state = self.shared.lock();
        state.work = work;
        state.pace.new_work();
        self.shared.generation.fetch_add(1, Relaxed);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Lets the next `count` shares through without rest.
    pub fn release(&self, count: u64) {
        self.shared.lock().pace.release(count);
        self.shared.changed.notify_all();
    }

    /// Headers hashed since the start.
    pub fn hashes(&self) -> u64 {
        self.shared.hashes.load(Relaxed)
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ended = true;
        // Under the lock, or a thread about to wait would miss it and sleep on.
        self.shared.generation.fetch_add(1, Relaxed);
        drop(state);
        self.shared.changed.notify_all();
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
    /// First and last nonce.
    nonces: (u32, u32),
    slice: u32,
}

impl Worker {
    fn run(mut self) {
        while let Some((generation, work)) = self.wait_for_work() {
            let target = work.target;
            let mut headers = Headers::new(work);
            while self.shared.generation.load(Relaxed) == generation {
                match headers.next(daemon::clock::now()) {
                    Some(candidate) => {
                        let search = Search::new(&candidate.header, target);
                        self.search(generation, &headers, &candidate, &search);
                    }
                    // Nothing to try until the clock moves on.
                    None => self.sleep(generation, Duration::from_millis(50)),
                }
            }
        }
    }

    /// Tries every nonce of this thread's part, or until there is other work.
    fn search(
        &mut self,
        generation: u64,
        headers: &Headers,
        candidate: &Candidate,
        search: &Search,
    ) {
        let (mut next, last) = self.nonces;
        loop {
            let Some(count) = self.permission(generation) else {
                return;
            };
            let count = count.min((last - next).saturating_add(1));
            let began = Instant::now();
            let scan = self.kernel.scan(search, next, count);
            self.shared
                .hashes
                .fetch_add(u64::from(scan.hashed), Relaxed);
            if let Some(nonce) = scan.found {
                self.found(
                    generation,
                    headers,
                    candidate.share(headers.assignment(), nonce),
                );
            } else {
                self.adapt(began.elapsed(), scan.hashed);
            }
            match next.checked_add(scan.hashed) {
                Some(after) if after <= last && scan.hashed > 0 => next = after,
                _ => return,
            }
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

    fn found(&self, generation: u64, headers: &Headers, share: FoundShare) {
        let mut state = self.shared.lock();
        // Another thread may have found one first, or the job may be over.
        if self.shared.generation.load(Relaxed) != generation {
            return;
        }
        let block = Target::from_compact(headers.assignment().n_bits);
        let is_block = Target::from_le_bytes(share.hash) <= block;
        if state.pace.found(Instant::now(), is_block) {
            drop(state);
            let _ = self.shared.found.try_send(share);
        }
    }

    fn wait_for_work(&self) -> Option<(u64, Arc<Assignment>)> {
        let mut state = self.shared.lock();
        loop {
            if state.ended {
                return None;
            }
            if let Some(work) = &state.work {
                return Some((self.shared.generation.load(Relaxed), Arc::clone(work)));
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
