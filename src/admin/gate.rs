//! Who may call: the address list, the keys, and a brake on guessing keys.

use super::answer::Answer;
use super::query::Query;
use super::{AdminState, Role};
use crate::base::brake::Brake;
use axum::http::header::{COOKIE, HeaderMap, HeaderValue, RETRY_AFTER};
use axum::http::{Method, StatusCode};
use governor::Quota;
use ipnet::IpNet;
use ring::hmac;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The gate in front of every handler.
#[derive(Debug)]
pub(super) struct Gate {
    allow: Option<Vec<IpNet>>,
    /// None: the API is open.
    keys: Option<Vec<Known>>,
    /// On guessing: an address that has sent [`FAILURES_BURST`] wrong keys gets 429 with `Retry-After` for further
    /// ones, of which one is free each [`FAILURE_EVERY`]. A right key always passes: keys are too long to be guessed,
    /// and many callers may share an address.
    brake: Mutex<Brake>,
}

/// Whom a key belongs to.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The key's name; `-` where the API is open.
    pub(super) name: Arc<str>,
}

/// A key as it is compared: only its tag is kept.
#[derive(Debug)]
struct Known {
    name: Arc<str>,
    tag: hmac::Tag,
    role: Role,
}

impl Gate {
    /// The gate that `state` describes.
    pub(super) fn new(state: &AdminState) -> Self {
        let known = |key: &super::AdminKey| Known {
            name: key.name.as_str().into(),
            tag: hmac::sign(&comparison_key(), key.key.as_bytes()),
            role: key.role,
        };
        let is_open = !state.key_required || state.keys.is_empty();
        if is_open {
            tracing::warn!("the Admin API asks for no key: deployment.admin.admin_key is empty or not required");
        }
        Self {
            allow: state.allow.clone(),
            keys: (!is_open).then(|| state.keys.iter().map(known).collect()),
            brake: Mutex::new(Brake::new(quota())),
        }
    }

    /// Whether `peer` may talk to the Admin API at all (`allow_admin`).
    pub(super) fn admit(&self, peer: Option<IpAddr>) -> Result<(), Answer> {
        let Some(allow) = &self.allow else { return Ok(()) };
        if peer.is_some_and(|peer| allow.iter().any(|network| network.contains(&peer))) {
            return Ok(());
        }
        tracing::warn!(?peer, "admin request refused: the address is not in deployment.admin.allow_admin");
        let why = "This address is not in the Admin API's IP allow list (deployment.admin.allow_admin).";
        Err(Answer::page_with(StatusCode::FORBIDDEN, why))
    }

    /// Whose key the request carries, if that may use `method`.
    pub(super) fn authenticate(
        &self,
        peer: Option<IpAddr>,
        method: &Method,
        query: &Query,
        headers: &HeaderMap,
    ) -> Result<Caller, Answer> {
        let Some(keys) = &self.keys else { return Ok(Caller { name: "-".into() }) };
        let refuse = |description| Err(Answer::unauthorised(StatusCode::UNAUTHORIZED, description));
        let Some(given) = given_key(query, headers) else { return refuse("missing apikey") };
        let from = peer.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        // All keys are compared, so that time tells nothing about which was nearly right.
        let comparison_key = comparison_key();
        let mut found = None;
        for known in keys {
            if hmac::verify(&comparison_key, &given, known.tag.as_ref()).is_ok() {
                found = found.or(Some(known));
            }
        }
        match found {
            Some(known) if known.role == Role::Admin || *method == Method::GET => {
                Ok(Caller { name: Arc::clone(&known.name) })
            }
            Some(_) => refuse("invalid method for role viewer"),
            None => {
                // Whoever has a right key is never held up by others who guess from the same address.
                let mut brake = self.brake.lock().unwrap_or_else(PoisonError::into_inner);
                if brake.wait(from).is_some() {
                    let description = "too many wrong apikeys from this address";
                    let answer = Answer::unauthorised(StatusCode::TOO_MANY_REQUESTS, description);
                    return Err(answer.with(RETRY_AFTER, HeaderValue::from_static("1")));
                }
                brake.failed(from, NonZeroU32::MIN);
                refuse("wrong apikey")
            }
        }
    }
}

/// The first key present: query `api_key`, header `X-API-KEY`, cookie `x_api_key`. An empty one is present.
fn given_key(query: &Query, headers: &HeaderMap) -> Option<Vec<u8>> {
    if let Some(key) = query.first("api_key") {
        return Some(key.as_bytes().to_vec());
    }
    if let Some(key) = headers.get("x-api-key") {
        return Some(key.as_bytes().to_vec());
    }
    let cookies = headers.get_all(COOKIE).into_iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    cookies.map(crate::base::bytes::trim_ows).find_map(|pair| pair.strip_prefix(b"x_api_key=")).map(<[u8]>::to_vec)
}

/// Tags are compared instead of keys: `ring` does that in constant time, and it hides lengths too. The tag's key need
/// not be secret for either.
fn comparison_key() -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, b"admin key comparison")
}

fn quota() -> Quota {
    Quota::with_period(FAILURE_EVERY).unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN)).allow_burst(FAILURES_BURST)
}

/// Wrong keys that an address may send at once.
const FAILURES_BURST: NonZeroU32 = match NonZeroU32::new(60) {
    Some(burst) => burst,
    None => NonZeroU32::MIN,
};
/// How often a further one is free.
const FAILURE_EVERY: Duration = Duration::from_secs(1);
