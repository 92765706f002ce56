//! GCP Secret Manager (spec/consumers-credentials-secrets §5.6): a service account's signed word is exchanged for an
//! access token (RFC 7523), which opens the secrets of its project.

use super::{Members, encode_segment, sensitive};
use crate::auth::jwt::key::PrivateKey;
use crate::auth::jwt::{Algorithm, SigningKey};
use crate::base::clock;
use crate::secret::env::Environment;
use crate::secret::failure::Failure;
use crate::secret::http::{Ask, Client};
use crate::secret::member;
use crate::secret::value::Secret;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Uri};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// One service account.
pub(in crate::secret) struct Gcp {
    client_email: String,
    key: SigningKey,
    scope: String,
    token_uri: Uri,
    /// Everything before a secret's name.
    base: String,
    verifies: bool,
    /// The access token, and until when it is used, in seconds since the Unix epoch. Held across its renewal, so that
    /// one is asked for at a time.
    access: Mutex<Option<(Secret, u64)>>,
}

impl Gcp {
    pub(super) fn new(members: &Members) -> Result<Self, Failure> {
        let account = match (members.object("auth_config"), members.text("auth_file")?) {
            (Some(account), _) => account,
            (None, Some(path)) => read(path.expose(), members.environment)?,
            (None, None) => return Err(Failure::Configuration("neither auth_config nor auth_file".into())),
        };
        let key = account.required("private_key")?;
        let key = PrivateKey::parse(key.expose()).and_then(|key| SigningKey::private(Algorithm::Rs256, &key));
        let entries = account.url("entries_uri", ENTRIES_URI)?;
        let project = account.required("project_id")?;
        Ok(Self {
            client_email: account.required("client_email")?.expose().to_owned(),
            key: key.map_err(|fault| Failure::Configuration(format!("private_key: {fault}")))?,
            scope: scope(&account)?,
            token_uri: account
                .url("token_uri", TOKEN_URI)?
                .parse()
                .map_err(|_| Failure::Configuration("token_uri is no address".into()))?,
            base: format!("{entries}/projects/{}/secrets", encode_segment(project.expose())),
            verifies: members.members.get("ssl_verify").and_then(Value::as_bool).unwrap_or(true),
            access: Mutex::new(None),
        })
    }

    /// `key` is the secret's name and, behind its first slash, a member of the JSON object it holds.
    pub(super) async fn fetch(&self, client: &Client, key: &str) -> Result<Secret, Failure> {
        let (name, field) = key.split_once('/').map_or((key, None), |(name, field)| (name, Some(field)));
        if matches!(name, "" | "." | "..") {
            return Err(Failure::KeyFormat("name[/member]"));
        }
        let token = self.token(client, clock::unix().as_secs()).await?;
        let url = format!("{}/{}/versions/latest:access", self.base, encode_segment(name)).parse();
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
            let is_theirs = answer.json().is_ok_and(|json| json.get("error").is_some());
            return Err(if answer.status == 404 && is_theirs { Failure::KeyMissing } else { failure });
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
    async fn token(&self, client: &Client, unix_s: u64) -> Result<Secret, Failure> {
        let mut access = self.access.lock().await;
        if let Some((token, until)) = &*access
            && unix_s < *until
        {
            return Ok(token.clone());
        }
        let claims = json!({
            "iss": self.client_email,
            "scope": self.scope,
            "aud": self.token_uri.to_string(),
            "iat": unix_s,
            "exp": unix_s.saturating_add(ASSERTION_S),
        });
        let Value::Object(claims) = claims else { return Err(Failure::NotJson) };
        let assertion = self.key.token(&claims, Map::new());
        let assertion = assertion.map_err(|_| Failure::Configuration("private_key cannot sign".into()))?;
        let body = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        let fields = vec![(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))];
        let (method, url, body) = (Method::POST, self.token_uri.clone(), body.into_bytes());
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
                let token = Secret::new(token);
                *access = Some((token.clone(), unix_s.saturating_add(lifetime_s.saturating_sub(RENEWED_BEFORE_S))));
                Ok(token)
            }
            _ => Err(Failure::NotJson),
        }
    }
}

/// A service account's file. Read on the control thread: it is small, and read once per change.
fn read(path: &str, environment: Environment) -> Result<Members, Failure> {
    let unfit = |reason: &str| Failure::Configuration(format!("auth_file: {reason}"));
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| unfit(&error.to_string()))?);
    match serde_json::from_str(&text) {
        Ok(Value::Object(members)) => Ok(Members { members, environment }),
        _ => Err(unfit("it is no JSON object")),
    }
}

/// One scope or a list of them, separated by spaces.
fn scope(account: &Members) -> Result<String, Failure> {
    match account.members.get("scope") {
        Some(Value::Array(scopes)) => Ok(scopes.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")),
        _ => Ok(account.text("scope")?.map_or_else(|| SCOPE.to_owned(), |scope| scope.expose().to_owned())),
    }
}

const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
const ENTRIES_URI: &str = "https://secretmanager.googleapis.com/v1";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// How long a service account's word may take to arrive; the most that is accepted.
const ASSERTION_S: u64 = 3600;
/// An access token is not used in its last seconds.
const RENEWED_BEFORE_S: u64 = 60;
