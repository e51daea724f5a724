//! The two parts of the extranonce that Stratum V1 knows: extranonce1, which the server gives to a
//! miner, and extranonce2, which the miner chooses.

use std::fmt;
use std::ops::Deref;

use crate::hexadecimal;

/// Bytes of the longest extranonce there is in Stratum V2 (SV2 5.1.1).
pub const MAX_LEN: usize = 32;

/// Up to [`MAX_LEN`] bytes, in place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Extranonce {
    bytes: [u8; MAX_LEN],
    len: u8,
}

impl Extranonce {
    /// `None` when there are too many.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut new = Self::default();
        new.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        new.len = bytes.len() as u8;
        Some(new)
    }

    /// From hexadecimal digits.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let text = text.trim();
        let mut read = Self::default();
        let bytes = read.bytes.get_mut(..text.len() / 2)?;
        hex::decode_to_slice(text, bytes).ok()?;
        read.len = (text.len() / 2) as u8;
        Some(read)
    }
}

impl Deref for Extranonce {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// In hexadecimal.
impl fmt::Display for Extranonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = Vec::with_capacity(2 * self.len());
        hexadecimal::write(self, &mut digits);
        f.write_str(&String::from_utf8_lossy(&digits))
    }
}

impl fmt::Debug for Extranonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_up_to_32_bytes() {
        assert_eq!(Extranonce::from_hex("00Ff").unwrap().to_string(), "00ff");
        assert_eq!(Extranonce::from_hex("").unwrap().len(), 0);
        assert_eq!(Extranonce::from_hex(&"00".repeat(32)).unwrap().len(), 32);
        for text in ["0", "abc", "zz", &"00".repeat(33)] {
            assert_eq!(Extranonce::from_hex(text), None, "{text}");
        }
    }

    #[test]
    fn there_are_no_more_than_32_bytes() {
        assert_eq!(&*Extranonce::new(&[1, 2, 3]).unwrap(), &[1, 2, 3]);
        assert_eq!(&*Extranonce::new(&[7; 32]).unwrap(), &[7; 32]);
        assert_eq!(Extranonce::new(&[7; 33]), None);
    }
}
