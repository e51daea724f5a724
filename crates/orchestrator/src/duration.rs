//! Durations as people write them: `250ms`, `30s`, `2m`, `1h`.

use std::time::Duration;

/// Reads one.
///
/// # Errors
/// Says how to write one.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("'{text}' has no unit; write 250ms, 30s, 2m or 1h")),
    };
    let number: f64 = digits
        .parse()
        .map_err(|_| format!("'{text}' is no duration; write 250ms, 30s, 2m or 1h"))?;
    let ms = number * f64::from(unit);
    if !(0.0..=1e10).contains(&ms) {
        return Err(format!("'{text}' is out of reach; give 0ms to 100 days"));
    }
    Ok(Duration::from_millis(ms.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, ms) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "30", "s", "-1s", "1d", "1 s", "infs", "1e30s", "nans"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
