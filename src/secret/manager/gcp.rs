//! GCP Secret Manager (spec/consumers-credentials-secrets §5.6): a service account's signed word is exchanged for an
//! access token (RFC 7523), which opens the secrets of its project.

use super::account::{Account, Source};
use super::{Members, encode_segment, sensitive};
use crate::base::clock;
use crate::secret::failure::Failure;
use crate::secret::http::{Answer, Ask, Client};
use crate::secret::member;
use crate::secret::value::Secret;
use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// The secrets of one service account's project.
pub(in crate::secret) struct Gcp {
    source: Source,
    verifies: bool,
    /// Held across its renewal, so that one access token is asked for at a time.
    access: Mutex<Option<Access>>,
}

/// An access token.
#[derive(Clone)]
struct Access {
    /// Whose it is.
    account: Arc<Account>,
    token: Secret,
    /// Until when it is used, in seconds since the Unix epoch.
    until_unix_s: u64,
}

impl Gcp {
    pub(super) fn new(members: &Members) -> Result<Self, Failure> {
        let verifies = members.members.get("ssl_verify").and_then(Value::as_bool).unwrap_or(true);
        Ok(Self { source: Source::new(members)?, verifies, access: Mutex::new(None) })
    }

    /// `key` is the secret's name and, behind its first slash, a member of the JSON object it holds.
    pub(super) async fn fetch(&self, client: &Client, key: &str) -> Result<Secret, Failure> {
        let (name, field) = key.split_once('/').map_or((key, None), |(name, field)| (name, Some(field)));
        if matches!(name, "" | "." | "..") {
            return Err(Failure::KeyFormat("name[/member]"));
        }
        let Access { account, token, .. } = self.access(client, clock::unix().as_secs()).await?;
        let url = format!("{}/{}/versions/latest:access", account.base, encode_segment(name)).parse();
        let url = url.map_err(|_| Failure::Configuration("entries_uri and project_id make no address".into()))?;
        let authorization = Zeroizing::new(format!("Bearer {}", token.expose()));
        let fields = vec![(AUTHORIZATION, sensitive(&authorization, "the access token")?)];
        let (method, body, verifies) = (Method::GET, Vec::new(), self.verifies);
        let answer = client.send(&Ask { method, url, fields, body, verifies, may_fall_back: false }).await?;
        if let Some(failure) = answer.failure() {
            if matches!(failure, Failure::Forbidden(_)) {
                // The token may have been taken back before its time.
                *self.access.lock().await = None;
            }
            return Err(if is_missing(&answer) { Failure::KeyMissing } else { failure });
        }
        let mut json = answer.json()?;
        let data = match json.pointer_mut("/payload/data").map(Value::take) {
            Some(Value::String(text)) => Zeroizing::new(text),
            _ => return Err(Failure::NotJson),
        };
        let bytes = base64_simd::STANDARD.decode_to_vec(data.as_bytes()).map_err(|_| Failure::NotJson)?;
        let text = String::from_utf8(bytes).map_err(|_| Failure::NotText)?;
        match field {
            None => Ok(Secret::new(text)),
            Some(field) => member::of_text(&Zeroizing::new(text), field),
        }
    }

    /// The access token: the one at hand, or a new one.
    async fn access(&self, client: &Client, unix_s: u64) -> Result<Access, Failure> {
        let mut access = self.access.lock().await;
        let account = self.source.account().await?;
        if let Some(at_hand) = access.as_ref()
            && Arc::ptr_eq(&at_hand.account, &account)
            && unix_s < at_hand.until_unix_s
        {
            return Ok(at_hand.clone());
        }
        let claims = json!({
            "iss": account.client_email,
            "scope": account.scope,
            "aud": account.token_uri.to_string(),
            "iat": unix_s,
            "exp": unix_s.saturating_add(ASSERTION_S),
        });
        let Value::Object(claims) = claims else { return Err(Failure::NotJson) };
        let assertion = account.key.token(&claims, Map::new());
        let assertion = assertion.map_err(|_| Failure::Configuration("private_key cannot sign".into()))?;
        let body = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        let fields = vec![(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))];
        let (method, url, body) = (Method::POST, account.token_uri.clone(), body.into_bytes());
        let ask = Ask { method, url, fields, body, verifies: self.verifies, may_fall_back: false };
        let answer = client.send(&ask).await?;
        match answer.failure() {
            // RFC 6749 §5.2: the account or its key is not accepted.
            Some(Failure::Status(400)) => return Err(Failure::Forbidden(answer.status)),
            Some(failure) => return Err(failure),
            None => {}
        }
        let mut json = answer.json()?;
        let lifetime_s = json.get("expires_in").and_then(Value::as_u64).unwrap_or(0);
        match json.get_mut("access_token").map(Value::take) {
            Some(Value::String(token)) => {
                let until_unix_s = unix_s.saturating_add(lifetime_s.saturating_sub(RENEWED_BEFORE_S));
                Ok(access.insert(Access { account, token: Secret::new(token), until_unix_s }).clone())
            }
            _ => Err(Failure::NotJson),
        }
    }
}

/// Whether it is the manager's own word that there is no such secret, or that its version is disabled or destroyed.
fn is_missing(answer: &Answer) -> bool {
    let Ok(json) = answer.json() else { return false };
    match answer.status {
        404 => json.get("error").is_some(),
        400 => json.pointer("/error/status").is_some_and(|status| status == "FAILED_PRECONDITION"),
        _ => false,
    }
}

/// How long a service account's word may take to arrive; the most that is accepted.
const ASSERTION_S: u64 = 3600;
/// An access token is not used in its last seconds.
const RENEWED_BEFORE_S: u64 = 60;
