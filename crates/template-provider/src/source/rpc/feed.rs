//! The life of one feed: what the client asks, and what the node's newest template means to it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::BlockHash;
use daemon::clock;
use daemon::node::NodeRpc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::block::{Block, NodeTemplate};
use super::poll::View;
use super::submit::submit;
use crate::source::{
    Constraints, Event, FeedEnd, Purpose, Refresh, Request, Solution, Template, TemplateKey,
    Verdict,
};

/// A block that was found is worth waiting for, also when its finder has left.
const FAREWELL_LIMIT: Duration = Duration::from_secs(2);

/// Runs a feed until its client has gone.
pub(super) async fn run(
    node: NodeRpc,
    view: watch::Receiver<View>,
    purpose: Purpose,
    end: FeedEnd,
) {
    let mut feed = FeedTask {
        node,
        view,
        purpose,
        requests: end.requests,
        events: end.events,
        constraints: None,
        last_key: 0,
        told: Told::Nothing,
        current: None,
        due: None,
        blocks: BTreeMap::new(),
        submissions: JoinSet::new(),
    };
    let Err(ClientGone) = feed.serve().await;
    let submitted = async { while feed.submissions.join_next().await.is_some() {} };
    // What the node has not answered by then it has at least been sent.
    let _ = timeout(FAREWELL_LIMIT, submitted).await;
}

/// Nobody listens any more.
struct ClientGone;

/// What the client was told last about the node.
#[derive(PartialEq, Eq)]
enum Told {
    Nothing,
    Back,
    Syncing,
    Lost(String),
    Tip(BlockHash),
}

/// The template the client has.
struct Current {
    template: Arc<Template>,
    since: Instant,
}

struct FeedTask {
    node: NodeRpc,
    view: watch::Receiver<View>,
    purpose: Purpose,
    requests: mpsc::Receiver<Request>,
    events: mpsc::Sender<Event>,
    constraints: Option<Constraints>,
    last_key: u64,
    told: Told,
    current: Option<Current>,
    /// When the view is worth another look although it has not changed.
    due: Option<Instant>,
    /// Templates the client may still ask for. Empty while there is no node.
    blocks: BTreeMap<TemplateKey, Rc<Block>>,
    /// Blocks on their way to the node; no more than a client may have unanswered.
    submissions: JoinSet<()>,
}

impl FeedTask {
    async fn serve(&mut self) -> Result<Infallible, ClientGone> {
        self.look().await?;
        loop {
            let due = clock::until(self.due);
            tokio::select! {
                biased;
                request = self.requests.recv() => self.answer(request.ok_or(ClientGone)?).await?,
                // The poll ends only after all feeds.
                seen = self.view.changed() => {
                    seen.map_err(|_| ClientGone)?;
                    self.look().await?;
                }
                () = due => self.look().await?,
                // Finished ones are taken out so that the set does not grow.
                Some(_) = self.submissions.join_next() => {}
            }
        }
    }

    async fn answer(&mut self, request: Request) -> Result<(), ClientGone> {
        const GONE: &str = "this template is no longer held";
        match request {
            Request::Constraints(constraints) => {
                self.constraints = Some(constraints);
                // The same ones again ask for a fresh template, too. It is made when no more
                // requests are waiting, so that a client that repeats itself costs the others
                // little.
                self.current = None;
                self.due = Some(Instant::now());
                Ok(())
            }
            Request::Release(keys) => {
                for key in keys {
                    self.blocks.remove(&key);
                }
                Ok(())
            }
            Request::TransactionData { template_id, key } => {
                let block = self.blocks.get(&key);
                let transactions = block
                    .map(|block| block.transactions().map(<[u8]>::to_vec).collect())
                    .ok_or_else(|| GONE.to_owned());
                self.send(Event::TransactionData {
                    template_id,
                    transactions,
                })
                .await
            }
            Request::Submit { key, solution } => {
                if let Some(block) = self.blocks.get(&key) {
                    self.submit(Rc::clone(block), solution);
                    return Ok(());
                }
                let verdict = Verdict::Unknown {
                    reason: GONE.to_owned(),
                };
                self.send(judged(&solution, verdict)).await
            }
        }
    }

