//! What a client waits for: the transactions of a template, and the verdict on a solution.

use bitcoin_capnp_types::mining_capnp::{block_template, mining};
use bitcoin_capnp_types::proxy_capnp::thread;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::call::{CallError, During};
use super::node::{ANSWER_LIMIT, Node, answered, tip};
use super::parse;
use crate::source::{Event, Solution, Verdict};

/// The node's words for a block whose parent is not the tip (any more).
const PARENT_IS_NOT_TIP: &str = "inconclusive-not-best-prevblk";

/// One thing to do with a template.
pub(super) enum Job {
    TransactionData {
        template_id: u64,
        handle: block_template::Client,
    },
    Submit {
        handle: block_template::Client,
        solution: Box<Solution>,
    },
}

/// Does jobs, one after the other, until there can be no more. Every job is answered, also when
/// the connection ends first.
pub(super) struct Worker {
    mining: mining::Client,
    thread: thread::Client,
    over: CancellationToken,
    events: mpsc::Sender<Event>,
}

impl Worker {
    pub(super) fn new(node: &Node, events: mpsc::Sender<Event>) -> Self {
        Self {
            mining: node.mining.clone(),
            thread: node.working.clone(),
            over: node.over().clone(),
            events,
        }
    }

    pub(super) async fn run(self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.recv().await {
            let event = match job {
                Job::TransactionData {
                    template_id,
                    handle,
                } => {
                    let transactions = self.until_over(self.transactions(&handle)).await;
                    let transactions = transactions.map_err(|error| error.to_string());
                    Event::TransactionData {
                        template_id,
                        transactions,
                    }
                }
                Job::Submit { handle, solution } => {
                    let verdict = self.until_over(self.submit(&handle, &solution)).await;
                    let Solution {
                        template_id,
                        block_hash,
                        ..
                    } = *solution;
                    let unknown = |error: CallError| Verdict::Unknown {
                        reason: error.to_string(),
                    };
                    let verdict = verdict.unwrap_or_else(unknown);
                    Event::Verdict {
                        template_id,
                        block_hash,
                        verdict,
                    }
                }
            };
            if self.events.send(event).await.is_err() {
                return;
            }
        }
    }

    async fn until_over<T>(
        &self,
        job: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        tokio::select! {
            () = self.over.cancelled() => Err(CallError::Closed),
            done = job => done,
        }
    }

    async fn transactions(
        &self,
        handle: &block_template::Client,
    ) -> Result<Vec<Vec<u8>>, CallError> {
        parse::transactions(&self.block(handle).await?)
    }

    async fn submit(
        &self,
        handle: &block_template::Client,
        solution: &Solution,
    ) -> Result<Verdict, CallError> {
        const CALL: &str = "submitSolution";
        let mut request = handle.submit_solution_request();
        let mut params = request.get();
        params
            .reborrow()
            .get_context()
            .during(CALL)?
            .set_thread(self.thread.clone());
        params.set_version(solution.version);
        params.set_timestamp(solution.timestamp);
        params.set_nonce(solution.nonce);
        params.set_coinbase(&solution.coinbase);
        let answer = answered(CALL, ANSWER_LIMIT, request.send().promise).await?;
        let taken = answer.get().during(CALL)?.get_result();
        // "Taken" says that the block was worth storing, not that it is valid: what only shows
        // when a block is connected, such as a coinbase that pays out too much, is "taken" too.
        let tip = tip(&self.mining, &self.thread).await?;
        if taken && tip.is_some_and(|tip| tip.hash == solution.block_hash) {
            return Ok(Verdict::Accepted);
        }
        // The node has put the solution into the template, so the template is the block now.
        let refusal = self.refusal(&self.block(handle).await?).await?;
        Ok(match refusal {
            Some(reason) if reason != PARENT_IS_NOT_TIP => Verdict::Rejected { reason },
            _ if taken => Verdict::NotTip,
            Some(reason) => Verdict::Rejected { reason },
            None => Verdict::Rejected {
                reason: "the node gives no reason".to_owned(),
            },
        })
    }

    async fn block(&self, handle: &block_template::Client) -> Result<Vec<u8>, CallError> {
        const CALL: &str = "getBlock";
        let mut request = handle.get_block_request();
        request
            .get()
            .get_context()
            .during(CALL)?
            .set_thread(self.thread.clone());
        let answer = answered(CALL, ANSWER_LIMIT, request.send().promise).await?;
        Ok(answer
            .get()
            .during(CALL)?
            .get_result()
            .during(CALL)?
            .to_vec())
    }

    /// Why the node would not have this block at its tip, if it would not.
    async fn refusal(&self, block: &[u8]) -> Result<Option<String>, CallError> {
        const CALL: &str = "checkBlock";
        let mut request = self.mining.check_block_request();
        let mut params = request.get();
        params
            .reborrow()
            .get_context()
            .during(CALL)?
            .set_thread(self.thread.clone());
        params.set_block(block);
        let answer = answered(CALL, ANSWER_LIMIT, request.send().promise).await?;
        let answer = answer.get().during(CALL)?;
        if answer.get_result() {
            return Ok(None);
        }
        let reason = answer
            .get_reason()
            .and_then(|reason| Ok(reason.to_string()?))
            .during(CALL)?;
        Ok(Some(reason))
    }
}
