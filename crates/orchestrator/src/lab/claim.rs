//! Places that labs are about to take. Between the choice of an address and the moment somebody
//! listens on it nothing shows that it is taken, and labs of another user or directory are on no
//! record that could be read here: so the choice is claimed with the kernel, by a socket whose name
//! is no file. It ends with the process that has it, however that ends.

use std::fmt::Display;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

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
}
