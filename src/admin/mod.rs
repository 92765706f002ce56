//! The Admin API: APISIX's, version v3 (spec/admin-api).
//!
//! In: HTTP/1.1 requests on a listener of its own, each with a key. Out: what is stored, or one write handed to
//! [`Control`] whose checks run on the state as it is when the write's turn comes; the answer leaves once the write is
//! durable and live on every worker. Everything that decides (gate, target, write, list) is a function of its
//! arguments; only this file and `serve` wait. It never logs a key, a body or a secret.

mod answer;
mod body;
mod gate;
mod inspect;
mod list;
mod patch;
mod query;
mod serve;
mod target;
#[cfg(test)]
mod tests;
mod validate;
mod write;

pub use body::parse as parse_body;
pub use serve::{CONNECTIONS_MAX, DRAIN_WAIT_MAX, HEAD_WAIT_MAX, serve};

use crate::control::{Control, WriteError};
use crate::plugin::Rules;
use crate::resource::Refusal;
use answer::Answer;
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use gate::{Caller, Gate};
use ipnet::IpNet;
use query::Query;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use target::{Place, Target};
use write::{Change, Command, Outcome};

/// What the Admin API is made of.
#[derive(Debug, Clone)]
pub struct AdminState {
    /// The control side.
    pub control: Control,
    /// `deployment.admin.admin_key`; none at all leaves the API open.
    pub keys: Vec<AdminKey>,
    /// `deployment.admin.admin_key_required`: false leaves the API open.
    pub key_required: bool,
    /// `deployment.admin.allow_admin`: who may connect; `None`: everybody.
    pub allow: Option<Vec<IpNet>>,
    /// `deployment.admin.enable_admin_cors`.
    pub cors: bool,
    /// The `Server` of every answer.
    pub server: String,
    /// What all keys start with: `deployment.etcd.prefix`, [`crate::resource::PREFIX`] unless configured.
    pub prefix: String,
    /// What the configuration file says about plugins.
    pub rules: Rules,
}

/// One entry of `deployment.admin.admin_key`.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminKey {
    /// Its name, for the audit log.
    pub name: String,
    /// The key itself; empty only until one is generated, never while serving.
    pub key: String,
    /// What it may do.
    pub role: Role,
}

impl fmt::Debug for AdminKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AdminKey").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// GET only.
    Viewer,
}

/// The Admin API as a service. Requests must carry [`ConnectInfo<SocketAddr>`], as [`serve()`] sees to: without it an
/// allow list refuses them.
pub fn router(state: AdminState) -> Router {
    let gate = Gate::new(&state);
    Router::new().fallback(handle).with_state(Arc::new(Admin { gate, state }))
}

#[derive(Debug)]
struct Admin {
    gate: Gate,
    state: AdminState,
}

async fn handle(State(admin): State<Arc<Admin>>, request: Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    let answer = admin.answer(peer, request).await.unwrap_or_else(|refusal| refusal);
    answer.into_response(&admin.state)
}

/// `Err` only means that the answer came early.
type Answered = Result<Answer, Answer>;

impl Admin {
    async fn answer(&self, peer: Option<IpAddr>, request: Request) -> Answered {
        self.gate.admit(peer)?;
        let (parts, body) = request.into_parts();
        let segments = target::segments(parts.uri.path()).ok_or_else(|| Answer::page(StatusCode::NOT_FOUND))?;
        match parts.method {
            Method::OPTIONS if self.state.cors => return Ok(Answer::preflight()),
            Method::HEAD if segments.is_empty() => return Ok(Answer::empty(StatusCode::OK)),
            Method::GET | Method::PUT | Method::POST | Method::DELETE | Method::PATCH if !segments.is_empty() => {}
            _ => return Err(Answer::page(StatusCode::NOT_FOUND)),
        }
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let caller = self.gate.authenticate(peer, &parts.method, &query, &parts.headers)?;
        let target = Target::find(&parts.method, segments)?;
        let body = match parts.method {
            Method::GET | Method::DELETE => None,
            _ => body::read(&parts.headers, body).await?,
        };
        let ttl_s = query.ttl_s()?;
        let answer = match target {
            Target::Inspect(what) => return inspect::answer(&what, &query, body.as_ref(), &self.state),
            Target::Resource(place) if parts.method == Method::GET => self.read(&place, &query).await,
            Target::Resource(place) => match Change::of(&parts.method, &place, body, query.force()) {
                Ok(change) => Ok(self.write(place, change, ttl_s, &parts.method, caller).await),
                Err(refusal) => Err(refusal),
            },
        };
        Ok(answer.unwrap_or_else(|early| early).versioned())
    }

    async fn read(&self, place: &Place, query: &Query) -> Answered {
        let prefix = &self.state.prefix;
        let Some(id) = &place.id else {
            let directory = place.kind.directory_key(prefix, place.parent.as_deref());
            let items = self.state.control.range(&directory).await.map_err(|error| Answer::store(&error))?;
            return list::answer(place.kind, &directory, items, query);
        };
        let key = place.key(prefix, id).ok_or_else(Answer::key_not_found)?;
        match self.state.control.get(&key).await {
            Ok(Some(item)) => Ok(Answer::json(StatusCode::OK, list::entry(&item))),
            Ok(None) => Err(Answer::key_not_found()),
            Err(error) => Err(Answer::store(&error)),
        }
    }

    async fn write(&self, place: Place, change: Change, ttl_s: u64, method: &Method, caller: Caller) -> Answer {
        let unix_s = crate::base::clock::unix().as_secs();
        let path = place.kind.directory_key("", place.parent.as_deref()) + place.id.as_deref().unwrap_or_default();
        let command =
            Command { prefix: self.state.prefix.clone(), rules: self.state.rules, place, change, unix_s, ttl_s };
        let control = &self.state.control;
        let ended = control.write(move |view| command.plan(view)).await.map(|(outcome, revision)| {
            (outcome.map_value(|key, value| control.stored_form(key, value, revision)), revision)
        });
        let revision = match &ended {
            Ok((_, revision)) | Err(WriteError::NotLive { revision, .. }) => Some(*revision),
            Err(_) => None,
        };
        let answer = ended_as(ended);
        let status = answer.status().as_u16();
        tracing::info!(who = &*caller.name, %method, what = ?path, revision, status, "admin write");
        answer
    }
}

fn ended_as(ended: Result<(Outcome, u64), WriteError<Refusal>>) -> Answer {
    match ended {
        Ok((outcome, _)) => outcome.into_answer(),
        Err(WriteError::Refused(Refusal::Invalid(text))) => Answer::bad_request(text),
        Err(WriteError::Refused(Refusal::ConsumerAbsent)) => Answer::error(StatusCode::NOT_FOUND, "consumer not found"),
        Err(WriteError::Refused(Refusal::Absent)) => Answer::key_not_found(),
        Err(WriteError::Refused(Refusal::Store(error)) | WriteError::Store(error)) => Answer::store(&error),
        Err(WriteError::NotLive { revision, reason }) => Answer::error(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("stored at revision {revision}, not yet live: {reason}"),
        ),
        Err(WriteError::Internal) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
    }
}
