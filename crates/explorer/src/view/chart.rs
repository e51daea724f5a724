//! Numbers over time as the points of a picture.

use serde::Serialize;
use utoipa::ToSchema;

use crate::service::pool::Minute;

/// Width and height of the picture, in its own units.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 120.0;
/// Minutes shown.
pub(crate) const MINUTES: u64 = 60;

/// A line over the last hour.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Chart {
    /// Of each minute, the oldest first; the unit is the caller's.
    pub(crate) values: Vec<f64>,
    /// The largest of them.
    pub(crate) peak: f64,
}

impl Chart {
    /// Hashes a second in each of the sixty minutes before `now_ms`.
    pub(crate) fn of_minutes(minutes: &[Minute], now_ms: u64) -> Self {
        let newest = now_ms / 60_000;
        let mut values = vec![0.0; MINUTES as usize];
        for minute in minutes {
            let ago = newest.saturating_sub(minute.minute_ms / 60_000);
            if ago < MINUTES {
                // The minute that is not over yet has had less time.
                let seconds = match ago {
                    0 => ((now_ms % 60_000) as f64 / 1e3).max(1.0),
                    _ => 60.0,
                };
                values[(MINUTES - 1 - ago) as usize] += minute.hashes / seconds;
            }
        }
        let peak = values.iter().copied().fold(0.0, f64::max);
        Self { values, peak }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.peak <= 0.0
    }

    /// The points of an SVG `polyline`.
    pub(crate) fn line(&self) -> String {
        let step = WIDTH / (self.values.len().max(2) - 1) as f64;
        let points = self.values.iter().enumerate().map(|(place, value)| {
            let share = if self.peak > 0.0 {
                value / self.peak
            } else {
                0.0
            };
            let y = HEIGHT - share * (HEIGHT - 8.0) - 2.0;
            format!("{:.1},{y:.1}", place as f64 * step)
        });
        points.collect::<Vec<_>>().join(" ")
    }

    /// The points of an SVG `polygon` that fills what is below the line.
    pub(crate) fn area(&self) -> String {
        format!("0,{HEIGHT} {} {WIDTH},{HEIGHT}", self.line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_stand_where_they_belong_and_old_ones_are_left_out() {
        let minute = |minute_ms, hashes| Minute {
            minute_ms,
            hashes,
            ..Minute::default()
        };
        let now = 100 * 60_000 + 30_000;
        let minutes = [
            minute(0, 9e9),
            minute(99 * 60_000, 60.0),
            minute(100 * 60_000, 60.0),
        ];
        let chart = Chart::of_minutes(&minutes, now);
        assert_eq!(
            (chart.values[59], chart.values[58], chart.peak),
            (2.0, 1.0, 2.0)
        );
        assert_eq!(chart.values[..58].iter().sum::<f64>(), 0.0);
        assert_eq!(chart.line().split(' ').count(), 60);
        assert!(Chart::of_minutes(&[], now).is_empty());
    }
}
