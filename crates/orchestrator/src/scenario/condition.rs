//! Conditions on values: `>= 3`, `== "stale"`, `contains pool`.

use std::cmp::Ordering;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::Value;

/// What a value has to be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Condition {
    operator: Operator,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Least,
    Most,
    More,
    Less,
    Contains,
}

/// Longest first: `>=` begins with `>`.
const OPERATORS: &[(&str, Operator)] = &[
    ("contains ", Operator::Contains),
    (">=", Operator::Least),
    ("<=", Operator::Most),
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    (">", Operator::More),
    ("<", Operator::Less),
];

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let found = OPERATORS.iter().find_map(|(sign, operator)| {
            let value = text.strip_prefix(sign)?;
            Some((*operator, value.trim()))
        });
        let Some((operator, value)) = found.filter(|(_, value)| !value.is_empty()) else {
            return Err(format!(
                "'{text}' is no condition; write ==, !=, >=, <=, > or < and a value, or contains \
                 and a text"
            ));
        };
        // What is no JSON is a text.
        let value = match operator {
            Operator::Contains => Value::from(value),
            _ => serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)),
        };
        let is_order = matches!(
            operator,
            Operator::Least | Operator::Most | Operator::More | Operator::Less
        );
        if is_order && !value.is_number() {
            return Err(format!("'{text}' can never be: {value} is no number"));
        }
        Ok(Self { operator, value })
    }
}

impl TryFrom<String> for Condition {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Condition {
    /// Whether `value` is such a value.
    pub fn holds(&self, value: &Value) -> bool {
        let order = || {
            let (is, wanted) = (value.as_f64()?, self.value.as_f64()?);
            is.partial_cmp(&wanted)
        };
        match self.operator {
            Operator::Equal if self.value.is_number() => order() == Some(Ordering::Equal),
            Operator::Unequal if self.value.is_number() => order() != Some(Ordering::Equal),
            Operator::Equal => *value == self.value,
            Operator::Unequal => *value != self.value,
            Operator::Least => order().is_some_and(Ordering::is_ge),
            Operator::Most => order().is_some_and(Ordering::is_le),
            Operator::More => order().is_some_and(Ordering::is_gt),
            Operator::Less => order().is_some_and(Ordering::is_lt),
            Operator::Contains => {
                let text = self.value.as_str().unwrap_or_default();
                match value {
                    Value::String(value) => value.contains(text),
                    other => other.to_string().contains(text),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_hold_for_what_they_say() {
        for (condition, value, holds) in [
            (">= 3", json!(3), true),
            (">= 3", json!(2.9), false),
            ("< 0.5", json!(0), true),
            ("== 3", json!(3.0), true),
            ("== active", json!("active"), true),
            ("== \"3\"", json!(3), false),
            ("!= null", json!(null), false),
            ("!= 0", json!("x"), true),
            ("== true", json!(true), true),
            ("contains tip", json!("stale-chain-tip"), true),
            ("contains b", json!(["a", "b"]), true),
            ("> 1", json!("2"), false),
        ] {
            let read: Condition = condition.parse().unwrap();
            assert_eq!(read.holds(&value), holds, "{value} {condition}");
        }
    }

    #[test]
    fn what_can_never_hold_is_refused() {
        for text in ["", "3", ">=", ">= many", "is 3", "contains "] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
    }
}
