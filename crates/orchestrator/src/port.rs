//! Who holds a TCP port, asked before anything is started.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use crate::backend::process::STATE_MARKER;
use crate::fault::Fault;

/// State of a listening socket in `/proc/net/tcp` (`proc(5)`).
const LISTEN: &str = "0A";

/// Whoever listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A process that may be looked at.
    Process {
        /// Its id.
        pid: u32,
        /// Its command line.
        command: String,
        /// The lab it belongs to.
        lab: Option<String>,
    },
    /// A process of somebody else.
    User(u32),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid, command, lab } => {
                if let Some(lab) = lab {
                    write!(f, "lab '{lab}', ")?;
                }
                write!(f, "process {pid} ({command})")
            }
            Self::User(uid) => write!(f, "a process of user id {uid}"),
        }
    }
}

/// Whether the port can be listened on now.
///
/// # Errors
/// When the address cannot be used at all, because it is not one of this machine.
pub fn is_free(address: Ipv4Addr, port: u16) -> Result<bool, Fault> {
    match TcpListener::bind((address, port)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(false),
        Err(error) => Err(Fault::usage(
            format!("nothing can listen on {address}:{port}: {error}"),
            "choose an address of this machine",
        )),
    }
}

/// Who listens on the port, if anybody does.
pub fn holder(address: Ipv4Addr, port: u16) -> Option<Holder> {
    let socket = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| listener(&table, address, port))?;
    Some(owner(socket.inode).unwrap_or(Holder::User(socket.uid)))
}

struct Socket {
    uid: u32,
    inode: u64,
}

/// The row of a socket table that listens on the port, on this address or on all.
fn listener(table: &str, address: Ipv4Addr, port: u16) -> Option<Socket> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (local, number) = fields.get(1)?.split_once(':')?;
        let matches = *fields.get(3)? == LISTEN
            && u16::from_str_radix(number, 16).ok()? == port
            && covers(local, address);
        matches.then_some(Socket {
            uid: fields.get(7)?.parse().ok()?,
            inode: fields.get(9)?.parse().ok()?,
        })
    })
}

/// Whether a local address as the kernel prints it takes connections for `address`.
fn covers(local: &str, address: Ipv4Addr) -> bool {
    // The kernel prints each 32-bit word in the machine's own byte order.
    let word = u32::from_ne_bytes(address.octets());
    let last_word = local.get(local.len().saturating_sub(8)..);
    local.bytes().all(|digit| digit == b'0')
        || last_word.and_then(|text| u32::from_str_radix(text, 16).ok()) == Some(word)
}

/// The process that has this socket open.
fn owner(inode: u64) -> Option<Holder> {
    let target = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?;
    processes.filter_map(Result::ok).find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let holds = fs::read_dir(process.path().join("fd"))
            .ok()?
            .filter_map(Result::ok)
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == &*target));
        holds.then(|| Holder::Process {
            pid,
            command: command(pid),
            lab: lab(pid),
        })
    })
}

/// The beginning of a process's command line.
fn command(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    let line: Vec<_> = line.split_whitespace().collect();
    let short: String = line.join(" ").chars().take(80).collect();
    if short.is_empty() {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        return name.trim().to_owned();
    }
    short
}

/// The lab that started a process, by the marker in its environment.
fn lab(pid: u32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let environment = String::from_utf8_lossy(&environment);
    let mut marker = environment
        .split('\0')
        .filter_map(|one| one.split_once('='));
    let (_, directory) = marker.find(|(name, _)| *name == STATE_MARKER)?;
    let name = Path::new(directory).file_name()?;
    Some(name.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;

    use super::*;

    #[test]
    fn the_holder_of_a_real_port_is_named() {
        // Bound as long as the test lives, so that nobody else is given the number.
        let held = TcpSocket::new_v4().unwrap();
        held.set_reuseaddr(true).unwrap();
        held.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let port = held.local_addr().unwrap().port();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(!is_free(Ipv4Addr::LOCALHOST, port).unwrap());
        let Some(Holder::Process { pid, command, .. }) = holder(Ipv4Addr::LOCALHOST, port) else {
            panic!("no holder found");
        };
        assert_eq!(pid, std::process::id());
        assert!(command.contains("orchestrator"), "{command}");
        drop(listener);
        assert!(is_free(Ipv4Addr::LOCALHOST, port).unwrap());
    }

    #[test]
    fn a_listener_on_all_addresses_holds_each_of_them() {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = Ipv4Addr::new(127, 10, 0, 4);
        assert!(!is_free(address, port).unwrap());
        assert!(holder(address, port).is_some());
    }

    #[test]
    fn a_port_on_another_address_is_not_confused() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = Ipv4Addr::new(127, 10, 0, 4);
        assert_eq!(holder(address, port), None);
        assert!(is_free(address, port).unwrap());
    }

    #[test]
    fn an_address_of_another_machine_is_an_error() {
        assert!(is_free(Ipv4Addr::new(203, 0, 113, 1), 18443).is_err());
    }

    #[test]
    fn connections_are_not_listeners() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000 0 77 1\n\
             1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 78 1\n";
        let found = listener(table, Ipv4Addr::LOCALHOST, 8080).unwrap();
        assert_eq!((found.uid, found.inode), (1000, 78));
        assert!(listener(table, Ipv4Addr::LOCALHOST, 8081).is_none());
    }
}
