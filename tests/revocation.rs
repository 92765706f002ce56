//! When the Admin API has answered, the change is live: on every worker and every connection, from the next request on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

mod support;

use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use support::client::Client;
use support::gateway::{Gateway, Setup};
use support::origin::Origin;
use support::token::token;
use support::wait_for;

/// Keep-alive connections hammer with one valid token while it is revoked and restored, in each way there is.
///
/// A request counts against the gateway when no change was under way from before its first byte to after its answer.
#[test]
fn no_request_that_starts_after_the_answer_sees_the_time_before() {
    let origin = Origin::start();
    let gateway = Gateway::with(&Setup { workers: 4, ..Setup::default() });
    let credential = json!({"plugins": {"jwt-auth": {"key": "jack-key", "secret": "s1"}}});
    let other_secret = json!({"plugins": {"jwt-auth": {"key": "jack-key", "secret": "s2"}}});
    let jack = json!({"username": "jack"});
    gateway.put("consumers/jack", &jack);
    gateway.put("consumers/jack/credentials/c1", &credential);
    let upstream = json!({"nodes": {origin.node(): 1}});
    gateway.put("routes/r", &json!({"uri": "/r", "plugins": {"jwt-auth": {}}, "upstream": upstream}));

    let ways: [(&str, &[Call], &[Call]); 3] = [
        ("credential", &[("DELETE", CREDENTIAL, &Value::Null)], &[("PUT", CREDENTIAL, &credential)]),
        ("secret", &[("PUT", CREDENTIAL, &other_secret)], &[("PUT", CREDENTIAL, &credential)]),
        (
            "consumer",
            &[("DELETE", "consumers/jack", &Value::Null)],
            &[("PUT", "consumers/jack", &jack), ("PUT", CREDENTIAL, &credential)],
        ),
    ];
    let shared = Shared { step: AtomicUsize::new(0), done: [const { AtomicUsize::new(0) }; CONNECTIONS] };
    let token = token("jack-key", b"s1", json!({}));
    thread::scope(|scope| {
        // Also when a check below fails: the threads must end, or the scope would not.
        let stop = StopOnDrop(&shared);
        let address = gateway.data();
        let hammers: Vec<_> = (0..CONNECTIONS)
            .map(|index| {
                let (shared, token) = (&shared, token.as_str());
                scope.spawn(move || shared.hammer(index, Client::connect(address).unwrap(), token))
            })
            .collect();
        let mut admin = gateway.admin_client();
        for round in 0..ROUNDS {
            for (way, revoke, restore) in &ways {
                shared.wait_for_requests("valid", &hammers);
                for calls in [revoke, restore] {
                    shared.step.fetch_add(1, Ordering::SeqCst);
                    for (method, path, body) in *calls {
                        let status = admin.call(method, path, body).unwrap().status;
                        assert!(matches!(status, 200 | 201), "round {round}, {way}: {method} {path}: {status}");
                    }
                    shared.step.fetch_add(1, Ordering::SeqCst);
                    shared.wait_for_requests(way, &hammers);
                }
            }
        }
        drop(stop);
        let judged: usize = hammers.into_iter().map(|hammer| hammer.join().unwrap()).sum();
        println!("{judged} requests judged over {CONNECTIONS} connections and {} changes", ROUNDS * ways.len() * 2);
    });
}

type Call<'a> = (&'a str, &'a str, &'a Value);

struct Shared {
    /// Modulo 4: valid, being revoked, revoked, being restored. [`STOP`] ends the hammering.
    step: AtomicUsize,
    /// Requests of each connection that were judged.
    done: [AtomicUsize; CONNECTIONS],
}

impl Shared {
    /// Asks again and again; returns how many answers were judged.
    fn hammer(&self, index: usize, mut client: Client, token: &str) -> usize {
        loop {
            let before = self.step.load(Ordering::SeqCst);
            if before == STOP {
                return self.done[index].load(Ordering::SeqCst);
            }
            let answer = client.request("GET", "/r", &[("Authorization", token)], b"").unwrap();
            let after = self.step.load(Ordering::SeqCst);
            let wanted = match before % 4 {
                0 => 200,
                2 => 401,
                _ => continue,
            };
            if after == before {
                assert_eq!(answer.status, wanted, "connection {index}, step {before}: {}", answer.text());
                self.done[index].fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// Waits until every connection has been judged a few more times.
    fn wait_for_requests<T>(&self, what: &str, hammers: &[thread::ScopedJoinHandle<'_, T>]) {
        let count = |index: usize| self.done[index].load(Ordering::SeqCst);
        let before: Vec<usize> = (0..CONNECTIONS).map(count).collect();
        wait_for(what, || {
            assert!(hammers.iter().all(|hammer| !hammer.is_finished()), "{what}: a connection was served wrongly");
            (0..CONNECTIONS).all(|index| count(index) >= before[index] + REQUESTS_EACH).then_some(())
        });
    }
}

struct StopOnDrop<'a>(&'a Shared);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.step.store(STOP, Ordering::SeqCst);
    }
}

const CREDENTIAL: &str = "consumers/jack/credentials/c1";
const CONNECTIONS: usize = 64;
const ROUNDS: usize = 4;
/// Answers that each connection gives between two changes.
const REQUESTS_EACH: usize = 4;
const STOP: usize = usize::MAX;
