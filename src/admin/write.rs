//! One write: planned on the state as it is when its turn comes (spec/admin-api §3, §5, §7, §8).

use super::answer::Answer;
use super::target::Place;
use super::{Method, patch};
use crate::plugin::Rules;
use crate::resource::check::{forbid_times, forbid_use};
use crate::resource::kind::Naming;
use crate::resource::{Id, Refusal, State, Subject};
use crate::schema::words::lua_type;
use crate::store::{Item, Op, Write};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// What is to happen to a place.
#[derive(Debug)]
pub(super) enum Change {
    /// Stored under the name it has or is given; replaces.
    Put(Map<String, Value>),
    /// Stored under a new id.
    Post(Map<String, Value>),
    /// Merged into what is there.
    Merge(Map<String, Value>),
    /// Put in place of one member.
    Replace(Value),
    /// Removed, even where others refer to it when forced.
    Delete { force: bool },
}

impl Change {
    /// The change that a request asks for.
    pub(super) fn of(method: &Method, place: &Place, body: Option<Value>, force: bool) -> Result<Self, Answer> {
        match (method, body) {
            (&Method::DELETE, _) => Ok(Self::Delete { force }),
            (&Method::PATCH, None) => Err(Answer::bad_request("missing new configuration")),
            (&Method::PATCH, Some(value)) if !place.sub_path.is_empty() => Ok(Self::Replace(value)),
            (_, None) => Err(Answer::bad_request("missing configurations")),
            (method, Some(Value::Object(object))) => Ok(match *method {
                Method::PATCH => Self::Merge(object),
                Method::POST => Self::Post(object),
                _ => Self::Put(object),
            }),
            (_, Some(other)) => {
                let found = lua_type(&other);
                let text = format!("invalid configuration: wrong type: expected object, got {found}");
                Err(Answer::bad_request(text))
            }
        }
    }
}

/// A write, ready for its turn.
#[derive(Debug)]
pub(super) struct Command {
    /// What all keys start with.
    pub(super) prefix: String,
    /// What the configuration file says about plugins.
    pub(super) rules: Rules,
    pub(super) place: Place,
    pub(super) change: Change,
    /// The time of the write.
    pub(super) unix_s: u64,
    /// How long what is stored stays; 0: for good.
    pub(super) ttl_s: u64,
}

/// What a write has done, once it is committed.
#[derive(Debug)]
pub(super) enum Outcome {
    Created { key: String, value: Value },
    Replaced { key: String, value: Value },
    Deleted { key: String },
}

impl Outcome {
    /// The same with what `change` makes of the value, which it is told the key of.
    pub(super) fn map_value(self, change: impl FnOnce(&str, Value) -> Value) -> Self {
        match self {
            Self::Created { key, value } => Self::Created { value: change(&key, value), key },
            Self::Replaced { key, value } => Self::Replaced { value: change(&key, value), key },
            Self::Deleted { .. } => self,
        }
    }

    pub(super) fn into_answer(self) -> Answer {
        match self {
            Self::Created { key, value } => Answer::json(StatusCode::CREATED, json!({"key": key, "value": value})),
            Self::Replaced { key, value } => Answer::json(StatusCode::OK, json!({"key": key, "value": value})),
            // How many, as text: etcd's answer as the original passes it on.
            Self::Deleted { key } => Answer::json(StatusCode::OK, json!({"deleted": "1", "key": key})),
        }
    }
}

impl Command {
    /// Runs the checks in their order. Returns what to commit and what it will have done.
    pub(super) fn plan(self, state: &dyn State) -> Result<(Write, Outcome), Refusal> {
        let Self { prefix, rules, place, change, unix_s, ttl_s } = self;
        let subject = Subject {
            kind: place.kind,
            prefix: &prefix,
            parent: place.parent.as_deref(),
            id: place.id.as_deref(),
            rules,
        };
        let planner = Planner { subject, state, place: &place, unix_s, ttl_s };
        match change {
            Change::Put(object) => planner.put(object),
            Change::Post(object) => planner.post(object),
            Change::Merge(change) => {
                let keep_update_time = change.get("update_time").is_some_and(|time| !time.is_null());
                planner.patch(keep_update_time, |object| {
                    patch::merge(object, change);
                    Ok(())
                })
            }
            Change::Replace(value) => planner.patch(false, |object| patch::replace(object, &place.sub_path, value)),
            Change::Delete { force } => planner.delete(force),
        }
    }
}

