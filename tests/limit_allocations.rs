//! Limits allocate nothing per request once a key has its window.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "support/allocations.rs"]
mod allocations;

use allocations::ALLOCATIONS;
use ringgate::auth::consumer::ConsumerTable;
use ringgate::auth::jwt::Scratch;
use ringgate::base::clock::Now;
use ringgate::http::request::OwnedRequest;
use ringgate::limit::{Local, Table};
use ringgate::plugin::{Context, Edits, Site, Verdict, registry};
use serde_json::json;
use std::sync::Arc;

#[test]
fn nothing_is_allocated_for_a_known_key() {
    let table = Arc::new(Table::new(1024, 0, 0));
    let consumers = ConsumerTable::default();
    let (mut edits, mut scratch, mut local) = (Edits::default(), Scratch::default(), Local::default());
    let request = OwnedRequest::new("GET", "/?n=8").field("Host", "h").field("X-User", "u");
    for (name, configuration) in [
        ("constant", json!({"count": 20, "time_window": 60, "key": "x", "key_type": "constant"})),
        ("address", json!({"count": 20, "time_window": 60})),
        ("sliding", json!({"count": 20, "time_window": 60, "key": "http_x_user", "window_type": "sliding"})),
        (
            "template",
            json!({"count": "$arg_n", "time_window": 60, "key": "$http_x_user $host", "key_type": "var_combination"}),
        ),
        (
            "rules",
            json!({"rules": [{"count": 20, "time_window": 60, "key": "$http_x_user"}, {"count": 9, "time_window": 6, "key": "$host"}]}),
        ),
        ("used up", json!({"count": 1, "time_window": 60, "key": "y", "key_type": "constant", "rejected_msg": "no"})),
    ] {
        let site = Site {
            key: "/apisix/routes/1",
            consumer: None,
            meta: None,
            metadata: None,
            paces: &Arc::default(),
            limits: &table,
        };
        let plugin = (registry::find("limit-count").unwrap().build)(&configuration, &site).unwrap();
        let mut ask = || {
            edits.clear();
            let mut context = Context::new(Now::default(), &consumers, &mut edits, &mut scratch, &mut local);
            matches!(plugin.access(&request.view(), &mut context), Verdict::Continue)
        };
        for _ in 0..3 {
            ask();
        }
        let before = ALLOCATIONS.get();
        let admitted = ask();
        assert_eq!(ALLOCATIONS.get() - before, 0, "{name}");
        assert_eq!(admitted, name != "used up", "{name}");
    }
}
