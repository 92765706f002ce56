//! `_meta`: what every plugin's configuration may say about the plugin itself.
//!
//! Read when a configuration is compiled. `disable` and `priority` change the chain; `error_response` wraps the
//! plugin. `filter` and `pre_function` are refused: a condition that is not evaluated, or code that is not run, must
//! not look as if it were.

use super::{Answer, Context, Plugin, Verdict};
use crate::http::request::Request;
use serde_json::Value;
use std::sync::Arc;

/// A configuration's `_meta` (spec/consumers-credentials-secrets §4.5).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meta {
    /// The plugin counts as absent once configurations are merged by name.
    pub disable: bool,
    /// Outranks the plugin type's priority.
    pub priority: Option<i64>,
    /// Replaces the body of the plugin's answers with a status of 400 or more.
    pub error_response: Option<Box<[u8]>>,
}

impl Meta {
    /// Reads `_meta` out of a plugin's configuration; all defaults when there is none.
    pub fn of(configuration: &Value) -> Result<Self, String> {
        let mut meta = Self::default();
        let members = match configuration.get("_meta") {
            None => return Ok(meta),
            Some(Value::Object(members)) => members,
            Some(_) => return Err("_meta must be an object".into()),
        };
        for (name, value) in members {
            match name.as_str() {
                "disable" => meta.disable = value.as_bool().ok_or("_meta.disable must be a boolean")?,
                "priority" => meta.priority = Some(value.as_i64().ok_or("_meta.priority must be an integer")?),
                "error_response" => meta.error_response = Some(error_body(value)?),
                "filter" | "pre_function" => return Err(format!("_meta.{name} is not supported")),
                _ => return Err("_meta has an unknown member".into()),
            }
        }
        Ok(meta)
    }

    /// `plugin` with the error response, if one is configured.
    pub fn wrap(self, plugin: Arc<dyn Plugin>) -> Arc<dyn Plugin> {
        match self.error_response {
            Some(body) => Arc::new(ErrorResponse { plugin, body }),
            None => plugin,
        }
    }
}

/// Stands where a plugin of a lower rank is switched off (a consumer's `_meta.disable` over a route's plugin): does
/// nothing in every phase.
#[derive(Debug)]
pub struct Disabled;

impl Plugin for Disabled {}

/// Answers every request with the same answer, in whichever phase comes first. For configurations that cannot run and
/// must not be left out either.
#[derive(Debug)]
pub struct Refuses(pub Arc<Answer>);

impl Plugin for Refuses {
    fn rewrite(&self, _request: &Request<'_>, _context: &mut Context<'_>) -> Verdict {
        Verdict::Respond(Arc::clone(&self.0))
    }

    fn access(&self, _request: &Request<'_>, _context: &mut Context<'_>) -> Verdict {
        Verdict::Respond(Arc::clone(&self.0))
    }
}

/// A plugin whose refusals have another body. Status and fields stay as the plugin made them.
#[derive(Debug)]
struct ErrorResponse {
    plugin: Arc<dyn Plugin>,
    body: Box<[u8]>,
}

impl ErrorResponse {
    /// Allocates for a refusal, which may carry fields of its request.
    fn replace(&self, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::Respond(answer) if answer.status >= 400 => Verdict::Respond(Arc::new(Answer {
                status: answer.status,
                fields: answer.fields.clone(),
                body: self.body.clone(),
            })),
            other => other,
        }
    }
}

impl Plugin for ErrorResponse {
    fn rewrite(&self, request: &Request<'_>, context: &mut Context<'_>) -> Verdict {
        self.replace(self.plugin.rewrite(request, context))
    }

    fn access(&self, request: &Request<'_>, context: &mut Context<'_>) -> Verdict {
        self.replace(self.plugin.access(request, context))
    }
}

/// A string as it is; an object as JSON text with the line end that every JSON answer has.
fn error_body(value: &Value) -> Result<Box<[u8]>, String> {
    match value {
        Value::String(text) => Ok(text.as_bytes().into()),
        Value::Object(_) => Ok(format!("{value}\n").into_bytes().into()),
        _ => Err("_meta.error_response must be a string or an object".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::consumer::ConsumerTable;
    use crate::auth::jwt::Scratch;
    use crate::http::request::OwnedRequest;
    use crate::plugin::Edits;
    use serde_json::json;

    #[test]
    fn meta_is_read_and_refused() {
        let plain = Meta::default();
        let cases = [
            (json!({}), Ok(plain.clone())),
            (json!({"_meta": {}}), Ok(plain.clone())),
            (json!({"_meta": {"disable": true}}), Ok(Meta { disable: true, ..plain.clone() })),
            (json!({"_meta": {"priority": -3}}), Ok(Meta { priority: Some(-3), ..plain.clone() })),
            (
                json!({"_meta": {"error_response": "no"}}),
                Ok(Meta { error_response: Some(b"no".as_slice().into()), ..plain.clone() }),
            ),
            (
                json!({"_meta": {"error_response": {"b": 1, "a": 2}}}),
                Ok(Meta { error_response: Some(b"{\"b\":1,\"a\":2}\n".as_slice().into()), ..plain }),
            ),
            (json!({"_meta": []}), Err("_meta must be an object")),
            (json!({"_meta": {"disable": 1}}), Err("_meta.disable must be a boolean")),
            (json!({"_meta": {"priority": "1"}}), Err("_meta.priority must be an integer")),
            (json!({"_meta": {"error_response": 7}}), Err("_meta.error_response must be a string or an object")),
            (json!({"_meta": {"filter": []}}), Err("_meta.filter is not supported")),
            (json!({"_meta": {"pre_function": "x"}}), Err("_meta.pre_function is not supported")),
            (json!({"_meta": {"other": 1}}), Err("_meta has an unknown member")),
        ];
        for (configuration, want) in cases {
            assert_eq!(Meta::of(&configuration), want.map_err(str::to_owned), "{configuration}");
        }
    }

    #[test]
    fn an_error_response_replaces_bodies_of_refusals_only() {
        for (status, want) in [(200, "own"), (302, "own"), (400, "mine"), (401, "mine"), (503, "mine")] {
            let answer = Answer { status, fields: b"A: b\r\n".as_slice().into(), body: b"own".as_slice().into() };
            let meta = Meta { error_response: Some(b"mine".as_slice().into()), ..Meta::default() };
            let plugin = meta.wrap(Arc::new(Refuses(Arc::new(answer))));
            let request = OwnedRequest::new("GET", "/");
            let (mut edits, mut scratch) = (Edits::default(), Scratch::default());
            let mut context = Context {
                consumers: &ConsumerTable::default(),
                unix_s: 0,
                identity: None,
                edits: &mut edits,
                scratch: &mut scratch,
            };
            for verdict in [plugin.rewrite(&request.view(), &mut context), plugin.access(&request.view(), &mut context)]
            {
                let Verdict::Respond(answer) = verdict else { panic!("{status}: no answer") };
                assert_eq!((answer.status, &*answer.fields), (status, b"A: b\r\n".as_slice()));
                assert_eq!(&*answer.body, want.as_bytes(), "{status}");
            }
        }
    }
}
