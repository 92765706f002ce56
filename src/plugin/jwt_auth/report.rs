//! What operators learn of requests that were not authenticated: a counter per reason, and log lines that say why
//! without showing anything that could be used.

use crate::auth::consumer::AuthMaterial;
use crate::auth::jwt::Rejection;
use crate::base::clock::http_date;
use crate::plugin::Context;
use tracing::Level;

/// Counts the rejection, and writes a line at info level unless too many were written this second.
///
/// Never the token or any part of its signature, never the credential's key material. Where time decided, the line
/// has both times: the claim's in its text, and `now`.
pub(super) fn report(rejection: &Rejection<'_>, context: &mut Context<'_>) {
    let failure = rejection.failure;
    let scratch = &mut *context.scratch;
    if let Some(counter) = scratch.judging.cells.jwt_refusals.get(failure.reason() as usize) {
        counter.add(1);
    }
    if !tracing::enabled!(Level::INFO) {
        return;
    }
    let Some(left_out) = scratch.refusal_log.admit() else { return };
    let route = context.route.map(|route| &*route.id);
    let (reason, step, detail) = (failure.reason().name(), failure.step(), failure);
    let Some(credential) = rejection.credential else {
        tracing::info!(route, reason, %step, %detail, left_out, "jwt-auth: not authenticated");
        return;
    };
    let AuthMaterial::Jwt(jwt) = &credential.material;
    tracing::info!(
        route,
        consumer = &*credential.identity.username,
        credential = credential.identity.credential_id.as_deref(),
        reason,
        %step,
        %detail,
        now = http_date(context.now.unix_s()),
        grace_s = jwt.grace_s(),
        left_out,
        "jwt-auth: not authenticated"
    );
}
