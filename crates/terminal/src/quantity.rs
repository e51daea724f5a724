//! Numbers as people read them.

/// Seconds, in their two largest units: `1h 2m`.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Microseconds, with three digits at most: `1.25 ms`.
pub fn micros(micros: u128) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", three_digits(micros as f64 / 1e3)),
        _ => format!("{} s", three_digits(micros as f64 / 1e6)),
    }
}

/// Hashes a second, with a prefix: `1.25 kH/s`.
pub fn hash_rate(rate: f64) -> String {
    const PREFIXES: [&str; 8] = ["", "k", "M", "G", "T", "P", "E", "Z"];
    // Nothing summed up is minus nothing.
    let mut rate = if rate > 0.0 && rate.is_finite() {
        rate
    } else {
        0.0
    };
    let mut prefix = 0;
    while rate >= 999.5 && prefix + 1 < PREFIXES.len() {
        rate /= 1000.0;
        prefix += 1;
    }
    format!("{} {}H/s", three_digits(rate), PREFIXES[prefix])
}

/// A whole number with its thousands apart: `12 345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// So many of something that English makes many of with an s: `1 block`, `2 blocks`.
pub fn number(number: u64, of: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {of}{s}", count(number))
}

/// Satoshis as bitcoins: `50.00001200 BTC`.
pub fn bitcoins(satoshis: u64) -> String {
    const ONE: u64 = 100_000_000;
    format!("{}.{:08} BTC", satoshis / ONE, satoshis % ONE)
}

fn three_digits(number: f64) -> String {
    let decimals = match number {
        0.0 => 0,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_the_two_largest_units() {
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m 0s"),
            (3_725, "1h 2m"),
            (90_000, "1d 1h"),
        ] {
            assert_eq!(duration(seconds), expected);
        }
    }

    #[test]
    fn short_times_show_three_digits() {
        for (time, expected) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_000, "1.00 ms"),
            (12_345, "12.3 ms"),
            (999_400, "999 ms"),
            (1_234_567, "1.23 s"),
        ] {
            assert_eq!(micros(time), expected);
        }
    }

    #[test]
    fn hash_rates_have_a_prefix() {
        for (rate, expected) in [
            (0.0, "0 H/s"),
            (0.5, "0.50 H/s"),
            (999.4, "999 H/s"),
            (999.6, "1.00 kH/s"),
            (1_234.0, "1.23 kH/s"),
            (1e14, "100 TH/s"),
            (1e30, "1000000000 ZH/s"),
            (f64::NAN, "0 H/s"),
            (-1.0, "0 H/s"),
            (-0.0, "0 H/s"),
        ] {
            assert_eq!(hash_rate(rate), expected);
        }
    }

    #[test]
    fn large_numbers_have_their_thousands_apart() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1 000"),
            (12_345_678, "12 345 678"),
        ] {
            assert_eq!(count(number), expected);
        }
    }

    #[test]
    fn one_is_not_many() {
        for (many, expected) in [(0, "0 blocks"), (1, "1 block"), (1_000, "1 000 blocks")] {
            assert_eq!(number(many, "block"), expected);
        }
    }

    #[test]
    fn bitcoins_have_eight_decimals() {
        assert_eq!(bitcoins(5_000_001_200), "50.00001200 BTC");
    }
}
