//! AWS Signature Version 4 for one request without query (AWS General Reference, "Signing AWS API requests").

use crate::log::iso8601_basic;
use ring::digest::{SHA256, digest};
use ring::hmac;
use std::fmt::Write;

/// Who signs.
pub(super) struct Signer<'a> {
    pub(super) access_key_id: &'a str,
    pub(super) secret_access_key: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// What is signed: a POST to a path without query.
pub(super) struct Signed<'a> {
    pub(super) path: &'a str,
    /// Names in lower case and values, in order of the names.
    pub(super) fields: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
    /// Seconds since the Unix epoch.
    pub(super) unix_s: u64,
}

impl Signer<'_> {
    /// The `Authorization` field's value. `fields` must have `host` and `x-amz-date` ([`amz_date`]).
    pub(super) fn authorization(&self, signed: &Signed<'_>) -> String {
        let time = amz_date(signed.unix_s);
        let day = time.get(..8).unwrap_or_default();
        let names: Vec<&str> = signed.fields.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut canonical = format!("POST\n{}\n\n", signed.path);
        for (name, value) in signed.fields {
            let _ = writeln!(canonical, "{name}:{}", value.trim());
        }
        let _ = write!(canonical, "\n{names}\n{}", hex(digest(&SHA256, signed.body).as_ref()));
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let hashed = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashed}");
        let signature = hex(mac(self.key(day), &to_sign).as_ref());
        let id = self.access_key_id;
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
    }

    fn key(&self, day: &str) -> hmac::Tag {
        let first = zeroize::Zeroizing::new(format!("AWS4{}", self.secret_access_key));
        let mut key = mac(first.as_bytes(), day);
        for part in [self.region, self.service, "aws4_request"] {
            key = mac(key.as_ref(), part);
        }
        key
    }
}

/// `20261123T124047Z`.
pub(super) fn amz_date(unix_s: u64) -> String {
    iso8601_basic(unix_s.saturating_mul(1_000_000))
}

fn mac(key: impl AsRef<[u8]>, text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), text.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `post-vanilla` and `post-header-value-case` of AWS's published test suite for the signature.
    #[test]
    fn the_published_vectors_are_signed() {
        let signer = Signer {
            access_key_id: "AKIDEXAMPLE",
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            region: "us-east-1",
            service: "service",
        };
        let unix_s = 1_440_938_160;
        assert_eq!(amz_date(unix_s), "20150830T123600Z");
        let fields = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        let vanilla = signer.authorization(&Signed { path: "/", fields: &fields, body: b"", unix_s });
        assert_eq!(
            vanilla,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
    }
}
