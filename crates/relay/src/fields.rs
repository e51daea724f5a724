//! Messages as named fields: for people who look at them, and to change one on its way.
//!
//! The codec in `protocol::message` gives each message a type of its own, which is right for those
//! who act on it. Whoever shows all of them needs names and values instead; [`layout`] has those,
//! as data, in the order of the wire.

mod layout;

use std::ops::Range;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

pub use layout::{Kind, LAYOUTS, Layout};

/// Bytes of a field that are shown; a coinbase fits, a block's transactions do not.
const MAX_SHOWN: usize = 256;
/// Items of a list that are shown.
const MAX_ITEMS: usize = 32;

/// The fields of a message, in the order of the wire.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields(pub Vec<(&'static str, Value)>);

impl Fields {
    /// The field of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(known, _)| *known == name)?;
        Some(&found.1)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The layout of a message; `None` for a type that is not known.
pub fn layout(extension: u16, msg_type: u8) -> Option<&'static Layout> {
    LAYOUTS
        .iter()
        .find(|layout| (layout.extension, layout.msg_type) == (extension, msg_type))
}

/// The layouts of this name: two protocols have a SetNewPrevHash.
pub fn named(name: &str) -> impl Iterator<Item = &'static Layout> {
    LAYOUTS
        .iter()
        .filter(move |layout| layout.name.eq_ignore_ascii_case(name))
}

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> {
    LAYOUTS.iter().map(|layout| layout.name)
}

impl Layout {
    /// The fields of a payload; those that are not there any more are left out. Bytes behind them
    /// (SV2 3.4.3) are shown as `tlv`.
    pub fn read(&self, payload: &[u8]) -> Fields {
        let mut rest = payload;
        let mut fields = Vec::new();
        for (name, kind) in self.fields {
            let Some(value) = kind.read(&mut rest) else {
                fields.push(("malformed", Value::from(hex::encode(shown(rest)))));
                return Fields(fields);
            };
            fields.push((name, value));
        }
        if !rest.is_empty() {
            fields.push(("tlv", bytes(rest)));
        }
        Fields(fields)
    }

    /// Where a field is in a payload; `None` when it is not there.
    pub fn locate(&self, field: &str, payload: &[u8]) -> Option<Range<usize>> {
        let mut rest = payload;
        for (name, kind) in self.fields {
            let start = payload.len() - rest.len();
            kind.read(&mut rest)?;
            if *name == field {
                return Some(start..payload.len() - rest.len());
            }
        }
        None
    }

    /// The bytes of a value for a field.
    ///
    /// # Errors
    /// There is no such field, or the value is none of it; says what would be.
    pub fn encode(&self, field: &str, value: &Value) -> Result<Vec<u8>, String> {
        let Some((_, kind)) = self.fields.iter().find(|(name, _)| *name == field) else {
            let names: Vec<_> = self.fields.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "{} has no field '{field}'; it has {}",
                self.name,
                names.join(", ")
            ));
        };
        kind.write(value)
            .ok_or_else(|| format!("{}.{field}: {value} is no {}", self.name, kind.expected()))
    }
}

impl Kind {
    /// Reads one value and moves on behind it; `None` when there is not enough.
    fn read(&self, rest: &mut &[u8]) -> Option<Value> {
        Some(match self {
            Self::Bool => Value::from(number(rest, 1)? & 1 == 1),
            Self::U8 => Value::from(number(rest, 1)?),
            Self::U16 => Value::from(number(rest, 2)?),
            Self::U32 => Value::from(number(rest, 4)?),
            Self::U64 => Value::from(number(rest, 8)?),
            Self::F32 => {
                let bits = u32::try_from(number(rest, 4)?).ok()?;
                Value::from(f32::from_bits(bits))
            }
            Self::Hash => {
                let mut hash = rest.split_off(..32)?.to_vec();
                hash.reverse();
                Value::from(hex::encode(hash))
            }
            Self::Text => Value::from(String::from_utf8_lossy(counted(rest, 1)?)),
            Self::Bytes(width) => bytes(counted(rest, *width)?),
            Self::List(width, kind) => {
                let count = usize::try_from(number(rest, *width)?).ok()?;
                let mut items = Vec::new();
                for index in 0..count {
                    let item = kind.read(rest)?;
                    if index < MAX_ITEMS {
                        items.push(item);
                    }
                }
                if count > MAX_ITEMS {
                    items.push(Value::from(format!("… {count} in all")));
                }
                Value::from(items)
            }
            Self::Maybe(kind) => match number(rest, 1)? {
                0 => Value::Null,
                _ => kind.read(rest)?,
            },
        })
    }

