//! A wire between device and pool that somebody listens to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use daemon::dial::HostPort;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What passes, in either direction.
type Seen = Arc<Mutex<Vec<u8>>>;

pub(crate) struct Relay {
    pub(crate) address: HostPort,
    leads_to: watch::Sender<Option<HostPort>>,
    carried: watch::Receiver<usize>,
    seen: Seen,
}

impl Relay {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = HostPort::from(listener.local_addr().unwrap());
        let (leads_to, mut target) = watch::channel(None);
        let (count, carried) = watch::channel(0);
        let seen = Seen::default();
        let copy = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let target = match target.wait_for(Option::is_some).await {
                    Ok(target) => target.as_ref().map(ToString::to_string),
                    Err(_) => return,
                };
                let far = TcpStream::connect(target.unwrap()).await.unwrap();
                count.send_modify(|count| *count += 1);
                let ((from_near, to_near), (from_far, to_far)) =
                    (near.into_split(), far.into_split());
                tokio::spawn(carry(from_near, to_far, Arc::clone(&copy)));
                tokio::spawn(carry(from_far, to_near, Arc::clone(&copy)));
            }
        });
        Self {
            address,
            leads_to,
            carried,
            seen,
        }
    }

    pub(crate) fn lead_to(&self, address: &HostPort) {
        self.leads_to.send_replace(Some(address.clone()));
    }

    /// Waits until so many connections have come.
    pub(crate) async fn carried(&self, connections: usize) {
        let mut carried = self.carried.clone();
        let enough = carried.wait_for(|count| *count >= connections);
        let enough = tokio::time::timeout(Duration::from_secs(60), enough);
        enough.await.expect("the device tries again").unwrap();
    }

    pub(crate) fn seen(&self) -> Vec<u8> {
        self.seen.lock().unwrap().clone()
    }
}

/// Until either end is gone; dropping the other half tells the other end.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, seen: Seen) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        seen.lock().unwrap().extend_from_slice(&buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
