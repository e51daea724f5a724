//! What a miner asks of a server.

use std::borrow::Cow;

use protocol::target::Target;

use crate::extranonce::Extranonce;
use crate::hexadecimal;
use crate::json::{Id, Json, write_display, write_head, write_text};

/// A call, as far as it could be understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Call<'a> {
    /// `mining.configure` (BIP310): which extensions the miner knows. Comes before all others.
    Configure(Configure<'a>),
    /// `mining.subscribe`.
    Subscribe {
        /// Firmware and its version; may be empty.
        agent: Cow<'a, str>,
        /// The session it had before and wants to have again.
        session: Option<Cow<'a, str>>,
    },
    /// `mining.authorize`.
    Authorize {
        /// Account and worker; may be empty.
        user: Cow<'a, str>,
        /// Often used for wishes, such as `d=1000`; may be empty.
        password: Cow<'a, str>,
    },
    /// `mining.submit`.
    Submit(Submit<'a>),
    /// `mining.extranonce.subscribe`: the miner takes `mining.set_extranonce`.
    ExtranonceSubscribe,
    /// `mining.suggest_difficulty`; above zero.
    SuggestDifficulty(f64),
    /// `mining.suggest_target`.
    SuggestTarget(Target),
    /// `mining.ping`, asked by either side.
    Ping,
    /// Any other.
    Unknown {
        /// Its name.
        method: Cow<'a, str>,
    },
}

/// The extensions a miner asks for with `mining.configure`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Configure<'a> {
    /// `version-rolling`.
    pub version_rolling: Option<VersionRolling>,
    /// `minimum-difficulty`, with the lowest the miner wants.
    pub minimum_difficulty: Option<f64>,
    /// `subscribe-extranonce`.
    pub subscribe_extranonce: bool,
    /// `info`.
    pub info: Option<Info<'a>>,
    /// Extensions that nobody knows.
    pub unknown: Vec<Cow<'a, str>>,
}

/// What a miner asks for with `version-rolling`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRolling {
    /// The bits it can change; all unless said.
    pub mask: u32,
    /// How many it needs for full speed. A server that grants fewer keeps the miner (BIP310).
    pub min_bit_count: u32,
}

/// What a miner tells of itself with `info`; what is not told is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Info<'a> {
    /// The server as configured in the miner.
    pub connection_url: Cow<'a, str>,
    /// The hardware's version.
    pub hw_version: Cow<'a, str>,
    /// The software's version.
    pub sw_version: Cow<'a, str>,
    /// The hardware's serial number.
    pub hw_id: Cow<'a, str>,
}

/// A share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submit<'a> {
    /// Who it is for; should be one that was authorized.
    pub user: Cow<'a, str>,
    /// Of `mining.notify`.
    pub job_id: Cow<'a, str>,
    /// The part of the extranonce that the miner chose.
    pub extranonce2: Extranonce,
    /// Header field.
    pub ntime: u32,
    /// Header field.
    pub nonce: u32,
    /// The changed bits of the version, from miners that roll it (BIP310).
    pub version_bits: Option<u32>,
}

const VERSION_ROLLING: &str = "version-rolling";
const MINIMUM_DIFFICULTY: &str = "minimum-difficulty";
const SUBSCRIBE_EXTRANONCE: &str = "subscribe-extranonce";

impl<'a> Call<'a> {
    /// Its name on the wire.
    pub fn method(&self) -> &str {
        match self {
            Self::Configure(_) => "mining.configure",
            Self::Subscribe { .. } => "mining.subscribe",
            Self::Authorize { .. } => "mining.authorize",
            Self::Submit(_) => "mining.submit",
            Self::ExtranonceSubscribe => "mining.extranonce.subscribe",
            Self::SuggestDifficulty(_) => "mining.suggest_difficulty",
            Self::SuggestTarget(_) => "mining.suggest_target",
            Self::Ping => "mining.ping",
            Self::Unknown { method } => method,
        }
    }

    /// What is missing or wrong goes into the error; what can be done without is done without.
    pub(crate) fn read(method: Cow<'a, str>, mut params: Json<'a>) -> Result<Self, &'static str> {
        let mut text = |at: usize| params.take_at(at).into_text().unwrap_or_default();
        Ok(match &*method {
            "mining.configure" => {
                let (names, options) = (params.take_at(0), params.take_at(1));
                Self::Configure(Configure::read(names, options))
            }
            "mining.subscribe" => Self::Subscribe {
                agent: text(0),
                session: Some(text(1)).filter(|session| !session.is_empty()),
            },
            "mining.authorize" => Self::Authorize {
                user: text(0),
                password: text(1),
            },
            "mining.submit" => Self::Submit(Submit::read(params)?),
            "mining.extranonce.subscribe" => Self::ExtranonceSubscribe,
            "mining.suggest_difficulty" => {
                let difficulty = params.take_at(0).number().filter(|number| *number > 0.0);
                Self::SuggestDifficulty(difficulty.ok_or("expected a difficulty above 0")?)
            }
            "mining.suggest_target" => {
                let target = params.take_at(0).into_text().unwrap_or_default();
                Self::SuggestTarget(read_target(&target).ok_or("expected 64 hex digits")?)
            }
            "mining.ping" => Self::Ping,
            _ => Self::Unknown { method },
        })
    }

    /// Writes the line.
    pub fn write(&self, id: &Id, out: &mut Vec<u8>) {
        write_head(id, self.method(), out);
        match self {
            Self::Configure(configure) => configure.write(out),
            Self::Subscribe { agent, session } => {
                write_text(agent, out);
                if let Some(session) = session {
                    out.push(b',');
                    write_text(session, out);
                }
            }
            Self::Authorize { user, password } => {
                write_text(user, out);
                out.push(b',');
                write_text(password, out);
            }
            Self::Submit(submit) => submit.write(out),
            Self::SuggestDifficulty(difficulty) => write_display(difficulty, out),
            Self::SuggestTarget(target) => write_display(format_args!("\"{target:?}\""), out),
            Self::ExtranonceSubscribe | Self::Ping | Self::Unknown { .. } => {}
        }
        out.extend_from_slice(b"]}\n");
    }
}

