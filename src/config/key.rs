//! A new admin key.

use ring::rand::{SecureRandom, SystemRandom};

/// 32 letters `[A-Za-z]`, each equally likely (182 bits); `None` when the operating system gives no random bytes.
pub(super) fn generate() -> Option<String> {
    let random = SystemRandom::new();
    let mut key = String::with_capacity(KEY_LETTERS);
    while key.len() < KEY_LETTERS {
        let mut bytes = [0_u8; KEY_LETTERS];
        random.fill(&mut bytes).ok()?;
        let letters = bytes.into_iter().filter_map(letter);
        let missing = KEY_LETTERS - key.len();
        key.extend(letters.take(missing));
    }
    Some(key)
}

/// The letter that `byte` stands for; the last 48 values stand for none, or some letters would come more often.
fn letter(byte: u8) -> Option<char> {
    let fair = (byte < FAIR_BELOW).then_some(byte % LETTERS)?;
    Some(char::from(if fair < 26 { b'A' + fair } else { b'a' + fair - 26 }))
}

const KEY_LETTERS: usize = 32;
const LETTERS: u8 = 52;
/// The largest multiple of 52 that a byte can reach.
const FAIR_BELOW: u8 = 4 * LETTERS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_letters_and_differ() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_alphabetic()), "length or alphabet");
        assert_ne!(one, two);
    }

    #[test]
    fn every_letter_has_four_bytes() {
        let mut counts = std::collections::BTreeMap::new();
        for letter in (0..=u8::MAX).filter_map(letter) {
            *counts.entry(letter).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 52);
        assert!(counts.iter().all(|(letter, count)| letter.is_ascii_alphabetic() && *count == 4), "{counts:?}");
    }
}