    /// The bytes of a value; `None` when it is no such value.
    fn write(&self, value: &Value) -> Option<Vec<u8>> {
        let number = |width: usize| {
            let number = value.as_u64()?;
            let fits = width == 8 || number < 1 << (8 * width);
            fits.then(|| number.to_le_bytes()[..width].to_vec())
        };
        match self {
            Self::Bool => Some(vec![u8::from(value.as_bool()?)]),
            Self::U8 => number(1),
            Self::U16 => number(2),
            Self::U32 => number(4),
            Self::U64 => number(8),
            Self::F32 => Some((value.as_f64()? as f32).to_le_bytes().to_vec()),
            Self::Hash => {
                let mut hash = hex::decode(value.as_str()?).ok()?;
                hash.reverse();
                (hash.len() == 32).then_some(hash)
            }
            Self::Text => with_count(1, value.as_str()?.as_bytes()),
            Self::Bytes(width) => with_count(*width, &hex::decode(value.as_str()?).ok()?),
            Self::List(width, kind) => {
                let items = value.as_array()?;
                let mut encoded = count_bytes(*width, items.len())?;
                for item in items {
                    encoded.extend(kind.write(item)?);
                }
                Some(encoded)
            }
            Self::Maybe(_) if value.is_null() => Some(vec![0]),
            Self::Maybe(kind) => Some([vec![1], kind.write(value)?].concat()),
        }
    }

    /// What a value of it looks like.
    fn expected(&self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::U8 => "whole number below 2^8".to_owned(),
            Self::U16 => "whole number below 2^16".to_owned(),
            Self::U32 => "whole number below 2^32".to_owned(),
            Self::U64 => "whole number below 2^64".to_owned(),
            Self::F32 => "number".to_owned(),
            Self::Hash => "text of 32 bytes as hex, the highest first".to_owned(),
            Self::Text => "text of up to 255 bytes".to_owned(),
            Self::Bytes(_) => "text of bytes as hex, short enough for the field".to_owned(),
            Self::List(_, kind) => format!("list, each item a {}", kind.expected()),
            Self::Maybe(kind) => format!("null, and no {}", kind.expected()),
        }
    }
}

fn number(rest: &mut &[u8], width: usize) -> Option<u64> {
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(rest.split_off(..width)?);
    Some(u64::from_le_bytes(wide))
}

fn counted<'a>(rest: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest, width)?).ok()?;
    rest.split_off(..length)
}

fn with_count(width: usize, bytes: &[u8]) -> Option<Vec<u8>> {
    Some([count_bytes(width, bytes.len())?, bytes.to_vec()].concat())
}

fn count_bytes(width: usize, count: usize) -> Option<Vec<u8>> {
    let count = u64::try_from(count).ok()?;
    (count < 1 << (8 * width)).then(|| count.to_le_bytes()[..width].to_vec())
}

fn bytes(bytes: &[u8]) -> Value {
    let text = hex::encode(shown(bytes));
    match bytes.len() > MAX_SHOWN {
        true => Value::from(format!("{text}… {} bytes", bytes.len())),
        false => Value::from(text),
    }
}

fn shown(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(MAX_SHOWN)]
}

#[cfg(test)]
mod tests;
