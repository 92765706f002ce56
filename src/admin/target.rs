//! What a path and a method name (spec/admin-api §2).

use super::answer::Answer;
use super::query::decode;
use crate::resource::kind::Naming;
use crate::resource::{Id, Kind, consumer, credential};
use axum::http::{Method, StatusCode};

/// What a call is about.
#[derive(Debug)]
pub(super) enum Target {
    /// Resources of a kind, or one of them.
    Resource(Place),
    /// What the gateway can do, rather than what it holds.
    Inspect(Inspect),
}

/// Resources of a kind, or one of them.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) kind: &'static Kind,
    /// The consumer or the secret manager above, where the kind lives below one.
    pub(super) parent: Option<String>,
    /// As the path says it, decoded; not yet known to be valid.
    pub(super) id: Option<String>,
    /// Members to descend into; PATCH only.
    pub(super) sub_path: Vec<String>,
}

/// Calls that are not about stored objects.
#[derive(Debug)]
pub(super) enum Inspect {
    /// `GET plugins/list`.
    PluginNames,
    /// `GET plugins`: of all, where the query says so.
    Plugins,
    /// `GET plugins/{name}` and `GET schema/plugins/{name}`.
    Plugin(String),
    /// `GET schema/{name}`.
    Schema(String),
    /// `POST schema/validate/{resource}`.
    Validate(String),
    /// `POST configs/validate`.
    ValidateAll,
    /// `PUT plugins/reload`.
    Reload,
}

/// The decoded segments below the API's root; `None` for a path outside it. A slash at the end says nothing.
pub(super) fn segments(path: &str) -> Option<Vec<String>> {
    let below = path.strip_prefix(ROOT)?;
    if below.is_empty() {
        return Some(Vec::new());
    }
    let below = below.strip_prefix('/')?;
    let below = below.strip_suffix('/').unwrap_or(below);
    if below.is_empty() {
        return Some(Vec::new());
    }
    Some(below.split('/').map(|segment| decode(segment, false)).collect())
}

impl Target {
    /// What `segments` name, and that `method` fits it.
    pub(super) fn find(method: &Method, segments: Vec<String>) -> Result<Self, Answer> {
        let mut segments = segments.into_iter();
        let first = segments.next().unwrap_or_default();
        let second = segments.next();
        match (first.as_str(), second) {
            ("plugins" | "schema", second) => {
                Inspect::find(method, &first, second.as_deref(), segments.next()).map(Self::Inspect)
            }
            ("configs", Some(second)) if second == "validate" && *method == Method::POST => {
                Ok(Self::Inspect(Inspect::ValidateAll))
            }
            ("stream_routes", _) => {
                Err(Answer::bad_request("stream mode is disabled, can not add stream routes").versioned())
            }
            (directory, id) => {
                let known = Kind::in_directory(directory).filter(|kind| kind.naming != Naming::BelowConsumer);
                let kind = known.ok_or_else(|| {
                    let text = format!("Unsupported resource type: {directory}");
                    Answer::error(StatusCode::NOT_FOUND, text)
                })?;
                let place = Place::new(kind, id, segments.collect());
                place.check(method).map_err(Answer::versioned)?;
                Ok(Self::Resource(place))
            }
        }
    }
}

impl Place {
    fn new(kind: &'static Kind, id: Option<String>, rest: Vec<String>) -> Self {
        if kind.naming == Naming::BelowManager {
            let mut rest = rest.into_iter();
            return Self { kind, parent: id, id: rest.next(), sub_path: rest.collect() };
        }
        let is_below = kind.naming == Naming::Username
            && rest.first().is_some_and(|directory| directory == credential::KIND.directory);
        if !is_below {
            return Self { kind, parent: None, id, sub_path: rest };
        }
        let mut rest = rest.into_iter().skip(1);
        Self { kind: &credential::KIND, parent: id, id: rest.next(), sub_path: rest.collect() }
    }

    fn check(&self, method: &Method) -> Result<(), Answer> {
        let is_taken = match *method {
            Method::POST => self.kind.takes_post,
            Method::PATCH => self.kind.takes_patch,
            _ => true,
        };
        if !is_taken {
            let text = format!("not supported `{method}` method for {}", self.kind.word);
            return Err(Answer::error(StatusCode::METHOD_NOT_ALLOWED, text));
        }
        // The original ignores a sub-path here, so that DELETE …/1/plugins deletes the whole object.
        if !self.sub_path.is_empty() && *method != Method::PATCH {
            return Err(Answer::bad_request(format!("a sub-path is not supported by {method}")));
        }
        Ok(())
    }

    /// The key of the object called `id`, if that and what stands above are names at all: a key never reaches outside
    /// its directory.
    pub(super) fn key(&self, prefix: &str, id: &str) -> Option<String> {
        let is_name = match self.kind.naming {
            Naming::Username => consumer::is_username(id),
            Naming::Id | Naming::BelowConsumer | Naming::BelowManager | Naming::Plugin => Id::is_valid(id),
        };
        let is_parent = if self.kind.naming == Naming::BelowManager { Id::is_valid } else { consumer::is_username };
        let has_parent = self.parent.as_deref().is_none_or(is_parent);
        (is_name && has_parent).then(|| self.kind.key(prefix, self.parent.as_deref(), id))
    }
}

impl Inspect {
    fn find(method: &Method, first: &str, second: Option<&str>, third: Option<String>) -> Result<Self, Answer> {
        match (method, first, second, third) {
            (&Method::POST, "schema", Some("validate"), Some(resource)) => Ok(Self::Validate(resource)),
            (&Method::PUT, "plugins", Some("reload"), None) => Ok(Self::Reload),
            (method, "plugins", Some("reload"), None) => {
                let text = format!("please use PUT method to reload the plugins, {method} method is not allowed.");
                Err(Answer::error(StatusCode::METHOD_NOT_ALLOWED, text))
            }
            (&Method::GET, "plugins", Some("list"), None) => Ok(Self::PluginNames),
            (&Method::GET, "plugins", None, None) => Ok(Self::Plugins),
            (&Method::GET, "plugins", Some(name), None) => Ok(Self::Plugin(name.to_owned())),
            (&Method::GET, "schema", Some("plugins"), Some(name)) => Ok(Self::Plugin(name)),
            (&Method::GET, "schema", name, None) => Ok(Self::Schema(name.unwrap_or_default().to_owned())),
            _ => Err(Answer::error(StatusCode::NOT_FOUND, "not found")),
        }
    }
}

const ROOT: &str = "/apisix/admin";
