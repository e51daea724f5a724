//! What a role tells of what happens, as a test hears it.

use reqwest::Response;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::LIMIT;

/// A feed of server-sent events. What arrives at once is no event yet, or several, or a comment
/// that only breaks a silence.
pub struct Events {
    response: Response,
    received: Vec<u8>,
}

impl Events {
    /// Reads the answer of a feed.
    pub fn of(response: Response) -> Self {
        let response = response.error_for_status().unwrap();
        Self {
            response,
            received: Vec::new(),
        }
    }

    /// The next one's name and data.
    pub async fn next(&mut self) -> (String, Value) {
        let next = self.next_before(Instant::now() + LIMIT).await;
        next.expect("an event is told")
    }

    /// The data of the first one that is wanted. A feed may tell first what was under way when
    /// the test began to listen.
    pub async fn until(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Instant::now() + LIMIT;
        let mut others = Vec::new();
        while let Some((_, data)) = self.next_before(deadline).await {
            if wanted(&data) {
                return data;
            }
            others.push(data);
        }
        panic!("told was only {others:#?}");
    }

    async fn next_before(&mut self, deadline: Instant) -> Option<(String, Value)> {
        const END: &[u8] = b"\n\n";
        loop {
            let end = self.received.windows(2).position(|bytes| bytes == END);
            if let Some(end) = end {
                let event: Vec<u8> = self.received.drain(..end + END.len()).collect();
                let event = String::from_utf8(event).unwrap();
                match read(&event) {
                    None => continue,
                    event => return event,
                }
            }
            let chunk = timeout_at(deadline, self.response.chunk()).await.ok()?;
            self.received
                .extend(chunk.unwrap().expect("the feed goes on"));
        }
    }
}

/// Name and data; `None` for a comment.
fn read(event: &str) -> Option<(String, Value)> {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
    let name = field("event: ")?.to_owned();
    Some((name, serde_json::from_str(field("data: ")?).unwrap()))
}
