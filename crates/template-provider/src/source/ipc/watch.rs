//! A feed that only looks whether the node is at work.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Instant;

use tokio::time::{sleep, timeout};

use super::call::malformed;
use super::feed::{End, FAREWELL_LIMIT, FeedTask, SHORT_WAIT_PAUSE, Told, WAIT_LIMIT};
use super::node::{Node, Tip, tip};
use crate::source::{Constraints, Event};

impl FeedTask {
    /// Sees the node make a template, then tells its tips.
    pub(super) async fn watch(&mut self, node: &Node) -> Result<Infallible, End> {
        self.meanwhile(node.create(Constraints::default()))
            .await??;
        let tip = self.meanwhile(tip(&node.mining, &node.following)).await??;
        let mut tip = tip.ok_or_else(|| malformed("getTip", &"no tip, but a template for it"))?;
        self.has_served = true;
        self.told = Told::Back;
        loop {
            let Tip { hash, height } = tip;
            self.send(Event::Tip { hash, height }).await?;
            let before = tip;
            while tip == before {
                tip = self.next_tip(node, &before).await?;
            }
        }
    }

    /// The node's tip after a while; perhaps the same.
    async fn next_tip(&mut self, node: &Node, before: &Tip) -> Result<Tip, End> {
        let started = Instant::now();
        let mut call = pin!(node.wait_tip(before, WAIT_LIMIT));
        let tip = match self.meanwhile(call.as_mut()).await {
            Ok(tip) => tip?,
            Err(end) => {
                node.interrupt_wait_tip();
                // The call ends now or is cut off; its result matters to nobody.
                let _ = timeout(FAREWELL_LIMIT, call).await;
                return Err(end);
            }
        };
        if tip == *before && started.elapsed() < WAIT_LIMIT / 2 {
            self.meanwhile(sleep(SHORT_WAIT_PAUSE)).await?;
        }
        Ok(tip)
    }
}
