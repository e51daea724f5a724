//! Blocks elsewhere than on the chain's tip, and what the node is to think of a block.

use std::sync::Arc;

use bitcoin::Address;
use daemon::node::{NodeError, NodeRpc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Wish, nobody, refused};
use crate::archive::Missing;
use crate::config::Actions;
use crate::view::{App, block};

/// Blocks left at once, at most.
const MAX_DEPTH: u32 = 100;
/// Branches that are put aside for another one, at most.
const MAX_ASIDE: usize = 20;

/// What was done, and where it is shown.
type Deed = Result<(String, String), Missing>;

/// Leaves the newest blocks for one more of others; they stay valid, and shorter.
pub(super) async fn reorg(app: &App, actions: &Actions, depth: u32) -> Deed {
    if !(1..=MAX_DEPTH).contains(&depth) {
        let what = format!("{depth} blocks: expected 1 to {MAX_DEPTH}");
        return Err(Missing::BadRequest(what));
    }
    let rpc = &actions.rpc;
    let height: u32 = ask(rpc, "getblockcount", json!([])).await?;
    let fork = height.checked_sub(depth);
    let fork = fork.ok_or_else(|| Missing::bad_request("the chain is shorter than that"))?;
    let fork: String = ask(rpc, "getblockhash", json!([fork])).await?;
    let made = build(app, rpc, fork, (depth + 1, &nobody(app))).await?;
    let message = format!("{depth} blocks were left for {} others.", made.len());
    Ok((message, "/tips".to_owned()))
}

/// Mines on a block of any branch.
pub(super) async fn mine_on(
    app: &App,
    actions: &Actions,
    id: &str,
    (count, to): (u32, &Address),
) -> Deed {
    let brief = block::find(app, id).await?;
    let tip = app.chain.borrow().tip().map_or(0, |tip| tip.height);
    if tip.saturating_sub(brief.height) > MAX_DEPTH {
        let what = format!(
            "block {} is more than {MAX_DEPTH} below the tip",
            brief.height
        );
        return Err(Missing::BadRequest(what));
    }
    let made = build(app, &actions.rpc, brief.hash.to_string(), (count, to)).await?;
    let message = format!(
        "The node made {} blocks on top of block {}. The chain is what has most work in it.",
        made.len(),
        brief.height
    );
    Ok((message, "/tips".to_owned()))
}

/// Has the node mine on that block, in a task of its own: whoever asked may leave, and the role may
/// stop, before what was put aside is back.
async fn build(
    app: &App,
    rpc: &NodeRpc,
    on: String,
    (count, to): (u32, &Address),
) -> Result<Vec<String>, Missing> {
    let (rpc, to) = (rpc.clone(), to.to_string());
    let turning = Arc::clone(&app.turning);
    let stop = app.shutdown.stop().clone();
    let work = async move {
        let _turn = turning.lock().await;
        let mut aside = Vec::new();
        let made = async {
            make_tip(&rpc, &on, &mut aside).await?;
            rpc.generate(count.into(), &to).await.map_err(refused)
        };
        let made = tokio::select! {
            made = made => made,
            () = stop.cancelled() => Err(Missing::Unavailable("the explorer stops".to_owned())),
        };
        put_back(&rpc, &aside).await?;
        made
    };
    let done = app.shutdown.spawn(work).await;
    done.unwrap_or_else(|error| Err(Missing::Unavailable(format!("mining on a block: {error}"))))
}

/// Has the node judge them anew. To it that means the blocks on top of them as well: one of those
/// that somebody had invalidated is valid again.
async fn put_back(rpc: &NodeRpc, aside: &[String]) -> Result<(), Missing> {
    let mut all = Ok(Value::Null);
    for block in aside.iter().rev() {
        let one = ask(rpc, "reconsiderblock", json!([block])).await;
        all = all.and(one);
    }
    all.map(|_| ())
}

/// Puts aside what is higher, and notes that, until that block is the node's tip.
async fn make_tip(rpc: &NodeRpc, wanted: &str, aside: &mut Vec<String>) -> Result<(), Missing> {
    while aside.len() < MAX_ASIDE {
        let tip: String = ask(rpc, "getbestblockhash", json!([])).await?;
        if tip == wanted {
            return Ok(());
        }
        let rival = rival(rpc, wanted).await?;
        // Before it is: the node may do it although its answer is lost.
        aside.push(rival.clone());
        ask::<Value>(rpc, "invalidateblock", json!([rival])).await?;
    }
    Err(Missing::bad_request(
        "too many branches are higher than that block",
    ))
}

/// The lowest block of the chain that is neither that block nor below it.
async fn rival(rpc: &NodeRpc, block: &str) -> Result<String, Missing> {
    /// Of `getblockheader`.
    #[derive(Deserialize)]
    struct Header {
        /// -1 beside the chain.
        confirmations: i64,
        height: u64,
        previousblockhash: Option<String>,
    }
    let mut hash = block.to_owned();
    for _ in 0..=MAX_DEPTH {
        let header: Header = ask(rpc, "getblockheader", json!([hash])).await?;
        if header.confirmations >= 0 {
            let above = rpc.call("getblockhash", json!([header.height + 1])).await;
            // Nothing stands in its way, and still it is not the tip.
            return above.map_err(|error| match error {
                NodeError::Rpc { .. } => Missing::bad_request(
                    "the node counts that block as invalid, or has nothing but its header",
                ),
                other => refused(other),
            });
        }
        match header.previousblockhash {
            Some(below) => hash = below,
            None => break,
        }
    }
    let what = format!("its branch is longer than {MAX_DEPTH} blocks");
    Err(Missing::BadRequest(what))
}

/// Has the node take a block, and all on top of it, for invalid, or judge them anew.
pub(super) async fn judge(app: &App, actions: &Actions, wish: &Wish) -> Deed {
    let id = wish.block.as_deref().unwrap_or_default().trim();
    let brief = block::find(app, id).await?;
    if brief.height == 0 {
        return Err(Missing::bad_request("the first block of all stays valid"));
    }
    let (method, verdict) = match wish.action.as_str() {
        "invalidate" => ("invalidateblock", "counts as invalid"),
        _ => ("reconsiderblock", "is judged anew"),
    };
    let params = json!([brief.hash.to_string()]);
    ask::<Value>(&actions.rpc, method, params).await?;
    let message = format!("Block {} {verdict}, and all on top of it.", brief.height);
    Ok((message, "/tips".to_owned()))
}

async fn ask<T: serde::de::DeserializeOwned>(
    rpc: &NodeRpc,
    method: &str,
    params: Value,
) -> Result<T, Missing> {
    rpc.call(method, params).await.map_err(refused)
}
