//! Lists: filter, count, page (spec/admin-api §4.1).

use super::answer::Answer;
use super::query::Query;
use crate::resource::kind::Naming;
use crate::resource::{Id, Kind, route};
use crate::store::Item;
use axum::http::StatusCode;
use regex::Regex;
use serde_json::{Value, json};

/// The answer to `GET` of a directory that holds `items`.
pub(super) fn answer(kind: &Kind, directory: &str, mut items: Vec<Item>, query: &Query) -> Result<Answer, Answer> {
    let page = Page::of(query)?;
    let filters = Filters::of(kind, query)?;
    // What stands deeper belongs to another kind: a consumer's credentials.
    // Secret resources stand one deeper where all managers' are asked for.
    let is_of_kind = |name: &str| kind.naming == Naming::BelowManager || !name.contains('/');
    items.retain(|item| item.key.strip_prefix(directory).is_some_and(is_of_kind));
    if items.is_empty() && kind.naming == Naming::BelowConsumer {
        return Err(Answer::key_not_found());
    }
    if !filters.is_empty() {
        items.retain(|item| filters.admit(&value(item)));
    }
    let total = items.len();
    if let Some(page) = page {
        items.sort_by_key(|item| item.create_revision);
        items = items.into_iter().skip(page.start).take(page.size).collect();
    }
    let list: Vec<Value> = items.iter().map(entry).collect();
    Ok(Answer::json(StatusCode::OK, json!({"total": total, "list": list})))
}

/// One object with its key and revisions, as stored.
pub(super) fn entry(item: &Item) -> Value {
    json!({
        "key": &*item.key,
        "value": value(item),
        "createdIndex": item.create_revision,
        "modifiedIndex": item.mod_revision,
    })
}

/// What is stored; text that is not JSON, which only others can have written, is shown as text.
fn value(item: &Item) -> Value {
    serde_json::from_str(&item.value).unwrap_or_else(|_| Value::String(item.value.to_string()))
}

struct Page {
    start: usize,
    size: usize,
}

impl Page {
    /// The page asked for; it takes both arguments, as numbers, to ask for one.
    fn of(query: &Query) -> Result<Option<Self>, Answer> {
        let number = |name: &str| query.first(name).and_then(|text| text.parse::<f64>().ok());
        let (Some(page), Some(size)) = (number("page"), number("page_size")) else { return Ok(None) };
        if !(PAGE_SIZE_MIN..=PAGE_SIZE_MAX).contains(&size) {
            return Err(Answer::bare("page_size must be between 10 and 500"));
        }
        let (page, size) = (page.max(1.0) as usize, size as usize);
        Ok(Some(Self { start: (page - 1).saturating_mul(size), size }))
    }
}

#[derive(Default)]
struct Filters<'q> {
    name: Option<Regex>,
    uri: Option<Regex>,
    label: Option<&'q str>,
    /// Members that must have this id, compared as text.
    ids: Vec<(&'static str, String)>,
}

impl<'q> Filters<'q> {
    fn of(kind: &Kind, query: &'q Query) -> Result<Self, Answer> {
        let regex = |name: &str| {
            let compile = |text| {
                Regex::new(text)
                    .map_err(|_| Answer::bad_request(format!("invalid argument {name}: not a regular expression")))
            };
            query.first(name).map(compile).transpose()
        };
        let mut filters =
            Self { name: regex("name")?, uri: regex("uri")?, label: query.first("label"), ids: Vec::new() };
        if kind.directory == route::KIND.directory {
            let wanted = Query::parse(query.first("filter").unwrap_or_default());
            for (name, value) in wanted.pairs() {
                if let Some(known) = ["service_id", "upstream_id"].into_iter().find(|known| *known == name) {
                    filters.ids.push((known, value.to_owned()));
                } else {
                    tracing::warn!(?name, "admin list: unknown filter ignored");
                }
            }
        }
        Ok(filters)
    }

