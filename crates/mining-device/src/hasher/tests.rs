use protocol::client::MerkleSource;

use super::*;

fn speed(threads: usize) -> Speed {
    Speed {
        threads,
        kernel: Kernel::best(),
        max_hashrate: None,
        share_interval: Duration::ZERO,
    }
}

fn assignment(job_id: u32, target: Target) -> Arc<Assignment> {
    Arc::new(Assignment {
        channel_id: 2,
        job_id,
        prev_hash: [1; 32],
        n_bits: 0x207f_ffff,
        min_ntime: 1000,
        version: 0x2000_0000,
        version_rolling: true,
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
    hasher.set_work(Some(assignment(1, target)));
    for _ in 0..20 {
        let share = receive(&mut found);
        assert_eq!(share.job_id, 1);
        assert!(Target::from_le_bytes(share.hash) <= target);
    }
    hasher.set_work(Some(assignment(2, target)));
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
    hasher.set_work(Some(assignment(1, Target::one_in(100.0).unwrap())));
    receive(&mut found);
    hasher.set_work(None);
    // A slice may be under way; when the threads are gone nothing can follow it.
    drop(hasher);
    while found.blocking_recv().is_some() {}
}

#[test]
fn released_shares_come_one_per_job() {
    let (sender, mut found) = mpsc::channel(16);
    let paced = Speed {
        share_interval: Duration::from_secs(3600),
        ..speed(2)
    };
    let hasher = Hasher::start(paced, sender).unwrap();
    let easy = Target::one_in(100.0).unwrap();
    hasher.set_work(Some(assignment(1, easy)));
    assert_eq!(receive(&mut found).job_id, 1);
    hasher.release(2);
    for job_id in [2, 3] {
        hasher.set_work(Some(assignment(job_id, easy)));
        assert_eq!(receive(&mut found).job_id, job_id);
    }
    hasher.set_work(Some(assignment(4, easy)));
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
            hasher.set_work(Some(assignment(1, Target::MAX)));
        }
        drop(hasher);
    }
}
