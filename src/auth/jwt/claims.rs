//! The claims that decide: who the token names, and when it holds (spec/jwt-auth §6.1, §7.3).
//!
//! A payload part in, three claims out; then those and the time in, a verdict out. Never allocates after warm-up,
//! never panics. Bench: `auth/claims`.

use super::json::{JsonError, Member, Reader};
use super::token::TokenError;
use crate::base::base64url;
use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

/// The claims of a token that matter here; all others are ignored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claims<'a> {
    /// The claim that names the credential.
    pub key: Option<Member<'a>>,
    /// `exp`.
    pub expires: Option<Member<'a>>,
    /// `nbf`.
    pub not_before: Option<Member<'a>>,
}

impl<'a> Claims<'a> {
    /// Decodes a payload part into `decoded`, from which the result is borrowed. Of a repeated claim the last counts.
    pub fn read(
        encoded: &[u8],
        key_claim_name: &str,
        decoded: &'a mut Vec<u8>,
        reader: &mut Reader,
    ) -> Result<Self, TokenError> {
        let json = base64url::decode_into(encoded, decoded).map_err(|_| TokenError::PayloadEncoding)?;
        let mut claims = Self { key: None, expires: None, not_before: None };
        let read = reader.members(json, |name, member| {
            // Not `else if`: the key may be read from `exp` itself.
            if name == key_claim_name {
                claims.key = Some(member);
            }
            if name == "exp" {
                claims.expires = Some(member);
            }
            if name == "nbf" {
                claims.not_before = Some(member);
            }
        });
        match read {
            Ok(()) => Ok(claims),
            Err(JsonError::Syntax) => Err(TokenError::PayloadJson),
            Err(JsonError::NotObject) => Err(TokenError::PayloadNotObject),
        }
    }

    /// The text that names a credential.
    pub fn key(&self) -> Result<&'a str, KeyError> {
        match self.key {
            None | Some(Member::Bool(false)) => Err(KeyError::Missing),
            Some(Member::Text(key)) => Ok(key),
            Some(Member::Number(_) | Member::Bool(true) | Member::Null | Member::Nested) => Err(KeyError::NotText),
        }
    }

    fn time(&self, claim: TimeClaim) -> Option<Member<'a>> {
        match claim {
            TimeClaim::Expires => self.expires,
            TimeClaim::NotBefore => self.not_before,
        }
    }
}

/// Why a token names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The claim is absent or `false`.
    #[error("the claim that names the credential is missing")]
    Missing,
    /// The claim is there and not a string; the number `123` is not the key `"123"`.
    #[error("the claim that names the credential is not a string")]
    NotText,
    /// The credential asks for its key in another claim, and the process is told to be strict about that.
    #[error("the credential is not addressed by this claim")]
    OtherClaim,
    /// No live credential has this key.
    #[error("no credential has the key that the token names")]
    Unknown,
}

/// A claim about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeClaim {
    /// `exp`: the token holds before this second.
    Expires,
    /// `nbf`: the token holds after this second.
    NotBefore,
}

impl TimeClaim {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Expires, Self::NotBefore];

    /// The claim called `name`, as in `claims_to_verify`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|claim| claim.name() == name)
    }

    /// The claim's name in a token.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expires => "exp",
            Self::NotBefore => "nbf",
        }
    }
}

/// Which claims about time are checked: a route's `claims_to_verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeChecks {
    /// In the order they are checked.
    order: [Option<TimeClaim>; 2],
    /// Whether a checked claim must be there.
    required: bool,
}

impl TimeChecks {
    /// `nbf`, then `exp`, each only if the token has it: without `claims_to_verify`.
    pub const IF_PRESENT: Self =
        Self { order: [Some(TimeClaim::NotBefore), Some(TimeClaim::Expires)], required: false };

    /// Exactly `claims`, all required, in this order. Without any, as [`Self::IF_PRESENT`].
    pub fn required(claims: &[TimeClaim]) -> Self {
        let Some(first) = claims.first() else { return Self::IF_PRESENT };
        let second = claims.iter().find(|claim| *claim != first);
        Self { order: [Some(*first), second.copied()], required: true }
    }

