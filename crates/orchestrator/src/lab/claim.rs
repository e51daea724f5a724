//! Places that labs are about to take. Between the choice of an address and the moment somebody
//! listens on it nothing shows that it is taken, and labs of another user or directory are on no
//! record that could be read here: so the choice is claimed with the kernel, by a socket whose name
//! is no file. It ends with the process that has it, however that ends.

use std::fmt::Display;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use crate::backend::BackendKind;
use crate::state::Record;

/// A place that no other lab of this machine chooses as long as this lives.
#[derive(Debug)]
pub(super) struct Claim {
    _name: Option<UnixListener>,
}

impl Claim {
    /// Claims a place; `None` when another lab has done so.
    pub(super) fn make(place: impl Display) -> Option<Self> {
        let name = SocketAddr::from_abstract_name(format!("sv2-lab/{place}"));
        match name.and_then(|name| UnixListener::bind_addr(&name)) {
            Ok(listener) => Some(Self {
                _name: Some(listener),
            }),
            Err(error) if error.kind() == ErrorKind::AddrInUse => None,
            // Where there are no such names, labs are told apart by their ports alone.
            Err(_) => Some(Self { _name: None }),
        }
    }

    /// Claims what a lab on record has, but for what another lab is about to take: who is in the way
    /// is named when a port is tried.
    pub(super) fn again(record: &Record) -> Vec<Self> {
        let publishes = record.backend == BackendKind::Docker;
        let bind = publishes.then(|| record.bind.to_string());
        let places = [record.subnet.to_string()].into_iter().chain(bind);
        places.filter_map(Self::make).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_claimed_once_and_free_again_afterwards() {
        let place = format!("test of {}", std::process::id());
        let claim = Claim::make(&place).unwrap();
        assert!(Claim::make(&place).is_none());
        assert!(Claim::make(format!("{place}, another")).is_some());
        drop(claim);
        assert!(Claim::make(&place).is_some());
    }

    #[test]
    fn a_lab_on_record_claims_what_nobody_else_has_claimed() {
        // Places that only this run of the tests knows.
        let [.., high, low] = std::process::id().to_be_bytes();
        let record = |backend| Record {
            backend,
            subnet: format!("127.{high}.{low}.0/24").parse().unwrap(),
            bind: [127, high, low, 211].into(),
            topology: String::new(),
            replicas: Default::default(),
            swaps: Default::default(),
        };
        let [containers, processes] = [BackendKind::Docker, BackendKind::Process].map(record);
        let claims = Claim::again(&containers);
        assert!(Claim::make(containers.subnet).is_none() && Claim::make(containers.bind).is_none());
        assert!(Claim::again(&containers).is_empty());
        drop(claims);
        let _claims = Claim::again(&processes);
        assert!(Claim::make(processes.subnet).is_none());
        assert!(
            Claim::make(processes.bind).is_some(),
            "it publishes nothing"
        );
    }
}
