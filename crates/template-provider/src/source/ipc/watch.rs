//! A feed that only looks whether the node is at work.

use std::convert::Infallible;

use super::feed::{End, FeedTask, Told};
use super::node::{Contents, Node};
use super::tips::{Tip, Tips};
use crate::source::{Constraints, Event};

impl FeedTask {
    /// Sees the node make a template, then tells its tips.
    pub(super) async fn watch(&mut self, node: &Node, tips: &mut Tips) -> Result<Infallible, End> {
        self.meanwhile(node.create(Constraints::default(), Contents::Best))
            .await??;
        self.has_served = true;
        self.told = Told::Back;
        let mut tip = tips.newest();
        loop {
            let Tip { hash, height } = tip;
            self.send(Event::Tip { hash, height }).await?;
            tip = self.meanwhile(tips.next()).await??;
        }
    }
}
