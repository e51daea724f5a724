//! One connection to the node, and the calls that keep a feed at the tip.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use bitcoin_capnp_types::capnp;
use bitcoin_capnp_types::capnp::message::ReaderOptions;
use bitcoin_capnp_types::capnp_rpc::RpcSystem;
use bitcoin_capnp_types::capnp_rpc::rpc_twoparty_capnp::Side;
use bitcoin_capnp_types::capnp_rpc::twoparty::VatNetwork;
use bitcoin_capnp_types::init_capnp::init;
use bitcoin_capnp_types::mining_capnp::{MAX_MONEY, block_template, mining};
use bitcoin_capnp_types::proxy_capnp::{thread, thread_map};
use tokio::net::UnixStream;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};
use tokio_util::sync::CancellationToken;

use super::call::{CallError, During};
use super::parse;
use super::tips::Tip;
use crate::source::{Constraints, Template};

/// How long the node may take for a call that waits for nothing. Only a node that is stopped or
/// hangs takes longer.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// A template and the node's handle on it. The node keeps a template as long as its handle lives.
pub(super) struct Built {
    pub(super) handle: block_template::Client,
    pub(super) template: Template,
    pub(super) contents: Contents,
}

/// What goes into a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// The best that the mempool has.
    Best,
    /// The coinbase alone.
    Nothing,
}

/// A connection to the node, set up for mining.
pub(super) struct Node {
    pub(super) mining: mining::Client,
    /// Waits, inside the node, for its next tip.
    pub(super) watching: thread::Client,
    /// Runs, one at a time, the calls that make templates.
    building: thread::Client,
    /// Runs the calls that a client waits for. The node does not guard a template against being
    /// read and solved at once, so all calls that do either go through this one thread.
    pub(super) working: thread::Client,
    connection: Connection,
}

/// Ends the connection, and with it every call under way, when dropped.
struct Connection {
    over: CancellationToken,
    transport: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.over.cancel();
        self.transport.abort();
    }
}

impl Node {
    /// Connects. This takes as long as the node takes to load its chain, for only then it hands
    /// out its mining interface; that may be minutes, so there is no limit.
    pub(super) async fn connect(socket: &Path) -> Result<Self, CallError> {
        let stream = UnixStream::connect(socket)
            .await
            .map_err(|source| CallError::Connect {
                path: socket.to_owned(),
                source,
            })?;
        let (reader, writer) = stream.into_split();
        let network = VatNetwork::new(
            reader.compat(),
            writer.compat_write(),
            Side::Client,
            ReaderOptions::default(),
        );
        let mut system = RpcSystem::new(Box::new(network), None);
        let init: init::Client = system.bootstrap(Side::Server);
        let over = CancellationToken::new();
        let ended = over.clone().drop_guard();
        let transport = spawn_local(async move {
            // Why it ended does not matter: the calls under way fail and say so.
            let _ = system.await;
            drop(ended);
        });
        let connection = Connection { over, transport };

        let answer = init
            .construct_request()
            .send()
            .promise
            .await
            .during("construct")?;
        let threads = answer
            .get()
            .during("construct")?
            .get_thread_map()
            .during("construct")?;
        let watching = make_thread(&threads, "watch").await?;
        let building = make_thread(&threads, "build").await?;
        let working = make_thread(&threads, "work").await?;
        let mining = make_mining(&init, &working).await?;
        Ok(Self {
            mining,
            watching,
            building,
            working,
            connection,
        })
    }

    /// Cancelled when the connection has ended, whoever ended it.
    pub(super) fn over(&self) -> &CancellationToken {
        &self.connection.over
    }

    /// Whether the node is still downloading the chain.
    pub(super) async fn is_syncing(&self) -> Result<bool, CallError> {
        const CALL: &str = "isInitialBlockDownload";
        let mut request = self.mining.is_initial_block_download_request();
        request
            .get()
            .get_context()
            .during(CALL)?
            .set_thread(self.building.clone());
        let answer = answered(CALL, ANSWER_LIMIT, request.send().promise).await?;
        Ok(answer.get().during(CALL)?.get_result())
    }

    /// Makes a template for the node's tip.
    pub(super) async fn create(
        &self,
        constraints: Constraints,
        contents: Contents,
    ) -> Result<Built, CallError> {
        const CALL: &str = "createNewBlock";
        let mut request = self.mining.create_new_block_request();
        let mut params = request.get();
        params
            .reborrow()
            .get_context()
            .during(CALL)?
            .set_thread(self.building.clone());
        // The node's own waiting for the chain cannot be told apart from a hang, and on a test
        // chain it may never end. `is_syncing` is asked instead.
        params.set_cooldown(false);
        let mut options = params.init_options();
        options.set_use_mempool(contents == Contents::Best);
        options.set_block_reserved_weight(constraints.block_reserved_weight());
        options.set_coinbase_output_max_additional_sigops(constraints.max_additional_sigops.into());
        let answer = answered(CALL, ANSWER_LIMIT, request.send().promise).await?;
        let handle = answer.get().during(CALL)?.get_result().during(CALL)?;
        self.read(handle, contents).await
    }

