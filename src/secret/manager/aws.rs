//! AWS Secrets Manager (spec/consumers-credentials-secrets §5.5).

use super::sigv4::{Signed, Signer, amz_date};
use super::{Members, sensitive};
use crate::base::clock;
use crate::secret::failure::Failure;
use crate::secret::http::{Ask, Client};
use crate::secret::member;
use crate::secret::value::Secret;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Uri};
use serde_json::{Value, json};

/// One account in one region.
pub(in crate::secret) struct Aws {
    access_key_id: Secret,
    secret_access_key: Secret,
    session_token: Option<Secret>,
    region: String,
    endpoint: Uri,
}

impl Aws {
    pub(super) fn new(members: &Members) -> Result<Self, Failure> {
        let region = members.text("region")?.map_or_else(|| REGION.to_owned(), |region| region.expose().to_owned());
        let endpoint = members.url("endpoint_url", &format!("https://secretsmanager.{region}.amazonaws.com"))?;
        Ok(Self {
            access_key_id: members.required("access_key_id")?,
            secret_access_key: members.required("secret_access_key")?,
            session_token: members.text("session_token")?,
            endpoint: endpoint.parse().map_err(|_| Failure::Configuration("endpoint_url is no address".into()))?,
            region,
        })
    }

    /// A name may have slashes, and so may the member behind it: the longest name is tried first, whole, then each
    /// shorter one while the account says that it has none of that name.
    pub(super) async fn fetch(&self, client: &Client, key: &str) -> Result<Secret, Failure> {
        let cuts = key.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0 && at + 1 < key.len());
        let mut splits: Vec<(&str, Option<&str>)> = cuts.map(|at| (&key[..at], Some(&key[at + 1..]))).collect();
        splits.push((key, None));
        for (name, field) in splits.into_iter().rev().take(NAMES_MAX) {
            match (self.secret_string(client, name).await, field) {
                (Err(Failure::KeyMissing), _) => {}
                (Err(failure), _) => return Err(failure),
                (Ok(text), None) => return Ok(text),
                (Ok(text), Some(field)) => return member::of_text(text.expose(), field),
            }
        }
        Err(Failure::KeyMissing)
    }

    /// `GetSecretValue`, stage `AWSCURRENT`.
    async fn secret_string(&self, client: &Client, name: &str) -> Result<Secret, Failure> {
        let body = json!({"SecretId": name, "VersionStage": "AWSCURRENT"}).to_string().into_bytes();
        let fields = self.fields(&body, clock::unix().as_secs())?;
        let (method, url) = (Method::POST, self.endpoint.clone());
        let answer = client.send(&Ask { method, url, fields, body, verifies: true, may_fall_back: false }).await?;
        let mut json = answer.json().map_err(|error| answer.failure().unwrap_or(error))?;
        if let Some(failure) = answer.failure() {
            // The kind stands behind `#` in some forms of the protocol.
            let kind = json.get("__type").and_then(Value::as_str).unwrap_or_default();
            return Err(match kind.rsplit('#').next() {
                Some("ResourceNotFoundException") => Failure::KeyMissing,
                Some("InvalidRequestException") if is_deleted(&json) => Failure::KeyMissing,
                Some("AccessDeniedException" | "UnrecognizedClientException" | "InvalidSignatureException") => {
                    Failure::Forbidden(answer.status)
                }
                Some("ThrottlingException") => Failure::Throttled,
                _ => failure,
            });
        }
        match json.get_mut("SecretString").map(Value::take) {
            Some(Value::String(text)) => Ok(Secret::new(text)),
            _ => Err(Failure::NotText),
        }
    }

    fn fields(&self, body: &[u8], unix_s: u64) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
        let host = self.endpoint.authority().map_or("", |authority| authority.as_str());
        let date = amz_date(unix_s);
        let mut signed = vec![("content-type", JSON), ("host", host), ("x-amz-date", &date)];
        if let Some(token) = &self.session_token {
            signed.push(("x-amz-security-token", token.expose()));
        }
        signed.push(("x-amz-target", TARGET));
        let path = match self.endpoint.path() {
            "" => "/",
            path => path,
        };
        let signer = Signer {
            access_key_id: self.access_key_id.expose(),
            secret_access_key: self.secret_access_key.expose(),
            region: &self.region,
            service: "secretsmanager",
        };
        let authorization = signer.authorization(&Signed { path, fields: &signed, body, unix_s });
        let mut fields = vec![
            (CONTENT_TYPE, HeaderValue::from_static(JSON)),
            (HeaderName::from_static("x-amz-date"), sensitive(&date, "the date")?),
            (HeaderName::from_static("x-amz-target"), HeaderValue::from_static(TARGET)),
            (AUTHORIZATION, sensitive(&authorization, "access_key_id or region")?),
        ];
        if let Some(token) = &self.session_token {
            fields.push((HeaderName::from_static("x-amz-security-token"), sensitive(token.expose(), "session_token")?));
        }
        Ok(fields)
    }
}

/// Whether a request is refused because the secret is to be deleted: until then it can be restored, but not be used.
/// Only the text says so.
fn is_deleted(json: &Value) -> bool {
    let text = json.get("Message").or_else(|| json.get("message")).and_then(Value::as_str).unwrap_or_default();
    ["marked for deletion", "marked deleted"].iter().any(|words| text.contains(words))
}

const REGION: &str = "us-east-1";
const JSON: &str = "application/x-amz-json-1.1";
const TARGET: &str = "secretsmanager.GetSecretValue";
/// Names that one key is tried as.
const NAMES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_to_be_deleted_is_told_from_other_refusals() {
        for (json, want) in [
            (
                json!({"Message": "You can't perform this operation on the secret because it was marked for deletion."}),
                true,
            ),
            (json!({"message": "... on a secret that's currently marked deleted."}), true),
            (json!({"Message": "You can't perform this operation on the secret because it is being created."}), false),
            (json!({}), false),
        ] {
            assert_eq!(is_deleted(&json), want, "{json}");
        }
    }
}
