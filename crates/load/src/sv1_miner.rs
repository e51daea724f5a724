//! A Stratum V1 miner that sends shares without searching for them: the difficulty is so low that
//! every hash meets it.

mod link;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sv1::{Call, Extranonce, Id, Json, Submit, Subscribed};

use crate::miner::{MinerEvent, Pace};
use crate::swarm::Place;

pub(crate) use link::Sv1Miner;

/// Ids of the calls before the first share.
const SUBSCRIBE: u64 = 1;
const AUTHORIZE: u64 = 2;
const FIRST_SHARE: u64 = 3;

/// One connection.
#[derive(Debug)]
pub(crate) struct Miner {
    user: String,
    /// Where in a period its shares fall: 0 to 1, different for each miner.
    phase: f64,
    pace: Pace,
    due: Option<Instant>,
    extranonce2_size: usize,
    job: Option<Job>,
    /// Of the next share.
    next: u64,
    /// When each unanswered share was sent; the first has this id.
    sent: VecDeque<Instant>,
    first_sent: u64,
}

#[derive(Debug)]
struct Job {
    id: String,
    ntime: u32,
}

/// What is to be sent, and what has happened.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub(crate) lines: Vec<u8>,
    pub(crate) events: Vec<MinerEvent>,
    /// Why the server is of no use.
    pub(crate) failed: Option<String>,
}

impl Miner {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            user: format!("load.{}", place.index),
            phase: place.phase,
            pace: Pace::Silent,
            due: None,
            extranonce2_size: 0,
            job: None,
            next: FIRST_SHARE,
            sent: VecDeque::new(),
            first_sent: FIRST_SHARE,
        }
    }

    /// The first lines of the connection.
    pub(crate) fn connected(&self, out: &mut Out) {
        let subscribe = Call::Subscribe {
            agent: "load/1".into(),
            session: None,
        };
        subscribe.write(&Id::Number(SUBSCRIBE), &mut out.lines);
        let authorize = Call::Authorize {
            user: (&*self.user).into(),
            password: "x".into(),
        };
        authorize.write(&Id::Number(AUTHORIZE), &mut out.lines);
    }

    /// A line, and when it arrived; [`submit`](Self::submit) comes next.
    pub(crate) fn received(&mut self, arrived: Instant, line: &[u8], out: &mut Out) {
        // Not `sv1::from_server`: ten thousand miners need no coinbase of their own.
        let Ok(mut json) = Json::parse(line) else {
            out.failed = Some(String::from_utf8_lossy(line).into_owned());
            return;
        };
        match json.take("method") {
            Json::Text(method) if &*method == "mining.notify" => {
                let mut params = json.take("params");
                let (id, ntime) = (params.take_at(0).into_text(), params.take_at(7).hex_u32());
                if let (Some(id), Some(ntime)) = (id, ntime) {
                    let id = id.into_owned();
                    self.job = Some(Job { id, ntime });
                    out.events.push(MinerEvent::Tip);
                }
            }
            Json::Text(_) => {}
            _ => self.answered(arrived, json, out),
        }
    }

    fn answered(&mut self, arrived: Instant, mut json: Json<'_>, out: &mut Out) {
        let (Some(id), result) = (json.take("id").number(), json.take("result")) else {
            return;
        };
        match id as u64 {
            SUBSCRIBE => match Subscribed::read(result) {
                Ok(subscribed) => {
                    self.extranonce2_size = subscribed.extranonce2_size;
                    out.events.push(MinerEvent::Opened);
                }
                Err(error) => out.failed = Some(error.to_owned()),
            },
            AUTHORIZE => {
                if result != Json::Bool(true) {
                    out.failed = Some("not authorized".to_owned());
                }
            }
            share => {
                let mut error = json.take("error");
                let count =
                    (share.saturating_sub(self.first_sent) as usize + 1).min(self.sent.len());
                let sent = self.sent.drain(..count).next_back();
                self.first_sent += count as u64;
                match (sent, result) {
                    (Some(sent), Json::Bool(true)) => {
                        let age = arrived.saturating_duration_since(sent);
                        out.events.push(MinerEvent::Accepted(vec![age]));
                    }
                    _ => {
                        let reason = error.take_at(1).into_text().unwrap_or_default();
                        let reason = reason.into_owned();
                        out.events.push(MinerEvent::Rejected(reason));
                    }
                }
            }
        }
    }

    pub(crate) fn set_pace(&mut self, now: Instant, pace: Pace, out: &mut Out) {
        self.pace = pace;
        self.due = match pace {
            Pace::Every(period) => Some(now + period.mul_f64(self.phase)),
            Pace::Silent | Pace::Window(_) => None,
        };
        self.submit(now, out);
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Sends what the pace allows.
    pub(crate) fn submit(&mut self, now: Instant, out: &mut Out) {
        match self.pace {
            Pace::Silent => {}
            Pace::Window(size) => while self.sent.len() < size as usize && self.share(now, out) {},
            Pace::Every(period) => {
                while let Some(due) = self.due
                    && due <= now
                {
                    self.share(now, out);
                    self.due = Some(due + period.max(Duration::from_micros(1)));
                }
            }
        }
    }

    /// Whether there is a job to send a share of.
    fn share(&mut self, now: Instant, out: &mut Out) -> bool {
        let Some(job) = &self.job else { return false };
        let submit = Call::Submit(Submit {
            user: (&*self.user).into(),
            job_id: (&*job.id).into(),
            extranonce2: Extranonce::new(&vec![0; self.extranonce2_size]).unwrap_or_default(),
            ntime: job.ntime,
            // So that no two shares are the same.
            nonce: self.next as u32,
            version_bits: None,
        });
        submit.write(&Id::Number(self.next), &mut out.lines);
        self.next += 1;
        self.sent.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests;
