//! What a miner's call is answered.

use std::borrow::Cow;
use std::fmt;

use crate::extranonce::{self, Extranonce};
use crate::hexadecimal;
use crate::json::{Id, Json, write_display, write_text};

/// The answer to one call, or to a server's question.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer<'a> {
    /// `true`: authorized, share accepted, done.
    True,
    /// Of `mining.configure`.
    Configured(Configured),
    /// Of `mining.subscribe`.
    Subscribed(Subscribed<'a>),
    /// Of `mining.ping`.
    Pong,
    /// A miner's, of `client.get_version`: program and version.
    Version(Cow<'a, str>),
    /// No.
    Rejected(Rejection),
}

/// What a server grants of the extensions a miner asked for; `None` for those it did not ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configured {
    /// `version-rolling`: the bits the miner may change; zero when it may change none.
    pub version_mask: Option<u32>,
    /// `minimum-difficulty`: whether it will be kept to.
    pub minimum_difficulty: Option<bool>,
    /// `subscribe-extranonce`.
    pub subscribe_extranonce: Option<bool>,
    /// `info`: whether it was noted.
    pub info: Option<bool>,
    /// Extensions that are refused because nobody knows them.
    pub unknown: Vec<String>,
}

/// A session, and the part of the extranonce it has for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribed<'a> {
    /// To be asked for again after a lost connection; may be empty.
    pub session: Cow<'a, str>,
    /// What stands in the coinbase in front of extranonce2.
    pub extranonce1: Extranonce,
    /// Bytes the miner chooses.
    pub extranonce2_size: usize,
}

/// A reason in the field's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// One of the numbers all firmware knows, 20 to 25; what a server sends may be another.
    pub code: i64,
    /// For people.
    pub message: Cow<'static, str>,
}

macro_rules! rejections {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $message:literal;)*) => {
        $($(#[$doc])* pub fn $name() -> Self {
            Self { code: $code, message: Cow::Borrowed($message) }
        })*
    };
}

impl Rejection {
    rejections! {
        /// 21: the job never was or is over; the share came too late.
        stale = 21, "Job not found";
        /// 22: the share was submitted before.
        duplicate = 22, "Duplicate share";
        /// 23: the hash does not meet the difficulty.
        low_difficulty = 23, "Low difficulty share";
        /// 24: the user was not authorized.
        unauthorized = 24, "Unauthorized worker";
        /// 25: `mining.subscribe` has to come first.
        not_subscribed = 25, "Not subscribed";
    }

