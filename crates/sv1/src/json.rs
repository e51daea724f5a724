//! JSON values that borrow from the line they were read from, and the ids of calls.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::hexadecimal;

/// A value of any type. Text without escapes is borrowed from the line.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Json<'a> {
    /// `null`, or nothing at all.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number from 0.
    Whole(u64),
    /// Any other number.
    Number(f64),
    /// A string.
    Text(Cow<'a, str>),
    /// A list.
    Array(Vec<Json<'a>>),
    /// Names and values, as they came; the first of two with the same name counts.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Reads one value and nothing behind it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// Takes a field out of an object; null when there is none.
    pub fn take(&mut self, name: &str) -> Self {
        let Json::Object(fields) = self else {
            return Json::Null;
        };
        let field = fields.iter_mut().find(|(found, _)| found == name);
        field
            .map(|(_, value)| std::mem::take(value))
            .unwrap_or_default()
    }

    /// Takes an element out of an array; null when there is none.
    pub fn take_at(&mut self, index: usize) -> Self {
        let Json::Array(values) = self else {
            return Json::Null;
        };
        values
            .get_mut(index)
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Whether it is `null` or absent.
    pub fn is_null(&self) -> bool {
        *self == Json::Null
    }

    /// Text, or what reads as one: numbers and truth values are spelled out. `None` for null,
    /// arrays and objects.
    pub fn into_text(self) -> Option<Cow<'a, str>> {
        Some(match self {
            Json::Text(text) => text,
            Json::Bool(value) => value.to_string().into(),
            Json::Whole(number) => number.to_string().into(),
            Json::Number(number) => number.to_string().into(),
            Json::Null | Json::Array(_) | Json::Object(_) => return None,
        })
    }

    /// A finite number, or a text that spells one.
    pub fn number(&self) -> Option<f64> {
        let number = match self {
            Json::Whole(number) => *number as f64,
            Json::Number(number) => *number,
            Json::Text(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        number.is_finite().then_some(number)
    }

    /// 32 bits: hexadecimal as text, or a number as it is.
    pub fn hex_u32(&self) -> Option<u32> {
        match self {
            Json::Text(text) => hexadecimal::number(text),
            Json::Whole(number) => u32::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Bytes in hexadecimal.
    pub fn hex_bytes(&self) -> Option<Vec<u8>> {
        match self {
            Json::Text(text) => hex::decode(text.trim()).ok(),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(u64::try_from(number).map_or(Json::Number(number as f64), Json::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = access.next_element()? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, value)) = access.next_entry::<Json<'de>, Json<'de>>()? {
            fields.push((name.into_text().unwrap_or_default(), value));
        }
        Ok(Json::Object(fields))
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Whole(number) => serializer.serialize_u64(*number),
            // Ids below zero go back as they came.
            Json::Number(number) if number.fract() == 0.0 && number.abs() < 53f64.exp2() => {
                serializer.serialize_i64(*number as i64)
            }
            Json::Number(number) => serializer.serialize_f64(*number),
            Json::Text(text) => serializer.serialize_str(text),
            Json::Array(values) => serializer.collect_seq(values),
            Json::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

/// What joins an answer to its call: whatever JSON the caller chose, given back as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Id {
    /// `null`, or no id at all.
    #[default]
    Null,
    /// What nearly everybody uses.
    Number(u64),
    /// Anything else, as JSON.
    Other(Box<str>),
}

impl Id {
    pub(crate) fn new(json: &Json<'_>) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Whole(number) => Self::Number(*number),
            other => Self::Other(serde_json::to_string(other).unwrap_or_default().into()),
        }
    }

    /// The number it is, or spells.
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Null => None,
            Self::Number(number) => Some(*number),
            Self::Other(json) => json.trim_matches('"').parse().ok(),
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Number(number) => write_display(number, out),
            Self::Other(json) => out.extend_from_slice(json.as_bytes()),
        }
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// Writes what a call and a notice begin with, up to the first parameter.
pub(crate) fn write_head(id: &Id, method: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    id.write(out);
    out.extend_from_slice(b",\"method\":");
    write_text(method, out);
    out.extend_from_slice(b",\"params\":[");
}

/// Writes what needs no quotes.
pub(crate) fn write_display(value: impl fmt::Display, out: &mut Vec<u8>) {
    use std::io::Write;
    write!(out, "{value}").expect("a vector takes everything");
}

/// Writes a string with its quotes, escaped.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a vector takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_any_type_is_given_back_as_it_came() {
        let ids = [
            "null",
            "0",
            "18446744073709551615",
            "-1",
            "1.5",
            "\"abc\"",
            "\"a\\\"b\"",
            "true",
            "[1,\"x\"]",
            "{\"a\":null}",
        ];
        for text in ids {
            let id = Id::new(&Json::parse(text.as_bytes()).unwrap());
            let mut out = Vec::new();
            id.write(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn ids_that_came_back_as_text_still_have_their_number() {
        assert_eq!(Id::Number(7).number(), Some(7));
        assert_eq!(Id::new(&Json::Text("7".into())).number(), Some(7));
        assert_eq!(Id::new(&Json::Text("x".into())).number(), None);
        assert_eq!(Id::Null.number(), None);
    }

    #[test]
    fn text_is_borrowed_unless_it_has_escapes() {
        let Ok(Json::Array(values)) = Json::parse(br#"["plain", "esc\u0061ped"]"#) else {
            panic!("an array");
        };
        assert!(matches!(&values[0], Json::Text(Cow::Borrowed("plain"))));
        assert!(matches!(&values[1], Json::Text(Cow::Owned(text)) if text == "escaped"));
    }

    #[test]
    fn numbers_are_taken_from_text_and_text_from_numbers() {
        assert_eq!(Json::Text(" 1e-3 ".into()).number(), Some(0.001));
        assert_eq!(Json::Whole(5).into_text().unwrap(), "5");
        assert_eq!(Json::Whole(5).hex_u32(), Some(5));
        assert_eq!(Json::Text("10".into()).hex_u32(), Some(16));
        assert_eq!(Json::Whole(1 << 32).hex_u32(), None);
    }

    #[test]
    fn depth_is_bounded() {
        let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
        assert!(Json::parse(&deep).is_err());
    }
}