    /// A number that tells all settings apart.
    pub fn code(self) -> u8 {
        let digit = |claim: Option<TimeClaim>| match claim {
            None => 0,
            Some(TimeClaim::Expires) => 1,
            Some(TimeClaim::NotBefore) => 2,
        };
        let [first, second] = self.order;
        digit(first) * 6 + digit(second) * 2 + u8::from(self.required)
    }

    /// Judges `claims` at `unix_s` whole seconds since the epoch, with `grace_s` seconds of leeway either way.
    ///
    /// `exp` passes when `exp > unix_s - grace_s`, `nbf` when `nbf < unix_s + grace_s`: with no leeway a token made
    /// for this very second holds from the next one on, as in APISIX.
    pub fn check(self, claims: &Claims<'_>, unix_s: u64, grace_s: u64) -> Result<(), ClaimError> {
        // Whole seconds below 2⁵³ are exact in a float, and rounding a larger claim cannot carry it past one.
        let (now, grace) = (unix_s as f64, grace_s as f64);
        for claim in self.order.into_iter().flatten() {
            let error = |fault| Err(ClaimError { claim, fault });
            let at = match claims.time(claim) {
                Some(Member::Number(at)) => at,
                Some(_) => return error(ClaimFault::NotNumber),
                None if self.required => return error(ClaimFault::Missing),
                None => continue,
            };
            let passes = match claim {
                TimeClaim::Expires => at > now - grace,
                TimeClaim::NotBefore => at < now + grace,
            };
            if !passes {
                return error(ClaimFault::OutOfTime { at });
            }
        }
        Ok(())
    }
}

/// A claim about time that does not hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClaimError {
    /// Which.
    pub claim: TimeClaim,
    /// Why.
    pub fault: ClaimFault,
}

/// Why a claim about time does not hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ClaimFault {
    /// Required and absent.
    Missing,
    /// Present as another JSON type.
    NotNumber,
    /// Expired, or not valid yet.
    OutOfTime {
        /// The claim's value, seconds since the epoch.
        at: f64,
    },
}

impl std::error::Error for ClaimError {}

impl fmt::Display for ClaimError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.claim.name();
        match (self.fault, self.claim) {
            (ClaimFault::Missing, _) => write!(formatter, "claim {name} is missing"),
            (ClaimFault::NotNumber, _) => write!(formatter, "claim {name} is not a number"),
            (ClaimFault::OutOfTime { at }, TimeClaim::Expires) => {
                write!(formatter, "'exp' claim expired at {}", HttpDate(at))
            }
            (ClaimFault::OutOfTime { at }, TimeClaim::NotBefore) => {
                write!(formatter, "'nbf' claim not valid until {}", HttpDate(at))
            }
        }
    }
}

/// Shows seconds since the epoch as an HTTP date, or as the number where the years end.
struct HttpDate(f64);

impl fmt::Display for HttpDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !(0.0..UNIX_S_END_OF_YEARS).contains(&self.0) {
            return write!(formatter, "{:e} seconds after 1970", self.0);
        }
        let date = UNIX_EPOCH + Duration::from_secs(self.0 as u64);
        httpdate::HttpDate::from(date).fmt(formatter)
    }
}

