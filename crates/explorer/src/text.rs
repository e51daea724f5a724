//! Numbers and times as people read them.

/// A number, or a reference to one: templates pass either.
pub(crate) trait Number<T> {
    fn number(&self) -> T;
}

macro_rules! numbers {
    ($($kind:ty),*) => {$(
        impl Number<$kind> for $kind {
            fn number(&self) -> $kind {
                *self
            }
        }
    )*};
}

numbers!(i64, u64, f64);

impl<T, N: Number<T>> Number<T> for &N {
    fn number(&self) -> T {
        (*self).number()
    }
}

/// Satoshis as bitcoins.
pub(crate) fn sats(sats: impl Number<u64>) -> String {
    let sats = sats.number();
    format!("{}.{:08}", sats / 100_000_000, sats % 100_000_000)
}

/// Satoshis with a sign, as bitcoins.
pub(crate) fn signed_sats(value: impl Number<i64>) -> String {
    let value = value.number();
    let sign = if value < 0 { "−" } else { "+" };
    format!("{sign}{}", sats(value.unsigned_abs()))
}

/// A whole number in groups of three digits.
pub(crate) fn count(number: impl std::fmt::Display) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{2009}');
        }
        grouped.push(digit);
    }
    grouped
}

/// A rate or difficulty with three digits and a unit prefix.
pub(crate) fn prefixed(number: impl Number<f64>) -> String {
    let number = number.number();
    if !number.is_finite() || number <= 0.0 {
        return "0 ".to_owned();
    }
    const PREFIXES: [&str; 8] = ["", "k", "M", "G", "T", "P", "E", "Z"];
    let mut value = number;
    let mut place = 0;
    while value >= 999.5 && place + 1 < PREFIXES.len() {
        value /= 1000.0;
        place += 1;
    }
    let shown = match value {
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ if value >= 0.01 => format!("{value:.2}"),
        _ => format!("{value:.1e}"),
    };
    format!("{shown} {}", PREFIXES[place])
}

/// Hashes a second.
pub(crate) fn hashrate(rate: impl Number<f64>) -> String {
    let rate = rate.number();
    format!("{}H/s", prefixed(rate))
}

/// A difficulty, of any size.
pub(crate) fn difficulty(difficulty: impl Number<f64>) -> String {
    let difficulty = difficulty.number();
    prefixed(difficulty).trim_end().to_owned()
}

/// Bytes.
pub(crate) fn bytes(bytes: impl Number<u64>) -> String {
    let bytes = bytes.number();
    format!("{}B", prefixed(bytes as f64))
}

/// A hash by its two ends.
pub(crate) fn short(hash: &str) -> String {
    match hash.is_ascii() && hash.len() > 20 {
        true => format!("{}…{}", &hash[..8], &hash[hash.len() - 8..]),
        false => hash.to_owned(),
    }
}

/// The last digits of a block hash, in which blocks differ.
pub(crate) fn tail(hash: &str) -> String {
    match hash.is_ascii() && hash.len() > 12 {
        true => format!("…{}", &hash[hash.len() - 10..]),
        false => hash.to_owned(),
    }
}

/// As much of a text as has room among so many characters; wide ones take the room of two.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let width = |symbol: char| if symbol < '\u{1100}' { 1 } else { 2 };
    let mut shown = String::new();
    let mut room = most;
    let mut symbols = text.chars();
    while let Some(symbol) = symbols.next() {
        let is_last = symbols.as_str().is_empty();
        let needed = width(symbol) + usize::from(!is_last);
        if needed > room {
            shown.push('…');
            break;
        }
        room -= width(symbol);
        shown.push(symbol);
    }
    shown
}

/// How long, from milliseconds.
pub(crate) fn duration(ms: impl Number<f64>) -> String {
    let ms = ms.number().max(0.0);
    match ms {
        _ if ms < 1.0 => format!("{:.0} µs", ms * 1e3),
        _ if ms < 10.0 => format!("{ms:.1} ms"),
        _ if ms < 1000.0 => format!("{ms:.0} ms"),
        _ if ms < 60_000.0 => format!("{:.1} s", ms / 1e3),
        _ if ms < 3_600_000.0 => format!("{:.0} min", ms / 60e3),
        _ if ms < 48.0 * 3_600_000.0 => format!("{:.1} h", ms / 3_600e3),
        _ => format!("{:.0} days", ms / 86_400e3),
    }
}

/// How long, from seconds.
pub(crate) fn seconds(seconds: impl Number<u64>) -> String {
    let seconds = seconds.number();
    duration(seconds as f64 * 1e3)
}

/// How long ago a time in milliseconds since 1970 is.
pub(crate) fn ago(ms: impl Number<u64>) -> String {
    let ms = ms.number();
    let since = daemon::clock::unix_ms().saturating_sub(ms);
    match since {
        0..1000 => "now".to_owned(),
        _ => format!("{} ago", duration((since / 1000 * 1000) as f64)),
    }
}

/// A time in milliseconds since 1970, as date and time in UTC.
pub(crate) fn utc(ms: impl Number<u64>) -> String {
    let ms = ms.number();
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = civil(days as i64);
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// The same as machines read it.
pub(crate) fn iso(ms: impl Number<u64>) -> String {
    let ms = ms.number();
    format!("{}Z", utc(ms).replace(' ', "T"))
}

/// The time of the day, to the millisecond.
pub(crate) fn clock(ms: impl Number<f64>) -> String {
    let ms = ms.number();
    let whole = ms.max(0.0) as u64;
    let day = whole % 86_400_000;
    format!(
        "{:02}:{:02}:{:02}.{:03}",
        day / 3_600_000,
        day / 60_000 % 60,
        day / 1000 % 60,
        day % 1000
    )
}

/// Year, month and day of a day since 1970, in the Gregorian calendar. Years are counted from March
/// on, so that the leap day is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = match month_from_march {
        0..10 => month_from_march + 3,
        _ => month_from_march - 9,
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_times_are_right() {
        assert_eq!(sats(5_000_000_001), "50.00000001");
        assert_eq!(signed_sats(-1), "−0.00000001");
        assert_eq!(count(1_234_567), "1\u{2009}234\u{2009}567");
        assert_eq!(hashrate(12_345.0), "12.3 kH/s");
        assert_eq!(hashrate(0.0), "0 H/s");
        assert_eq!(difficulty(4.656e-10), "4.7e-10");
        assert_eq!(duration(0.25), "250 µs");
        assert_eq!(duration(61_000.0), "1 min");
        assert_eq!(utc(0), "1970-01-01 00:00:00");
        assert_eq!(utc(951_826_209_000), "2000-02-29 12:10:09");
        assert_eq!(iso(1_790_000_000_000), "2026-09-21T14:13:20Z");
        assert_eq!(short("ab"), "ab");
        assert_eq!(tail(&"0123456789".repeat(2)), "…0123456789");
    }

    #[test]
    fn a_text_is_cut_to_the_room_there_is() {
        for (text, most, shown) in [
            ("", 3, ""),
            ("rig", 3, "rig"),
            ("rigs", 3, "ri…"),
            ("矿机", 4, "矿机"),
            ("矿机一", 4, "矿…"),
        ] {
            assert_eq!(cut(text, most), shown);
        }
    }
}