    fn is_empty(&self) -> bool {
        self.name.is_none() && self.uri.is_none() && self.label.is_none() && self.ids.is_empty()
    }

    fn admit(&self, value: &Value) -> bool {
        let matches = |regex: &Option<Regex>, texts: &mut dyn Iterator<Item = &Value>| match regex {
            Some(regex) => texts.filter_map(Value::as_str).any(|text| regex.is_match(text)),
            None => true,
        };
        let uris = value.get("uris").and_then(Value::as_array).into_iter().flatten();
        matches(&self.name, &mut value.get("name").into_iter())
            && matches(&self.uri, &mut value.get("uri").into_iter().chain(uris))
            && self.label.is_none_or(|label| value.get("labels").is_some_and(|labels| labels.get(label).is_some()))
            && self.ids.iter().all(|(name, id)| value.get(name).and_then(Id::of).is_some_and(|own| own.0 == *id))
    }
}

const PAGE_SIZE_MIN: f64 = 10.0;
const PAGE_SIZE_MAX: f64 = 500.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Vec<Item> {
        let item = |name: &str, value: Value, create_revision| Item {
            key: format!("/apisix/routes/{name}").into(),
            value: value.to_string().into(),
            create_revision,
            mod_revision: 9,
            expires_unix_s: None,
        };
        vec![
            item("a", json!({"uri": "/a", "name": "first", "labels": {"v": "1"}, "service_id": 1}), 5),
            item("b", json!({"uris": ["/b", "/x"], "name": "second", "service_id": "1"}), 4),
            item("c", json!({"uri": "/c", "upstream_id": "7"}), 3),
        ]
    }

    fn listed(query: &str) -> String {
        let kind = &route::KIND;
        let answer = answer(kind, "/apisix/routes/", items(), &Query::parse(query)).unwrap_or_else(|answer| answer);
        let body: Value = match serde_json::from_str(answer.body()) {
            Ok(body) => body,
            Err(_) => return answer.body().to_owned(),
        };
        let Some(list) = body["list"].as_array() else { return body["error_msg"].to_string() };
        let names: Vec<&str> =
            list.iter().map(|entry| entry["key"].as_str().unwrap().rsplit('/').next().unwrap()).collect();
        format!("{} of {}", names.join(","), body["total"])
    }

    #[test]
    fn filters_and_pages() {
        for (query, want) in [
            ("", "a,b,c of 3"),
            ("name=s", "a,b of 2"),
            ("name=^s", "b of 1"),
            ("name=nil", " of 0"),
            ("uri=%5E/x$", "b of 1"),
            ("uri=/[ac]", "a,c of 2"),
            ("label=v", "a of 1"),
            ("label=", " of 0"),
            ("filter=service_id%3D1", "a,b of 2"),
            ("filter=service_id%3D1%26upstream_id%3D7", " of 0"),
            ("filter=colour%3Dred", "a,b,c of 3"),
            ("name=s&uri=/a", "a of 1"),
            ("page=1", "a,b,c of 3"),
            ("page_size=10", "a,b,c of 3"),
            ("page=x&page_size=10", "a,b,c of 3"),
            ("page=0&page_size=10", "c,b,a of 3"),
            ("page=2&page_size=10", " of 3"),
            ("page=1e300&page_size=500", " of 3"),
            ("page=1&page_size=9", "page_size must be between 10 and 500"),
            ("page=1&page_size=501", "page_size must be between 10 and 500"),
            ("name=(", "\"invalid argument name: not a regular expression\""),
        ] {
            assert_eq!(listed(query), want, "{query}");
        }
    }

    #[test]
    fn an_empty_list_is_a_list() {
        let empty = |kind: &Kind| answer(kind, "/d/", Vec::new(), &Query::default()).unwrap_or_else(|answer| answer);
        assert_eq!(empty(&route::KIND).body(), "{\"total\":0,\"list\":[]}\n");
        assert_eq!(empty(&crate::resource::credential::KIND).body(), "{\"message\":\"Key not found\"}\n");
    }
}