    /// Makes a better template than this one if the node can: one whose fees are higher by the
    /// threshold, one on another tip, or, on a test chain that stands still, an easier one.
    pub(super) async fn better(
        &self,
        handle: &block_template::Client,
        fee_threshold: Option<u64>,
    ) -> Result<Option<Built>, CallError> {
        const CALL: &str = "waitNext";
        let mut request = handle.wait_next_request();
        let mut params = request.get();
        params
            .reborrow()
            .get_context()
            .during(CALL)?
            .set_thread(self.building.clone());
        let mut options = params.init_options();
        // The node looks once before it waits. To wait inside it would be to see a new tip only
        // with the whole template for it.
        options.set_timeout(0.0);
        // All the money there is means "whatever the fees" to the node.
        let threshold = fee_threshold.and_then(|threshold| i64::try_from(threshold).ok());
        options.set_fee_threshold(threshold.unwrap_or(MAX_MONEY).min(MAX_MONEY));
        let answer = answered(CALL, ANSWER_LIMIT, request.send().promise).await?;
        let result = answer.get().during(CALL)?;
        if !result.has_result() {
            return Ok(None);
        }
        let handle = result.get_result().during(CALL)?;
        self.read(handle, Contents::Best).await.map(Some)
    }

    /// Fetches what a client needs to know of a template. The three calls travel together.
    async fn read(
        &self,
        handle: block_template::Client,
        contents: Contents,
    ) -> Result<Built, CallError> {
        const HEADER: &str = "getBlockHeader";
        const COINBASE: &str = "getCoinbaseTx";
        const PATH: &str = "getCoinbaseMerklePath";
        let mut header = handle.get_block_header_request();
        header
            .get()
            .get_context()
            .during(HEADER)?
            .set_thread(self.building.clone());
        let mut coinbase = handle.get_coinbase_tx_request();
        coinbase
            .get()
            .get_context()
            .during(COINBASE)?
            .set_thread(self.building.clone());
        let mut path = handle.get_coinbase_merkle_path_request();
        path.get()
            .get_context()
            .during(PATH)?
            .set_thread(self.building.clone());
        let (header, coinbase, path) = tokio::try_join!(
            answered(HEADER, ANSWER_LIMIT, header.send().promise),
            answered(COINBASE, ANSWER_LIMIT, coinbase.send().promise),
            answered(PATH, ANSWER_LIMIT, path.send().promise),
        )?;
        let template = parse::template(
            header.get().during(HEADER)?.get_result().during(HEADER)?,
            coinbase
                .get()
                .during(COINBASE)?
                .get_result()
                .during(COINBASE)?,
            path.get().during(PATH)?.get_result().during(PATH)?,
        )?;
        Ok(Built {
            handle,
            template,
            contents,
        })
    }
}

/// The node's tip; `None` while it has no block at all.
pub(super) async fn tip(
    mining: &mining::Client,
    thread: &thread::Client,
) -> Result<Option<Tip>, CallError> {
    const CALL: &str = "getTip";
    let mut request = mining.get_tip_request();
    request
        .get()
        .get_context()
        .during(CALL)?
        .set_thread(thread.clone());
    let answer = answered(CALL, ANSWER_LIMIT, request.send().promise).await?;
    let answer = answer.get().during(CALL)?;
    if !answer.get_has_result() {
        return Ok(None);
    }
    parse::tip(CALL, answer.get_result().during(CALL)?).map(Some)
}

/// Sends a call that nobody waits for: the end of the call it interrupts is the answer.
pub(super) fn unanswered<T: 'static>(
    answer: impl Future<Output = Result<T, capnp::Error>> + 'static,
) {
    spawn_local(timeout(ANSWER_LIMIT, answer));
}

/// The answer to a call, unless the node takes too long.
pub(super) async fn answered<T>(
    call: &'static str,
    limit: Duration,
    answer: impl Future<Output = Result<T, capnp::Error>>,
) -> Result<T, CallError> {
    match timeout(limit, answer).await {
        Ok(answer) => answer.during(call),
        Err(_) => Err(CallError::Silent { call, limit }),
    }
}

async fn make_thread(
    threads: &thread_map::Client,
    name: &str,
) -> Result<thread::Client, CallError> {
    const CALL: &str = "makeThread";
    let mut request = threads.make_thread_request();
    request.get().set_name(name);
    let answer = request.send().promise.await.during(CALL)?;
    answer.get().during(CALL)?.get_result().during(CALL)
}

async fn make_mining(
    init: &init::Client,
    thread: &thread::Client,
) -> Result<mining::Client, CallError> {
    const CALL: &str = "makeMining";
    let mut request = init.make_mining_request();
    request
        .get()
        .get_context()
        .during(CALL)?
        .set_thread(thread.clone());
    let answer = request.send().promise.await.during(CALL)?;
    answer.get().during(CALL)?.get_result().during(CALL)
}
