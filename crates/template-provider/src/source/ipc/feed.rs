//! The life of one feed: reach the node, do what the feed is for, lose the node, reach it again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use bitcoin_capnp_types::mining_capnp::block_template;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::Access;
use super::call::CallError;
use super::node::Node;
use super::tips::Tips;
use super::work::{Job, Worker};
use crate::source::pauses::Pauses;
use crate::source::{
    Constraints, Event, FeedEnd, MAX_UNANSWERED, Purpose, Request, TemplateKey, Verdict,
};

/// How often a node that still downloads the chain is asked whether it is done.
const SYNC_POLL: Duration = Duration::from_millis(500);
/// Runs a feed until its client has gone.
pub(super) async fn run(access: Access, purpose: Purpose, end: FeedEnd) {
    let mut feed = FeedTask::new(access, purpose, end);
    let mut pauses = Pauses::default();
    loop {
        let End::Node(error) = feed.session().await else {
            return;
        };
        if feed.lose_node(&error).await.is_err() {
            return;
        }
        // A node that answers but makes no templates is not asked more often than one that is
        // away, so only success brings the short pauses back.
        if std::mem::take(&mut feed.has_served) {
            pauses = Pauses::default();
        }
        if feed.meanwhile(sleep(pauses.next())).await.is_err() {
            return;
        }
    }
}

/// Why a feed stopped what it was doing.
pub(super) enum End {
    /// Nobody listens any more.
    ClientGone,
    /// The connection is of no more use.
    Node(CallError),
}

impl From<CallError> for End {
    fn from(error: CallError) -> Self {
        Self::Node(error)
    }
}

/// How far a call to the node has come.
pub(super) enum Progress<T> {
    Done(T),
    /// Still under way, but the client has asked for other constraints.
    ConstraintsReplaced,
}

/// What the client was told last about the node.
#[derive(PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Back,
    Syncing,
    Lost(String),
}

pub(super) struct FeedTask {
    pub(super) access: Access,
    purpose: Purpose,
    requests: mpsc::Receiver<Request>,
    events: mpsc::Sender<Event>,
    constraints: Option<Constraints>,
    /// How often the client has set constraints. Setting the same ones again asks for a fresh
    /// template, too.
    pub(super) constraints_set: u64,
    pub(super) last_key: u64,
    pub(super) told: Told,
    /// Templates the client may still ask for. Empty while there is no node.
    pub(super) handles: BTreeMap<TemplateKey, block_template::Client>,
    /// To the worker of this connection. Never full: there is room for all a client may have
    /// unanswered.
    jobs: Option<mpsc::Sender<Job>>,
    /// Whether this connection was of any use.
    pub(super) has_served: bool,
}

impl FeedTask {
    fn new(access: Access, purpose: Purpose, end: FeedEnd) -> Self {
        Self {
            access,
            purpose,
            requests: end.requests,
            events: end.events,
            constraints: None,
            constraints_set: 0,
            last_key: 0,
            told: Told::Nothing,
            handles: BTreeMap::new(),
            jobs: None,
            has_served: false,
        }
    }

    /// From dialling to the end of the connection.
    async fn session(&mut self) -> End {
        match self.try_session().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn try_session(&mut self) -> Result<Infallible, End> {
        if let Purpose::Work(_) = self.purpose {
            self.constraints().await?;
        }
        let socket = self.access.socket.clone();
        let node = self.meanwhile(Node::connect(&socket)).await??;
        self.tell(Told::Back, Event::NodeBack).await?;
        while self.meanwhile(node.is_syncing()).await?? {
            self.tell(Told::Syncing, Event::NodeSyncing).await?;
            self.meanwhile(sleep(SYNC_POLL)).await?;
        }
        let (jobs, received) = mpsc::channel(MAX_UNANSWERED);
        spawn_local(Worker::new(&node, self.events.clone()).run(received));
        self.jobs = Some(jobs);
        let mut tips = self.meanwhile(Tips::start(&node)).await??;
        let end = match self.purpose {
            Purpose::Work(refresh) => self.follow(&node, &mut tips, refresh).await,
            Purpose::Watch => self.watch(&node, &mut tips).await,
        };
        tips.end().await;
        end
    }

    /// The client's constraints, as soon as it has set any.
    pub(super) async fn constraints(&mut self) -> Result<Constraints, End> {
        loop {
            if let Some(constraints) = self.constraints {
                return Ok(constraints);
            }
            let request = self.requests.recv().await.ok_or(End::ClientGone)?;
            self.serve(request).await?;
        }
    }

    /// Waits for something and serves requests meanwhile.
    pub(super) async fn meanwhile<T>(&mut self, wait: impl Future<Output = T>) -> Result<T, End> {
        let mut wait = pin!(wait);
        loop {
            if let Progress::Done(value) = self.drive(wait.as_mut()).await? {
                return Ok(value);
            }
        }
    }

    /// The same, but returns also when the client replaces its constraints; call it again then.
    pub(super) async fn drive<T>(
        &mut self,
        mut call: Pin<&mut impl Future<Output = T>>,
    ) -> Result<Progress<T>, End> {
        loop {
            let request = tokio::select! {
                biased;
                value = &mut call => return Ok(Progress::Done(value)),
                request = self.requests.recv() => request,
            };
            let constraints_set = self.constraints_set;
            self.serve(request.ok_or(End::ClientGone)?).await?;
            if self.constraints_set != constraints_set {
                return Ok(Progress::ConstraintsReplaced);
            }
        }
    }

    async fn serve(&mut self, request: Request) -> Result<(), End> {
        const GONE: &str = "the node no longer holds this template";
        match request {
            Request::Constraints(constraints) => {
                self.constraints = Some(constraints);
                self.constraints_set += 1;
            }
            Request::Release(keys) => {
                for key in keys {
                    self.handles.remove(&key);
                }
            }
            Request::TransactionData { template_id, key } => {
                let job = |handle| Job::TransactionData {
                    template_id,
                    handle,
                };
                if !self.hand_over(key, job) {
                    let transactions = Err(GONE.to_owned());
                    self.send(Event::TransactionData {
                        template_id,
                        transactions,
                    })
                    .await?;
                }
            }
            Request::Submit { key, solution } => {
                let (template_id, block_hash) = (solution.template_id, solution.block_hash);
                if !self.hand_over(key, |handle| Job::Submit { handle, solution }) {
                    let verdict = Verdict::Unknown {
                        reason: GONE.to_owned(),
                    };
                    self.send(Event::Verdict {
                        template_id,
                        block_hash,
                        verdict,
                    })
                    .await?;
                }
            }
        }
        Ok(())
    }

    /// Gives the worker a job, if the node still has the template it is about.
    fn hand_over(&self, key: TemplateKey, job: impl FnOnce(block_template::Client) -> Job) -> bool {
        match (self.handles.get(&key), &self.jobs) {
            (Some(handle), Some(jobs)) => jobs.try_send(job(handle.clone())).is_ok(),
            _ => false,
        }
    }

    /// Forgets the connection and says so, once for every reason.
    async fn lose_node(&mut self, error: &CallError) -> Result<(), End> {
        self.handles.clear();
        self.jobs = None;
        let reason = error.to_string();
        self.tell(Told::Lost(reason.clone()), Event::NodeLost { reason })
            .await
    }

    async fn tell(&mut self, news: Told, event: Event) -> Result<(), End> {
        if self.told != news {
            self.told = news;
            self.send(event).await?;
        }
        Ok(())
    }

    pub(super) async fn send(&self, event: Event) -> Result<(), End> {
        self.events.send(event).await.map_err(|_| End::ClientGone)
    }
}
