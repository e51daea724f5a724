//! Pages as templates, which are part of the program.

use askama::Template;

use super::actions::Done;
use super::ask::Frame;
use crate::text;
use crate::view::{address, block, home, lab, mempool, mining, search, tips, transaction, work};

/// A page with a view of its own.
macro_rules! pages {
    ($($name:ident: $view:ty, $path:literal;)*) => {$(
        #[derive(Template)]
        #[template(path = $path)]
        pub(super) struct $name {
            pub(super) frame: Frame,
            pub(super) view: $view,
        }
    )*};
}

pages! {
    Home: home::Home, "home.html";
    Blocks: home::Blocks, "blocks.html";
    Block: block::BlockView, "block.html";
    Transaction: transaction::TxView, "transaction.html";
    Address: address::AddressView, "address.html";
    Mempool: mempool::MempoolView, "mempool.html";
    Search: search::Search, "search.html";
    Tips: tips::Tips, "tips.html";
    Work: work::Work, "work.html";
    Miners: mining::Miners, "miners.html";
    Worker: mining::WorkerView, "worker.html";
    Declarations: work::Declarations, "declarations.html";
    Node: lab::NodeView, "node.html";
    About: lab::About, "about.html";
    Actions: Done, "actions.html";
}

#[derive(Template)]
#[template(path = "nothing.html")]
pub(super) struct Nothing {
    pub(super) frame: Frame,
    pub(super) reason: String,
}