struct Planner<'a> {
    subject: Subject<'a>,
    state: &'a dyn State,
    place: &'a Place,
    unix_s: u64,
    ttl_s: u64,
}

type Planned = Result<(Write, Outcome), Refusal>;

impl Planner<'_> {
    fn put(&self, mut object: Map<String, Value>) -> Planned {
        if self.subject.kind.naming != Naming::Username {
            self.settle_id(&mut object)?;
        }
        forbid_times(&object)?;
        let name = self.subject.check(self.state, &mut object)?;
        let key = self.subject.key(&name);
        let earlier = self.state.get(&key)?;
        self.set_times(&mut object, earlier.as_ref().and_then(stored), false);
        Ok(self.store(key, object, earlier.is_some()))
    }

    fn post(&self, mut object: Map<String, Value>) -> Planned {
        let word = self.subject.kind.word;
        if self.subject.id.is_some() || object.contains_key("id") {
            return Err(format!("wrong {word} id, do not need it").into());
        }
        // The revision is unique among generated ids; someone may still have chosen the same by hand.
        let mut number = self.state.next_revision();
        while self.state.get(&self.subject.key(&generated_id(number)))?.is_some() {
            number = number.wrapping_add(1);
        }
        object.insert("id".to_owned(), Value::String(generated_id(number)));
        forbid_times(&object)?;
        let name = self.subject.check(self.state, &mut object)?;
        self.set_times(&mut object, None, false);
        Ok(self.store(self.subject.key(&name), object, false))
    }

    fn patch(
        &self,
        keep_update_time: bool,
        change: impl FnOnce(&mut Map<String, Value>) -> Result<(), String>,
    ) -> Planned {
        if self.subject.kind.naming == Naming::BelowManager && self.subject.id.is_none() {
            return Err(Refusal::Invalid("no secret id".to_owned()));
        }
        let key = self.existing_key()?;
        let earlier = self.state.get(&key)?.ok_or(Refusal::Absent)?;
        let mut object = stored(&earlier).ok_or_else(|| format!("what is stored under {key} is not a JSON object"))?;
        let times = object.clone();
        change(&mut object)?;
        self.settle_id(&mut object)?;
        self.subject.check(self.state, &mut object)?;
        self.set_times(&mut object, Some(times), keep_update_time);
        Ok(self.store(key, object, true))
    }

    fn delete(&self, force: bool) -> Planned {
        let key = self.existing_key()?;
        if self.state.get(&key)?.is_none() {
            return Err(Refusal::Absent);
        }
        if !force {
            forbid_use(self.subject.kind, self.subject.prefix, &key, self.state)?;
        }
        let mut write = vec![Op::Delete { key: key.as_str().into() }];
        if self.subject.kind.naming == Naming::Username {
            // A consumer's credentials go with it, in the same write.
            let below = self.state.keys(&format!("{key}/"))?;
            write.extend(below.into_iter().map(|key| Op::Delete { key }));
        }
        Ok((write, Outcome::Deleted { key }))
    }

    /// The key that the path names, for calls that need one.
    fn existing_key(&self) -> Result<String, Refusal> {
        let id = self.subject.id.ok_or_else(|| self.id_missing())?;
        self.place.key(self.subject.prefix, id).ok_or(Refusal::Absent)
    }

    fn id_missing(&self) -> String {
        format!("missing {} id", self.subject.kind.word)
    }

    /// Makes the object's `id` what the path says; without one there, the object must bring it.
    fn settle_id(&self, object: &mut Map<String, Value>) -> Result<(), String> {
        let word = self.subject.kind.word;
        if self.subject.kind.naming == Naming::BelowManager {
            return self.settle_secret_id(object);
        }
        match (self.subject.id, object.get("id")) {
            (None, None) if self.subject.kind.naming == Naming::Plugin => Err("missing plugin name".to_owned()),
            (None, None) => Err(self.id_missing()),
            (None, Some(_)) => Ok(()),
            (Some(id), Some(own)) if Id::of(own).is_none_or(|own| own.0 != id) => Err(format!("wrong {word} id")),
            (Some(id), _) => {
                object.insert("id".to_owned(), Value::String(id.to_owned()));
                Ok(())
            }
        }
    }

    /// The id of a secret resource is its manager's name and its own, and only the path says it.
    fn settle_secret_id(&self, object: &mut Map<String, Value>) -> Result<(), String> {
        let (Some(manager), Some(id)) = (self.subject.parent, self.subject.id) else { return Err(self.id_missing()) };
        let whole = format!("{manager}/{id}");
        if object.get("id").is_some_and(|own| Id::of(own).is_none_or(|own| own.0 != id && own.0 != whole)) {
            return Err("wrong secret id".to_owned());
        }
        object.insert("id".to_owned(), Value::String(whole));
        Ok(())
    }

    /// Sets `create_time`, unless the object has it, to that of `earlier`; `update_time` to now, unless kept.
    fn set_times(&self, object: &mut Map<String, Value>, earlier: Option<Map<String, Value>>, keep_update_time: bool) {
        if !self.subject.kind.keeps_times {
            return;
        }
        let now = Value::from(self.unix_s);
        if !object.contains_key("create_time") {
            let time = earlier.and_then(|mut earlier| earlier.remove("create_time"));
            let time = time.filter(Value::is_number).unwrap_or_else(|| now.clone());
            object.insert("create_time".to_owned(), time);
        }
        if !keep_update_time {
            object.insert("update_time".to_owned(), now);
        }
    }

    fn store(&self, key: String, object: Map<String, Value>, replaces: bool) -> (Write, Outcome) {
        let value = Value::Object(object);
        // One second more, because the time of the write is cut to whole ones: nothing goes before its time is up.
        let expires_unix_s = (self.ttl_s > 0).then(|| self.unix_s.saturating_add(self.ttl_s).saturating_add(1));
        let put = Op::Put { key: key.as_str().into(), value: value.to_string().into(), expires_unix_s };
        let outcome = if replaces { Outcome::Replaced { key, value } } else { Outcome::Created { key, value } };
        (vec![put], outcome)
    }
}

