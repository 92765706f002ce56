//! Tokens that were verified before (asymmetric algorithms only): what lets a known token cost a hash instead of a
//! signature.
//!
//! A digest and the clock in, what is worth judging again out. Runs per request with such a token; one worker's own.
//! Never allocates but to remember, never waits or panics. A hit decides nothing: it only stands for the signature,
//! under the credential version that verified it; algorithm, times and the credential's presence are judged at every
//! use by [`super::judge_remembered`]. Bench: `auth/cached`.
//!
//! Set-associative: a digest may stand in one of [`WAYS`] places of one set, which a hash seeded per process chooses,
//! so that nobody can aim at a set. Within a set a new entry takes the place of one that is over, else of one without
//! chances left. Use alone gives an entry chances, three of them, and a set takes one from each entry once in
//! sixteen insertions: tokens seen once push each other out, not those in use.

use super::claims::{Claims, TimeChecks};
use super::json::Member;
use super::token::Parts;
use ahash::RandomState;
use ring::digest;

/// What a token is remembered by: SHA-256 of the token and of what the route asks of it, so that no token is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; digest::SHA256_OUTPUT_LEN]);

impl TokenDigest {
    /// The digest of a token under a route's settings: of what is signed, as received, and of the signature. A token has
    /// no NUL, so nothing else has the same bytes.
    pub fn of(parts: &Parts<'_>, key_claim_name: &str, time_checks: TimeChecks) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(parts.signing_input);
        context.update(b".");
        context.update(parts.signature);
        context.update(&[0, time_checks.code()]);
        context.update(key_claim_name.as_bytes());
        let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }
}

/// What is known of a verified token.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// What it names: the credential's lookup key. At most [`KEY_BYTES_MAX`] bytes.
    pub key: Box<str>,
    /// [`crate::auth::consumer::Credential::version`] of the credential that verified it.
    pub version: u64,
    /// Its `exp`, if it is a number.
    pub expires: Option<f64>,
    /// Its `nbf`, if it is a number.
    pub not_before: Option<f64>,
}

impl Verified {
    /// What was found in a token that names `key`, verified by the credential of this `version`. `None` if a claim about
    /// time is no number: what could not be judged again is not remembered.
    pub fn new(key: &str, version: u64, claims: &Claims<'_>) -> Option<Self> {
        let number = |member: Option<Member<'_>>| match member {
            None => Some(None),
            Some(Member::Number(number)) => Some(Some(number)),
            Some(_) => None,
        };
        let (expires, not_before) = (number(claims.expires)?, number(claims.not_before)?);
        Some(Self { key: key.into(), version, expires, not_before })
    }

    /// The claims about time, to be judged again.
    pub fn claims(&self) -> Claims<'static> {
        Claims { key: None, expires: self.expires.map(Member::Number), not_before: self.not_before.map(Member::Number) }
    }
}

/// One worker's verified tokens. Its tables are allocated with the first token.
#[derive(Debug)]
pub struct TokenCache {
    sets: Box<[Set]>,
    /// Sets to allocate; a power of two, or zero: nothing is remembered.
    sets_wanted: usize,
    /// How long a token without `exp` is remembered, in seconds.
    without_exp_s: u64,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Set {
    ways: [Option<Entry>; WAYS],
    /// Where the next victim is looked for first.
    hand: u8,
    /// Insertions since the set was last aged.
    insertions: u8,
}

#[derive(Debug)]
struct Entry {
    digest: TokenDigest,
    verified: Verified,
    /// The last whole second of its life, whatever its token says.
    until_unix_s: u64,
    /// How often the set may be aged before another takes this place.
    chances: u8,
}

impl TokenCache {
    /// Remembers about `entries_max` tokens (rounded up to a power of two; 0 remembers none), those without `exp` for
    /// `without_exp_s` seconds.
    pub fn new(entries_max: usize, without_exp_s: u64) -> Self {
        let sets_wanted = if entries_max == 0 { 0 } else { entries_max.div_ceil(WAYS).next_power_of_two() };
        Self { sets: Box::default(), sets_wanted, without_exp_s, hasher: RandomState::new() }
    }

    /// Whether anything is ever remembered.
    pub fn is_on(&self) -> bool {
        self.sets_wanted > 0
    }

    /// What is known of the token with this digest, at `unix_s`.
    pub fn find(&mut self, digest: &TokenDigest, unix_s: u64) -> Option<&Verified> {
        let set = self.set(digest)?;
        let entry = set.ways.iter_mut().flatten().find(|entry| entry.digest == *digest)?;
        if unix_s > entry.until_unix_s {
            return None;
        }
        entry.chances = CHANCES;
        Some(&entry.verified)
    }

