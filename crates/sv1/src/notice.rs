//! What a server says unasked: jobs, difficulties, and where to go.

use std::borrow::Cow;

use crate::extranonce::{self, Extranonce};
use crate::hexadecimal;
use crate::json::{Id, Json, write_display, write_head, write_text};

/// Something a server says.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice<'a> {
    /// `mining.notify`: what to mine.
    Notify(Notify),
    /// `mining.set_difficulty`: for the jobs that come from now on.
    SetDifficulty(f64),
    /// `mining.set_extranonce`: for the jobs that come from now on.
    SetExtranonce {
        /// As in the answer to `mining.subscribe`.
        extranonce1: Extranonce,
        /// As in the answer to `mining.subscribe`.
        extranonce2_size: usize,
    },
    /// `mining.set_version_mask` (BIP310): at once, for jobs that are there already too.
    SetVersionMask(u32),
    /// `client.reconnect`: what is not said stays as it is.
    Reconnect {
        /// Another host. A miner that follows this anywhere can be stolen.
        host: Option<Cow<'a, str>>,
        /// Another port.
        port: Option<u16>,
        /// Seconds to wait before.
        wait: u32,
    },
    /// `client.show_message`: for people.
    ShowMessage(Cow<'a, str>),
    /// `client.get_version`: asks for the firmware's name.
    GetVersion,
    /// `mining.ping`: asks for any answer.
    Ping,
    /// Any other.
    Unknown {
        /// Its name.
        method: Cow<'a, str>,
    },
}

/// What to mine. The fields mean what Stratum V2's of the same names mean; what the dialect does to
/// them on the wire is done when they are written and undone when they are read (PROXY-15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// Chosen by the server, given back with each share.
    pub job_id: String,
    /// In header order.
    pub prev_hash: [u8; 32],
    /// The coinbase up to the extranonce, without witness: `coinbase_tx_prefix`.
    pub coinb1: Vec<u8>,
    /// The coinbase behind the extranonce: `coinbase_tx_suffix`.
    pub coinb2: Vec<u8>,
    /// Siblings of the coinbase's txid, deepest first.
    pub merkle_path: Vec<[u8; 32]>,
    /// Header field.
    pub version: u32,
    /// Header field.
    pub n_bits: u32,
    /// Header field, the earliest.
    pub ntime: u32,
    /// Whether all jobs before it are over.
    pub clean_jobs: bool,
}

impl<'a> Notice<'a> {
    /// Its name on the wire.
    pub fn method(&self) -> &str {
        match self {
            Self::Notify(_) => "mining.notify",
            Self::SetDifficulty(_) => "mining.set_difficulty",
            Self::SetExtranonce { .. } => "mining.set_extranonce",
            Self::SetVersionMask(_) => "mining.set_version_mask",
            Self::Reconnect { .. } => "client.reconnect",
            Self::ShowMessage(_) => "client.show_message",
            Self::GetVersion => "client.get_version",
            Self::Ping => "mining.ping",
            Self::Unknown { method } => method,
        }
    }

