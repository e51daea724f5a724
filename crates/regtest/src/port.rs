//! TCP ports that tests hand to programs.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use socket2::{Domain, Protocol, Socket, Type};

/// A port of 127.0.0.1 that is nobody else's for as long as this lives.
///
/// A socket stays bound to it without listening. The kernel therefore gives the number to nobody
/// who asks for any port, neither to listen on nor to connect from, while a program that asks for
/// this very one gets it, as often as it is started: both sides set `SO_REUSEADDR`, and only a
/// second listener would be in the way. Until the program listens, connections are refused.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _bound: Socket,
}

impl Port {
    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

/// A port for a program that a test starts.
pub fn free_port() -> Port {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    let any = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket_ipv4().unwrap();
    Port {
        number: address.port(),
        _bound: socket,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_program_listens_on_it_again_and_again() {
        let port = free_port();
        let address = (Ipv4Addr::LOCALHOST, port.number());
        for _ in 0..3 {
            let refused = TcpStream::connect(address).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            let listener = TcpListener::bind(address).unwrap();
            let _client = TcpStream::connect(address).unwrap();
            let _served = listener.accept().unwrap();
        }
    }

    #[test]
    fn nobody_who_asks_for_any_port_is_given_it() {
        let held: Vec<Port> = (0..200).map(|_| free_port()).collect();
        let numbers: BTreeSet<u16> = held.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), held.len());
        for _ in 0..2_000 {
            let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            assert!(!numbers.contains(&other.local_addr().unwrap().port()));
        }
    }
}
