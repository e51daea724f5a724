//! Shares on their way to an answer, as one end of a connection sees them.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::message::MiningOwned;

use super::{Breach, Property};

/// Channel and sequence number of a share.
pub(super) type Key = (u32, u32);

/// Shares without an answer, by channel and sequence number, and when each passed this end.
#[derive(Debug, Default)]
pub(super) struct Unanswered(BTreeMap<Key, Duration>);

impl Unanswered {
    /// A share passes.
    pub(super) fn share(&mut self, channel: u32, sequence_number: u32, at: Duration) {
        self.0.insert((channel, sequence_number), at);
    }

    /// A message passes the other way; returns the shares it answers, and their moments.
    pub(super) fn message(
        &mut self,
        message: &MiningOwned,
    ) -> Result<Vec<(Key, Duration)>, Breach> {
        match message {
            MiningOwned::SubmitSharesSuccess(success) => {
                let (channel, last) = (success.channel_id, success.last_sequence_number);
                let answered: Vec<_> = self
                    .0
                    .range((channel, 0)..=(channel, last))
                    .map(|(key, at)| (*key, *at))
                    .collect();
                for (key, _) in &answered {
                    self.0.remove(key);
                }
                let count = success.new_submits_accepted_count;
                let names_last = answered
                    .last()
                    .is_some_and(|((_, last_open), _)| *last_open == last);
                if answered.len() != count as usize || !names_last {
                    let open: Vec<u32> = answered.iter().map(|((_, number), _)| *number).collect();
                    let what = format!(
                        "channel {channel}: {count} shares up to {last} are accepted, but {open:?} \
                         waited for an answer"
                    );
                    return Err((Property::AnsweredOnce, what));
                }
                Ok(answered)
            }
            MiningOwned::SubmitSharesError(error) => {
                let key = (error.channel_id, error.sequence_number);
                match self.0.remove(&key) {
                    Some(at) => Ok(vec![(key, at)]),
                    None => {
                        let (channel, number) = key;
                        let what = format!(
                            "channel {channel}: share {number} is rejected, but did not wait for \
                             an answer"
                        );
                        Err((Property::AnsweredOnce, what))
                    }
                }
            }
            _ => Ok(Vec::new()),
        }
    }

    /// A channel is closed: nobody answers its shares any more.
    pub(super) fn close(&mut self, channel: u32) {
        self.0.retain(|(open, _), _| *open != channel);
    }

    /// The shares that wait.
    pub(super) fn waiting(&self) -> Vec<Key> {
        self.0.keys().copied().collect()
    }
}
