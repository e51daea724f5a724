//! The listening end of HTTP, and what one client may cost.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::shutdown::Shutdown;

/// How long a connection may go on with what it is sending once the role stops.
const GRACE: Duration = Duration::from_millis(500);

/// What is allowed to clients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at once. Further ones wait in the kernel's backlog until one ends, as each does
    /// that asks nothing or does not read.
    pub(super) connections: usize,
    /// From the end of one answer, or from the beginning, to the end of the next request's head.
    pub(super) head: Duration,
    /// How long a client may leave an answer unread without reading any of it.
    pub(super) stall: Duration,
    /// Bytes of a request's head.
    pub(super) head_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 128,
            head: Duration::from_secs(10),
            stall: Duration::from_secs(20),
            head_bytes: 16 * 1024,
        }
    }
}

/// Accepts clients until `shutdown`.
pub(super) async fn accept(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: Shutdown,
) {
    let stop = shutdown.stop().clone();
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let place = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Or the second of two events waits for the first one's acknowledgement, 40 ms. A
                // socket that is dead already says so when it is read.
                let _ = stream.set_nodelay(true);
                let (router, stop) = (router.clone(), stop.clone());
                shutdown.spawn(async move {
                    if let Err(error) = serve(stream, router, limits, &stop).await {
                        debug!(%peer, %error, "an HTTP connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file descriptors, usually: give connections a moment to end.
                warn!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Answers one client until it leaves, does not keep to the limits, or the role stops.
async fn serve<S>(
    stream: S,
    router: Router,
    limits: Limits,
    stop: &CancellationToken,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Send,
{
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(limits.stall));
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(limits.head_bytes)
            .serve_connection(
                TokioIo::new(Box::pin(stream)),
                TowerToHyperService::new(router),
            )
    );
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    // A client that goes on listening must not keep the role from stopping.
    timeout(GRACE, connection).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests;
