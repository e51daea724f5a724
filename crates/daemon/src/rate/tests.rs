use super::*;

/// A share every `every_ms` from `from_ms` on, up to `to_ms`, each of as many hashes as it takes
/// for a million a second.
fn mine(rate: &HashRate, every_ms: u64, from_ms: u64, to_ms: u64) {
    let hashes = every_ms as f64 * 1000.0;
    let mut now_ms = from_ms + every_ms;
    while now_ms <= to_ms {
        rate.add(now_ms, hashes);
        now_ms += every_ms;
    }
}

fn is_a_million(rate: f64, tolerance: f64) -> bool {
    (rate / 1e6 - 1.0).abs() < tolerance
}

#[test]
fn regular_shares_show_the_hash_rate_from_the_beginning_on() {
    for every_ms in [10, 100, 1000] {
        for seconds in [20, 60, 600, 6000] {
            let rate = HashRate::default();
            mine(&rate, every_ms, 0, seconds * 1000);
            let Rates {
                one_minute,
                ten_minutes,
            } = rate.read(seconds * 1000, 0);
            assert!(is_a_million(one_minute, 0.05), "{seconds} s: {one_minute}");
            assert!(
                is_a_million(ten_minutes, 0.05),
                "{seconds} s: {ten_minutes}"
            );
        }
    }
}

#[test]
fn the_short_average_follows_a_change_sooner_than_the_long_one() {
    let rate = HashRate::default();
    mine(&rate, 1000, 0, 3_600_000);
    let Rates {
        one_minute,
        ten_minutes,
    } = rate.read(3_600_000 + 120_000, 0);
    assert!(one_minute < 0.14e6, "{one_minute}");
    assert!((0.8e6..0.83e6).contains(&ten_minutes), "{ten_minutes}");
}

#[test]
fn a_share_at_once_is_no_hash_rate() {
    let rate = HashRate::default();
    rate.add(1_000_000, 6e6);
    let Rates { one_minute, .. } = rate.read(1_000_000, 1_000_000);
    assert!(one_minute < 0.7e6, "{one_minute}");
}

#[test]
fn silence_ends_at_nothing_and_time_that_stands_still_is_no_time() {
    let rate = HashRate::default();
    assert_eq!(rate.read(5, 5), Rates::default());
    mine(&rate, 1000, 0, 60_000);
    let night = rate.read(60_000 + 86_400_000, 0);
    assert!(night.ten_minutes < 1e-6, "{night:?}");
    assert_eq!(
        rate.read(59_000, 0).one_minute.total_cmp(&0.0),
        std::cmp::Ordering::Greater
    );
}
