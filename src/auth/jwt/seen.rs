//! Payload parts seen lately, and what they say: a client sends its token many times, and what its payload says
//! depends on nothing else.
//!
//! A payload part as it was sent in, its claims out, without decoding or parsing. Runs once per token, before anything
//! about it can be trusted: what a slot holds is what reading the part again would give, whoever sent it, and nothing is
//! decided by its being there. Signatures are not kept, so nobody can be impersonated with what is. Never allocates but
//! while slots grow to the size of payloads, never waits or panics. Bench: `auth/judge`.

use super::claims::Claims;
use super::json::Member;
use ahash::RandomState;

/// One worker's payloads, each in the one slot that a hash seeded per process gives it.
pub struct SeenPayloads {
    /// Empty until the first payload.
    slots: Vec<Slot>,
    /// Slots to allocate; a power of two, or zero: nothing is kept.
    slots_wanted: usize,
    hasher: RandomState,
}

/// A payload part and its claims.
#[derive(Debug, Clone, Default)]
struct Slot {
    hash: u64,
    /// The part, the name of the claim that names the credential, and that claim's value.
    text: String,
    name_start: usize,
    key_start: usize,
    expires: Option<f64>,
    not_before: Option<f64>,
}

impl SeenPayloads {
    /// Keeps about `payloads_max` of them (rounded up to a power of two; 0 keeps none).
    pub fn new(payloads_max: usize) -> Self {
        let slots_wanted = if payloads_max == 0 { 0 } else { payloads_max.next_power_of_two() };
        Self { slots: Vec::new(), slots_wanted, hasher: RandomState::new() }
    }

    /// What the other functions know `encoded` by.
    #[inline]
    pub fn hash(&self, encoded: &[u8]) -> u64 {
        self.hasher.hash_one(encoded)
    }

    /// What `encoded` says, where the claim called `key_claim_name` names the credential, if it is at hand.
    #[inline]
    pub fn claims(&self, hash: u64, encoded: &[u8], key_claim_name: &str) -> Option<Claims<'_>> {
        let slot = self.slots.get(hash as usize & self.slots.len().wrapping_sub(1))?;
        if slot.hash != hash {
            return None;
        }
        let (text, key) = slot.text.split_at_checked(slot.key_start)?;
        let (payload, name) = text.split_at_checked(slot.name_start)?;
        (payload.as_bytes() == encoded && name == key_claim_name).then(|| Claims {
            key: Some(Member::Text(key)),
            expires: slot.expires.map(Member::Number),
            not_before: slot.not_before.map(Member::Number),
        })
    }

    /// Keeps what `encoded` says, in place of another part, if it says what tokens usually say: the name of a
    /// credential, and times that are numbers.
    pub fn keep(&mut self, hash: u64, encoded: &[u8], key_claim_name: &str, claims: &Claims<'_>) {
        let time = |member: Option<Member<'_>>| match member {
            None => Some(None),
            Some(Member::Number(at)) => Some(Some(at)),
            Some(_) => None,
        };
        let (Some(Member::Text(key)), Some(expires), Some(not_before), Ok(payload)) =
            (claims.key, time(claims.expires), time(claims.not_before), std::str::from_utf8(encoded))
        else {
            return;
        };
        if payload.len() + key_claim_name.len() + key.len() > SLOT_BYTES_MAX {
            return;
        }
        if self.slots.is_empty() {
            self.slots.resize(self.slots_wanted, Slot::default());
        }
        let index = hash as usize & self.slots.len().wrapping_sub(1);
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.text.clear();
        slot.text.push_str(payload);
        slot.name_start = slot.text.len();
        slot.text.push_str(key_claim_name);
        slot.key_start = slot.text.len();
        slot.text.push_str(key);
        (slot.hash, slot.expires, slot.not_before) = (hash, expires, not_before);
    }
}

impl Default for SeenPayloads {
    /// Keeps none.
    fn default() -> Self {
        Self::new(0)
    }
}

impl std::fmt::Debug for SeenPayloads {
    /// Shows nothing of what tokens said.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SeenPayloads").field("slots", &self.slots.len()).finish_non_exhaustive()
    }
}

/// Text of one slot at most: longer payloads are read each time.
pub const SLOT_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::super::json::Reader;
    use super::super::token::TokenError;
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    /// What a worker does with a part: whether it was at hand, and what it says.
    fn read(seen: &mut SeenPayloads, encoded: &[u8], name: &str) -> (bool, Result<String, TokenError>) {
        let hash = seen.hash(encoded);
        if let Some(claims) = seen.claims(hash, encoded, name) {
            return (true, Ok(format!("{claims:?}")));
        }
        let mut decoded = Vec::new();
        let claims = Claims::read(encoded, name, &mut decoded, &mut Reader::default());
        if let Ok(claims) = &claims {
            seen.keep(hash, encoded, name, claims);
        }
        (false, claims.map(|claims| format!("{claims:?}")))
    }

    fn encoded(json: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.encode(json).into_bytes()
    }

    #[test]
    fn usual_payloads_are_at_hand_the_second_time() {
        let long = format!(r#"{{"key":"{}"}}"#, "k".repeat(SLOT_BYTES_MAX));
        for (json, name, is_kept) in [
            (r#"{"key":"jack-key","exp":1893456000,"nbf":1.5}"#, "key", true),
            (r#"{"key":"jack\u002dkey"}"#, "key", true),
            (r#"{"key":""}"#, "key", true),
            (r#"{"iss":"jack","key":"other"}"#, "iss", true),
            (r#"{"key":"jack-key","exp":"soon"}"#, "key", false),
            (r#"{"key":"jack-key","nbf":null}"#, "key", false),
            (r#"{"key":7}"#, "key", false),
            (r#"{"exp":7}"#, "exp", false),
            ("{}", "key", false),
            ("[]", "key", false),
            (&long, "key", false),
        ] {
            let mut seen = SeenPayloads::new(64);
            let (part, mut none) = (encoded(json), SeenPayloads::default());
            let want = read(&mut none, &part, name);
            assert_eq!(read(&mut seen, &part, name), want, "{json}");
            assert_eq!(read(&mut seen, &part, name), (is_kept, want.1), "{json}");
            assert!(!read(&mut none, &part, name).0, "{json}");
        }
    }

    #[test]
    fn a_part_is_known_by_all_its_bytes_and_by_the_claim_that_was_asked_for() {
        let mut seen = SeenPayloads::new(1);
        let part = encoded(r#"{"key":"a","iss":"b"}"#);
        let hash = seen.hash(&part);
        assert!(!read(&mut seen, &part, "key").0);
        assert!(seen.claims(hash, &part, "key").is_some());
        assert!(seen.claims(hash, &part, "iss").is_none(), "another claim");
        assert!(seen.claims(hash, &part[1..], "key").is_none(), "other bytes under the same hash");
        assert!(!read(&mut seen, &part, "iss").0);
        assert!(read(&mut seen, &part, "iss").0, "the one slot's last part");
    }

    proptest! {
        #[test]
        fn it_says_what_reading_says(
            keys in prop::collection::vec(("[a-d\"\\\\é]{0,2}", prop::option::of(0..3_u8), any::<bool>()), 1..60),
        ) {
            let mut seen = SeenPayloads::new(4);
            for (key, expires, is_iss) in keys {
                let claim = serde_json::json!({"key": key, "iss": "i", "exp": expires});
                let name = if is_iss { "iss" } else { "key" };
                let part = encoded(&claim.to_string());
                let want = read(&mut SeenPayloads::default(), &part, name).1;
                prop_assert_eq!(read(&mut seen, &part, name).1, want);
            }
        }
    }
}
