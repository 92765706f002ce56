//! What the Admin API has acknowledged survives `kill -9`, and nothing survives by halves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

mod support;

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use support::gateway::{AdminClient, Gateway};
use support::wait_for;

#[test]
fn acknowledged_writes_outlive_the_process() {
    let mut gateway = Gateway::start();
    let mut models: Vec<Model> = (0..WRITERS).map(|writer| Model { writer, ..Model::default() }).collect();
    let mut newest = 0;
    for round in 0..ROUNDS {
        let acknowledged = AtomicUsize::new(0);
        models = thread::scope(|scope| {
            let writers: Vec<_> = models
                .into_iter()
                .map(|model| {
                    let (client, acknowledged) = (gateway.admin_client(), &acknowledged);
                    scope.spawn(move || model.write_until_cut_off(client, round, acknowledged))
                })
                .collect();
            // Another number each round, so that the cut falls elsewhere.
            let enough = 60 + 37 * round;
            wait_for("acknowledged writes", || (acknowledged.load(Ordering::SeqCst) >= enough).then_some(()));
            gateway.crash();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let mut client = gateway.admin_client();
        let mut revisions = BTreeSet::new();
        for model in &mut models {
            model.compare(&mut client, &mut revisions);
        }
        let newest_found = revisions.last().copied().unwrap_or_default();
        gateway.put("consumers/probe", &json!({"username": "probe"}));
        let probe = client.call("GET", "consumers/probe", &Value::Null).unwrap().json();
        let next = probe["modifiedIndex"].as_u64().unwrap();
        assert!(next > newest_found && next > newest, "round {round}: {next} after {newest_found} and {newest}");
        newest = next;
    }
    let written: usize = models.iter().map(|model| model.expected.len()).sum();
    println!("{written} keys compared after {ROUNDS} kills");
}

/// What one writer knows of its own keys; no other writer touches them.
#[derive(Default)]
struct Model {
    writer: usize,
    /// The value sent with the last acknowledged PUT, or `None` after an acknowledged DELETE.
    expected: BTreeMap<String, Option<Value>>,
    /// The write that was on its way when the process died, as what it would have made of the keys.
    unsure: BTreeMap<String, Option<Value>>,
}

impl Model {
    /// Writes a consumer with a credential, changes it, removes some; until the connection breaks.
    fn write_until_cut_off(mut self, mut client: AdminClient, round: usize, acknowledged: &AtomicUsize) -> Self {
        for number in 0.. {
            let name = format!("w{}-r{round}-{}", self.writer, number % 20);
            let consumer = format!("consumers/{name}");
            let credential = format!("{consumer}/credentials/c");
            let marks = ["a", "b"].map(|letter| letter.repeat(50 + number % 150));
            let first = json!({"username": name, "desc": marks[0]});
            let second = json!({"username": name, "desc": marks[1], "labels": {"n": number.to_string()}});
            let login = json!({"id": "c", "plugins": {"jwt-auth": {"key": name, "secret": marks[0]}}});
            let steps: [(&str, BTreeMap<String, Option<Value>>); 4] = [
                ("PUT", BTreeMap::from([(consumer.clone(), Some(first))])),
                ("PUT", BTreeMap::from([(credential.clone(), Some(login))])),
                ("PUT", BTreeMap::from([(consumer.clone(), Some(second))])),
                // Takes the credential along, in one piece.
                ("DELETE", BTreeMap::from([(consumer.clone(), None), (credential, None)])),
            ];
            let steps_taken = if number % 3 == 0 { 4 } else { 3 };
            for (method, outcome) in steps.into_iter().take(steps_taken) {
                let (path, body) = outcome.first_key_value().map(|(path, body)| (path.clone(), body.clone())).unwrap();
                let Ok(answer) = client.call(method, &path, &body.unwrap_or_default()) else {
                    self.unsure = outcome;
                    return self;
                };
                assert!(matches!(answer.status, 200 | 201), "{method} {path}: {}", answer.text());
                self.expected.extend(outcome);
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        }
        self
    }

    /// Reads every key back; what was unsure is settled by what is there.
    fn compare(&mut self, client: &mut AdminClient, revisions: &mut BTreeSet<u64>) {
        let unsure = std::mem::take(&mut self.unsure);
        let mut happened = BTreeSet::new();
        for path in self.expected.keys().chain(unsure.keys()).cloned().collect::<BTreeSet<_>>() {
            let found = stored(client, &path, revisions);
            let before = self.expected.get(&path).cloned().flatten();
            match unsure.get(&path) {
                Some(after) if *after != before => {
                    assert!(
                        found == *after || found == before,
                        "{path}: {found:?} is neither {before:?} nor {after:?}"
                    );
                    happened.insert(found == *after);
                }
                _ => assert_eq!(found, before, "{path}: what was acknowledged"),
            }
            self.expected.insert(path, found);
        }
        assert!(happened.len() < 2, "a write of several keys happened by halves: {unsure:?}");
    }
}

/// What is stored, without what the server adds; `None` where nothing is.
fn stored(client: &mut AdminClient, path: &str, revisions: &mut BTreeSet<u64>) -> Option<Value> {
    let answer = client.call("GET", path, &Value::Null).unwrap();
    if answer.status == 404 {
        return None;
    }
    assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
    let mut found = answer.json();
    let (created, modified) = (found["createdIndex"].as_u64().unwrap(), found["modifiedIndex"].as_u64().unwrap());
    assert!(created <= modified, "{path}: created at {created}, modified at {modified}");
    assert!(revisions.insert(modified), "{path}: revision {modified} belongs to another write");
    let value = found["value"].as_object_mut().unwrap();
    for time in ["create_time", "update_time"] {
        assert!(value.remove(time).is_some_and(|time| time.is_u64()), "{path}: no {time}");
    }
    Some(found["value"].take())
}

const WRITERS: usize = 6;
const ROUNDS: usize = 5;
