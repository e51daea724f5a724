//! Asks one role what it does, for as long as the explorer runs.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context;
use daemon::clock;
use daemon::http::Feed;
use reqwest::{Client, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::stream::Events;
use crate::config::{Kind, Peer};
use crate::event::{Event, Flow};
use crate::service::{Hearing, Part, Service, State, Status, jdc, jds, pool, provider, translator};

/// How often it is asked.
const POLL: Duration = Duration::from_secs(1);
/// How long it may take to answer.
const LIMIT: Duration = Duration::from_secs(3);
/// Items of a list asked for at once.
const PAGE: usize = 100;
/// Clients of a pool whose channels are asked for.
const MAX_CLIENTS: usize = 50;
/// Of an answer.
const MAX_BYTES: usize = 8 << 20;

/// Asks until the explorer stops.
pub(crate) async fn run(seen: watch::Sender<Service>, feed: Feed<Event>) -> Infallible {
    let peer = seen.borrow().peer.clone();
    let client = Client::builder().no_proxy().build();
    let mut follower = Follower {
        base: format!("http://{}", peer.address),
        client: client.expect("a client without TLS needs nothing that could be missing"),
        peer,
        seen,
        feed,
        counts: None,
        has_all_blocks: false,
    };
    let mut stream = None;
    let mut next = Instant::now();
    loop {
        if stream.is_none() && follower.is_to_be_heard() {
            stream = follower.listen().await;
        }
        tokio::select! {
            told = hear(&mut stream) => match told {
                Some(told) => follower.hear(&told).await,
                None => {
                    stream = None;
                    tokio::time::sleep_until(next).await;
                }
            },
            () = tokio::time::sleep_until(next) => {
                follower.ask().await;
                next = Instant::now() + POLL;
            }
        }
    }
}

type Stream = (Response, Events);

/// Why a role does not do what it is asked.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// What comes next; `None` when the stream has ended.
async fn hear(stream: &mut Option<Stream>) -> Option<Vec<pool::Told>> {
    let Some((response, events)) = stream else {
        return std::future::pending().await;
    };
    let chunk = response.chunk().await.ok()??;
    events.feed(&chunk).ok()
}

struct Follower {
    peer: Peer,
    base: String,
    client: Client,
    seen: watch::Sender<Service>,
    feed: Feed<Event>,
    /// What went over its lines when it was asked last.
    counts: Option<Counts>,
    /// Whether the blocks from before the explorer started were read.
    has_all_blocks: bool,
}

/// What has gone over a service's lines since it was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    templates: u64,
    shares: u64,
    declarations: u64,
    blocks: u64,
}

impl Follower {
    /// Asks for everything that its kind has.
    async fn ask(&mut self) {
        let status = self.get::<Status>("/api/v1/status").await;
        let state = match &status {
            Ok(status) if status.ready == Some(false) => State::NotReady {
                reason: status.reason.clone().unwrap_or_default(),
            },
            Ok(_) => State::Ready,
            Err(error) => State::Away {
                reason: format!("{error:#}"),
            },
        };
        let is_away = status.is_err();
        if let Ok(status) = status {
            self.seen.send_modify(|seen| seen.status = status);
        }
        self.publish_state(&state);
        if is_away {
            self.counts = None;
            return;
        }
        // What one of the lists lacks is known next time.
        let _ = match self.peer.kind {
            Kind::Pool => self.ask_pool().await,
            Kind::Jdc => self.ask_jdc().await,
            Kind::Jds => self.ask_jds().await,
            Kind::TemplateProvider => self.ask_provider().await,
            Kind::Translator => self.ask_translator().await,
            Kind::MiningDevice | Kind::BtcNode => Ok(()),
        };
        self.tell_flows();
    }

    fn publish_state(&self, state: &State) {
        let before = self.seen.borrow().state.clone();
        if before == *state {
            return;
        }
        let has_turned = before.name() != state.name();
        let (name, now) = (self.peer.name.clone(), state.name());
        self.seen.send_modify(|seen| {
            if has_turned {
                seen.since_ms = clock::unix_ms();
            }
            seen.state = state.clone();
        });
        if has_turned {
            match state.reason() {
                Some(reason) => warn!(service = name, reason, "service {now}"),
                None => info!(service = name, "service {now}"),
            }
            self.feed.tell(|| Event::Service { name, state: now });
        }
    }

