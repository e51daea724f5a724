//! What job tokens are made and checked with: the same for pools and job declarator servers that
//! belong together.

use protocol::token::Secret;

use crate::config::Reader;

const SECTION: &str = "job_declaration";
const SECRET: &str = "job_declaration.secret";

/// Takes `job_declaration.secret` out of `reader`; `None` when a problem was noted. It is never
/// repeated.
pub fn required(reader: &mut Reader) -> Option<Secret> {
    let is_there = reader.has(SECRET);
    let text: String = reader.required(SECRET);
    match text.parse() {
        Ok(secret) => Some(secret),
        Err(error) => {
            // One that is missing is a problem already.
            if is_there {
                reader.problem(SECRET, error);
            }
            None
        }
    }
}

/// The same for whoever can do without: `None` also when there is no such section.
pub fn optional(reader: &mut Reader) -> Option<Secret> {
    reader.has(SECTION).then(|| required(reader))?
}
