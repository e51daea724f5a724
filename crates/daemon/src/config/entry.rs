//! Lists of tables, such as `[[upstreams]]`.

use std::fmt::Display;
use std::str::FromStr;

use toml::{Table, Value};

use super::Reader;
use crate::dial::HostPort;

/// One table of a list, from which fields are taken.
pub struct Entry<'a> {
    reader: &'a mut Reader,
    key: &'a str,
    number: usize,
    table: Table,
}

impl Reader {
    /// Reads every table of the list `key`, which must be there unless `is_optional`. `None` when a
    /// problem was noted.
    pub fn entries<T>(
        &mut self,
        key: &str,
        is_optional: bool,
        mut read: impl FnMut(&mut Entry<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let tables = match is_optional {
            true => self.or(key, Vec::<Table>::new()),
            false => self.required(key),
        };
        let count = tables.len();
        let mut entries = Vec::new();
        for (number, table) in tables.into_iter().enumerate() {
            let mut entry = Entry {
                reader: &mut *self,
                key,
                number,
                table,
            };
            entries.extend(read(&mut entry));
            entry.finish();
        }
        (entries.len() == count).then_some(entries)
    }
}

impl Entry<'_> {
    /// Whether the field is there.
    pub fn has(&self, field: &str) -> bool {
        self.table.contains_key(field)
    }

    /// A host and a port, each in a field of its own.
    pub fn host_port(&mut self, host: &str, port: &str) -> Option<HostPort> {
        let address = self.text(host);
        let number = match self.table.remove(port) {
            Some(Value::Integer(number)) => u16::try_from(number).ok().filter(|port| *port > 0),
            _ => None,
        };
        if number.is_none() {
            self.problem(port, "expected a port, 1 to 65535");
        }
        Some(HostPort {
            host: address?,
            port: number?,
        })
    }

    /// A text that must be there and parse.
    pub fn parsed<T>(&mut self, field: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.text(field)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(field, format!("{text:?}: {error}"));
                None
            }
        }
    }

    /// A number from 0 to 100; 0 if there is none.
    pub fn percent(&mut self, field: &str) -> Option<u8> {
        match self.table.remove(field) {
            None => Some(0),
            Some(Value::Integer(number @ 0..=100)) => u8::try_from(number).ok(),
            Some(other) => {
                self.problem(field, format!("{other}: expected a number, 0 to 100"));
                None
            }
        }
    }

    /// A text that must be there and not be empty.
    pub fn text(&mut self, field: &str) -> Option<String> {
        match self.table.remove(field) {
            Some(Value::String(text)) if !text.is_empty() => return Some(text),
            Some(other) => self.problem(field, format!("{other}: expected a text")),
            None => self.problem(field, "missing"),
        }
        None
    }

    /// A list of texts; empty if there is none.
    pub fn texts(&mut self, field: &str) -> Option<Vec<String>> {
        match self.table.remove(field) {
            None => Some(Vec::new()),
            Some(value) => {
                let shown = value.to_string();
                let texts = value.try_into().ok();
                if texts.is_none() {
                    self.problem(field, format!("{shown}: expected a list of texts"));
                }
                texts
            }
        }
    }

    /// Notes a problem that only the role can see.
    pub fn problem(&mut self, field: &str, what: impl Display) {
        let key = format!("{}[{}].{field}", self.key, self.number);
        self.reader.problem(&key, what);
    }

    /// Whatever nobody asked for is misspelt.
    fn finish(mut self) {
        for field in std::mem::take(&mut self.table).keys() {
            self.problem(field, "unknown key");
        }
    }
}