    async fn ask_pool(&mut self) -> anyhow::Result<()> {
        self.ask_blocks().await?;
        let path = format!("/api/v1/clients?limit={PAGE}");
        let clients: Part<pool::Client> = self.get(&path).await?;
        let clients_total = clients.total;
        let mut clients = clients.items;
        for client in clients.iter_mut().take(MAX_CLIENTS) {
            let id = client.who.client_id;
            let path = format!("/api/v1/clients/{id}/channels?limit={PAGE}");
            // One that has left meanwhile has none.
            if let Ok(channels) = self.get::<pool::Channels>(&path).await {
                client.channels = channels.extended_channels;
                client.channels.extend(channels.standard_channels);
            }
        }
        let workers: Part<pool::Worker> = self.get("/api/v1/workers?limit=100").await?;
        let recent: Part<pool::Share> = self.get("/api/v1/shares/recent?limit=50").await?;
        let minutes: Vec<pool::Minute> = self.get("/api/v1/minutes").await?;
        self.seen.send_modify(|seen| {
            let facts = &mut seen.pool;
            for client in &clients {
                let who = client.who.clone();
                facts.known_clients.put(who.peer.clone(), who);
            }
            facts.clients = clients;
            facts.clients_total = clients_total;
            facts.workers = workers.items;
            facts.recent = recent.items;
            facts.minutes = minutes;
        });
        Ok(())
    }

    /// The newest blocks; at first all that are remembered.
    async fn ask_blocks(&mut self) -> anyhow::Result<()> {
        let most = if self.has_all_blocks {
            PAGE
        } else {
            pool::MAX_BLOCKS
        };
        let mut blocks: Vec<pool::Block> = Vec::new();
        while blocks.len() < most {
            let path = format!("/api/v1/blocks?limit={PAGE}&offset={}", blocks.len());
            let part: Part<pool::Block> = self.get(&path).await?;
            let is_last = part.items.len() < PAGE;
            blocks.extend(part.items);
            if is_last {
                break;
            }
        }
        self.has_all_blocks = true;
        let mut news = Vec::new();
        self.seen.send_modify(|seen| {
            for block in blocks.into_iter().rev() {
                if seen.pool.blocks.get(&block.hash) != Some(&block) {
                    news.push(block.hash.clone());
                    seen.pool.blocks.put(block.hash.clone(), block);
                }
            }
        });
        self.tell_stories(news);
        Ok(())
    }

    async fn ask_jdc(&mut self) -> anyhow::Result<()> {
        let jobs: Part<jdc::Job> = self.get("/api/v1/declared-jobs?limit=100").await?;
        let upstreams: Part<jdc::Upstream> = self.get("/api/v1/upstreams").await?;
        let blocks = self
            .get::<Part<jdc::Block>>("/api/v1/blocks?limit=100")
            .await;
        let clients = self
            .get::<Part<jdc::Client>>("/api/v1/clients?limit=100")
            .await;
        let mut news = Vec::new();
        self.seen.send_modify(|seen| {
            let facts = &mut seen.jdc;
            facts.clients = clients.map_or_else(|_| Vec::new(), |part| part.items);
            facts.take_jobs(jobs.items);
            facts.upstreams = upstreams.items;
            // Another make may not tell them.
            for block in blocks
                .into_iter()
                .flat_map(|part| part.items.into_iter().rev())
            {
                if facts.blocks.get(&block.hash).is_none() {
                    news.push(block.hash.clone());
                }
                facts.blocks.put(block.hash.clone(), block);
            }
        });
        self.tell_stories(news);
        Ok(())
    }

    async fn ask_jds(&mut self) -> anyhow::Result<()> {
        let path = "/api/v1/declarations?limit=100";
        let declarations: Part<jds::Declaration> = self.get(path).await?;
        self.seen
            .send_modify(|seen| seen.jds.take(declarations.items));
        Ok(())
    }

    async fn ask_provider(&mut self) -> anyhow::Result<()> {
        let path = "/api/v1/templates?limit=100";
        let templates: Part<provider::Template> = self.get(path).await?;
        self.seen
            .send_modify(|seen| seen.provider.take(templates.items));
        Ok(())
    }

    async fn ask_translator(&mut self) -> anyhow::Result<()> {
        let path = "/api/v1/sv1/clients?limit=100";
        let clients: Part<translator::Sv1Client> = self.get(path).await?;
        self.seen
            .send_modify(|seen| seen.translator.clients = clients.items);
        Ok(())
    }

    /// Whether what happens in it is worth listening to, and it is there to tell.
    fn is_to_be_heard(&self) -> bool {
        let is_there = matches!(
            self.seen.borrow().state,
            State::Ready | State::NotReady { .. }
        );
        self.peer.kind == Kind::Pool && is_there
    }

    /// Its events from now on; `None` if it does not tell them, which it is asked again.
    async fn listen(&self) -> Option<Stream> {
        let refused = match self.open().await {
            Ok(response) => {
                self.publish_hearing(Hearing::Live);
                return Some((response, Events::default()));
            }
            Err(error) => error,
        };
        self.publish_hearing(Hearing::Refused {
            reason: format!("{refused:#}"),
        });
        None
    }

