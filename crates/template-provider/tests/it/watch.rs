//! The client's side of a feed, for tests.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use template_provider::source::{
    Constraints, Event, Feed, Purpose, Refresh, Request, Solution, Source, SourceThread, Template,
    TemplateKey, Verdict,
};
use tokio::time::timeout;

use crate::node::{Kind, LIMIT, Node};

pub(crate) const SMALL: Constraints = Constraints {
    max_additional_size: 100,
    max_additional_sigops: 4,
};
/// Any gain at once.
pub(crate) const EAGER: Refresh = Refresh {
    fee_threshold: Some(1),
    min_interval: Duration::ZERO,
};
pub(crate) const TIPS_ONLY: Refresh = Refresh {
    fee_threshold: None,
    min_interval: Duration::ZERO,
};

/// A template as it arrived.
pub(crate) struct Received {
    pub(crate) key: TemplateKey,
    pub(crate) constraints: Constraints,
    pub(crate) template: Arc<Template>,
}

impl Received {
    /// As RPC writes it.
    pub(crate) fn prev_hash(&self) -> String {
        shown(self.template.prev_hash)
    }
}

/// A hash as RPC writes it.
pub(crate) fn shown(hash: [u8; 32]) -> String {
    hash.iter()
        .rev()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub(crate) struct Watcher {
    feed: Feed,
    /// Templates that came while something else was waited for.
    early: VecDeque<Received>,
    /// Keeps the source open.
    _source: Source,
    thread: Option<SourceThread>,
}

impl Watcher {
    /// A feed of its own source, with [`SMALL`] constraints set.
    pub(crate) async fn of(node: &Node, kind: Kind, refresh: Refresh) -> Self {
        let (source, thread) = kind.start(node);
        let mut watcher = Self::on(&source, refresh).await;
        watcher.thread = Some(thread);
        watcher.constrain(SMALL).await;
        watcher
    }

    /// A feed without constraints.
    pub(crate) async fn on(source: &Source, refresh: Refresh) -> Self {
        let feed = source.open(Purpose::Work(refresh)).await.unwrap();
        Self {
            feed,
            early: VecDeque::new(),
            _source: source.clone(),
            thread: None,
        }
    }

    pub(crate) async fn constrain(&self, constraints: Constraints) {
        self.request(Request::Constraints(constraints)).await;
    }

    pub(crate) async fn request(&self, request: Request) {
        self.feed.requests.send(request).await.unwrap();
    }

    pub(crate) async fn event(&mut self) -> Event {
        timeout(LIMIT, self.feed.events.recv())
            .await
            .expect("nothing comes from the feed")
            .expect("the feed has ended")
    }

    /// The first event that `pick` takes. Templates that come before it are kept for
    /// [`template`](Self::template).
    pub(crate) async fn until<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.event().await {
                Event::Template {
                    key,
                    constraints,
                    template,
                } => {
                    self.early.push_back(Received {
                        key,
                        constraints,
                        template,
                    });
                }
                event => {
                    if let Some(picked) = pick(event) {
                        return picked;
                    }
                }
            }
            assert!(
                Instant::now() < deadline,
                "the event waited for does not come"
            );
        }
    }

    pub(crate) async fn template(&mut self) -> Received {
        let deadline = Instant::now() + LIMIT;
        while self.early.is_empty() {
            if let Event::Template {
                key,
                constraints,
                template,
            } = self.event().await
            {
                return Received {
                    key,
                    constraints,
                    template,
                };
            }
            assert!(Instant::now() < deadline, "no template comes");
        }
        self.early.pop_front().unwrap()
    }

    /// The first template on this tip.
    pub(crate) async fn at(&mut self, tip: &str) -> Received {
        loop {
            let received = self.template().await;
            if received.prev_hash() == tip {
                return received;
            }
        }
    }

    pub(crate) async fn lost(&mut self) -> String {
        self.until(|event| match event {
            Event::NodeLost { reason } => Some(reason),
            _ => None,
        })
        .await
    }

    /// Whether nothing comes for this long.
    pub(crate) async fn is_quiet(&mut self, time: Duration) -> bool {
        timeout(time, self.feed.events.recv()).await.is_err()
    }

    pub(crate) async fn submit(&mut self, key: TemplateKey, solution: Box<Solution>) -> Verdict {
        let expected = solution.block_hash;
        self.request(Request::Submit { key, solution }).await;
        self.until(|event| match event {
            Event::Verdict {
                block_hash,
                verdict,
                ..
            } => {
                assert_eq!(block_hash, expected);
                Some(verdict)
            }
            _ => None,
        })
        .await
    }

    pub(crate) async fn transactions(&mut self, key: TemplateKey) -> Result<Vec<Vec<u8>>, String> {
        self.request(Request::TransactionData {
            template_id: 7,
            key,
        })
        .await;
        self.until(|event| match event {
            Event::TransactionData {
                template_id: 7,
                transactions,
            } => Some(transactions),
            _ => None,
        })
        .await
    }

    /// Leaves, and waits until the source has noticed.
    pub(crate) async fn leave(mut self) {
        let mut thread = self.thread.take().unwrap();
        drop(self);
        timeout(LIMIT, thread.ended())
            .await
            .expect("the source does not end");
    }
}