    /// Remembers a token that has just been verified at `unix_s`.
    pub fn remember(&mut self, digest: TokenDigest, verified: Verified, unix_s: u64) {
        if verified.key.len() > KEY_BYTES_MAX || !self.is_on() {
            return;
        }
        if self.sets.is_empty() {
            self.sets = (0..self.sets_wanted).map(|_| Set::default()).collect();
        }
        // What `exp` allows is judged at each use, with leeway; here it only says when the place is free.
        let until_unix_s = match verified.expires {
            Some(_) => u64::MAX,
            None => unix_s.saturating_add(self.without_exp_s),
        };
        if let Some(set) = self.set(&digest) {
            set.insert(Entry { digest, verified, until_unix_s, chances: 0 }, unix_s);
        }
    }

    /// Forgets the token with this digest: its credential has changed or gone.
    pub fn forget(&mut self, digest: &TokenDigest) {
        let Some(set) = self.set(digest) else { return };
        for way in &mut set.ways {
            if way.as_ref().is_some_and(|entry| entry.digest == *digest) {
                *way = None;
            }
        }
    }

    fn set(&mut self, digest: &TokenDigest) -> Option<&mut Set> {
        let mask = self.sets.len().checked_sub(1)?;
        let index = self.hasher.hash_one(digest) as usize & mask;
        self.sets.get_mut(index)
    }

    /// Tokens remembered now.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.sets.iter().flat_map(|set| &set.ways).flatten().count()
    }
}

impl Set {
    fn insert(&mut self, entry: Entry, unix_s: u64) {
        self.insertions = self.insertions.wrapping_add(1);
        if self.insertions >= INSERTIONS_PER_AGE {
            self.insertions = 0;
            self.age();
        }
        let place = self.place_for(&entry.digest, unix_s);
        if let Some(way) = self.ways.get_mut(place) {
            *way = Some(entry);
        }
        self.hand = ((place + 1) % WAYS) as u8;
    }

    fn place_for(&mut self, digest: &TokenDigest, unix_s: u64) -> usize {
        let own = |way: &Option<Entry>| way.as_ref().is_some_and(|entry| entry.digest == *digest);
        let free = |way: &Option<Entry>| way.as_ref().is_none_or(|entry| entry.is_over(unix_s));
        if let Some(place) = self.ways.iter().position(own).or_else(|| self.ways.iter().position(free)) {
            return place;
        }
        let from_hand = (0..WAYS).map(|step| (usize::from(self.hand) + step) % WAYS);
        let chances = |place: usize| self.ways.get(place).and_then(Option::as_ref).map_or(0, |entry| entry.chances);
        let fewest = from_hand.min_by_key(|place| chances(*place)).unwrap_or_default();
        if chances(fewest) > 0 {
            self.age();
        }
        fewest
    }

    fn age(&mut self) {
        for entry in self.ways.iter_mut().flatten() {
            entry.chances = entry.chances.saturating_sub(1);
        }
    }
}

impl Entry {
    /// Whether the entry is of no more use: its own time is up, or its token's with the longest leeway that matters.
    fn is_over(&self, unix_s: u64) -> bool {
        unix_s > self.until_unix_s
            || self.verified.expires.is_some_and(|expires| expires + GRACE_S_USUAL < unix_s as f64)
    }
}

