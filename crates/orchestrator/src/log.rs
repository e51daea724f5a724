//! Lines of logs: when, how grave, what, and about which ids.
//!
//! Services write text for people: a timestamp, a level, a constant message, and `key=value`
//! fields. Bitcoin Core writes a timestamp and a message. Whatever else comes is a message too.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::Serialize;

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every step.
    Trace,
    /// What a developer looks for.
    Debug,
    /// What happens.
    Info,
    /// What should not happen, and is dealt with.
    Warn,
    /// What somebody has to see to.
    Error,
}

/// One line of a service's log, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// As written, in UTC; sorts as text.
    pub time: Option<String>,
    /// Lines of programs that know no levels are of [`Level::Info`].
    pub level: Level,
    /// What happened, in the same words each time.
    pub event: String,
    /// What it happened to.
    pub fields: BTreeMap<String, String>,
}

/// Which lines are wanted; everything by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// This grave or graver.
    pub level: Option<Level>,
    /// Words of the event, in any case.
    pub event: Option<String>,
    /// `KEY=VALUE`, or a value of any field. Six characters of a hash or a token are enough.
    pub id: Option<String>,
}

/// Shortest beginning that stands for a whole id.
const SHORTEST_PREFIX: usize = 6;

impl Entry {
    /// Takes a line apart.
    pub fn parse(line: &str) -> Self {
        let line = line.trim_end();
        let (time, rest) = match line.split_once(' ') {
            Some((first, rest)) if is_timestamp(first) => (Some(first.to_owned()), rest.trim()),
            _ => (None, line),
        };
        let (level, mut rest) = level(rest);
        let mut all = BTreeMap::new();
        // What the event happened within: `client{peer=10.10.0.2:55012}: `.
        while let Some((within, event)) = span(rest) {
            all.extend(fields(within).1);
            rest = event;
        }
        let (event, fields) = fields(rest);
        all.extend(fields);
        Self {
            time,
            level,
            event: event.to_owned(),
            fields: all,
        }
    }
}

impl Filter {
    /// Whether the line is wanted.
    pub fn takes(&self, entry: &Entry) -> bool {
        let level = self.level.is_none_or(|level| entry.level >= level);
        let event = self.event.as_ref().is_none_or(|event| {
            let event = event.to_lowercase();
            entry.event.to_lowercase().contains(&event)
        });
        level && event && self.id.as_ref().is_none_or(|id| has_id(entry, id))
    }
}

fn has_id(entry: &Entry, id: &str) -> bool {
    let is = |value: &str, wanted: &str| {
        value == wanted || wanted.len() >= SHORTEST_PREFIX && value.starts_with(wanted)
    };
    match id.split_once('=') {
        Some((key, wanted)) => {
            let value = entry.fields.get(key);
            value.is_some_and(|value| is(value, wanted))
        }
        None => {
            let words = entry.event.split(|c: char| !c.is_ascii_alphanumeric());
            let mut values = entry.fields.values().map(String::as_str).chain(words);
            values.any(|value| is(value, id))
        }
    }
}

/// RFC 3339 in UTC, as far as it takes to tell it from a word.
fn is_timestamp(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() >= 20
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && (bytes[4], bytes[7], bytes[10]) == (b'-', b'-', b'T')
        && word.ends_with('Z')
}

fn level(text: &str) -> (Level, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let level = match word {
        "TRACE" => Level::Trace,
        "DEBUG" => Level::Debug,
        "INFO" => Level::Info,
        "WARN" | "[warning]" => Level::Warn,
        "ERROR" | "[error]" | "Error:" => Level::Error,
        _ => return (Level::Info, text),
    };
    (level, rest.trim_start())
}

/// The fields of a span that a line begins with, and the line behind it.
fn span(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('{')?;
    let (within, event) = rest.split_once("}: ")?;
    is_name(name).then_some((within, event))
}

/// The event ends where the first field begins: a word with a `=` behind a name.
fn fields(text: &str) -> (&str, BTreeMap<String, String>) {
    let mut fields = BTreeMap::new();
    let Some(start) = field_starts(text).next() else {
        return (text, fields);
    };
    let event = text[..start].trim_end();
    let starts: Vec<usize> = field_starts(text).chain([text.len()]).collect();
    for pair in starts.windows(2) {
        if let Some((key, value)) = text[pair[0]..pair[1]].trim().split_once('=') {
            fields.insert(key.to_owned(), value.trim_matches('"').to_owned());
        }
    }
    (event, fields)
}

