//! A feed for work: the client is kept at the node's tip.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin_capnp_types::mining_capnp::block_template;
use tokio::time::timeout;

use super::feed::{End, FeedTask, Progress, Told};
use super::node::{Built, Contents, Node};
use super::tips::Tips;
use crate::source::{Constraints, Event, Refresh, Template, TemplateKey};

/// How often to look whether there is a better template for the same tip. With fees to compare the
/// node makes a whole template to find out.
const LOOK: Duration = Duration::from_secs(1);
/// A path of more hashes than this belongs to at least 256 transactions, with which the node takes
/// longer over a template than over everything else between its new tip and the client.
const SHORT_PATH: usize = 8;

/// The template the client has, from which the next one follows.
struct Current {
    handle: block_template::Client,
    template: Arc<Template>,
    since: Instant,
    contents: Contents,
}

/// What to do after a wait.
enum Next {
    /// Make a template for a new tip.
    Make(Contents),
    /// Look whether there is a better one for the same tip.
    Look,
    /// Begin anew.
    Nothing,
}

impl FeedTask {
    /// Keeps the client at the node's tip.
    pub(super) async fn follow(
        &mut self,
        node: &Node,
        tips: &mut Tips,
        refresh: Refresh,
    ) -> Result<Infallible, End> {
        let mut current: Option<Current> = None;
        loop {
            let constraints = self.constraints().await?;
            let constraints_set = self.constraints_set;
            let built = match &current {
                Some(current) if current.contents == Contents::Best => {
                    match self.next(tips, &current.template).await? {
                        Next::Make(contents) => {
                            let create = node.create(constraints, contents);
                            Some(self.meanwhile(create).await??)
                        }
                        Next::Look => {
                            let fees = refresh.fees_asked(current.since.elapsed());
                            let better = node.better(&current.handle, fees);
                            self.meanwhile(better).await??
                        }
                        Next::Nothing => None,
                    }
                }
                _ => {
                    let create = node.create(constraints, Contents::Best);
                    Some(self.meanwhile(create).await??)
                }
            };
            if self.constraints_set != constraints_set {
                current = None;
                continue;
            }
            match (built, &mut current) {
                (Some(built), current) if is_news(&built, current.as_ref(), refresh) => {
                    *current = Some(self.publish(constraints, built).await?);
                }
                // There is nothing to be filled in yet; the node would look for nothing better than
                // an empty template without a handle on one that is not empty by order.
                (Some(built), Some(current)) if current.contents == Contents::Nothing => {
                    current.handle = built.handle;
                    current.contents = Contents::Best;
                }
                _ => {}
            }
        }
    }

    /// Waits for the next tip, or until it is time to look for a better template.
    async fn next(&mut self, tips: &mut Tips, current: &Template) -> Result<Next, End> {
        Ok(match self.drive(pin!(timeout(LOOK, tips.next()))).await? {
            Progress::ConstraintsReplaced => Next::Nothing,
            Progress::Done(Err(_)) => Next::Look,
            Progress::Done(Ok(tip)) => match tip?.hash {
                // It was made when the tip had changed already, but before that was told.
                tip if tip == current.prev_block() => Next::Nothing,
                _ if self.begins_empty(current) => Next::Make(Contents::Nothing),
                _ => Next::Make(Contents::Best),
            },
        })
    }

    /// Whether the next tip is to begin with an empty template: when the last one had so many
    /// transactions that another with as many takes long.
    fn begins_empty(&self, last: &Template) -> bool {
        self.access.empty_first && last.merkle_path.len() > SHORT_PATH
    }

    async fn publish(&mut self, constraints: Constraints, built: Built) -> Result<Current, End> {
        let Built {
            handle,
            template,
            contents,
        } = built;
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
            contents,
        })
    }
}

/// Whether a client gains anything from a template. The node also makes one, every second, when
/// the tip of a test chain is older than 20 minutes, because its difficulty may then fall.
fn is_news(next: &Built, current: Option<&Current>, refresh: Refresh) -> bool {
    let next = &next.template;
    current.is_none_or(|current| match current.contents {
        Contents::Nothing => !next.makes_same_block_as(&current.template),
        Contents::Best => refresh.calls_for(next, &current.template, current.since.elapsed()),
    })
}