    /// 20: anything else, in words.
    pub fn other(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: 20,
            message: message.into(),
        }
    }

    /// As some server sends it: a code with its text, an object with both, or a text alone.
    pub(crate) fn read(mut error: Json<'_>) -> Self {
        let (code, message) = match &mut error {
            Json::Array(_) => (error.take_at(0), error.take_at(1)),
            Json::Object(_) => (error.take("code"), error.take("message")),
            other => (Json::Null, std::mem::take(other)),
        };
        let message = message.into_text().unwrap_or_default().into_owned();
        Self {
            code: code.number().map_or(20, |code| code as i64),
            message: message.into(),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl Answer<'_> {
    /// Writes the line. Results and errors are always both there, one of them null: old firmware
    /// asks for both.
    pub fn write(&self, id: &Id, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        id.write(out);
        out.extend_from_slice(b",\"result\":");
        match self {
            Self::True => out.extend_from_slice(b"true"),
            Self::Pong => out.extend_from_slice(b"\"pong\""),
            Self::Version(agent) => write_text(agent, out),
            Self::Configured(configured) => configured.write(out),
            Self::Subscribed(subscribed) => subscribed.write(out),
            Self::Rejected(rejection) => {
                write_display(format_args!("null,\"error\":[{},", rejection.code), out);
                write_text(&rejection.message, out);
                return out.extend_from_slice(b",null]}\n");
            }
        }
        out.extend_from_slice(b",\"error\":null}\n");
    }
}

impl Configured {
    /// Reads what a server answered to [`Call::Configure`](crate::Call::Configure).
    pub fn read(mut result: Json<'_>) -> Self {
        let mut granted = |name| match result.take(name) {
            Json::Bool(granted) => Some(granted),
            Json::Null => None,
            // Some servers say why not.
            _ => Some(false),
        };
        let rolling = granted("version-rolling");
        let mut configured = Self {
            version_mask: None,
            minimum_difficulty: granted("minimum-difficulty"),
            subscribe_extranonce: granted("subscribe-extranonce"),
            info: granted("info"),
            unknown: Vec::new(),
        };
        configured.version_mask = rolling.map(|granted| {
            let mask = result.take("version-rolling.mask").hex_u32();
            mask.filter(|_| granted).unwrap_or(0)
        });
        configured
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut first = b'{';
        let mut field = |name: &str, write: &dyn Fn(&mut Vec<u8>), out: &mut Vec<u8>| {
            out.push(std::mem::replace(&mut first, b','));
            write_text(name, out);
            out.push(b':');
            write(out);
        };
        if let Some(mask) = self.version_mask {
            let granted = mask != 0;
            field("version-rolling", &|out| write_display(granted, out), out);
            if granted {
                let text = format!("\"{mask:08x}\"");
                field(
                    "version-rolling.mask",
                    &|out| write_display(&text, out),
                    out,
                );
            }
        }
        let others = [
            ("minimum-difficulty", self.minimum_difficulty),
            ("subscribe-extranonce", self.subscribe_extranonce),
            ("info", self.info),
        ];
        let unknown = self.unknown.iter().map(|name| (&**name, Some(false)));
        for (name, granted) in others.into_iter().chain(unknown) {
            if let Some(granted) = granted {
                field(name, &|out| write_display(granted, out), out);
            }
        }
        if first == b'{' {
            out.push(b'{');
        }
        out.push(b'}');
    }
}

impl Subscribed<'static> {
    /// Reads what a server answered to [`Call::Subscribe`](crate::Call::Subscribe).
    ///
    /// # Errors
    /// What is missing.
    pub fn read(mut result: Json<'_>) -> Result<Self, &'static str> {
        let mut subscriptions = result.take_at(0);
        // A list of pairs, or, from some servers, one pair.
        let mut session = Json::Null;
        for at in 0.. {
            match subscriptions.take_at(at) {
                Json::Null => break,
                Json::Text(method) if &*method == "mining.notify" => {
                    session = subscriptions.take_at(at + 1);
                    break;
                }
                mut pair => {
                    if pair
                        .take_at(0)
                        .into_text()
                        .is_some_and(|name| name == "mining.notify")
                    {
                        session = pair.take_at(1);
                    }
                }
            }
        }
        let extranonce1 = match result.take_at(1) {
            Json::Text(digits) => Extranonce::from_hex(&digits),
            _ => None,
        };
        let size = result.take_at(2).number();
        let size = size.filter(|size| (0.0..=extranonce::MAX_LEN as f64).contains(size));
        Ok(Self {
            session: Cow::Owned(session.into_text().unwrap_or_default().into_owned()),
            extranonce1: extranonce1.ok_or("extranonce1: expected bytes in hex, at most 32")?,
            extranonce2_size: size.ok_or("extranonce2_size: expected a number up to 32")? as usize,
        })
    }
}

impl Subscribed<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"[[[\"mining.set_difficulty\",");
        write_text(&self.session, out);
        out.extend_from_slice(b"],[\"mining.notify\",");
        write_text(&self.session, out);
        out.extend_from_slice(b"]],\"");
        hexadecimal::write(&self.extranonce1, out);
        write_display(format_args!("\",{}]", self.extranonce2_size), out);
    }
}

#[cfg(test)]
mod tests;
