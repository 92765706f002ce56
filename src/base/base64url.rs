//! Strict base64url without padding (RFC 4648 §5, RFC 7515 §2): one spelling for one value.
//!
//! Encoded bytes in, decoded bytes out, into memory the caller reuses. Runs for each part of each token. Never
//! panics; allocates only while the caller's buffer grows. Bench: `auth/base64url`.

use base64_simd::URL_SAFE_NO_PAD;

/// The text is not the one base64url spelling of any bytes: a foreign character, padding, a length of 4n+1, or bits
/// set in the last character that encode nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not base64url without padding")]
pub struct DecodeError;

/// Decodes `encoded` into `decoded`, replacing what it held.
///
/// The result is a part of `decoded` that may be changed in place, as JSON parsers do. After an error `decoded` is
/// empty.
#[inline]
pub fn decode_into<'d>(encoded: &[u8], decoded: &'d mut Vec<u8>) -> Result<&'d mut [u8], DecodeError> {
    decoded.clear();
    if URL_SAFE_NO_PAD.decode_append(encoded, decoded).is_err() {
        decoded.clear();
        return Err(DecodeError);
    }
    Ok(decoded)
}

/// Appends `encoded` to `out` in the strict spelling of the bytes that a lenient decoder would find in it: the other
/// alphabet's characters are exchanged, padding is left out, spare bits are cleared. Whatever else is wrong with it
/// stays, so that [`decode_into`] refuses it.
pub fn respell_into(encoded: &[u8], out: &mut Vec<u8>) {
    let padding = encoded.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = encoded.get(..encoded.len() - padding).unwrap_or_default();
    out.extend(digits.iter().map(|byte| match byte {
        b'+' => b'-',
        b'/' => b'_',
        other => *other,
    }));
    let spare_bits = match digits.len() % 4 {
        2 => 4,
        3 => 2,
        _ => 0,
    };
    if let Some(last) = out.last_mut().filter(|_| spare_bits > 0)
        && let Some(value) = ALPHABET.iter().position(|byte| byte == last)
        && let Some(cleared) = ALPHABET.get(value >> spare_bits << spare_bits)
    {
        *last = *cleared;
    }
}

/// RFC 4648 §5, in order.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::alphabet;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as ORACLE;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    use proptest::prelude::*;

    fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
        let mut decoded = b"left over".to_vec();
        decode_into(encoded, &mut decoded).ok().map(|bytes| bytes.to_vec())
    }

    #[test]
    fn one_value_has_one_spelling() {
        let accepted = [("", ""), ("Zg", "f"), ("Zm8", "fo"), ("Zm9v", "foo"), ("-_8", "\u{fb}\u{ff}")];
        for (encoded, want) in accepted {
            let want: Vec<u8> = want.chars().map(|character| character as u8).collect();
            assert_eq!(decode(encoded.as_bytes()), Some(want), "{encoded}");
        }
        let refused = [
            ("Zg==", "padding"),
            ("Zm8=", "padding"),
            ("Zh", "spare bits of two characters"),
            ("Zm9", "spare bits of three characters"),
            ("Zm9vZ", "length 4n+1"),
            ("Z", "length 1"),
            ("+/8", "the other alphabet"),
            ("Zm9v\n", "line end"),
            ("Zm 9v", "space"),
            ("Zm9v\0", "NUL"),
            ("Zm9vé", "beyond ASCII"),
            (".", "dot"),
        ];
        for (encoded, why) in refused {
            assert_eq!(decode(encoded.as_bytes()), None, "{why}: {encoded:?}");
        }
    }

    #[test]
    fn every_last_character_agrees_with_the_oracle() {
        for last in 0..=u8::MAX {
            for prefix in ["", "A", "AB", "ABC", "ABCDABCDABCDABCDABCDABCDABCDABCDABCDABC"] {
                let mut encoded = prefix.as_bytes().to_vec();
                encoded.push(last);
                assert_eq!(decode(&encoded), ORACLE.decode(&encoded).ok(), "{encoded:?}");
            }
        }
    }

    /// As a lenient decoder of one alphabet reads it.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone),
    );

    fn respelled(encoded: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        respell_into(encoded, &mut out);
        out
    }

    #[test]
    fn other_spellings_of_the_same_bytes_are_respelled() {
        for (encoded, want) in
            [("Zg==", "Zg"), ("Zh", "Zg"), ("Zm9", "Zm8"), ("+/8=", "-_8"), ("Zm9v", "Zm9v"), ("", ""), ("==", "")]
        {
            assert_eq!(respelled(encoded.as_bytes()), want.as_bytes(), "{encoded}");
        }
        for encoded in ["Z", "Zm9vZ", "Zg=A", "Zm 9v", "Zm9v\n", "@@"] {
            assert_eq!(decode(&respelled(encoded.as_bytes())), None, "{encoded:?}");
        }
    }

    proptest! {
        #[test]
        fn respelling_agrees_with_a_lenient_oracle(encoded in "[A-Za-z0-9_+/@-]{0,40}={0,3}") {
            let one_alphabet = encoded.replace('+', "-").replace('/', "_");
            let want = LENIENT.decode(one_alphabet.trim_end_matches('=')).ok();
            prop_assert_eq!(decode(&respelled(encoded.as_bytes())), want);
        }

        #[test]
        fn random_bytes_agree_with_the_oracle(encoded in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(&encoded), ORACLE.decode(&encoded).ok());
        }

        #[test]
        fn random_alphabet_text_agrees_with_the_oracle(encoded in "[A-Za-z0-9_=+/-]{0,200}") {
            prop_assert_eq!(decode(encoded.as_bytes()), ORACLE.decode(&encoded).ok());
        }

        #[test]
        fn what_the_oracle_encodes_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(decode(ORACLE.encode(&bytes).as_bytes()), Some(bytes));
        }
    }
}
