//! Server-sent events, as they come over the wire.

use serde::de::DeserializeOwned;

/// Bytes of one event at most; who sends more is not listened to any longer.
const MAX_EVENT: usize = 1 << 20;

/// Takes events out of a stream of bytes.
#[derive(Debug, Default)]
pub(crate) struct Events {
    bytes: Vec<u8>,
}

/// An event that is far too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {MAX_EVENT} bytes")]
pub(crate) struct TooLong;

impl Events {
    /// The events that `chunk` completes. What is no `T` is left out.
    pub(crate) fn feed<T: DeserializeOwned>(&mut self, chunk: &[u8]) -> Result<Vec<T>, TooLong> {
        self.bytes.extend_from_slice(chunk);
        let mut events = Vec::new();
        let mut start = 0;
        while let Some(end) = self.bytes[start..]
            .windows(2)
            .position(|two| two == b"\n\n")
        {
            let event = &self.bytes[start..start + end];
            let lines = event.split(|byte| *byte == b'\n');
            for data in lines.filter_map(|line| line.strip_prefix(b"data:")) {
                events.extend(serde_json::from_slice(data).ok());
            }
            start += end + 2;
        }
        self.bytes.drain(..start);
        match self.bytes.len() > MAX_EVENT {
            true => Err(TooLong),
            false => Ok(events),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn events_are_found_however_they_are_cut() {
        let text =
            b": hello\n\nevent: a\ndata: {\"n\":1}\n\ndata: no json\n\ndata:{\"n\":2}\n\ndata: {";
        for size in [1, 2, 7, text.len()] {
            let mut events = Events::default();
            let mut seen: Vec<Value> = Vec::new();
            for chunk in text.chunks(size) {
                seen.extend(events.feed(chunk).unwrap());
            }
            assert_eq!(seen, [json!({"n": 1}), json!({"n": 2})]);
        }
    }

    #[test]
    fn an_event_without_end_is_not_collected() {
        let mut events = Events::default();
        let long = vec![b'x'; MAX_EVENT + 1];
        assert_eq!(events.feed::<Value>(&long), Err(TooLong));
    }
}
