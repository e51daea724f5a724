//! A feed for work: the client is kept at the node's tip.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin_capnp_types::mining_capnp::block_template;
use tokio::time::{sleep, timeout};

use super::call::CallError;
use super::feed::{End, FAREWELL_LIMIT, FeedTask, Progress, SHORT_WAIT_PAUSE, Told, WAIT_LIMIT};
use super::node::{Built, Node, interrupt_wait_next};
use crate::source::{Constraints, Event, Refresh, Template, TemplateKey};

/// The template the client has, from which the next one follows.
struct Current {
    handle: block_template::Client,
    template: Arc<Template>,
    since: Instant,
}

impl FeedTask {
    /// Keeps the client at the node's tip.
    pub(super) async fn follow(
        &mut self,
        node: &Node,
        refresh: Refresh,
    ) -> Result<Infallible, End> {
        let mut current: Option<Current> = None;
        let mut pause = Duration::ZERO;
        loop {
            let constraints = self.constraints().await?;
            let constraints_set = self.constraints_set;
            let wait = Wait::for_news(refresh, current.as_ref());
            let started = Instant::now();
            let call = async {
                sleep(pause).await;
                match &current {
                    None => node.create(constraints).await.map(Some),
                    Some(current) => {
                        node.wait_next(&current.handle, wait.fee_threshold, wait.limit)
                            .await
                    }
                }
            };
            let built = self.next(call, current.as_ref()).await?;
            pause = Duration::ZERO;
            if self.constraints_set != constraints_set {
                current = None;
                continue;
            }
            match built {
                Some(built) if is_news(&built.template, current.as_ref(), refresh) => {
                    current = Some(self.publish(constraints, built).await?);
                }
                Some(_) => {}
                None if started.elapsed() < wait.limit / 2 => pause = SHORT_WAIT_PAUSE,
                None => {}
            }
        }
    }

    /// Serves requests until the next template is there. What it returns is of no use when the
    /// constraints have been replaced meanwhile.
    async fn next(
        &mut self,
        call: impl Future<Output = Result<Option<Built>, CallError>>,
        current: Option<&Current>,
    ) -> Result<Option<Built>, End> {
        let mut call = pin!(call);
        loop {
            match self.drive(call.as_mut()).await {
                Ok(Progress::Done(built)) => return Ok(built?),
                Ok(Progress::ConstraintsReplaced) => {
                    if let Some(current) = current {
                        interrupt_wait_next(&current.handle);
                    }
                }
                Err(end) => {
                    if let Some(current) = current {
                        interrupt_wait_next(&current.handle);
                        // The call ends now or is cut off; its result matters to nobody.
                        let _ = timeout(FAREWELL_LIMIT, call).await;
                    }
                    return Err(end);
                }
            }
        }
    }

    async fn publish(&mut self, constraints: Constraints, built: Built) -> Result<Current, End> {
        let Built { handle, template } = built;
        let template = Arc::new(template);
        self.last_key += 1;
        let key = TemplateKey(self.last_key);
        self.handles.insert(key, handle.clone());
        self.has_served = true;
        // A node that was syncing before is past that now.
        self.told = Told::Back;
        self.send(Event::Template {
            key,
            constraints,
            template: Arc::clone(&template),
        })
        .await?;
        Ok(Current {
            handle,
            template,
            since: Instant::now(),
        })
    }
}

/// What to wait for in the node.
struct Wait {
    fee_threshold: Option<u64>,
    limit: Duration,
}

impl Wait {
    /// Until the shortest interval has passed only a new tip is news.
    fn for_news(refresh: Refresh, current: Option<&Current>) -> Self {
        let age = current.map_or(Duration::MAX, |current| current.since.elapsed());
        let remaining = refresh.min_interval.saturating_sub(age);
        if remaining.is_zero() {
            Self {
                fee_threshold: refresh.fee_threshold,
                limit: WAIT_LIMIT,
            }
        } else {
            Self {
                fee_threshold: None,
                limit: remaining.min(WAIT_LIMIT),
            }
        }
    }
}

/// Whether a client gains anything from a template. The node also makes one, every second, when
/// the tip of a test chain is older than 20 minutes, because its difficulty may then fall.
fn is_news(next: &Template, current: Option<&Current>, refresh: Refresh) -> bool {
    current
        .is_none_or(|current| refresh.calls_for(next, &current.template, current.since.elapsed()))
}
