//! `lab status`

use anyhow::Result;
use orchestrator::lab::{Lab, ServiceReport};

use crate::console::Console;

pub(crate) async fn run(lab: &Lab, console: &Console) -> Result<()> {
    let status = lab.status().await?;
    if console.json {
        return console.print_json(&status);
    }
    let height = match status.height {
        Some(height) => format!("height {height}"),
        None => "the node does not answer".to_owned(),
    };
    let mut lines = vec![
        format!(
            "lab '{}' on {} ({}): {height}",
            status.name,
            status.backend.name(),
            status.subnet
        ),
        format!(
            "{:18} {:12} {:12} {:>8} {:>8}  ready",
            "service", "state", "address", "uptime", "restarts"
        ),
    ];
    lines.extend(status.services.iter().map(line));
    console.print(&lines.join("\n"))
}

fn line(service: &ServiceReport) -> String {
    let uptime = service.uptime_seconds.map_or("-".to_owned(), duration);
    let ready = match &service.reason {
        None => "yes".to_owned(),
        Some(reason) => format!("no: {reason}"),
    };
    format!(
        "{:18} {:12} {:12} {:>8} {:>8}  {ready}",
        service.name,
        service.state.name(),
        service.address,
        uptime,
        service.restarts
    )
}

/// The two largest units.
fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn uptime_shows_the_two_largest_units() {
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
}
