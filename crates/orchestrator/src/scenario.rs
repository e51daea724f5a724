//! Scenarios: steps and expectations with deadlines, as a file.
//!
//! A file is read and checked whole before anything is started: [`Scenario::parse`]. [`run`] plays
//! it on a lab; [`report`] tells how it went.

mod built_in;
pub mod condition;
pub mod report;
pub mod run;
mod stage;
pub mod step;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use toml::{Table, Value};

pub use built_in::BUILT_IN;

use crate::duration;
use crate::fault::Fault;
use crate::names;
use crate::topology::{self, Topology};
use stage::Stage;
use step::{Action, Expectation};

/// How long an expectation has to come true unless it says otherwise.
const WITHIN: Duration = Duration::from_secs(20);
/// How long a scenario may take unless it says otherwise; faults without an end of their own are
/// healed after it even when nobody is left to heal them.
const LIMIT: Duration = Duration::from_secs(180);

/// A scenario, checked as far as that can be done without a lab.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// One sentence for people.
    pub about: String,
    /// Whether it is quick enough to be run with every test.
    pub quick: bool,
    /// The topology's text.
    pub topology: String,
    /// How long it may take.
    pub limit: Duration,
    /// What is done and expected, in order.
    pub steps: Vec<Step>,
}

/// A step of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// In words: the step's own, or what it does.
    pub title: String,
    /// What.
    pub what: What,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Something is done.
    Do(Action),
    /// Something has to come true.
    Expect {
        /// What.
        expectation: Expectation,
        /// How soon.
        within: Duration,
    },
    /// Something has to stay true all the time.
    Hold {
        /// What.
        expectation: Expectation,
        /// How long.
        lasts: Duration,
    },
}

/// The text of a scenario, given the name of a built-in one or the path of a file.
///
/// # Errors
/// When it is neither.
pub fn find(argument: &str) -> Result<String> {
    if let Some((_, text)) = BUILT_IN.iter().find(|(name, _)| *name == argument) {
        return Ok((*text).to_owned());
    }
    if Path::new(argument).extension().is_some_and(|e| e == "toml") {
        return std::fs::read_to_string(argument).map_err(|error| {
            let cause = format!("cannot read the scenario {argument}: {error}");
            Fault::usage(cause, "give the path of a readable .toml file").into()
        });
    }
    let near = names::nearest(argument, BUILT_IN.iter().map(|(name, _)| *name));
    let near = near.map_or(String::new(), |near| format!("did you mean {near}? "));
    Err(Fault::usage(
        format!("there is no scenario '{argument}'"),
        format!(
            "{near}lab scenario list tells those that come with the lab; or give the path of a \
             .toml file"
        ),
    )
    .into())
}

impl Scenario {
    /// Reads and checks a scenario.
    ///
    /// # Errors
    /// Every problem, not only the first.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut problems = Vec::new();
        let scenario = Reader {
            problems: &mut problems,
        }
        .scenario(text);
        match scenario {
            Some(scenario) if problems.is_empty() => Ok(scenario),
            _ => {
                let list: Vec<_> = problems.iter().map(|one| format!("  - {one}")).collect();
                Err(Fault::usage(
                    format!("the scenario cannot be used:\n{}", list.join("\n")),
                    "correct these keys; docs/scenarios.md tells all there are",
                ))
            }
        }
    }
}

