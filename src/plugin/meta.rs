//! `_meta`: what every plugin's configuration may say about the plugin itself.
//!
//! Read when a configuration is compiled. `disable` and `priority` change the chain; `filter` is asked before the
//! plugin runs, `error_response` wraps it. `pre_function` is refused: code that is not run must not look as if it were.

use super::{Answer, Context, Plugin, Verdict, Waiting, filter};
use crate::http::request::Request;
use crate::vars::Expression;
use serde_json::Value;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

/// A configuration's `_meta` (spec/consumers-credentials-secrets §4.5).
#[derive(Debug, Clone, Default)]
pub struct Meta {
    /// The plugin counts as absent once configurations are merged by name.
    pub disable: bool,
    /// The requests that the plugin takes part in. Not read where `disable` is set.
    pub filter: Option<Expression>,
    /// Outranks the plugin type's priority.
    pub priority: Option<i64>,
    /// Replaces the body of the plugin's answers with a status of 400 or more.
    pub error_response: Option<Arc<[u8]>>,
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
        // What never runs may be broken: that is how it is switched off.
        let is_disabled = members.get("disable") == Some(&Value::Bool(true));
        for (name, value) in members {
            match name.as_str() {
                "disable" => meta.disable = value.as_bool().ok_or("_meta.disable must be a boolean")?,
                "priority" => meta.priority = Some(value.as_i64().ok_or("_meta.priority must be an integer")?),
                "error_response" => meta.error_response = Some(error_body(value)?),
                "filter" if is_disabled => {}
                "filter" => {
                    meta.filter = Some(filter::parse(value).map_err(|error| format!("_meta.filter: {error}"))?);
                }
                "pre_function" => return Err("_meta.pre_function is not supported".into()),
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

/// Stands where a plugin cannot run because a secret of it is not resolved: refuses every request, and counts it, so
/// that the secret is asked for again soon.
#[derive(Debug)]
pub struct AwaitsSecret(pub Arc<Answer>);

impl AwaitsSecret {
    fn refuse(&self, context: &Context<'_>) -> Verdict {
        context.scratch.judging.cells.unresolved_secrets.add(1);
        Verdict::Respond(Arc::clone(&self.0))
    }
}

impl Plugin for AwaitsSecret {
    fn rewrite(&self, _request: &Request<'_>, context: &mut Context<'_>) -> Verdict {
        self.refuse(context)
    }

    fn access(&self, _request: &Request<'_>, context: &mut Context<'_>) -> Verdict {
        self.refuse(context)
    }
}

/// A plugin whose refusals have another body. Status and fields stay as the plugin made them.
#[derive(Debug)]
struct ErrorResponse {
    plugin: Arc<dyn Plugin>,
    body: Arc<[u8]>,
}

impl ErrorResponse {
    fn replace(&self, verdict: Verdict) -> Verdict {
        replaced(verdict, &self.body)
    }
}

/// Allocates for a refusal, which may carry fields of its request, and for a wait.
fn replaced(verdict: Verdict, body: &Arc<[u8]>) -> Verdict {
    match verdict {
        Verdict::Respond(answer) if answer.status >= 400 => Verdict::Respond(Arc::new(Answer {
            status: answer.status,
            fields: answer.fields.clone(),
            body: (&**body).into(),
        })),
        Verdict::Wait(waiting) => Verdict::Wait(Box::new(ReplacedLater { waiting, body: Arc::clone(body) })),
        other => other,
    }
}

/// [`ErrorResponse`] for a verdict that is still to come.
#[derive(Debug)]
struct ReplacedLater {
    waiting: Box<dyn Waiting>,
    body: Arc<[u8]>,
}

impl Waiting for ReplacedLater {
    fn wait<'a>(&'a mut self, redis: &'a Rc<crate::redis::Client>) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        self.waiting.wait(redis)
    }

    fn resume(self: Box<Self>, request: &Request<'_>, context: &mut Context<'_>) -> Verdict {
        replaced(self.waiting.resume(request, context), &self.body)
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
fn error_body(value: &Value) -> Result<Arc<[u8]>, String> {
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
    use crate::base::clock::Now;
    use crate::http::request::OwnedRequest;
    use crate::limit::Local;
    use crate::plugin::Edits;
    use serde_json::json;

    #[test]
    fn meta_is_read_and_refused() {
        // Whether it is off, whether there is a filter, priority, error response.
        type Told = (bool, bool, Option<i64>, Option<&'static str>);
        let cases: Vec<(Value, Result<Told, &str>)> = vec![
            (json!({}), Ok((false, false, None, None))),
            (json!({"_meta": {}}), Ok((false, false, None, None))),
            (json!({"_meta": {"disable": true}}), Ok((true, false, None, None))),
            (json!({"_meta": {"priority": -3}}), Ok((false, false, Some(-3), None))),
            (json!({"_meta": {"error_response": "no"}}), Ok((false, false, None, Some("no")))),
            (
                json!({"_meta": {"error_response": {"b": 1, "a": 2}}}),
                Ok((false, false, None, Some("{\"b\":1,\"a\":2}\n"))),
            ),
            (json!({"_meta": {"filter": []}}), Ok((false, true, None, None))),
            (json!({"_meta": {"filter": [["uri", "/"]], "priority": 1}}), Ok((false, true, Some(1), None))),
            (json!({"_meta": {"filter": "broken", "disable": true}}), Ok((true, false, None, None))),
            (json!({"_meta": {"filter": [["uri", "=", "/"]]}}), Err("_meta.filter: invalid operator '='")),
            (json!({"_meta": {"filter": "uri"}}), Err("_meta.filter: rule should be wrapped inside brackets")),
            (json!({"_meta": {"filter": [["urii", "/"]]}}), Err("_meta.filter: variable 'urii' is not supported")),
            (json!({"_meta": []}), Err("_meta must be an object")),
            (json!({"_meta": {"disable": 1}}), Err("_meta.disable must be a boolean")),
            (json!({"_meta": {"priority": "1"}}), Err("_meta.priority must be an integer")),
            (json!({"_meta": {"error_response": 7}}), Err("_meta.error_response must be a string or an object")),
            (json!({"_meta": {"pre_function": "x"}}), Err("_meta.pre_function is not supported")),
            (json!({"_meta": {"other": 1}}), Err("_meta has an unknown member")),
        ];
        for (configuration, want) in cases {
            let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
            let told = Meta::of(&configuration).map(|meta| {
                (meta.disable, meta.filter.is_some(), meta.priority, meta.error_response.as_deref().map(text))
            });
            let want = want
                .map(|(off, filter, priority, body)| (off, filter, priority, body.map(str::to_owned)))
                .map_err(str::to_owned);
            assert_eq!(told, want, "{configuration}");
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
            let nobody = ConsumerTable::default();
            let mut limits = Local::default();
            let mut context = Context::new(Now::default(), &nobody, &mut edits, &mut scratch, &mut limits);
            for verdict in [plugin.rewrite(&request.view(), &mut context), plugin.access(&request.view(), &mut context)]
            {
                let Verdict::Respond(answer) = verdict else { panic!("{status}: no answer") };
                assert_eq!((answer.status, &*answer.fields), (status, b"A: b\r\n".as_slice()));
                assert_eq!(&*answer.body, want.as_bytes(), "{status}");
            }
        }
    }
}
