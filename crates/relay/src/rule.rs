//! Which messages are dropped or changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::fields::{self, Layout};

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

impl Direction {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What becomes of messages of one type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rule {
    /// The message's name, as in the specification: `SubmitShares.Success`.
    pub message: String,
    /// Only on this way; both unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// What these fields become; the message is dropped when there are none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, Value>,
    /// How often, from now on; without end unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

impl Rule {
    /// What is wrong with it.
    ///
    /// # Errors
    /// Names the message, field or value, and what there is instead.
    pub fn check(&self) -> Result<(), String> {
        let layouts: Vec<_> = fields::named(&self.message).collect();
        if layouts.is_empty() {
            return Err(format!(
                "there is no message '{}'; there are {}",
                self.message,
                fields::names().collect::<Vec<_>>().join(", ")
            ));
        }
        if self.times == Some(0) {
            return Err("times: 0 is never; leave the rule out, or give 1 or more".to_owned());
        }
        // Two protocols have a message of one name; the rule has to fit one of them.
        let mut result = Ok(());
        for layout in layouts {
            result = self.fits(layout);
            if result.is_ok() {
                return Ok(());
            }
        }
        result
    }

    fn fits(&self, layout: &Layout) -> Result<(), String> {
        for (field, value) in &self.set {
            layout.encode(field, value)?;
        }
        Ok(())
    }

    /// Whether it is about such a message.
    pub fn is_about(&self, layout: &Layout, direction: Direction) -> bool {
        self.message.eq_ignore_ascii_case(layout.name)
            && self.direction.is_none_or(|only| only == direction)
            && self.fits(layout).is_ok()
    }

    /// The payload with the fields changed; `None` when it is no message of that layout.
    pub fn rewrite(&self, layout: &Layout, payload: &[u8]) -> Option<Vec<u8>> {
        let mut payload = payload.to_vec();
        for (field, value) in &self.set {
            let encoded = layout.encode(field, value).ok()?;
            let range = layout.locate(field, &payload)?;
            payload.splice(range, encoded);
        }
        Some(payload)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(value: Value) -> Rule {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn rules_that_cannot_be_are_refused_with_what_can() {
        for (given, says) in [
            (json!({ "message": "SubmitShare" }), "SubmitSharesStandard"),
            (
                json!({ "message": "SubmitSharesStandard", "set": { "nonse": 1 } }),
                "nonce",
            ),
            (
                json!({ "message": "SubmitSharesStandard", "set": { "nonce": -1 } }),
                "-1",
            ),
            (
                json!({ "message": "SetTarget", "set": { "maximum_target": "00" } }),
                "32 bytes",
            ),
            (json!({ "message": "SetTarget", "times": 0 }), "never"),
        ] {
            let problem = rule(given.clone()).check().unwrap_err();
            assert!(problem.contains(says), "{given}: {problem}");
        }
    }

    #[test]
    fn the_name_of_two_messages_means_the_one_that_has_the_field() {
        let job = rule(json!({ "message": "SetNewPrevHash", "set": { "job_id": 7 } }));
        let template = rule(json!({ "message": "SetNewPrevHash", "set": { "template_id": 7 } }));
        assert_eq!((job.check(), template.check()), (Ok(()), Ok(())));
        let about = |rule: &Rule, msg_type| {
            rule.is_about(fields::layout(0, msg_type).unwrap(), Direction::Down)
        };
        assert!(about(&job, 0x20) && !about(&job, 0x72));
        assert!(about(&template, 0x72) && !about(&template, 0x20));
    }

    #[test]
    fn only_the_named_field_changes() {
        let layout = fields::layout(0, 0x1a).unwrap();
        let payload: Vec<u8> = (0..24).collect();
        let changed = rule(json!({ "message": "submitsharesstandard", "set": { "nonce": 1 } }));
        let mut expected = payload.clone();
        expected[12..16].copy_from_slice(&[1, 0, 0, 0]);
        assert_eq!(changed.rewrite(layout, &payload), Some(expected));
        assert_eq!(changed.rewrite(layout, &payload[..15]), None);
    }
}
