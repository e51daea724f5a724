//! What a coinbase says, field by field, and what that says of whoever made the block.
//!
//! A scriptSig begins with the height (BIP-0034). What follows is free; Stratum V2 roles push a
//! signature and the extranonce, others write what they like. Nothing here trusts any of it.

use std::fmt::Write;
use std::sync::Arc;

use bitcoin::hex::DisplayHex;
use bitcoin::{Script, Transaction};
use serde::Serialize;
use utoipa::ToSchema;

/// Shorter texts are taken for chance.
const MIN_TEXT: usize = 3;
/// Of a signature, in characters, as it is kept of each block.
const MAX_TAG: usize = 100;

/// Who made a block, as far as its coinbase tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Maker {
    /// Nobody: it is the first one.
    Genesis,
    /// The node itself, asked by RPC: it writes the height and nothing else.
    Node,
    /// Somebody with this signature.
    Signed(Arc<str>),
    /// Somebody who does not say.
    Unknown,
}

/// A part of a coinbase's scriptSig.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Field {
    /// What it is.
    pub name: &'static str,
    /// Its bytes.
    pub hex: String,
    /// What they say: a number, or a text, in which control characters are replaced.
    pub meaning: Option<String>,
}

impl Field {
    fn new(name: &'static str, bytes: &[u8], meaning: Option<String>) -> Self {
        Self {
            name,
            hex: bytes.to_lower_hex_string(),
            meaning,
        }
    }
}

/// The fields of the scriptSig of the coinbase at `height`. `prefixes` are extranonce prefixes that
/// are known of channels, by which the extranonce is parted.
pub fn fields(coinbase: &Transaction, height: u32, prefixes: &[Vec<u8>]) -> Vec<Field> {
    let Some(input) = coinbase.input.first() else {
        return Vec::new();
    };
    let script = input.script_sig.as_bytes();
    let mut fields = Vec::new();
    let start = height_len(script, height);
    if start > 0 {
        let meaning = Some(height.to_string());
        fields.push(Field::new("height", &script[..start], meaning));
    }
    let mut rest = &script[start..];
    while let Some((data, behind)) = push(rest) {
        if data.is_empty() {
            fields.push(Field::new("empty push", &rest[..1], None));
        } else if let Some(text) = text(data) {
            fields.push(Field::new("signature", data, Some(text)));
        } else if behind.is_empty() {
            fields.extend(extranonce(data, prefixes));
        } else {
            fields.push(Field::new("data", data, None));
        }
        rest = behind;
    }
    if !rest.is_empty() {
        fields.push(Field::new("data", rest, longest_text(rest)));
    }
    fields
}

fn extranonce(data: &[u8], prefixes: &[Vec<u8>]) -> Vec<Field> {
    let known = |prefix: &&Vec<u8>| !prefix.is_empty() && data.starts_with(prefix);
    let longest = prefixes
        .iter()
        .filter(known)
        .max_by_key(|known| known.len());
    match longest {
        Some(prefix) if prefix.len() < data.len() => vec![
            Field::new("extranonce prefix", prefix, Some("the pool's part".into())),
            Field::new(
                "extranonce",
                &data[prefix.len()..],
                Some("the miner's part".into()),
            ),
        ],
        Some(_) => vec![Field::new(
            "extranonce prefix",
            data,
            Some("all of it the pool's: a standard channel".into()),
        )],
        None => vec![Field::new("extranonce", data, None)],
    }
}

/// Who made the block at `height`.
pub fn maker(coinbase: &Transaction, height: u32) -> Maker {
    let Some(input) = coinbase.input.first() else {
        return Maker::Unknown;
    };
    if height == 0 {
        return Maker::Genesis;
    }
    let script = input.script_sig.as_bytes();
    let rest = &script[height_len(script, height)..];
    // Low heights are padded with a zero, since a scriptSig has two bytes at least.
    if rest.iter().all(|byte| *byte == 0) && rest.len() <= 1 {
        return Maker::Node;
    }
    match signature(rest) {
        Some(text) => Maker::Signed(text.chars().take(MAX_TAG).collect::<String>().into()),
        None => Maker::Unknown,
    }
}

/// Pushed texts, or the longest text there is.
fn signature(mut rest: &[u8]) -> Option<String> {
    let all = rest;
    let mut texts = Vec::new();
    while let Some((data, behind)) = push(rest) {
        texts.extend(text(data));
        rest = behind;
    }
    if texts.is_empty() {
        return longest_text(all);
    }
    Some(texts.join(" "))
}

/// Bytes of the push of `height` that the script begins with; 0 if it does not.
fn height_len(script: &[u8], height: u32) -> usize {
    let pushed = Script::builder().push_int(i64::from(height)).into_script();
    match script.starts_with(pushed.as_bytes()) {
        true => pushed.len(),
        false => 0,
    }
}

/// What the script pushes first, and what comes behind it; `None` if it begins with anything but
/// a direct push that is complete.
fn push(script: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = script.split_first()?;
    match *len {
        len @ 0..=75 if rest.len() >= usize::from(len) => Some(rest.split_at(usize::from(len))),
        _ => None,
    }
}

