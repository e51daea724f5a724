//! The template provider, and the pool's connection to it.

use std::time::Duration;

use protocol::core::{Core, Outbox};
use protocol::message::{self, AnyMessage, Received, TemplateDistribution};
use protocol::provider::{ProviderClient, ProviderEvent, ProviderInput};
use rand::Rng;

use super::{Client, Step, World, draw_act};
use crate::frames;
use crate::network::{End, LinkId};
use crate::properties::Property;

/// How long a connection's task may be busy before it looks at new work.
const BUSY: Duration = Duration::from_millis(30);
const VERY_BUSY: Duration = Duration::from_millis(400);

impl World {
    /// The pool dials its provider, if it lives and has not done so since.
    pub(super) fn reach_provider(&mut self) {
        if !self.pool.is_up || self.pool.provider_link.is_some() {
            return;
        }
        let link = self.network.dial(&mut self.rng);
        self.clients.insert(link, Client::Pool);
        self.pool.provider_link = Some(link);
        let frame = self.pool.provider.connected();
        self.send(link, End::Server, frame);
        if self.rng.gen_bool(0.3) {
            self.plan_within(Duration::from_secs(15), Step::Cut { link });
        }
        self.hand_solutions();
    }

    pub(super) fn provider_lost(&mut self, link: LinkId) {
        if self.pool.provider_link == Some(link) {
            self.pool.provider_link = None;
            let back_off = if self.rng.gen_bool(0.5) { 100 } else { 2000 };
            self.plan_within(Duration::from_millis(back_off), Step::Reach);
        }
    }

    /// Something happens at the provider, whether or not anybody listens.
    pub(super) fn play_script(&mut self) {
        let now = self.clock.now();
        let act = draw_act(&mut self.rng);
        self.witness.note(|| format!("the provider plays {act:?}"));
        let frames = self.provider.act(act, &mut self.rng, now);
        self.provider_sends(&frames);
        // Bursts, the usual, and rests in which only connections come and go.
        let pause = match self.rng.gen_range(0..100) {
            0..35 => 15,
            35..85 => 1200,
            _ => 4000,
        };
        self.plan_within(Duration::from_millis(pause), Step::Play);
    }

    pub(super) fn provider_received(&mut self, link: LinkId, frame: &[u8]) {
        let mut bytes = frame.to_vec();
        let received = message::decode(frames::borrow(&mut bytes));
        let Ok(Received::Message(AnyMessage::TemplateDistribution(message))) = received else {
            let what = format!("the provider is sent {received:?}");
            return self.witness.breach(Property::NothingUnexpected, what);
        };
        let frames = match message {
            TemplateDistribution::CoinbaseOutputConstraints(_) => {
                // Nothing is sent before the client has spoken (SV2 7).
                self.provider_link = Some(link);
                self.provider.welcome()
            }
            // A connection that was replaced may still be heard.
            TemplateDistribution::SubmitSolution(_) if self.provider_link != Some(link) => return,
            TemplateDistribution::SubmitSolution(solution) => {
                match self.provider.judge(&solution) {
                    Ok(hash) if self.provider.is_current(solution.template_id) => {
                        self.witness.counts.chained += 1;
                        let now = self.clock.now();
                        self.provider.found(hash, &mut self.rng, now)
                    }
                    Ok(_) => return,
                    Err(bad) => {
                        let what = format!("a solution is none: {}", bad.0);
                        return self.witness.breach(Property::BlocksToldOnce, what);
                    }
                }
            }
            other => {
                let what = format!("the provider is sent {other}");
                return self.witness.breach(Property::NothingUnexpected, what);
            }
        };
        self.provider_sends(&frames);
    }

    /// A frame of the provider arrives at the pool.
    pub(super) fn hear_provider(&mut self, mut frame: Vec<u8>) {
        self.tell_provider_client(|client, now, out| {
            client.received(now, frames::borrow(&mut frame), out);
        });
    }

    /// Passes blocks on, if there is anybody to take them.
    pub(super) fn hand_solutions(&mut self) {
        while self.pool.provider_link.is_some()
            && let Some(solution) = self.pool.solutions.pop_front()
        {
            let input = ProviderInput::Solve(solution);
            self.tell_provider_client(|client, now, out| client.input(now, input, out));
        }
    }

    fn tell_provider_client(
        &mut self,
        tell: impl FnOnce(&mut ProviderClient, protocol::core::Now, &mut Outbox<ProviderEvent>),
    ) {
        let mut out = Outbox::default();
        tell(&mut self.pool.provider, self.clock.now(), &mut out);
        if let Some(link) = self.pool.provider_link {
            for frame in frames::split(out.frames()) {
                self.send(link, End::Server, frame);
            }
        }
        let events: Vec<ProviderEvent> = out.take_events().collect();
        for event in events {
            match event {
                ProviderEvent::Work(work) => {
                    self.pool.work = Some(work);
                    self.publish();
                }
                ProviderEvent::Submitted(solution) | ProviderEvent::Lost(solution) => {
                    self.witness.handed(&solution);
                }
                other => {
                    let what = format!("{other:?}");
                    self.witness.breach(Property::NothingUnexpected, what);
                }
            }
        }
        if let Some(reason) = out.take_close() {
            self.witness.breach(Property::NothingUnexpected, reason);
        }
    }

    /// There is new work; each connection looks at it when it comes to it.
    fn publish(&mut self) {
        let links: Vec<LinkId> = self.pool.sessions.keys().copied().collect();
        for link in links {
            let Some(session) = self.pool.sessions.get_mut(&link) else {
                continue;
            };
            if std::mem::replace(&mut session.has_news, true) {
                self.witness.counts.skipped += 1;
                continue;
            }
            let busy = match self.rng.gen_range(0..10) {
                0..5 => Duration::ZERO,
                5..9 => BUSY,
                _ => VERY_BUSY,
            };
            self.plan_within(busy, Step::Work { link });
        }
    }

    fn provider_sends(&mut self, bytes: &[u8]) {
        if let Some(link) = self.provider_link {
            for frame in frames::split(bytes) {
                self.send(link, End::Client, frame);
            }
        }
    }
}
