//! The pool's side of its miners' connections: what `daemon::drive` does around a server core.

use std::sync::Arc;
use std::time::Duration;

use protocol::core::{Core, Now, Outbox};
use protocol::server::{MiningServer, ServerEvent, ServerInput};
use protocol::work::Work;
use rand::Rng;

use super::pool::{self, PoolSession};
use super::{Step, World};
use crate::fault::Fault;
use crate::frames;
use crate::network::{End, LinkId};

/// Type of SetTarget.
const SET_TARGET: u8 = 0x21;
/// How late the deadline of a pool with late answers is.
const LATE: Duration = Duration::from_millis(500);

impl World {
    /// A miner's connection begins, with the newest work.
    pub(super) fn accept(&mut self, link: LinkId, flags: u32, work: Work) {
        let space = match self.fault {
            Some(Fault::SamePrefix) => pool::space(0),
            _ => self.pool.next_space(),
        };
        let session = PoolSession {
            server: MiningServer::new(Arc::clone(&self.pool.policy), flags, space, work),
            has_news: false,
            wake: None,
        };
        self.pool.sessions.insert(link, session);
        if self.rng.gen_bool(0.3) {
            self.plan_within(Duration::from_secs(12), Step::Move { link });
        }
    }

    /// The connection's part of the search space is another one from now on.
    pub(super) fn move_space(&mut self, link: LinkId) {
        self.witness.counts.moves += 1;
        let space = self.pool.next_space();
        self.serve(link, |server, now, out| {
            server.input(now, ServerInput::Space(space), out);
        });
    }

    pub(super) fn pool_received(&mut self, link: LinkId, mut frame: Vec<u8>) {
        if let Some(message) = frames::mining(&frame) {
            self.witness.pool_received(link, &message);
        }
        self.serve(link, |server, now, out| {
            server.received(now, frames::borrow(&mut frame), out);
        });
    }

    pub(super) fn look_at_work(&mut self, link: LinkId) {
        let Some(work) = self.pool.work.clone() else {
            return;
        };
        if let Some(session) = self.pool.sessions.get_mut(&link) {
            session.has_news = false;
        }
        self.serve(link, |server, now, out| {
            server.input(now, ServerInput::Work(work), out);
        });
    }

    pub(super) fn wake(&mut self, link: LinkId) {
        if let Some(session) = self.pool.sessions.get_mut(&link) {
            session.wake = None;
        }
        self.serve(link, |server, now, out| {
            if server.deadline().is_some_and(|due| due <= now.instant) {
                server.wake(now, out);
            }
        });
    }

    pub(super) fn pool_lost(&mut self, link: LinkId) {
        if let Some(session) = self.pool.sessions.remove(&link) {
            self.witness.pool_ended(link, session.server.channels());
        }
    }

    /// Steps a core and empties its outbox.
    pub(super) fn serve(
        &mut self,
        link: LinkId,
        step: impl FnOnce(&mut MiningServer, Now, &mut Outbox<ServerEvent>),
    ) {
        let Some(session) = self.pool.sessions.get_mut(&link) else {
            return;
        };
        let mut out = Outbox::default();
        step(&mut session.server, self.clock.now(), &mut out);
        for frame in frames::split(out.frames()) {
            self.pool_sends(link, frame);
        }
        let events: Vec<ServerEvent> = out.take_events().collect();
        for event in events {
            self.on_server_event(link, event);
        }
        if let Some(reason) = out.take_close() {
            self.witness.thrown_out(link, &reason);
            self.close(link, End::Server);
        }
        self.plan_wake(link);
        self.hand_solutions();
    }

    fn pool_sends(&mut self, link: LinkId, mut frame: Vec<u8>) {
        let msg_type = frames::message_type(&frame);
        let copies = match self.fault {
            Some(Fault::Swallowed(swallowed)) if msg_type == Some(swallowed) => 0,
            Some(Fault::Repeated(repeated)) if msg_type == Some(repeated) => 2,
            _ => 1,
        };
        if msg_type == Some(SET_TARGET) {
            self.witness.counts.targets += 1;
            if self.fault == Some(Fault::EasyTargets) {
                let target = frame.len() - 32;
                frame[target..].fill(0xff);
            }
        }
        for _ in 0..copies {
            if let Some(message) = frames::mining(&frame) {
                self.witness.pool_sent(link, &message);
            }
            self.send(link, End::Client, frame.clone());
        }
    }

    fn on_server_event(&mut self, link: LinkId, event: ServerEvent) {
        let is_forgotten = matches!(
            (self.fault, &event),
            (Some(Fault::ForgottenBlocks), ServerEvent::Block { .. })
                | (Some(Fault::ForgottenShares), ServerEvent::Accepted { .. })
                | (Some(Fault::ForgottenCloses), ServerEvent::Closed { .. })
        );
        if is_forgotten {
            return;
        }
        self.witness.server_event(link, &event);
        match event {
            ServerEvent::Block { solution, .. } => self.pool.solutions.push_back(solution),
            ServerEvent::Accepted { number, share, .. } => self.write(link, number, share.hash),
            _ => {}
        }
    }

    fn plan_wake(&mut self, link: LinkId) {
        let Some(session) = self.pool.sessions.get_mut(&link) else {
            return;
        };
        let Some(deadline) = session.server.deadline() else {
            return;
        };
        let mut at = self.clock.when(deadline);
        if self.fault == Some(Fault::LateAnswers) {
            at += LATE;
        }
        if session.wake != Some(at) {
            session.wake = Some(at);
            self.agenda.plan(at, Step::Wake { link });
        }
    }
}
