//! What the gateway makes of a token, step by step (spec/jwt-auth §7).
//!
//! In go the token, the options of credential and route, and the time; out comes every step passed and, for a
//! refusal, what the client sees and the exact reason. The judgement is the gateway's own, [`jwt::judge`]; here it is
//! only put into words. The reason names claims and times, never the secret or the expected signature.

use crate::auth::consumer::{AuthMaterial, Credential, Identity};
use crate::auth::extract::without_scheme;
use crate::auth::jwt::failure::ClientMessage;
use crate::auth::jwt::{self, Algorithm, Failure, JwtCredential, Policy, Step, VerifyingKey, Workspace};
use crate::base::clock::http_date;
use std::fmt;
use std::sync::Arc;

/// Options of the credential and of the route.
pub(super) struct Options {
    /// The credential's `key`; `None` accepts whatever key the token names.
    pub(super) key: Option<String>,
    /// What the credential's `secret` or `public_key` verifies with.
    pub(super) verifying_key: VerifyingKey,
    pub(super) algorithm: Algorithm,
    /// The credential's `lifetime_grace_period`, in seconds.
    pub(super) grace_s: u64,
    pub(super) policy: Policy,
}

/// Every step passed, and where it ended.
pub(super) struct Explanation {
    pub(super) steps: Vec<String>,
    /// `None`: the gateway accepts the token.
    pub(super) refusal: Option<Refusal>,
}

/// Why a token is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// `message` of the 401 answer.
    pub(super) answer: ClientMessage,
    /// What only the gateway's log says.
    pub(super) reason: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(formatter, "ok       {step}")?;
        }
        match &self.refusal {
            None => writeln!(formatter, "accepted"),
            Some(Refusal { answer, reason }) => {
                writeln!(formatter, "refused  {reason}")?;
                writeln!(formatter, "answer   401 {{\"message\":\"{}\"}}", answer.text())
            }
        }
    }
}

/// Explains `token` as the gateway would judge it at `now`, whole seconds since the Unix epoch.
pub(super) fn explain(token: &[u8], options: Options, now: u64) -> Explanation {
    let mut steps = Vec::new();
    let bare = without_scheme(token);
    if bare.is_some() {
        steps.push("drop the word Bearer (from a header only)".to_owned());
    }
    let Options { key, verifying_key, algorithm, grace_s, policy } = options;
    let credential = credential(key.as_deref().unwrap_or_default(), algorithm, verifying_key, grace_s);
    let mut named = None;
    let find = |found: &str| {
        named = Some(found.to_owned());
        key.as_deref().is_none_or(|key| key == found).then_some(&credential)
    };
    let judged = jwt::judge(bare.unwrap_or(token), &policy, find, now, &mut Workspace::default());
    let failure = judged.err().map(|rejection| rejection.failure);

    let passed = |step: &Step| failure.is_none_or(|failure| *step < failure.step());
    // A key that cannot be used never comes this far: it is an error of the command line.
    let shown = Step::ALL.into_iter().filter(|step| !matches!(step, Step::Find | Step::Key));
    for step in shown.take_while(passed) {
        steps.push(match (step, &named) {
            (Step::Parse, Some(named)) => format!("{step}: its claim {:?} is {named:?}", policy.key_claim_name),
            (Step::LookUp, _) if key.is_none() => format!("{step}: taken for a known one"),
            _ => step.to_string(),
        });
    }
    let refusal =
        failure.map(|failure| Refusal { answer: failure.client_message(), reason: reason(failure, now, grace_s) });
    Explanation { steps, refusal }
}

/// A credential as the gateway would hold it. Of whom is nobody's question here.
fn credential(key: &str, algorithm: Algorithm, verifying_key: VerifyingKey, grace_s: u64) -> Arc<Credential> {
    let identity = Identity {
        username: Box::default(),
        group_id: None,
        credential_id: None,
        fields: Box::default(),
        plugins: Arc::from([]),
    };
    let material = AuthMaterial::Jwt(JwtCredential::new(key, algorithm, Ok(verifying_key), grace_s));
    Arc::new(Credential { identity: Arc::new(identity), material, version: 0 })
}

/// The reason as the log has it; of a matter of time also what it was compared with.
fn reason(failure: Failure, now: u64, grace_s: u64) -> String {
    if failure.step() != Step::Times {
        return failure.to_string();
    }
    let now = http_date(now);
    format!("{failure} (now is {now}, grace {grace_s} s)")
}

#[cfg(test)]
mod tests;
