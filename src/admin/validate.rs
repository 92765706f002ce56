//! `configs/validate`: a whole configuration judged without storing it (spec/admin-api §2.1).

use super::AdminState;
use super::answer::Answer;
use crate::resource::kind::Naming;
use crate::resource::{Id, Kind, Subject, consumer, credential};
use crate::schema::words::lua_type;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Judges an object of arrays, one for each kind. Every object is judged by itself: what it refers to need not exist.
pub(super) fn answer(state: &AdminState, body: Option<&Value>) -> Result<Answer, Answer> {
    let body = body.ok_or_else(|| Answer::bad_request("missing configurations"))?;
    let Value::Object(configuration) = body else {
        let found = lua_type(body);
        return Err(Answer::bad_request(format!("invalid configuration: wrong type: expected object, got {found}")));
    };
    let mut faults = Vec::new();
    // Versions stand beside the arrays in stand-alone configurations.
    for (directory, objects) in configuration.iter().filter(|(name, _)| !name.ends_with("_conf_version")) {
        let kind = Kind::in_directory(directory).filter(|kind| kind.naming != Naming::BelowConsumer);
        let Some(kind) = kind else {
            faults
                .push(json!({"resource_type": directory, "error": format!("Unsupported resource type: {directory}")}));
            continue;
        };
        let Value::Array(objects) = objects else {
            let error = format!("wrong type: expected array, got {}", lua_type(objects));
            faults.push(json!({"resource_type": directory, "error": error}));
            continue;
        };
        let mut names = BTreeSet::new();
        for (index, object) in objects.iter().enumerate() {
            if let Err(error) = one(state, kind, object, &mut names) {
                let id = object.get("id").or_else(|| object.get("username"));
                faults.push(json!({"resource_type": directory, "resource_id": id, "index": index, "error": error}));
            }
        }
    }
    if faults.is_empty() {
        return Ok(Answer::json(StatusCode::OK, json!({})));
    }
    let text = "Configuration validation failed";
    Err(Answer::json(StatusCode::BAD_REQUEST, json!({"error_msg": text, "errors": faults})))
}

fn one(state: &AdminState, kind: &'static Kind, object: &Value, names: &mut BTreeSet<String>) -> Result<(), String> {
    let Value::Object(members) = object else {
        return Err(format!("invalid configuration: wrong type: expected object, got {}", lua_type(object)));
    };
    let mut members: Map<String, Value> = members.clone();
    let whole_id = members.get("id").and_then(Id::of).map(|Id(id)| id);
    // A consumer's credentials stand in the list of consumers (spec/consumers-credentials-secrets §2).
    let separator = match kind.naming {
        Naming::Username => Some(BELOW_CONSUMER),
        Naming::BelowManager => Some(BELOW_MANAGER),
        Naming::Id | Naming::BelowConsumer | Naming::Plugin => None,
    };
    let below = whole_id.as_deref().zip(separator).and_then(|(id, separator)| id.split_once(separator));
    let parent = below.map(|(parent, _)| parent);
    let kind = match below {
        Some((parent, id)) if kind.naming == Naming::Username => {
            if !consumer::is_username(parent) {
                return Err(format!("wrong username '{parent}'"));
            }
            members.insert("id".to_owned(), id.into());
            &credential::KIND
        }
        _ => kind,
    };
    if kind.naming != Naming::Username && whole_id.is_none() {
        return Err(format!("missing {} id", kind.word));
    }
    let subject = Subject { kind, prefix: &state.prefix, parent, id: None, rules: state.rules };
    let name = subject.check_alone(&mut members).map_err(|refusal| refusal.to_string())?;
    if !names.insert(subject.key(&name)) {
        let what = match (below, kind.naming) {
            (Some(_), _) => "credential id",
            (None, Naming::Username) => "username",
            _ => "id",
        };
        let name = whole_id.as_deref().filter(|_| below.is_some()).unwrap_or(&name);
        return Err(format!("found duplicate {what} {name}"));
    }
    Ok(())
}

const BELOW_CONSUMER: &str = "/credentials/";
const BELOW_MANAGER: &str = "/";