/// Places for one digest.
pub const WAYS: usize = 4;
/// How often a set is aged before an entry that is not used any more loses its place.
const CHANCES: u8 = 3;
/// Insertions into a set after which it is aged.
const INSERTIONS_PER_AGE: u8 = 16;
/// Longer lookup keys are not remembered, which bounds an entry's memory.
pub const KEY_BYTES_MAX: usize = 256;
/// An expired token may live on in a credential's `lifetime_grace_period`; with a longer one it costs a verification
/// when its place is taken early.
const GRACE_S_USUAL: f64 = 60.0;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_750_000_000;

    fn parts(token: &str) -> Parts<'_> {
        Parts::split(token.as_bytes()).unwrap()
    }

    fn digest(index: u64) -> TokenDigest {
        TokenDigest::of(&parts(&format!("a.b.{index}")), "key", TimeChecks::IF_PRESENT)
    }

    fn verified(expires: Option<f64>) -> Verified {
        Verified { key: "k".into(), version: 7, expires, not_before: None }
    }

    const FAR: Option<f64> = Some((NOW + 3600) as f64);

    #[test]
    fn the_digest_covers_token_and_settings() {
        use crate::auth::jwt::TimeClaim;
        let base = TokenDigest::of(&parts("a.b.c"), "key", TimeChecks::IF_PRESENT);
        assert_eq!(base, TokenDigest::of(&parts("a.b.c"), "key", TimeChecks::IF_PRESENT));
        let exp = TimeChecks::required(&[TimeClaim::Expires]);
        let nbf = TimeChecks::required(&[TimeClaim::NotBefore]);
        let both = TimeChecks::required(&[TimeClaim::Expires, TimeClaim::NotBefore]);
        let others = [
            TokenDigest::of(&parts("a.b.d"), "key", TimeChecks::IF_PRESENT),
            TokenDigest::of(&parts("a.b.c"), "iss", TimeChecks::IF_PRESENT),
            TokenDigest::of(&parts("a.b.c"), "key", exp),
            TokenDigest::of(&parts("a.b.c"), "key", nbf),
            TokenDigest::of(&parts("a.b.c"), "key", both),
        ];
        for (index, other) in others.iter().enumerate() {
            assert_ne!(base, *other, "{index}");
            assert!(!others[..index].contains(other), "{index}");
        }
    }

    #[test]
    fn what_is_remembered_is_found_until_it_is_forgotten() {
        let mut cache = TokenCache::new(64, 300);
        assert_eq!(cache.find(&digest(1), NOW), None);
        cache.remember(digest(1), verified(FAR), NOW);
        assert_eq!(cache.find(&digest(1), NOW), Some(&verified(FAR)));
        assert_eq!(cache.find(&digest(2), NOW), None);
        cache.remember(digest(1), Verified { version: 8, ..verified(FAR) }, NOW);
        assert_eq!(cache.find(&digest(1), NOW).map(|found| found.version), Some(8), "in place");
        assert_eq!(cache.len(), 1);
        cache.forget(&digest(1));
        assert_eq!(cache.find(&digest(1), NOW), None);
    }

    #[test]
    fn a_token_without_exp_is_remembered_for_the_configured_time() {
        let mut cache = TokenCache::new(64, 300);
        cache.remember(digest(1), verified(None), NOW);
        assert!(cache.find(&digest(1), NOW + 300).is_some());
        assert!(cache.find(&digest(1), NOW + 301).is_none());
    }

    #[test]
    fn entries_are_bounded_and_none_are_kept_when_switched_off() {
        let mut cache = TokenCache::new(100, 300);
        for index in 0..10_000 {
            cache.remember(digest(index), verified(FAR), NOW);
        }
        assert!((120..=128).contains(&cache.len()), "{}", cache.len());
        let mut off = TokenCache::new(0, 300);
        off.remember(digest(1), verified(FAR), NOW);
        assert_eq!((off.len(), off.find(&digest(1), NOW)), (0, None));
        let mut long = TokenCache::new(64, 300);
        let key = "k".repeat(KEY_BYTES_MAX + 1).into();
        long.remember(digest(1), Verified { key, ..verified(FAR) }, NOW);
        assert_eq!(long.len(), 0, "keys are bounded too");
    }

    /// Twenty tokens seen once for each use of one of a hundred in use: those stay.
    #[test]
    fn a_flood_of_tokens_does_not_push_out_those_in_use() {
        const WORKING_SET: u64 = 100;
        let mut cache = TokenCache::new(1024, 300);
        for index in 0..WORKING_SET {
            cache.remember(digest(index), verified(FAR), NOW);
        }
        let mut strangers = WORKING_SET..;
        let mut lost = 0;
        for _round in 0..50 {
            for index in 0..WORKING_SET {
                if cache.find(&digest(index), NOW).is_none() {
                    lost += 1;
                    cache.remember(digest(index), verified(FAR), NOW);
                }
            }
            for stranger in strangers.by_ref().take(2_000) {
                cache.remember(digest(stranger), verified(FAR), NOW);
            }
        }
        assert!(cache.len() <= 1024);
        // Lost in the first round, before any was used twice, and where chance put more than three into one set.
        assert!(lost < WORKING_SET + 50 * WORKING_SET / 50, "{lost} of {} uses", 50 * WORKING_SET);
    }

    #[test]
    fn what_is_over_makes_room_first() {
        let mut cache = TokenCache::new(WAYS, 300);
        let over = Some((NOW - 3600) as f64);
        for index in 0..WAYS as u64 {
            cache.remember(digest(index), verified(if index == 2 { over } else { FAR }), NOW);
        }
        cache.remember(digest(99), verified(FAR), NOW);
        assert!(cache.find(&digest(2), NOW).is_none(), "expired");
        assert!([0, 1, 3, 99].iter().all(|index| cache.find(&digest(*index), NOW).is_some()));
    }

    #[test]
    fn nobody_stays_for_ever_without_being_used() {
        let mut cache = TokenCache::new(WAYS, 300);
        cache.remember(digest(0), verified(FAR), NOW);
        assert!(cache.find(&digest(0), NOW).is_some(), "used once");
        for index in 1..100 {
            cache.remember(digest(index), verified(FAR), NOW);
        }
        assert!(cache.find(&digest(0), NOW).is_none());
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Set>() <= 512, "{}", size_of::<Set>());
    }
}
