//! The virtual network: connections that deliver frames in order, late, or not at all.
//!
//! A connection is TCP as a role sees it. A lost packet is repeated, so it delays its frame and
//! everything behind it; a connection that loses more than that is cut, and each end learns of it
//! at its own time. What was on its way then arrives nowhere.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

/// How long TCP waits before it repeats a lost packet.
const REPETITION: Duration = Duration::from_millis(250);

/// The usual latency in a building at most.
const NEARBY: Duration = Duration::from_millis(20);

/// A connection; no two of a simulation share an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId(u32);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {}", self.0)
    }
}

/// One of a connection's two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Who dialled: a miner towards the pool, the pool towards its template provider.
    Client,
    /// Who listens.
    Server,
}

impl End {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives then, unless the connection ends before.
    Arrives(Duration),
    /// The connection is gone already; the sender just does not know yet.
    Lost,
    /// The connection breaks over it.
    Cuts,
}

/// How good the network is, for a whole simulation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quality {
    /// The slowest connection's usual latency, one way.
    pub(crate) max_latency: Duration,
    /// How many of a million frames are repeated.
    pub(crate) repeated: u32,
    /// How many of a million frames break their connection.
    pub(crate) cutting: u32,
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Network {
    quality: Quality,
    links: BTreeMap<LinkId, Link>,
    dialled: u32,
    calm: bool,
}

#[derive(Debug)]
struct Link {
    latency: Duration,
    is_near: bool,
    /// Per receiving end: when the last frame arrives; `None` once it takes nothing any more.
    client: Option<Duration>,
    server: Option<Duration>,
}

impl Network {
    pub(crate) fn new(quality: Quality) -> Self {
        Self {
            quality,
            links: BTreeMap::new(),
            dialled: 0,
            calm: false,
        }
    }

    /// From now on nothing is lost.
    pub(crate) fn calm(&mut self) {
        self.calm = true;
    }

    pub(crate) fn dial(&mut self, rng: &mut StdRng) -> LinkId {
        let latency = rng.gen_range(Duration::ZERO..=self.quality.max_latency);
        self.connect(latency, false)
    }

    /// In the same building: it loses nothing and never breaks.
    pub(crate) fn dial_nearby(&mut self, rng: &mut StdRng) -> LinkId {
        let latency = rng.gen_range(Duration::ZERO..=NEARBY);
        self.connect(latency, true)
    }

    fn connect(&mut self, latency: Duration, is_near: bool) -> LinkId {
        self.dialled += 1;
        let id = LinkId(self.dialled);
        let link = Link {
            latency,
            is_near,
            client: Some(Duration::ZERO),
            server: Some(Duration::ZERO),
        };
        self.links.insert(id, link);
        id
    }

    /// Sends one frame, or the end of the stream, to an end.
    pub(crate) fn send(&mut self, rng: &mut StdRng, now: Duration, link: LinkId, to: End) -> Fate {
        let Quality {
            repeated, cutting, ..
        } = self.quality;
        let Some(link) = self.links.get_mut(&link) else {
            return Fate::Lost;
        };
        let mut latency = link.latency + rng.gen_range(Duration::ZERO..=link.latency / 2);
        if !self.calm && !link.is_near {
            let fortune = rng.gen_range(0..1_000_000);
            if fortune < cutting {
                return Fate::Cuts;
            }
            if fortune < cutting + repeated {
                latency += REPETITION;
            }
        }
        let Some(last) = link.receiver(to) else {
            return Fate::Lost;
        };
        let at = (now + latency).max(*last);
        *last = at;
        Fate::Arrives(at)
    }

    /// Whether what is on its way to an end still arrives there.
    pub(crate) fn reaches(&mut self, link: LinkId, to: End) -> bool {
        self.links
            .get_mut(&link)
            .is_some_and(|link| link.receiver(to).is_some())
    }

    /// An end stops taking anything.
    pub(crate) fn close(&mut self, link: LinkId, end: End) {
        if let Some(link) = self.links.get_mut(&link) {
            match end {
                End::Client => link.client = None,
                End::Server => link.server = None,
            }
        }
    }

    /// Whatever is on its way arrives nowhere. False if it was cut before.
    pub(crate) fn cut(&mut self, link: LinkId) -> bool {
        self.links.remove(&link).is_some()
    }
}

impl Link {
    fn receiver(&mut self, end: End) -> Option<&mut Duration> {
        match end {
            End::Client => self.client.as_mut(),
            End::Server => self.server.as_mut(),
        }
    }
}