/// The bytes as a text, if they are one as a whole.
fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_text = bytes.len() >= MIN_TEXT && !text.chars().any(char::is_control);
    is_text.then(|| text.to_owned())
}

/// The longest run of printable characters, if there is one worth showing.
fn longest_text(bytes: &[u8]) -> Option<String> {
    let runs = bytes.split(|byte| !(0x20..0x7f).contains(byte));
    let longest = runs.max_by_key(|run| run.len())?;
    (longest.len() > MIN_TEXT).then(|| String::from_utf8_lossy(longest).into_owned())
}

/// What the coinbase commits to of its block's witnesses, as hex (BIP-0141).
pub fn witness_commitment(coinbase: &Transaction) -> Option<String> {
    const START: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    // Of several the last one counts.
    let scripts = coinbase.output.iter().rev();
    let mut scripts = scripts.map(|output| output.script_pubkey.as_bytes());
    let script = scripts.find(|script| script.len() >= 38 && script.starts_with(&START))?;
    Some(script[6..38].to_lower_hex_string())
}

/// The bytes as people read them: printable ones as they are, others as dots.
pub fn printable(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for byte in bytes {
        let shown_byte = match byte {
            0x20..0x7f => char::from(*byte),
            _ => '·',
        };
        // Writing to a text cannot fail.
        let _ = shown.write_char(shown_byte);
    }
    shown
}

#[cfg(test)]
mod tests {
    use bitcoin::absolute::LockTime;
    use bitcoin::transaction::Version;
    use bitcoin::{OutPoint, ScriptBuf, Sequence, TxIn, Witness};

    use super::*;

    fn coinbase(script_sig: &[&[u8]]) -> Transaction {
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: ScriptBuf::from(script_sig.concat()),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: Vec::new(),
        }
    }

    fn names(fields: &[Field]) -> Vec<&'static str> {
        fields.iter().map(|field| field.name).collect()
    }

    #[test]
    fn a_stratum_coinbase_is_height_signature_and_extranonce() {
        let coinbase = coinbase(&[b"\x02\xc8\x00", b"\x08/sv2-lab", b"\x04\x01\x02\x03\xff"]);
        let fields = fields(&coinbase, 200, &[vec![1, 2], vec![1], vec![9]]);
        assert_eq!(
            names(&fields),
            ["height", "signature", "extranonce prefix", "extranonce"]
        );
        assert_eq!(fields[0].meaning.as_deref(), Some("200"));
        assert_eq!(fields[1].meaning.as_deref(), Some("/sv2-lab"));
        assert_eq!((&fields[2].hex[..], &fields[3].hex[..]), ("0102", "03ff"));
        assert_eq!(maker(&coinbase, 200), Maker::Signed("/sv2-lab".into()));
    }

    #[test]
    fn of_a_standard_channel_the_whole_extranonce_is_the_pools() {
        let coinbase = coinbase(&[b"\x02\xc8\x00", b"\x04\x01\x02\x03\xff"]);
        let fields = fields(&coinbase, 200, &[vec![1, 2, 3, 0xff]]);
        assert_eq!(names(&fields), ["height", "extranonce prefix"]);
        assert!(fields[1].meaning.as_deref().unwrap().contains("standard"));
    }

    #[test]
    fn the_node_itself_writes_the_height_only() {
        assert_eq!(maker(&coinbase(&[b"\x51\x00"]), 1), Maker::Node);
        assert_eq!(maker(&coinbase(&[b"\x01\x65\x00"]), 101), Maker::Node);
        assert_eq!(maker(&coinbase(&[b"\x02\xc8\x00"]), 200), Maker::Node);
        assert_eq!(
            maker(&coinbase(&[b"\x02\xc8\x00\x02\x90\x91"]), 200),
            Maker::Unknown
        );
    }

    #[test]
    fn every_byte_is_in_a_field_whatever_they_are() {
        for script in [
            &b""[..],
            b"\x4c",
            b"\x02\xc8",
            b"\x4d\x01",
            b"\xff\xff",
            b"\x05abc",
            b"\x02\xc8\x00\x03ab\x07",
            b"written by hand \xf0",
        ] {
            let fields = fields(&coinbase(&[script]), 200, &[]);
            let data: usize = fields.iter().map(|field| field.hex.len() / 2).sum();
            let pushes = fields
                .iter()
                .filter(|field| ["signature", "extranonce"].contains(&field.name))
                .count();
            assert!(data + pushes >= script.len(), "{script:?}: {fields:?}");
        }
    }

    #[test]
    fn text_without_a_push_is_found_and_control_characters_are_not_text() {
        let by_hand = coinbase(&[b"\x02\xc8\x00", b"\xfa\xbeMined by hand\x01"]);
        assert_eq!(maker(&by_hand, 200), Maker::Signed("Mined by hand".into()));
        let bell = coinbase(&[b"\x02\xc8\x00", b"\x04a\x07\x1bb"]);
        assert_eq!(maker(&bell, 200), Maker::Unknown);
        assert_eq!(printable(b"a\x07<b>"), "a·<b>");
    }
}
