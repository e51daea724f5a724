//! A bounded queue to a session, half of which is kept for what must never wait.
//!
//! What miners find waits in front of a line that is half full, so that jobs, answers and closings
//! always find room behind it.

use tokio::sync::mpsc::Sender;

/// Whether what miners find may go on `line`. The other half is for everything else. A line that is
/// over keeps nobody waiting.
pub fn has_room<T>(line: &Sender<T>) -> bool {
    line.capacity() > reserved(line) || line.is_closed()
}

/// Waits until it may. Cancel-safe.
pub async fn room<T>(line: &Sender<T>) {
    // An error says that it is over.
    let _ = line.reserve_many(reserved(line) + 1).await;
}

fn reserved<T>(line: &Sender<T>) -> usize {
    line.max_capacity() / 2
}

#[cfg(test)]
mod tests;