/// The first second of the year 10000, which an HTTP date cannot write (RFC 9110 §5.6.7).
const UNIX_S_END_OF_YEARS: f64 = 253_402_300_800.0;

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn with_claims<T>(json: &str, key_claim_name: &str, then: impl FnOnce(Claims<'_>) -> T) -> T {
        let mut decoded = Vec::new();
        let encoded = URL_SAFE_NO_PAD.encode(json);
        let claims = Claims::read(encoded.as_bytes(), key_claim_name, &mut decoded, &mut Reader::default());
        then(claims.expect(json))
    }

    #[test]
    fn a_string_at_the_top_level_names_the_credential() {
        let cases = [
            (r#"{"key":"jack"}"#, "key", Ok("jack")),
            (r#"{"iss":"jack"}"#, "iss", Ok("jack")),
            (r#"{"key":"jack"}"#, "iss", Err(KeyError::Missing)),
            (r#"{"Key":"jack"}"#, "key", Err(KeyError::Missing)),
            (r#"{"x":{"key":"jack"}}"#, "key", Err(KeyError::Missing)),
            (r#"{"x":{"key":"jack"}}"#, "x.key", Err(KeyError::Missing)),
            (r#"{"x.key":"jack"}"#, "x.key", Ok("jack")),
            (r#"{"key":false}"#, "key", Err(KeyError::Missing)),
            (r#"{"key":true}"#, "key", Err(KeyError::NotText)),
            (r#"{"key":null}"#, "key", Err(KeyError::NotText)),
            (r#"{"key":123}"#, "key", Err(KeyError::NotText)),
            (r#"{"key":["jack"]}"#, "key", Err(KeyError::NotText)),
            (r#"{"key":{"key":"jack"}}"#, "key", Err(KeyError::NotText)),
            (r#"{"key":""}"#, "key", Ok("")),
            (r#"{"key":"a","key":"b"}"#, "key", Ok("b")),
            (r#"{"key":"a","key":1}"#, "key", Err(KeyError::NotText)),
            (r#"{"k\u0065y":"jack\n"}"#, "key", Ok("jack\n")),
            (r#"{"exp":"jack"}"#, "exp", Ok("jack")),
            ("{}", "key", Err(KeyError::Missing)),
        ];
        for (json, name, want) in cases {
            with_claims(json, name, |claims| assert_eq!(claims.key(), want, "{json} by {name}"));
        }
    }

    #[test]
    fn a_payload_is_one_json_object() {
        let mut decoded = Vec::new();
        let mut read = |encoded: &str| {
            Claims::read(encoded.as_bytes(), "key", &mut decoded, &mut Reader::default()).map(|_| ()).unwrap_err()
        };
        for encoded in ["e30=", "e31", "@@@@", "e30A\n", "e"] {
            assert_eq!(read(encoded), TokenError::PayloadEncoding, "{encoded}");
        }
        for json in ["5", "null", "true", "\"key\"", "[\"key\"]"] {
            assert_eq!(read(&URL_SAFE_NO_PAD.encode(json)), TokenError::PayloadNotObject, "{json}");
        }
        for json in ["", "{\"key\":\"jack\"}x", "{\"exp\":NaN}", "{\"exp\":Infinity}", "{\"key\":\"jack\""] {
            assert_eq!(read(&URL_SAFE_NO_PAD.encode(json)), TokenError::PayloadJson, "{json}");
        }
    }

    #[test]
    fn time_is_judged_as_the_table_says() {
        const NOW: u64 = 1000;
        let if_present = TimeChecks::IF_PRESENT;
        let only_exp = TimeChecks::required(&[TimeClaim::Expires]);
        let only_nbf = TimeChecks::required(&[TimeClaim::NotBefore]);
        let both = TimeChecks::required(&[TimeClaim::Expires, TimeClaim::NotBefore]);
        let expired = |at| Err(ClaimError { claim: TimeClaim::Expires, fault: ClaimFault::OutOfTime { at } });
        let early = |at| Err(ClaimError { claim: TimeClaim::NotBefore, fault: ClaimFault::OutOfTime { at } });
        let missing = |claim| Err(ClaimError { claim, fault: ClaimFault::Missing });
        let no_number = |claim| Err(ClaimError { claim, fault: ClaimFault::NotNumber });
        let cases = [
            ("{}", if_present, 0, Ok(())),
            (r#"{"exp":1001}"#, if_present, 0, Ok(())),
            (r#"{"exp":1000}"#, if_present, 0, expired(1000.0)),
            (r#"{"exp":1000.5}"#, if_present, 0, Ok(())),
            (r#"{"exp":999.9}"#, if_present, 0, expired(999.9)),
            (r#"{"exp":1e3}"#, if_present, 0, expired(1e3)),
            (r#"{"exp":-0}"#, if_present, 0, expired(0.0)),
            (r#"{"exp":1e300}"#, if_present, 0, Ok(())),
            (r#"{"exp":9223372036854775807}"#, if_present, 0, Ok(())),
            (r#"{"exp":18446744073709551617}"#, if_present, 0, Ok(())),
            (r#"{"exp":991}"#, if_present, 10, Ok(())),
            (r#"{"exp":990}"#, if_present, 10, expired(990.0)),
            (r#"{"exp":-5}"#, if_present, u64::MAX, Ok(())),
            (r#"{"nbf":999}"#, if_present, 0, Ok(())),
            (r#"{"nbf":1000}"#, if_present, 0, early(1000.0)),
            (r#"{"nbf":999.5}"#, if_present, 0, Ok(())),
            (r#"{"nbf":1009}"#, if_present, 10, Ok(())),
            (r#"{"nbf":1010}"#, if_present, 10, early(1010.0)),
            (r#"{"nbf":-5}"#, if_present, 0, Ok(())),
            (r#"{"nbf":1e300}"#, if_present, 0, early(1e300)),
            (r#"{"nbf":2000,"exp":1}"#, if_present, 0, early(2000.0)),
            (r#"{"exp":"2000"}"#, if_present, 0, no_number(TimeClaim::Expires)),
            (r#"{"exp":null}"#, if_present, 0, no_number(TimeClaim::Expires)),
            (r#"{"exp":[2000]}"#, if_present, 0, no_number(TimeClaim::Expires)),
            (r#"{"nbf":true}"#, if_present, 0, no_number(TimeClaim::NotBefore)),
            (r#"{"exp":2000,"exp":1}"#, if_present, 0, expired(1.0)),
            (r#"{"EXP":1}"#, if_present, 0, Ok(())),
            (r#"{"iat":5000}"#, if_present, 0, Ok(())),
            ("{}", only_exp, 0, missing(TimeClaim::Expires)),
            ("{}", only_nbf, 0, missing(TimeClaim::NotBefore)),
            (r#"{"exp":1,"nbf":1}"#, only_nbf, 0, Ok(())),
            (r#"{"exp":2000,"nbf":5000}"#, only_exp, 0, Ok(())),
            (r#"{"nbf":5000}"#, both, 0, missing(TimeClaim::Expires)),
            (r#"{"exp":1,"nbf":5000}"#, both, 0, expired(1.0)),
            (r#"{"exp":2000,"nbf":5000}"#, both, 0, early(5000.0)),
            (r#"{"exp":2000,"nbf":500}"#, both, 0, Ok(())),
            ("{}", TimeChecks::required(&[]), 0, Ok(())),
        ];
        for (json, checks, grace_s, want) in cases {
            with_claims(json, "key", |claims| {
                assert_eq!(checks.check(&claims, NOW, grace_s), want, "{json} with {grace_s} s, {checks:?}");
            });
        }
    }

    #[test]
    fn reasons_say_when() {
        let text = |claim, fault| ClaimError { claim, fault }.to_string();
        assert_eq!(
            text(TimeClaim::Expires, ClaimFault::OutOfTime { at: 1_726_649_640.7 }),
            "'exp' claim expired at Wed, 18 Sep 2024 08:54:00 GMT"
        );
        assert_eq!(
            text(TimeClaim::NotBefore, ClaimFault::OutOfTime { at: 253_402_300_799.9 }),
            "'nbf' claim not valid until Fri, 31 Dec 9999 23:59:59 GMT"
        );
        assert_eq!(
            text(TimeClaim::NotBefore, ClaimFault::OutOfTime { at: 1e300 }),
            "'nbf' claim not valid until 1e300 seconds after 1970"
        );
        assert_eq!(
            text(TimeClaim::Expires, ClaimFault::OutOfTime { at: -1.5 }),
            "'exp' claim expired at -1.5e0 seconds after 1970"
        );
        assert_eq!(text(TimeClaim::Expires, ClaimFault::Missing), "claim exp is missing");
        assert_eq!(text(TimeClaim::NotBefore, ClaimFault::NotNumber), "claim nbf is not a number");
    }
}