    pub(crate) fn read(method: Cow<'a, str>, mut params: Json<'a>) -> Result<Self, &'static str> {
        Ok(match &*method {
            "mining.notify" => Self::Notify(Notify::read(params)?),
            "mining.set_difficulty" => {
                let difficulty = params.take_at(0).number().filter(|number| *number > 0.0);
                Self::SetDifficulty(difficulty.ok_or("expected a difficulty above 0")?)
            }
            "mining.set_extranonce" => {
                let extranonce1 = match params.take_at(0) {
                    Json::Text(digits) => Extranonce::from_hex(&digits),
                    _ => None,
                };
                let size = params.take_at(1).number();
                let size = size.filter(|size| (0.0..=extranonce::MAX_LEN as f64).contains(size));
                Self::SetExtranonce {
                    extranonce1: extranonce1.ok_or("extranonce1: expected bytes in hex")?,
                    extranonce2_size: size.ok_or("extranonce2_size: expected a number up to 32")?
                        as usize,
                }
            }
            "mining.set_version_mask" => {
                let mask = params.take_at(0).hex_u32();
                Self::SetVersionMask(mask.ok_or("mask: expected 8 hex digits")?)
            }
            "client.reconnect" => {
                let host = params.take_at(0).into_text();
                let port = params.take_at(1).number().filter(|port| *port != 0.0);
                let wait = params.take_at(2).number();
                Self::Reconnect {
                    host: host.filter(|host| !host.is_empty()),
                    port: port
                        .map(|port| u16::try_from(port as i64))
                        .transpose()
                        .map_err(|_| "port: expected at most 65535")?,
                    wait: wait.unwrap_or(0.0) as u32,
                }
            }
            "client.show_message" => {
                Self::ShowMessage(params.take_at(0).into_text().unwrap_or_default())
            }
            "client.get_version" => Self::GetVersion,
            "mining.ping" => Self::Ping,
            _ => Self::Unknown { method },
        })
    }

    /// Writes the line. `id` is null unless an answer is asked for.
    pub fn write(&self, id: &Id, out: &mut Vec<u8>) {
        write_head(id, self.method(), out);
        match self {
            Self::Notify(notify) => notify.write(out),
            Self::SetDifficulty(difficulty) => write_display(difficulty, out),
            Self::SetExtranonce {
                extranonce1,
                extranonce2_size,
            } => write_display(format_args!("\"{extranonce1}\",{extranonce2_size}"), out),
            Self::SetVersionMask(mask) => write_display(format_args!("\"{mask:08x}\""), out),
            Self::Reconnect { host, port, wait } => {
                if host.is_some() || port.is_some() || *wait > 0 {
                    write_text(host.as_deref().unwrap_or(""), out);
                    write_display(format_args!(",{},{wait}", port.unwrap_or(0)), out);
                }
            }
            Self::ShowMessage(text) => write_text(text, out),
            Self::GetVersion | Self::Ping | Self::Unknown { .. } => {}
        }
        out.extend_from_slice(b"]}\n");
    }

    /// The line, to be sent to many.
    pub fn line(&self) -> Vec<u8> {
        let mut line = Vec::new();
        self.write(&Id::Null, &mut line);
        line
    }
}

impl Notify {
    fn read(mut params: Json<'_>) -> Result<Self, &'static str> {
        let mut take = |at: usize| params.take_at(at);
        let job_id = take(0).into_text().ok_or("job id: missing")?.into_owned();
        let prev_hash = array(&take(1)).ok_or("prevhash: expected 64 hex digits")?;
        let coinb1 = take(2).hex_bytes().ok_or("coinb1: expected hex")?;
        let coinb2 = take(3).hex_bytes().ok_or("coinb2: expected hex")?;
        let Json::Array(path) = take(4) else {
            return Err("merkle_branch: expected a list");
        };
        let path: Option<Vec<[u8; 32]>> = path.iter().map(array).collect();
        Ok(Self {
            job_id,
            prev_hash: word_swapped(prev_hash),
            coinb1,
            coinb2,
            merkle_path: path.ok_or("merkle_branch: expected 64 hex digits each")?,
            version: take(5).hex_u32().ok_or("version: expected 8 hex digits")?,
            n_bits: take(6).hex_u32().ok_or("nbits: expected 8 hex digits")?,
            ntime: take(7).hex_u32().ok_or("ntime: expected 8 hex digits")?,
            clean_jobs: matches!(take(8), Json::Bool(true) | Json::Whole(1)),
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.reserve(
            2 * (self.coinb1.len() + self.coinb2.len()) + 67 * self.merkle_path.len() + 160,
        );
        write_text(&self.job_id, out);
        for bytes in [
            &word_swapped(self.prev_hash)[..],
            &self.coinb1,
            &self.coinb2,
        ] {
            out.extend_from_slice(b",\"");
            hexadecimal::write(bytes, out);
            out.push(b'"');
        }
        out.extend_from_slice(b",[");
        for (i, node) in self.merkle_path.iter().enumerate() {
            out.extend_from_slice(if i == 0 { b"\"" } else { b",\"" });
            hexadecimal::write(node, out);
            out.push(b'"');
        }
        out.push(b']');
        for number in [self.version, self.n_bits, self.ntime] {
            out.extend_from_slice(b",\"");
            hexadecimal::write_number(number, out);
            out.push(b'"');
        }
        write_display(format_args!(",{}", self.clean_jobs), out);
    }
}

/// The dialect's order of a previous block's hash: that of the header, with the bytes of each word
/// of 32 bits turned around. It is its own inverse.
pub fn word_swapped(mut hash: [u8; 32]) -> [u8; 32] {
    hash.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    hash
}

fn array(json: &Json<'_>) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    match json {
        Json::Text(digits) => hex::decode_to_slice(digits.trim(), &mut bytes).ok()?,
        _ => return None,
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
