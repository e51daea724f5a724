//! PushSolution (SV2 6.4.9): never answered, tried on the newest declared jobs.
//!
//! It does not say which job it solves. Its hash does, except on regtest, where half of all hashes
//! meet the target: there a solution of an older job may make another block of a newer one.

use protocol::message::declaration::PushSolution;

use super::{DeclarationServer, Event, Out};

/// Blocks remembered, so that a client cannot have one submitted over and over.
const MAX_SOLVED: usize = 64;

impl DeclarationServer {
    pub(super) fn push(&mut self, solution: &PushSolution<'_>, out: &mut Out) {
        let not_solved = |reason: String, out: &mut Out| out.event(Event::NotSolved { reason });
        let mut reason = None;
        for job in &self.jobs {
            let block = match job.solve(solution) {
                Ok(block) => block,
                Err(fault) => {
                    reason.get_or_insert(fault);
                    continue;
                }
            };
            let hash = block.hash();
            if self.solved.contains(&hash) {
                return not_solved("it was pushed before".to_owned(), out);
            }
            self.solved.truncate(MAX_SOLVED - 1);
            self.solved.push_front(hash);
            let number = job.number;
            return out.event(Event::Solved { number, block });
        }
        let nothing = || "no job was declared on this connection".to_owned();
        not_solved(reason.map_or_else(nothing, |fault| fault.to_string()), out);
    }
}