    /// Submits without making the client's other requests wait.
    fn submit(&mut self, block: Rc<Block>, solution: Box<Solution>) {
        let (node, events) = (self.node.clone(), self.events.clone());
        self.submissions.spawn_local(async move {
            let verdict = submit(&node, &block, &solution).await;
            // A client that has gone does not want to know.
            let _ = events.send(judged(&solution, verdict)).await;
        });
    }

    /// Looks at the node's newest template.
    async fn look(&mut self) -> Result<(), ClientGone> {
        self.due = None;
        if let Purpose::Work(_) = self.purpose
            && self.constraints.is_none()
        {
            return Ok(());
        }
        let view = self.view.borrow_and_update().clone();
        match view {
            View::Unknown => Ok(()),
            View::Away { reason } => self.lose_node(reason).await,
            View::Syncing => {
                self.greet().await?;
                self.tell(Told::Syncing, Event::NodeSyncing).await
            }
            View::Serving(newest) => {
                self.greet().await?;
                match (self.purpose, self.constraints) {
                    (Purpose::Work(refresh), Some(constraints)) => {
                        self.told = Told::Back;
                        self.offer(newest, constraints, refresh).await
                    }
                    _ => self.tell_tip(&newest).await,
                }
            }
        }
    }

    /// Says that the node is reachable, if the client does not know.
    async fn greet(&mut self) -> Result<(), ClientGone> {
        match self.told {
            Told::Nothing | Told::Lost(_) => self.tell(Told::Back, Event::NodeBack).await,
            Told::Back | Told::Syncing | Told::Tip(_) => Ok(()),
        }
    }

    /// Forgets all templates and says so, once for every reason.
    async fn lose_node(&mut self, reason: String) -> Result<(), ClientGone> {
        self.current = None;
        self.blocks.clear();
        self.tell(Told::Lost(reason.clone()), Event::NodeLost { reason })
            .await
    }

    async fn tell_tip(&mut self, newest: &NodeTemplate) -> Result<(), ClientGone> {
        let tip = Event::Tip {
            hash: newest.prev_hash,
            height: newest.height.saturating_sub(1),
        };
        self.tell(Told::Tip(newest.prev_hash), tip).await
    }

    /// Gives the client the node's newest template, if it gains anything from it.
    async fn offer(
        &mut self,
        newest: Rc<NodeTemplate>,
        constraints: Constraints,
        refresh: Refresh,
    ) -> Result<(), ClientGone> {
        if let Some(current) = &self.current
            && current.template.prev_block() == newest.prev_hash
        {
            let due = current.since + refresh.min_interval;
            if Instant::now() < due {
                self.due = Some(due);
                return Ok(());
            }
        }
        let block = Block::new(newest, constraints);
        let template = block.template();
        let is_news = self.current.as_ref().is_none_or(|current| {
            refresh.calls_for(template, &current.template, current.since.elapsed())
        });
        if !is_news {
            return Ok(());
        }
        let template = Arc::new(template.clone());
        self.current = Some(Current {
            template: Arc::clone(&template),
            since: Instant::now(),
        });
        self.last_key += 1;
        let key = TemplateKey(self.last_key);
        self.blocks.insert(key, Rc::new(block));
        self.send(Event::Template {
            key,
            constraints,
            template,
        })
        .await
    }

    async fn tell(&mut self, news: Told, event: Event) -> Result<(), ClientGone> {
        if self.told != news {
            self.told = news;
            self.send(event).await?;
        }
        Ok(())
    }

    async fn send(&self, event: Event) -> Result<(), ClientGone> {
        self.events.send(event).await.map_err(|_| ClientGone)
    }
}

fn judged(solution: &Solution, verdict: Verdict) -> Event {
    Event::Verdict {
        template_id: solution.template_id,
        block_hash: solution.block_hash,
        verdict,
    }
}
