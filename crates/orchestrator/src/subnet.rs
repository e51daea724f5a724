//! The lab's network: a /24 in which every service has a fixed host number.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A network `A.B.C.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet([u8; 3]);

/// A text that is not a usable `A.B.C.0/24`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a subnet; write it as A.B.C.0/24, for example 10.11.0.0/24")]
pub struct SubnetError(String);

impl Subnet {
    /// The containers' network unless asked otherwise.
    pub const DOCKER: Self = Self([10, 10, 0]);
    /// The processes' loopback addresses unless asked otherwise.
    pub const PROCESS: Self = Self([127, 10, 0]);

    /// The address with this host number.
    pub fn host(self, number: u8) -> Ipv4Addr {
        let [a, b, c] = self.0;
        Ipv4Addr::new(a, b, c, number)
    }

    /// Whether local processes can bind its addresses without any set-up.
    pub fn is_loopback(self) -> bool {
        self.host(1).is_loopback()
    }

    /// Whether this network and `network/prefix` share an address.
    pub fn overlaps(self, network: Ipv4Addr, prefix: u8) -> bool {
        let shorter = u32::from(prefix.min(24));
        let mask = u32::MAX.checked_shl(32 - shorter).unwrap_or(0);
        u32::from(self.host(0)) & mask == u32::from(network) & mask
    }

    /// Networks to propose when this one is taken: for private use, and of the same kind.
    pub fn alternatives(self) -> impl Iterator<Item = Self> {
        let usual = if self.is_loopback() {
            Self::PROCESS
        } else {
            Self::DOCKER
        };
        let [a, b, c] = usual.0;
        (b..=u8::MAX)
            .map(move |b| Self([a, b, c]))
            .filter(move |other| *other != self)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/24", self.host(0))
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let error = || SubnetError(text.to_owned());
        let address: Ipv4Addr = text
            .strip_suffix("/24")
            .and_then(|address| address.parse().ok())
            .ok_or_else(error)?;
        match address.octets() {
            [a, b, c, 0] if a != 0 && !address.is_multicast() => Ok(Self([a, b, c])),
            _ => Err(error()),
        }
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl TryFrom<String> for Subnet {
    type Error = SubnetError;

    fn try_from(text: String) -> Result<Self, SubnetError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_24_bit_networks_are_accepted() {
        for text in ["10.10.0.0/24", "127.10.3.0/24", "192.168.7.0/24"] {
            assert_eq!(text.parse::<Subnet>().unwrap().to_string(), text);
        }
        for text in [
            "10.10.0.1/24",
            "10.10.0.0/16",
            "10.10.0.0",
            "",
            "a/24",
            "0.0.0.0/24",
            "224.0.0.0/24",
        ] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }

    #[test]
    fn overlap_is_seen_from_both_sides() {
        let subnet = Subnet::DOCKER;
        assert!(subnet.overlaps(Ipv4Addr::new(10, 0, 0, 0), 8));
        assert!(subnet.overlaps(Ipv4Addr::new(10, 10, 0, 128), 25));
        assert!(subnet.overlaps(Ipv4Addr::UNSPECIFIED, 0));
        assert!(!subnet.overlaps(Ipv4Addr::new(10, 10, 1, 0), 24));
        assert!(!subnet.overlaps(Ipv4Addr::new(172, 17, 0, 0), 16));
    }

    #[test]
    fn alternatives_are_private_and_never_the_network_itself() {
        for (text, expected) in [
            ("10.10.0.0/24", "10.11.0.0/24"),
            ("192.0.2.0/24", "10.10.0.0/24"),
            ("127.10.0.0/24", "127.11.0.0/24"),
        ] {
            let subnet: Subnet = text.parse().unwrap();
            let mut alternatives = subnet.alternatives();
            assert_eq!(alternatives.next().unwrap().to_string(), expected);
            assert!(alternatives.all(|other| other != subnet));
        }
    }
}
