//! What the gateway can do: plugins and schemas (spec/admin-api §2.1).

use super::AdminState;
use super::answer::Answer;
use super::query::Query;
use super::target::Inspect;
use super::validate;
use crate::plugin::{PluginType, Side, registry};
use crate::resource::{Kind, plugins};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// The answer to one of those calls.
pub(super) fn answer(
    what: &Inspect,
    query: &Query,
    body: Option<&Value>,
    state: &AdminState,
) -> Result<Answer, Answer> {
    match what {
        Inspect::PluginNames => plugin_names(query),
        Inspect::Plugins if query.first("all") == Some("true") => Ok(all_plugins()),
        Inspect::Plugins => Err(no_plugin()),
        Inspect::Plugin(name) => Ok(plugin(name, query).unwrap_or_else(|refusal| refusal).versioned()),
        Inspect::Schema(name) => Ok(schema(name).unwrap_or_else(|refusal| refusal).versioned()),
        Inspect::Validate(directory) => validate_schema(directory, body),
        Inspect::ValidateAll => validate::answer(state, body),
        // Plugins are built in: there is nothing to load again.
        Inspect::Reload => Ok(Answer::text("done")),
    }
}

/// The names of all plugins, highest priority first. There are none for streams.
fn plugin_names(query: &Query) -> Result<Answer, Answer> {
    let names: Vec<&str> = match query.first("subsystem") {
        None | Some("http") => registry::PLUGINS.iter().map(|plugin| plugin.name).collect(),
        Some("stream") => Vec::new(),
        Some(_) => return Err(Answer::bare("invalid subsystem passed")),
    };
    Ok(Answer::json(StatusCode::OK, names))
}

fn plugin(name: &str, query: &Query) -> Result<Answer, Answer> {
    let found = match query.first("subsystem") {
        None | Some("http") => registry::find(name).ok_or_else(no_plugin)?,
        Some("stream") => return Err(Answer::error(StatusCode::NOT_FOUND, "plugin not found in subsystem stream")),
        Some(other) => return Err(Answer::bad_request(format!("unsupported subsystem: {other}"))),
    };
    let side = if query.first("schema_type") == Some("consumer") { Side::Consumer } else { Side::Route };
    match plugins::document(found.name, side) {
        Some(document) => Ok(Answer::json(StatusCode::OK, &document.json)),
        None => Err(Answer::bad_request("not found schema")),
    }
}

fn all_plugins() -> Answer {
    let described = |plugin: &&PluginType| {
        let schema = |side| plugins::document(plugin.name, side).map(|document| document.json.clone());
        let mut about = Map::new();
        about.insert("version".to_owned(), plugin.version.into());
        about.insert("priority".to_owned(), plugin.priority.into());
        about.insert("schema".to_owned(), schema(Side::Route).into());
        if let Some(consumer_schema) = schema(Side::Consumer) {
            about.insert("type".to_owned(), "auth".into());
            about.insert("consumer_schema".to_owned(), consumer_schema);
        }
        if let Some(metadata) = plugins::metadata_document(plugin.name) {
            about.insert("metadata_schema".to_owned(), metadata.json.clone());
        }
        (plugin.name.to_owned(), Value::Object(about))
    };
    let all: Map<String, Value> = registry::PLUGINS.iter().map(described).collect();
    Answer::json(StatusCode::OK, all)
}

fn schema(name: &str) -> Result<Answer, Answer> {
    if name == "plugins" {
        return Ok(Answer::json(StatusCode::OK, json!({"type": "object"})));
    }
    match Kind::with_schema_name(name) {
        Some(kind) => Ok(Answer::json(StatusCode::OK, &kind.schema.json)),
        None => Err(Answer::bad_request(format!("not found schema: {name}"))),
    }
}

fn validate_schema(directory: &str, body: Option<&Value>) -> Result<Answer, Answer> {
    let kind = Kind::in_directory(directory)
        .ok_or_else(|| Answer::error(StatusCode::NOT_FOUND, format!("Unsupported resource type: {directory}")))?;
    let body = body.ok_or_else(|| Answer::bad_request("missing configurations"))?;
    match kind.schema.check(body) {
        Ok(()) => Ok(Answer::empty(StatusCode::OK)),
        Err(text) => Err(Answer::bad_request(text)),
    }
}

fn no_plugin() -> Answer {
    Answer::error(StatusCode::NOT_FOUND, "plugin not found in subsystem http")
}
