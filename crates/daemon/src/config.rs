//! Configuration is a phase: read everything, report every problem, only then start.
//!
//! A [`Reader`] takes values out of a TOML file, lets environment variables and command-line
//! overrides win, and collects what is wrong. [`Reader::finish`] also names the keys nobody asked
//! for, so a misspelt one is never silently ignored.

mod entry;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

pub use entry::Entry;

/// Everything that is wrong with a configuration, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// The lines.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "  - {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Takes values out of a configuration.
pub struct Reader {
    values: Table,
    asked: BTreeSet<String>,
    problems: Vec<String>,
}

impl Reader {
    /// Reads `path`, if given, and applies the variables of `environment` that start with
    /// `prefix` and two underscores: `POOL__TEMPLATE_PROVIDER__ADDRESS` is the key
    /// `template_provider.address`.
    ///
    /// # Errors
    /// The file cannot be read, or is not TOML.
    pub fn load(
        path: Option<&Path>,
        prefix: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Problems> {
        let values = match path {
            Some(path) => read_file(path).map_err(|problem| Problems(vec![problem]))?,
            None => Table::new(),
        };
        let mut reader = Self {
            values,
            asked: BTreeSet::new(),
            problems: Vec::new(),
        };
        for (name, text) in environment {
            if let Some(key) = name
                .strip_prefix(prefix)
                .and_then(|key| key.strip_prefix("__"))
            {
                let key = key.to_lowercase().replace("__", ".");
                reader.set(&key, parse_text(&text));
            }
        }
        Ok(reader)
    }

    /// Makes `value` win over what file and environment say for `key`.
    pub fn set(&mut self, key: &str, value: Value) {
        let mut table = &mut self.values;
        let mut parts: Vec<&str> = key.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            let entry = table
                .entry(part)
                .or_insert_with(|| Value::Table(Table::new()));
            match entry {
                Value::Table(inner) => table = inner,
                other => {
                    *other = Value::Table(Table::new());
                    let Value::Table(inner) = other else { return };
                    table = inner;
                }
            }
        }
        table.insert(last.to_owned(), value);
    }

    /// A value that must be there. When it is missing or wrong, the problem is noted and the
    /// type's default returned, so that reading goes on to find the other problems.
    pub fn required<T: DeserializeOwned + Default>(&mut self, key: &str) -> T {
        match self.take(key) {
            Some(value) => value.unwrap_or_default(),
            None => {
                self.problems.push(format!("{key}: missing"));
                T::default()
            }
        }
    }

    /// A value with a default.
    pub fn or<T: DeserializeOwned>(&mut self, key: &str, default: T) -> T {
        self.take(key).flatten().unwrap_or(default)
    }

    /// A number with a default and bounds.
    pub fn within<T>(&mut self, key: &str, default: T, bounds: RangeInclusive<T>) -> T
    where
        T: DeserializeOwned + PartialOrd + fmt::Display,
    {
        let value = self.or(key, default);
        if !bounds.contains(&value) {
            let (least, most) = bounds.into_inner();
            self.problem(key, format!("{value}: must be {least} to {most}"));
        }
        value
    }

    /// A text that must be there and parse. `None` means that a problem was noted.
    pub fn parsed<T>(&mut self, key: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        match self.take::<String>(key) {
            Some(text) => self.parse(key, &text?),
            None => {
                self.problems.push(format!("{key}: missing"));
                None
            }
        }
    }

    /// A text that may be absent but must parse.
    pub fn optional<T>(&mut self, key: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let text = self.take::<String>(key)??;
        self.parse(key, &text)
    }

    fn parse<T>(&mut self, key: &str, text: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(key, format!("{text:?}: {error}"));
                None
            }
        }
    }

    /// Whether the key, or a table of that name, is there at all.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Notes a problem that only the role can see.
    pub fn problem(&mut self, key: &str, what: impl fmt::Display) {
        self.problems.push(format!("{key}: {what}"));
    }

    /// Makes sure that [`finish`](Self::finish) fails: for a role that could not build its
    /// configuration.
    pub(crate) fn require_problem(&mut self) {
        if self.problems.is_empty() {
            self.problems
                .push("the role could not be configured".into());
        }
    }

    /// Ends the phase.
    ///
    /// # Errors
    /// Every problem there is, unknown keys included.
    pub fn finish(mut self) -> Result<(), Problems> {
        let mut present = Vec::new();
        flatten("", &self.values, &mut present);
        for key in present {
            if !self.asked.contains(&key) {
                let hint = nearest(&key, &self.asked)
                    .map(|known| format!("; did you mean {known}?"))
                    .unwrap_or_default();
                self.problems.push(format!("{key}: unknown key{hint}"));
            }
        }
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(Problems(self.problems))
        }
    }

    fn find(&self, key: &str) -> Option<&Value> {
        let (path, last) = key
            .rsplit_once('.')
            .map_or((None, key), |(path, last)| (Some(path), last));
        let mut table = &self.values;
        for part in path.into_iter().flat_map(|path| path.split('.')) {
            table = table.get(part)?.as_table()?;
        }
        table.get(last)
    }

    /// `None`: absent. `Some(None)`: there, but of the wrong type, which is noted.
    fn take<T: DeserializeOwned>(&mut self, key: &str) -> Option<Option<T>> {
        self.asked.insert(key.to_owned());
        let value = self.find(key)?.clone();
        let shown = value.to_string();
        Some(match value.try_into() {
            Ok(value) => Some(value),
            Err(error) => {
                let error: toml::de::Error = error;
                self.problem(key, format!("{shown}: {}", error.message()));
                None
            }
        })
    }
}

fn read_file(path: &Path) -> Result<Table, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{shown}: {error}; give the file with --config"))?;
    text.parse()
        .map_err(|error: toml::de::Error| format!("{shown}: {}", error.to_string().trim_end()))
}

/// A number, a truth value or an array where the text is one, a string otherwise.
fn parse_text(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>();
    parsed
        .ok()
        .and_then(|mut table| table.remove("value"))
        .filter(|value| !value.is_datetime())
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

fn flatten(prefix: &str, table: &Table, keys: &mut Vec<String>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            Value::Table(inner) => flatten(&key, inner, keys),
            _ => keys.push(key),
        }
    }
}

/// The known key that differs least, if it is close enough to be a slip.
fn nearest<'a>(key: &str, known: &'a BTreeSet<String>) -> Option<&'a String> {
    known
        .iter()
        .map(|candidate| (distance(key, candidate), candidate))
        .filter(|(distance, _)| *distance <= 3)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