    async fn open(&self) -> anyhow::Result<Response> {
        let url = format!("{}/api/v1/events", self.base);
        let answer = tokio::time::timeout(LIMIT, self.client.get(url).send()).await;
        let mut response = answer.map_err(|_| anyhow::anyhow!("no answer within {LIMIT:?}"))??;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = tokio::time::timeout(LIMIT, response.chunk()).await;
        let body = body.ok().and_then(Result::ok).flatten().unwrap_or_default();
        let problem: Option<Refusal> = serde_json::from_slice(&body).ok();
        match problem {
            Some(problem) => anyhow::bail!("{status}: {}", problem.error),
            None => anyhow::bail!("{status}"),
        }
    }

    fn publish_hearing(&self, hearing: Hearing) {
        let (name, before) = (&self.peer.name, self.seen.borrow().hearing.clone());
        if before == hearing {
            return;
        }
        match hearing.reason() {
            Some(reason) => warn!(
                service = name,
                reason,
                "it does not tell what happens; asked once a second instead, and tried again"
            ),
            None => info!(service = name, "it tells what happens"),
        }
        self.seen.send_modify(|seen| seen.hearing = hearing);
        let name = name.clone();
        self.feed.tell(|| Event::News { name });
    }

    async fn hear(&mut self, told: &[pool::Told]) {
        let is_about_blocks = told.iter().any(|told| {
            matches!(
                told,
                pool::Told::BlockFound { .. } | pool::Told::BlockJudged { .. }
            )
        });
        let has_news = told.iter().any(|told| *told != pool::Told::Other);
        self.seen.send_modify(|seen| {
            for told in told {
                seen.pool.hear(told);
            }
        });
        if is_about_blocks {
            // What is missing now is known next time.
            let _ = self.ask_blocks().await;
        }
        if has_news {
            let name = self.peer.name.clone();
            self.feed.tell(|| Event::News { name });
        }
    }

    fn tell_stories(&self, hashes: Vec<String>) {
        // A whole history is no news.
        for hash in hashes.into_iter().rev().take(10) {
            self.feed.tell(|| Event::Story { hash });
        }
    }

    /// Tells what has gone over the service's lines since it was asked last.
    fn tell_flows(&mut self) {
        let counts = self.counts();
        let Some(before) = self.counts.replace(counts) else {
            return;
        };
        let links = &self.peer.links;
        let grown = |now: u64, before: u64| now.saturating_sub(before);
        let shares = grown(counts.shares, before.shares);
        let declarations = grown(counts.declarations, before.declarations);
        let blocks = grown(counts.blocks, before.blocks);
        match self.peer.kind {
            Kind::MiningDevice | Kind::Translator | Kind::Jdc => {
                self.tell_flow(links, Flow::Shares, shares);
                self.tell_flow(links, Flow::Declarations, declarations);
            }
            Kind::TemplateProvider => {
                self.tell_flow(links, Flow::Blocks, blocks);
                let templates = grown(counts.templates, before.templates);
                let own = std::slice::from_ref(&self.peer.name);
                self.tell_flow(own, Flow::Templates, templates);
            }
            Kind::Pool | Kind::Jds | Kind::BtcNode => {}
        }
    }

    /// For which lines it is meant is decided by who shows them.
    fn tell_flow(&self, links: &[String], what: Flow, count: u64) {
        if count == 0 {
            return;
        }
        for to in links {
            let (from, to) = (self.peer.name.clone(), to.clone());
            self.feed.tell(|| Event::Flow {
                from,
                to,
                what,
                count,
            });
        }
    }

    fn counts(&self) -> Counts {
        let seen = self.seen.borrow();
        let status = &seen.status;
        match self.peer.kind {
            Kind::MiningDevice => Counts {
                shares: status.number("shares_submitted") as u64,
                ..Counts::default()
            },
            Kind::Jdc => Counts {
                shares: status.number("shares_accepted") as u64,
                declarations: seen.jdc.jobs.first().map_or(0, |job| job.job),
                ..Counts::default()
            },
            Kind::Translator => {
                let clients = seen.translator.clients.iter();
                Counts {
                    shares: clients.map(|client| client.shares.shares_accepted).sum(),
                    ..Counts::default()
                }
            }
            Kind::TemplateProvider => Counts {
                templates: status.sum("templates"),
                blocks: status.sum("solutions"),
                ..Counts::default()
            },
            Kind::Pool | Kind::Jds | Kind::BtcNode => Counts::default(),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let url = format!("{}{path}", self.base);
        let fetch = async {
            let mut response = self.client.get(&url).send().await?.error_for_status()?;
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                body.extend_from_slice(&chunk);
                anyhow::ensure!(
                    body.len() <= MAX_BYTES,
                    "an answer of more than {MAX_BYTES} bytes"
                );
            }
            Ok(serde_json::from_slice(&body)?)
        };
        let answer = tokio::time::timeout(LIMIT, fetch).await;
        let answer = answer.map_err(|_| anyhow::anyhow!("no answer within {LIMIT:?}"));
        answer.flatten().with_context(|| url.clone())
    }
}
