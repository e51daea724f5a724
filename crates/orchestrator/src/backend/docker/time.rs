//! Reading the daemon's timestamps.

use std::time::{Duration, SystemTime};

/// Time since a timestamp such as `2026-11-20T11:24:00.5Z`; `None` for one that is none, or lies
/// ahead.
pub(crate) fn since(timestamp: &str) -> Option<Duration> {
    let then = SystemTime::UNIX_EPOCH + unix_time(timestamp)?;
    SystemTime::now().duration_since(then).ok()
}

/// Time since 1970 of an RFC 3339 timestamp in UTC.
fn unix_time(timestamp: &str) -> Option<Duration> {
    let (date, time) = timestamp.split_once('T')?;
    let time = time.strip_suffix('Z')?;
    let mut date = date.split('-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    let mut time = time.split(':').map(str::parse::<i64>);
    let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
    // Years that begin in March end with the leap day.
    let (year, month) = match month {
        1..=2 => (year - 1, month + 9),
        3..=12 => (year, month - 3),
        _ => return None,
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    const DAYS_TO_1970: i64 = 719_468;
    let seconds = ((days - DAYS_TO_1970) * 24 + hour) * 3600 + minute * 60 + second;
    let seconds = u64::try_from(seconds).ok()?;
    Some(Duration::from_secs(seconds) + Duration::from_secs_f64(fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_of_the_daemon_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0.0)),
            ("2000-02-29T12:00:00.125Z", Some(951_825_600.125)),
            ("2026-11-20T11:24:00Z", Some(1_795_173_840.0)),
            ("0001-01-01T00:00:00Z", None),
            ("now", None),
        ] {
            let read = unix_time(text).map(|time| time.as_secs_f64());
            assert_eq!(read, expected, "{text}");
        }
    }
}