/// A stored object, if it is one.
fn stored(item: &Item) -> Option<Map<String, Value>> {
    match serde_json::from_str(&item.value) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// An id for POST, in the original's form.
fn generated_id(number: u64) -> String {
    format!("{number:020}")
}

#[cfg(test)]
mod tests {
    use super::super::target::{Target, segments};
    use super::*;
    use crate::resource::Kind;
    use crate::resource::memory::Memory;
    use proptest::prelude::*;

    fn plan(state: &Memory, method: &Method, path: &str, body: Option<Value>) -> Result<(Write, Outcome), String> {
        let segments = segments(&format!("/apisix/admin{path}")).unwrap();
        let place = match Target::find(method, segments) {
            Ok(Target::Resource(place)) => place,
            other => return Err(format!("{other:?}")),
        };
        let change = Change::of(method, &place, body, false).map_err(|answer| answer.body().to_owned())?;
        let command =
            Command { prefix: "/apisix".to_owned(), rules: Rules::default(), place, change, unix_s: 1000, ttl_s: 0 };
        command.plan(state).map_err(|refusal| refusal.to_string())
    }

    /// A member that fits its name, or now and then one that does not.
    fn any_member() -> impl Strategy<Value = (String, Value)> {
        let fitting = prop::sample::select(vec![
            ("id", json!(1)),
            ("id", json!("a.b")),
            ("name", json!("$secret://../../y")),
            ("desc", json!("a")),
            ("uri", json!("/")),
            ("uris", json!(["/a", "$env://x"])),
            ("hosts", json!(["a.b"])),
            ("methods", json!(["GET"])),
            ("methods", json!([])),
            ("priority", json!(-1)),
            ("status", json!(0)),
            ("vars", json!([["arg_a", "==", "b"]])),
            ("remote_addr", json!("::1")),
            ("labels", json!({"a": "b", "c": "$env://x"})),
            ("timeout", json!({"connect": 1, "send": 0.5, "read": 1e300})),
            ("upstream", json!({"nodes": [{"host": "a", "weight": 1}], "retries": 2})),
            ("upstream_id", json!(1)),
            ("nodes", json!({"a:80": 1})),
            ("nodes", json!([])),
            ("retries", json!(4_294_967_295_u32)),
            ("keepalive_pool", json!({"size": 1, "idle_timeout": 0.5})),
            ("plugins", json!({"jwt-auth": {"key": "k", "secret": "s", "_meta": {"disable": true}}})),
            ("plugins", json!({})),
        ]);
        let names =
            prop::sample::select(vec!["id", "username", "uri", "upstream", "nodes", "plugins", "labels", "retries"]);
        let values = prop::sample::select(vec![
            json!(null),
            json!(1.0),
            json!(-1),
            json!("../a"),
            json!("$env://x/../y"),
            json!({"a": 1}),
            json!({"jwt-auth": {}}),
            json!([[]]),
        ]);
        let foreign = (names, values);
        prop_oneof![9 => fitting, 1 => foreign].prop_map(|(name, value)| (name.to_owned(), value))
    }

    /// An object that is nearly one of the kind.
    fn any_object(directory: &str) -> impl Strategy<Value = Value> + use<> {
        let (base, common) = match directory {
            "routes" => (json!({"uri": "/", "upstream_id": 1}), "route"),
            "services" => (json!({}), "service"),
            "upstreams" => (json!({"nodes": {"a": 1}}), "upstream"),
            "consumers" => (json!({"username": "jack"}), "consumer"),
            "consumer_groups" => (json!({"plugins": {}}), "consumer_group"),
            "plugin_configs" => (json!({"plugins": {}}), "plugin_config"),
            "global_rules" => (json!({"plugins": {}}), "global_rule"),
            _ => (json!({}), "credential"),
        };
        let known = Kind::with_schema_name(common).map(|kind| kind.schema.json["properties"].clone()).unwrap();
        prop::collection::vec(any_member(), 0..5).prop_map(move |members| {
            let mut object = base.clone();
            // One unknown member would hide all else, so most are left out.
            let fits = |name: &str| known.get(name).is_some() || name.len() == members.len();
            object.as_object_mut().unwrap().extend(members.iter().filter(|(name, _)| fits(name)).cloned());
            object
        })
    }

    fn any_directory_and_object() -> impl Strategy<Value = (&'static str, Value)> {
        let directories = [
            "routes",
            "services",
            "upstreams",
            "consumers",
            "consumers/bob/credentials",
            "consumer_groups",
            "plugin_configs",
            "global_rules",
        ];
        prop::sample::select(directories.to_vec()).prop_flat_map(|directory| (Just(directory), any_object(directory)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Whatever is accepted is stored under one well-formed key of its directory and can be read back, and merging
        /// nothing into it is accepted and changes nothing.
        #[test]
        fn what_is_accepted_is_sound(
            (directory, object) in any_directory_and_object(),
            id in prop::sample::select(vec!["", "", "/1", "/1", "/a.b", "/jack", "/%2e%2e", "/a%2Fb", "/$env:"]),
        ) {
            let mut state = Memory::holding([
                ("upstreams/1", json!({"nodes": {}})),
                ("consumers/bob", json!({"username": "bob"})),
            ]);
            let path = format!("/{directory}{id}");
            let Ok((write, outcome)) = plan(&state, &Method::PUT, &path, Some(object.clone())) else { return Ok(()) };
            let [Op::Put { key, value, .. }] = &write[..] else { panic!("{write:?}") };
            let name = key.strip_prefix(&format!("/apisix/{directory}/")).unwrap_or_default().to_owned();
            prop_assert!(Id::is_valid(&name), "{key}");
            let stored: Value = serde_json::from_str(value).unwrap();
            for (member, sent) in object.as_object().unwrap() {
                if member != "id" {
                    prop_assert_eq!(&stored[member], sent);
                }
            }
            let is_put = matches!(outcome, Outcome::Created { .. } | Outcome::Replaced { .. });
            prop_assert!(is_put, "not a put");
            state.commit(write.clone());
            if !directory.starts_with("consumers") {
                let (_, again) = plan(&state, &Method::PATCH, &format!("/{directory}/{name}"), Some(json!({}))).unwrap();
                let Outcome::Replaced { key: same_key, value: mut merged } = again else { panic!("{again:?}") };
                prop_assert_eq!(&*same_key, &**key);
                // An id from the body stays as it was sent until a path names it.
                merged["id"] = stored["id"].clone();
                prop_assert_eq!(merged, stored);
            }
            plan(&state, &Method::DELETE, &format!("/{directory}/{name}"), None).map(|_| ()).unwrap();
        }
    }
}