impl<'a> Configure<'a> {
    fn read(names: Json<'a>, mut options: Json<'a>) -> Self {
        let rolling = VersionRolling {
            mask: options
                .take("version-rolling.mask")
                .hex_u32()
                .unwrap_or(u32::MAX),
            min_bit_count: options
                .take("version-rolling.min-bit-count")
                .number()
                .unwrap_or(0.0) as u32,
        };
        let difficulty = options.take("minimum-difficulty.value").number();
        let mut text = |name| options.take(name).into_text().unwrap_or_default();
        let info = Info {
            connection_url: text("info.connection-url"),
            hw_version: text("info.hw-version"),
            sw_version: text("info.sw-version"),
            hw_id: text("info.hw-id"),
        };
        let mut configure = Self::default();
        let Json::Array(names) = names else {
            return configure;
        };
        for name in names.into_iter().filter_map(Json::into_text) {
            match &*name {
                VERSION_ROLLING => configure.version_rolling = Some(rolling),
                MINIMUM_DIFFICULTY => {
                    configure.minimum_difficulty = Some(difficulty.unwrap_or(0.0).max(0.0));
                }
                SUBSCRIBE_EXTRANONCE => configure.subscribe_extranonce = true,
                "info" => configure.info = Some(info.clone()),
                _ => configure.unknown.push(name),
            }
        }
        configure
    }

    fn write(&self, out: &mut Vec<u8>) {
        let (mut names, mut options) = (Vec::new(), Vec::new());
        if let Some(rolling) = &self.version_rolling {
            names.push(VERSION_ROLLING);
            let mask = format!("{:08x}", rolling.mask);
            options.push(("version-rolling.mask", Json::Text(mask.into())));
            let count = u64::from(rolling.min_bit_count);
            options.push(("version-rolling.min-bit-count", Json::Whole(count)));
        }
        if let Some(difficulty) = self.minimum_difficulty {
            names.push(MINIMUM_DIFFICULTY);
            options.push(("minimum-difficulty.value", Json::Number(difficulty)));
        }
        if self.subscribe_extranonce {
            names.push(SUBSCRIBE_EXTRANONCE);
        }
        if let Some(info) = &self.info {
            names.push("info");
            let fields = [
                ("info.connection-url", &info.connection_url),
                ("info.hw-version", &info.hw_version),
                ("info.sw-version", &info.sw_version),
                ("info.hw-id", &info.hw_id),
            ];
            for (name, text) in fields {
                options.push((name, Json::Text(Cow::Borrowed(text))));
            }
        }
        names.extend(self.unknown.iter().map(|name| &**name));
        let names = names.into_iter().map(|name| Json::Text(name.into()));
        let options = options
            .into_iter()
            .map(|(name, value)| (name.into(), value));
        for (json, end) in [
            (Json::Array(names.collect()), &b","[..]),
            (Json::Object(options.collect()), b""),
        ] {
            serde_json::to_writer(&mut *out, &json).expect("a vector takes everything");
            out.extend_from_slice(end);
        }
    }
}

impl<'a> Submit<'a> {
    fn read(mut params: Json<'a>) -> Result<Self, &'static str> {
        let mut take = |at: usize| params.take_at(at);
        let user = take(0).into_text().unwrap_or_default();
        let job_id = take(1).into_text().ok_or("job id: missing")?;
        let extranonce2 = match take(2) {
            Json::Text(digits) => Extranonce::from_hex(&digits),
            _ => None,
        };
        let extranonce2 = extranonce2.ok_or("extranonce2: expected bytes in hex, at most 32")?;
        let ntime = take(3).hex_u32().ok_or("ntime: expected 8 hex digits")?;
        let nonce = take(4).hex_u32().ok_or("nonce: expected 8 hex digits")?;
        let version_bits = match take(5) {
            Json::Null => None,
            Json::Text(digits) if digits.trim().is_empty() => None,
            bits => Some(
                bits.hex_u32()
                    .ok_or("version bits: expected 8 hex digits")?,
            ),
        };
        Ok(Self {
            user,
            job_id,
            extranonce2,
            ntime,
            nonce,
            version_bits,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_text(&self.user, out);
        out.push(b',');
        write_text(&self.job_id, out);
        out.extend_from_slice(b",\"");
        hexadecimal::write(&self.extranonce2, out);
        let numbers = [Some(self.ntime), Some(self.nonce), self.version_bits];
        for number in numbers.into_iter().flatten() {
            out.extend_from_slice(b"\",\"");
            hexadecimal::write_number(number, out);
        }
        out.push(b'"');
    }
}

/// A target as people write it, the most significant digit first.
fn read_target(text: &str) -> Option<Target> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    if digits.is_empty() || digits.len() > 64 {
        return None;
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(format!("{digits:0>64}"), &mut bytes).ok()?;
    bytes.reverse();
    Some(Target::from_le_bytes(bytes)).filter(|target| !target.is_zero())
}

#[cfg(test)]
mod tests;
