//! Who may be connected at once: so many in all, so many from one address.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

use tokio::sync::mpsc;

use super::limits::{Limit, Limits};

/// All places there are. Owned by the listening task; a connection holds a [`Slot`].
pub(super) struct Places {
    count: u32,
    per_origin: u32,
    /// The lowest number that was never given out.
    fresh: u32,
    /// Numbers given back. A queue, so that each rests as long as possible before it is used again.
    free: VecDeque<u32>,
    taken: HashMap<IpAddr, u32>,
    returned: mpsc::Receiver<(u32, IpAddr)>,
    give_back: mpsc::Sender<(u32, IpAddr)>,
}

impl Places {
    pub(super) fn new(limits: &Limits) -> Self {
        // Never full: it has room for every place there is.
        let (give_back, returned) = mpsc::channel(limits.max_connections.max(1) as usize);
        Self {
            count: limits.max_connections,
            per_origin: match limits.max_connections_per_address {
                0 => u32::MAX,
                count => count,
            },
            fresh: 0,
            free: VecDeque::new(),
            taken: HashMap::new(),
            returned,
            give_back,
        }
    }

    /// A place for a client at `address`, or the limit that leaves none.
    pub(super) fn take(&mut self, address: IpAddr) -> Result<Slot, Limit> {
        while let Ok((number, origin)) = self.returned.try_recv() {
            self.free.push_back(number);
            if let Some(taken) = self.taken.get_mut(&origin) {
                *taken -= 1;
                if *taken == 0 {
                    self.taken.remove(&origin);
                }
            }
        }
        let origin = origin(address);
        if self.taken.get(&origin).copied().unwrap_or_default() >= self.per_origin {
            return Err(Limit::ConnectionsPerAddress);
        }
        let number = if self.fresh < self.count {
            self.fresh += 1;
            self.fresh - 1
        } else {
            self.free.pop_front().ok_or(Limit::Connections)?
        };
        *self.taken.entry(origin).or_default() += 1;
        Ok(Slot {
            number,
            origin,
            give_back: self.give_back.clone(),
        })
    }
}

/// Whose connection it is as far as an address tells: an IPv4 address, or the 64 bits of an IPv6
/// network, whose owner has all addresses in it.
fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(network).into()
        }
        v4 => v4,
    }
}

/// A connection's place among all connections; free again when dropped.
#[derive(Debug)]
pub struct Slot {
    number: u32,
    origin: IpAddr,
    give_back: mpsc::Sender<(u32, IpAddr)>,
}

impl Slot {
    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Fails only when the server is gone, and its places with it.
        let _ = self.give_back.try_send((self.number, self.origin));
    }
}

#[cfg(test)]
mod tests;