/// Where words begin that look like a field's, outside of quotes.
fn field_starts(text: &str) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    let mut starts = Vec::new();
    let mut word = 0;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => word = at + 1,
            // What follows in the same word belongs to the value.
            '=' if !quoted && is_name(&text[word..at]) && starts.last() != Some(&word) => {
                starts.push(word);
            }
            _ => {}
        }
    }
    starts.into_iter()
}

fn is_name(word: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: &str = "2026-11-20T11:24:00.123456Z  WARN share rejected client_id=3 \
                         error_code=\"stale-share\" hash=00ab12cd34 peer=10.10.0.7:55012";

    #[test]
    fn a_role_s_line_has_time_level_event_and_fields() {
        let entry = Entry::parse(SHARE);
        assert_eq!(entry.time.as_deref(), Some("2026-11-20T11:24:00.123456Z"));
        assert_eq!(entry.level, Level::Warn);
        assert_eq!(entry.event, "share rejected");
        assert_eq!(entry.fields["client_id"], "3");
        assert_eq!(entry.fields["error_code"], "stale-share");
        assert_eq!(entry.fields["peer"], "10.10.0.7:55012");
    }

    #[test]
    fn quoted_values_keep_their_blanks_and_equals_signs() {
        let entry = Entry::parse("2026-11-20T11:24:00Z  INFO lost reason=\"a b=c d\" next=1");
        assert_eq!(entry.fields["reason"], "a b=c d");
        assert_eq!(entry.fields["next"], "1");
        assert_eq!(entry.fields.len(), 2);
    }

    #[test]
    fn fields_of_what_an_event_happened_within_are_its_own() {
        let line = "2026-11-20T11:24:00Z  INFO client{peer=10.10.0.2:5}: job declared request_id=3";
        let entry = Entry::parse(line);
        assert_eq!(entry.event, "job declared");
        assert_eq!(entry.fields["peer"], "10.10.0.2:5");
        assert_eq!(entry.fields["request_id"], "3");
    }

    #[test]
    fn bitcoin_core_s_lines_are_events_too() {
        let line = "2026-11-20T11:24:00Z UpdateTip: new best=00ff height=102 tx=103";
        let entry = Entry::parse(line);
        assert_eq!(entry.event, "UpdateTip: new");
        assert_eq!(entry.fields["best"], "00ff");
        assert_eq!(entry.level, Level::Info);
        let entry = Entry::parse("2026-11-20T11:24:00Z [warning] low on space");
        assert_eq!(
            (entry.level, entry.event.as_str()),
            (Level::Warn, "low on space")
        );
    }

    #[test]
    fn anything_else_is_an_event_without_a_time() {
        let entry = Entry::parse("lab: pool ended with signal 9, SIGKILL; starting it again");
        assert_eq!(entry.time, None);
        assert!(entry.event.starts_with("lab: pool ended"));
        assert_eq!(Entry::parse("").event, "");
    }

    #[test]
    fn lines_are_chosen_by_level_event_and_id() {
        let takes = |filter: Filter| filter.takes(&Entry::parse(SHARE));
        let level = |level| Filter {
            level: Some(level),
            ..Filter::default()
        };
        assert!(takes(Filter::default()));
        assert!(takes(level(Level::Warn)) && takes(level(Level::Info)));
        assert!(!takes(level(Level::Error)));
        let event = |event: &str| Filter {
            event: Some(event.to_owned()),
            ..Filter::default()
        };
        assert!(takes(event("Share rejected")) && takes(event("share")));
        assert!(!takes(event("block")));
        let id = |id: &str| Filter {
            id: Some(id.to_owned()),
            ..Filter::default()
        };
        for wanted in ["client_id=3", "3", "hash=00ab12", "00ab12cd34", "00ab12c"] {
            assert!(takes(id(wanted)), "{wanted}");
        }
        for unwanted in ["channel_id=3", "client_id=4", "00ab1", "ab12cd34"] {
            assert!(!takes(id(unwanted)), "{unwanted}");
        }
    }
}
