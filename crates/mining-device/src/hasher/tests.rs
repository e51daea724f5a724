use protocol::client::MerkleSource;
use protocol::server::VERSION_ROLLING_MASK;

use super::*;

fn speed(threads: usize) -> Speed {
    Speed {
        threads,
        kernel: Kernel::best(),
        max_hashrate: None,
        cpu_percent: 100,
        share_interval: Duration::ZERO,
    }
}

/// A job on a tip of its own.
fn assignment(job_id: u32, target: Target) -> Arc<Assignment> {
    on_tip(job_id as u8, 2, job_id, target)
}

fn on_channel(channel_id: u32, job_id: u32, target: Target) -> Arc<Assignment> {
    on_tip(1, channel_id, job_id, target)
}

fn on_tip(tip: u8, channel_id: u32, job_id: u32, target: Target) -> Arc<Assignment> {
    Arc::new(Assignment {
        channel_id,
        job_id,
        prev_hash: [tip; 32],
        n_bits: 0x207f_ffff,
        min_ntime: 1000,
        version: 0x2000_0000,
        version_mask: VERSION_ROLLING_MASK,
        merkle: MerkleSource::Root([7; 32]),
        target,
        received: daemon::clock::now(),
    })
}

fn receive(found: &mut mpsc::Receiver<FoundShare>) -> FoundShare {
    found.blocking_recv().unwrap()
}

#[test]
fn nonces_are_split_without_gap_or_overlap() {
    for threads in [1, 2, 3, 7, 64] {
        let parts: Vec<(u32, u32)> = split(threads).collect();
        assert_eq!(parts.len(), threads);
        assert_eq!((parts[0].0, parts[threads - 1].1), (0, u32::MAX));
        for pair in parts.windows(2) {
            assert_eq!(pair[0].1 + 1, pair[1].0);
        }
    }
}

#[test]
fn shares_meet_the_target_and_new_work_replaces_the_old() {
    // DEV-10, 13
    let (sender, mut found) = mpsc::channel(16);
    let hasher = Hasher::start(speed(2), sender).unwrap();
    let target = Target::one_in(500.0).unwrap();
    hasher.mine(assignment(1, target));
    for _ in 0..20 {
        let share = receive(&mut found);
        assert_eq!(share.job_id, 1);
        assert!(Target::from_le_bytes(share.hash) <= target);
    }
    hasher.mine(assignment(2, target));
    // What was queued before may still come; then nothing of the old job.
    while receive(&mut found).job_id == 1 {}
    for _ in 0..20 {
        assert_eq!(receive(&mut found).job_id, 2);
    }
    assert!(hasher.hashes() > 0);
}

#[test]
fn without_work_nothing_is_hashed() {
    // DEV-09
    let (sender, mut found) = mpsc::channel(16);
    let hasher = Hasher::start(speed(2), sender).unwrap();
    hasher.mine(assignment(1, Target::one_in(100.0).unwrap()));
    receive(&mut found);
    hasher.rest(2);
    // A slice may be under way; when the threads are gone nothing can follow it.
    drop(hasher);
    while found.blocking_recv().is_some() {}
}

#[test]
fn released_shares_come_one_per_tip() {
    let (sender, mut found) = mpsc::channel(16);
    let paced = Speed {
        share_interval: Duration::from_secs(3600),
        ..speed(2)
    };
    let hasher = Hasher::start(paced, sender).unwrap();
    let easy = Target::one_in(100.0).unwrap();
    hasher.mine(assignment(1, easy));
    assert_eq!(receive(&mut found).job_id, 1);
    hasher.release(2);
    for job_id in [2, 3] {
        hasher.mine(assignment(job_id, easy));
        assert_eq!(receive(&mut found).job_id, job_id);
    }
    // Another job on that tip is not worth another block; the next tip's is one too many.
    hasher.mine(on_tip(3, 2, 4, easy));
    hasher.mine(assignment(5, easy));
    drop(hasher);
    assert_eq!(found.blocking_recv(), None);
}

#[test]
fn ending_wakes_every_thread_whatever_it_waits_for() {
    for round in 0..2000 {
        let (sender, _found) = mpsc::channel(1);
        let paced = Speed {
            share_interval: Duration::from_secs(3600),
            kernel: Kernel::Portable,
            ..speed(1)
        };
        let hasher = Hasher::start(paced, sender).unwrap();
        if round % 2 == 0 {
            hasher.mine(assignment(1, Target::MAX));
        }
        drop(hasher);
    }
}

#[test]
fn channels_are_mined_side_by_side_and_none_starts_anew_because_of_another() {
    // DEV-30
    let (sender, mut found) = mpsc::channel(16);
    let hasher = Hasher::start(speed(2), sender).unwrap();
    let target = Target::one_in(2000.0).unwrap();
    for channel_id in [2, 3, 4] {
        hasher.mine(on_channel(channel_id, 1, target));
    }
    let mut seen = std::collections::HashSet::new();
    let mut per_channel = BTreeMap::<u32, u32>::new();
    for round in 0..300 {
        let share = receive(&mut found);
        *per_channel.entry(share.channel_id).or_default() += 1;
        let key = (share.channel_id, share.version, share.ntime, share.nonce);
        assert!(seen.insert((share.job_id, key)), "found twice: {share:?}");
        if round % 20 == 0 {
            hasher.mine(on_channel(4, 2 + round, target));
        }
    }
    assert_eq!(per_channel.len(), 3);
    hasher.rest_all();
}

#[test]
fn a_share_of_the_processor_is_left_to_others() {
    let (sender, _found) = mpsc::channel(1);
    let tenth = Speed {
        cpu_percent: 10,
        ..speed(1)
    };
    let hasher = Hasher::start(tenth, sender).unwrap();
    let never = Target::from_le_bytes([0; 32]);
    // Every slice is paid for with nine times its length, whatever the machine does meanwhile.
    let began = Instant::now();
    hasher.mine(assignment(1, never));
    while hasher.hashes() < 200_000 {
        std::thread::yield_now();
    }
    let hashed = hasher.hashes() as f64 / began.elapsed().as_secs_f64();
    drop(hasher);
    // The best of many: others may have had the processor during the rest.
    let search = Search::new(&[0; 80], never);
    let full = (0..200).map(|_| {
        let began = Instant::now();
        let hashed = Kernel::best().scan(&search, 0, 1 << 14).hashed;
        f64::from(hashed) / began.elapsed().as_secs_f64()
    });
    let full = full.fold(0.0, f64::max);
    assert!(hashed < full * 0.8, "{hashed} of {full}");
}
