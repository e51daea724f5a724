//! How many connections may be on their way to being set up.
//!
//! While all places are taken nobody new is accepted: who waits in the kernel's backlog costs no
//! memory here and no key exchange, and gets in as soon as there is room, so the many miners that
//! come back after a restart are served one after the other instead of being turned away. Peers
//! that only occupy a place cannot make this wait long: whoever has had [`ENOUGH`] makes room.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

/// Time for a handshake and SetupConnection over the worst of honest links. Who takes longer is
/// closed when others wait, and left alone within the ordinary time limits when nobody does.
const ENOUGH: Duration = Duration::from_secs(1);

/// The places for connections that are not set up yet.
pub(super) struct Handshakes {
    places: Arc<Semaphore>,
    /// Whether somebody waits for a place.
    is_crowded: watch::Sender<bool>,
}

impl Handshakes {
    pub(super) fn new(count: u32) -> Self {
        Self {
            places: Arc::new(Semaphore::new(count as usize)),
            is_crowded: watch::Sender::new(false),
        }
    }

    /// A place, if one is free now.
    pub(super) fn try_enter(&self) -> Option<Handshake> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(self.handshake(place))
    }

    /// A place, as soon as one is free.
    pub(super) async fn enter(&self) -> Handshake {
        self.is_crowded.send_replace(true);
        let place = Arc::clone(&self.places).acquire_owned().await;
        self.is_crowded.send_replace(false);
        self.handshake(place.expect("the semaphore is never closed"))
    }

    fn handshake(&self, place: OwnedSemaphorePermit) -> Handshake {
        Handshake {
            _place: place,
            is_crowded: self.is_crowded.subscribe(),
        }
    }
}

/// One connection's place, free again when dropped.
#[derive(Debug)]
pub(crate) struct Handshake {
    _place: OwnedSemaphorePermit,
    is_crowded: watch::Receiver<bool>,
}

impl Handshake {
    /// Waits until the connection accepted at `since` has had enough time and another one wants
    /// its place.
    pub(crate) async fn outstayed(&mut self, since: Instant) {
        tokio::time::sleep_until(since + ENOUGH).await;
        if self.is_crowded.wait_for(|crowded| *crowded).await.is_err() {
            // Nobody listens any more, so nobody waits.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_slow_handshake_is_left_alone_while_nobody_waits() {
        let handshakes = Handshakes::new(2);
        let mut slow = handshakes.try_enter().unwrap();
        let left_alone = tokio::time::timeout(LONG, slow.outstayed(Instant::now())).await;
        assert!(left_alone.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_handshake_makes_room_for_who_waits() {
        let handshakes = Handshakes::new(1);
        let began = Instant::now();
        let mut slow = handshakes.try_enter().unwrap();
        assert!(handshakes.try_enter().is_none());
        let outstays = async {
            slow.outstayed(began).await;
            drop(slow);
        };
        let (_entered, ()) = tokio::join!(handshakes.enter(), outstays);
        assert_eq!(began.elapsed(), ENOUGH);
        // Whoever comes next is not hurried by those who have waited before.
        assert!(!*handshakes.is_crowded.borrow());
    }
}
