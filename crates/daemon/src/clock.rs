//! The one place that reads the clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use protocol::core::Now;

/// The present.
pub fn now() -> Now {
    Now {
        instant: Instant::now(),
        unix: unix(),
    }
}

/// Seconds since 1970; 0 on a machine whose clock is set before that.
pub fn unix() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Milliseconds since 1970; 0 on a machine whose clock is set before that.
pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// Waits until the moment that something is due at; for ever when nothing is.
pub async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
