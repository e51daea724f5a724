//! Hexadecimal as the dialect has it.

/// Reads a number of 32 bits: any number of leading zeros, `0x` or not.
pub(crate) fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    // The standard library would take a sign.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let significant = digits.trim_start_matches('0');
    match significant.len() {
        0 => Some(0),
        1..=8 => u32::from_str_radix(significant, 16).ok(),
        _ => None,
    }
}

/// Writes bytes, two digits each.
pub(crate) fn write(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    hex::encode_to_slice(bytes, &mut out[start..]).expect("two digits each");
}

/// Writes a number as eight digits, the most significant first.
pub(crate) fn write_number(number: u32, out: &mut Vec<u8>) {
    write(&number.to_be_bytes(), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_leading_zeros_or_not() {
        for text in [
            "1fffe000",
            "0x1fffe000",
            "0X1FFFE000",
            "0000001fffe000",
            " 1fffe000 ",
        ] {
            assert_eq!(number(text), Some(0x1fff_e000), "{text}");
        }
        assert_eq!((number("0"), number("00000000")), (Some(0), Some(0)));
        for text in ["", "0x", "1ffffe0000", "-1", "+1", "12g4", "1 2"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mut out = Vec::new();
        write_number(0x17, &mut out);
        write(&[0xab, 0x01], &mut out);
        assert_eq!(out, b"00000017ab01");
    }
}