struct Reader<'a> {
    problems: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn scenario(&mut self, text: &str) -> Option<Scenario> {
        let mut table: Table = match toml::from_str(text) {
            Ok(table) => table,
            Err(error) => {
                self.problems.push(error.to_string());
                return None;
            }
        };
        let about = match table.remove("about") {
            Some(Value::String(about)) => about,
            _ => {
                self.problems
                    .push("about: is missing; say in a sentence what is tried".to_owned());
                String::new()
            }
        };
        let quick = match table.remove("quick") {
            None => false,
            Some(Value::Boolean(quick)) => quick,
            Some(other) => {
                self.problems
                    .push(format!("quick: {other} is neither true nor false"));
                false
            }
        };
        let limit = self
            .duration("limit", table.remove("limit"))
            .unwrap_or(LIMIT);
        let topology = self.topology(table.remove("topology"));
        let steps = match table.remove("steps") {
            Some(Value::Array(steps)) if !steps.is_empty() => steps,
            _ => {
                self.problems
                    .push("steps: there are none; write at least one [[steps]]".to_owned());
                Vec::new()
            }
        };
        for key in table.keys() {
            self.problems.push(format!(
                "{key}: unknown key; there are about, quick, limit, topology and steps"
            ));
        }
        let steps: Vec<_> = steps
            .into_iter()
            .enumerate()
            .filter_map(|(at, step)| self.step(&format!("steps[{at}]"), step))
            .collect();
        let topology = topology?;
        self.names(&topology, &steps);
        Some(Scenario {
            about,
            quick,
            topology,
            limit,
            steps,
        })
    }

    /// A built-in topology by name, or one written out. Scenarios always have relays.
    fn topology(&mut self, value: Option<Value>) -> Option<String> {
        let text = match value {
            None => topology::find("minimal").ok()?,
            Some(Value::String(name)) => match topology::find(&name) {
                Ok(text) => text,
                Err(error) => {
                    self.problems.push(format!("topology: {error}"));
                    return None;
                }
            },
            Some(Value::Table(table)) => toml::to_string(&table).ok()?,
            Some(other) => {
                self.problems
                    .push(format!("topology: {other} is neither a name nor a table"));
                return None;
            }
        };
        let text = topology::with_relays(&text);
        match Topology::parse(&text) {
            Ok(_) => Some(text),
            Err(problems) => {
                let problems = problems.0.into_iter();
                self.problems
                    .extend(problems.map(|one| format!("topology.{one}")));
                None
            }
        }
    }

    fn step(&mut self, at: &str, value: Value) -> Option<Step> {
        let Value::Table(mut table) = value else {
            self.problems.push(format!("{at}: is no table"));
            return None;
        };
        let title = match table.remove("title") {
            None => None,
            Some(Value::String(title)) => Some(title),
            Some(other) => {
                self.problems
                    .push(format!("{at}.title: {other} is no text"));
                None
            }
        };
        let within = self.duration(&format!("{at}.within"), table.remove("within"));
        let lasts = self.duration(&format!("{at}.hold"), table.remove("hold"));
        let mut rest = table.into_iter();
        let (Some((key, value)), None) = (rest.next(), rest.next()) else {
            self.problems.push(format!(
                "{at}: does not do exactly one thing; give it one of expect, {}",
                step::ACTIONS.join(", ")
            ));
            return None;
        };
        let title = title.unwrap_or_else(|| format!("{key} {}", inline(&value)));
        let what = match key.as_str() {
            "expect" => {
                let expectation = self.read(&format!("{at}.expect"), value)?;
                match (within, lasts) {
                    (Some(_), Some(_)) => {
                        self.problems.push(format!(
                            "{at}: give within, for what has to come true, or hold, for what has \
                             to stay true"
                        ));
                        return None;
                    }
                    (_, Some(lasts)) => What::Hold { expectation, lasts },
                    (within, None) => What::Expect {
                        expectation,
                        within: within.unwrap_or(WITHIN),
                    },
                }
            }
            known if step::ACTIONS.contains(&known) => {
                if within.is_some() || lasts.is_some() {
                    self.problems
                        .push(format!("{at}: within and hold belong to expect"));
                }
                let action = Value::Table(Table::from_iter([(key.clone(), value)]));
                What::Do(self.read(at, action)?)
            }
            unknown => {
                let known = ["expect"].into_iter().chain(step::ACTIONS.iter().copied());
                let remedy = names::remedy(unknown, known);
                self.problems
                    .push(format!("{at}.{unknown}: there is no such step; {remedy}"));
                return None;
            }
        };
        Some(Step { title, what })
    }

    fn read<T: serde::de::DeserializeOwned>(&mut self, at: &str, value: Value) -> Option<T> {
        match value.try_into() {
            Ok(read) => Some(read),
            Err(error) => {
                let message: Vec<_> = error.message().lines().collect();
                self.problems.push(format!("{at}: {}", message.join(" ")));
                None
            }
        }
    }

    fn duration(&mut self, at: &str, value: Option<Value>) -> Option<Duration> {
        let value = value?;
        let parsed = match value.as_str() {
            Some(text) => duration::parse(text),
            None => Err(format!("{value} is no duration; write \"30s\"")),
        };
        parsed
            .map_err(|problem| self.problems.push(format!("{at}: {problem}")))
            .ok()
    }

    /// Whether everything that is named is there.
    fn names(&mut self, topology: &str, steps: &[Step]) {
        let Ok(topology) = Topology::parse(topology) else {
            return;
        };
        let stage = Stage::of(&topology);
        for (at, step) in steps.iter().enumerate() {
            let problems = stage.problems(&step.what).into_iter();
            self.problems
                .extend(problems.map(|problem| format!("steps[{at}]: {problem}")));
        }
    }
}

/// A value on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Table(table) => {
            let entries: Vec<_> = table
                .iter()
                .map(|(key, value)| format!("{key} {}", inline(value)))
                .collect();
            entries.join(", ")
        }
        Value::Array(items) => items.iter().map(inline).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
