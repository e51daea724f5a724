//! What happens in a role, told to whoever listens (server-sent events).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use utoipa::IntoParams;

use super::Problem;
use crate::clock;

/// Happenings kept for listeners that are slow. When there are more, a slow one loses the oldest
/// and is told how many.
const KEPT: usize = 4096;

/// Listeners at once; further ones are turned away.
const MAX_LISTENERS: usize = 32;

/// A comment is sent when nothing else was for this long, so that both sides know of each other.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Something that happens in a role. It is told as JSON, and by its name.
pub trait Happening: Serialize + Send + Sync + 'static {
    /// All names there are.
    const NAMES: &'static [&'static str];
    /// The name of this one.
    fn name(&self) -> &'static str;
}

/// A happening, and when.
#[derive(Debug, Serialize)]
struct Told<H> {
    /// Milliseconds since 1970.
    at_ms: u64,
    #[serde(flatten)]
    happening: H,
}

/// Tells everybody who listens what happens. Cheap to clone, and costs one load while nobody does.
#[derive(Debug)]
pub struct Feed<H> {
    told: broadcast::Sender<Arc<Told<H>>>,
    /// Kept apart from the channel, which takes a lock to count its receivers.
    listeners: Arc<AtomicUsize>,
}

/// Which happenings a listener wants.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Names of events, separated by commas; all events if left out.
    types: Option<String>,
}

impl<H: Happening> Default for Feed<H> {
    fn default() -> Self {
        Self {
            told: broadcast::Sender::new(KEPT),
            listeners: Arc::default(),
        }
    }
}

// Not derived: what is told need not be clonable.
impl<H> Clone for Feed<H> {
    fn clone(&self) -> Self {
        Self {
            told: self.told.clone(),
            listeners: Arc::clone(&self.listeners),
        }
    }
}

impl<H: Happening> Feed<H> {
    /// Whether anybody listens.
    pub fn is_heard(&self) -> bool {
        self.listeners.load(Ordering::Relaxed) > 0
    }

    /// Tells what happens; `happening` is made only if anybody listens.
    pub fn tell(&self, happening: impl FnOnce() -> H) {
        if self.is_heard() {
            // Fails only when the last listener has just left.
            let _ = self.told.send(Arc::new(Told {
                at_ms: clock::unix_ms(),
                happening: happening(),
            }));
        }
    }

    /// Tells one listener everything `wanted`, from now on.
    ///
    /// # Errors
    /// A name is none of an event, or too many listen already.
    pub fn listen(&self, wanted: &Wanted) -> Result<Response, Problem> {
        let wanted = wanted.names::<H>()?;
        let place = Place::take(&self.listeners)?;
        let listener = Listener {
            told: self.told.subscribe(),
            wanted,
            _place: place,
        };
        let events = stream::unfold(listener, async |mut listener| {
            let event = listener.next().await?;
            Some((event, listener))
        });
        let heartbeat = KeepAlive::new().interval(HEARTBEAT);
        Ok(Sse::new(events).keep_alive(heartbeat).into_response())
    }
}

impl Wanted {
    /// The names; `None` for all.
    fn names<H: Happening>(&self) -> Result<Option<Vec<&'static str>>, Problem> {
        let Some(types) = &self.types else {
            return Ok(None);
        };
        let known = |name: &str| {
            let mut names = H::NAMES.iter().copied();
            names.find(|known| *known == name).ok_or_else(|| {
                let all = H::NAMES.join(", ");
                Problem::bad_request(format!("types: {name:?} is no event; there are {all}"))
            })
        };
        let names: Result<_, _> = types.split(',').map(known).collect();
        names.map(Some)
    }
}

/// One listener's end.
struct Listener<H> {
    told: broadcast::Receiver<Arc<Told<H>>>,
    wanted: Option<Vec<&'static str>>,
    _place: Place,
}

impl<H: Happening> Listener<H> {
    /// `None` when there will be no more.
    async fn next(&mut self) -> Option<Result<sse::Event, axum::Error>> {
        loop {
            match self.told.recv().await {
                Ok(told) => {
                    let name = told.happening.name();
                    if self.wants(name) {
                        return Some(sse::Event::default().event(name).json_data(&*told));
                    }
                }
                Err(RecvError::Lagged(count)) => {
                    let missed = serde_json::json!({ "type": "missed", "count": count });
                    return Some(sse::Event::default().event("missed").json_data(missed));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn wants(&self, name: &'static str) -> bool {
        let wanted = self.wanted.as_ref();
        wanted.is_none_or(|names| names.contains(&name))
    }
}

/// A place among the listeners; free again when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(listeners: &Arc<AtomicUsize>) -> Result<Self, Problem> {
        let taken = listeners.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(listeners));
        if taken < MAX_LISTENERS {
            return Ok(place);
        }
        Err(Problem::unavailable(format!(
            "{MAX_LISTENERS} listen already; try again when one has left"
        )))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
