//! Spec/admin-api §3, §4, §7, §8, §10: what writes and reads answer.

use super::*;

fn route() -> Value {
    json!({"uri": "/a", "upstream": {"type": "roundrobin", "nodes": {"a:80": 1}}})
}

#[tokio::test]
async fn the_calls_of_the_seed() {
    let api = Api::new().await;
    for status in [201, 200] {
        let heard = api.put("/consumers", json!({"username": "jack"})).await;
        assert_eq!(heard.status, status, "{}", heard.body);
        assert_eq!(heard.json()["key"], "/apisix/consumers/jack");
        assert_eq!(heard.json()["value"]["username"], "jack");
        assert!(heard.json()["value"].get("id").is_none());
        let body = "{\n    \"id\": \"cred-jack-jwt-auth\",\n    \"plugins\": {\n      \"jwt-auth\": {\n        \"key\": \"jack-key\",\n        # highlight-next-line\n        \"secret\": \"$env://JACK_JWT_SECRET\"\n      }\n    }\n  }";
        let heard = api.call("PUT", "/consumers/jack/credentials", body).await;
        assert_eq!(heard.status, status, "{}", heard.body);
        assert_eq!(heard.json()["key"], "/apisix/consumers/jack/credentials/cred-jack-jwt-auth");
        let mut body = route();
        body["id"] = json!("jwt-route");
        body["plugins"] = json!({"jwt-auth": {}});
        let heard = api.put("/routes", body).await;
        assert_eq!(heard.status, status, "{}", heard.body);
        assert_eq!(heard.json()["value"]["id"], "jwt-route");
        assert!(heard.json().get("createdIndex").is_none());
    }
}

#[tokio::test]
async fn what_was_sent_comes_back_with_id_and_times_and_no_defaults() {
    let api = Api::new().await;
    let sent = "{\"uri\":\"/a\",\"upstream\":{\"nodes\":[],\"desc\":\"a/b\"},\"plugins\":{},\"methods\":[]}";
    let heard = api.call("PUT", "/routes/1", sent).await;
    assert_eq!(heard.status, 201, "{}", heard.body);
    let got = api.get("/routes/1/").await;
    let value = got.json()["value"].clone();
    let times =
        format!(",\"id\":\"1\",\"create_time\":{},\"update_time\":{}}}", value["create_time"], value["update_time"]);
    let want = format!("{}{times}", sent.strip_suffix('}').unwrap());
    assert_eq!(
        got.body,
        format!("{{\"key\":\"/apisix/routes/1\",\"value\":{want},\"createdIndex\":1,\"modifiedIndex\":1}}\n")
    );
    assert_eq!(heard.body, format!("{{\"key\":\"/apisix/routes/1\",\"value\":{want}}}\n"));
    assert!(value["create_time"].as_u64().unwrap() > 1_600_000_000);
}

#[tokio::test]
async fn ids() {
    let api = Api::new().await;
    let with = |id: Value| {
        let mut body = route();
        body["id"] = id;
        body
    };
    for (row, method, path, body, want) in [
        ("none", "PUT", "/routes", route(), "missing route id"),
        ("differs", "PUT", "/routes/1", with(json!("2")), "wrong route id"),
        ("neither text nor number", "PUT", "/routes/1", with(json!([])), "wrong route id"),
        ("same, as a number", "PUT", "/routes/1", with(json!(1)), ""),
        (
            "syntax, path",
            "PUT",
            "/routes/a%20b",
            route(),
            "invalid configuration: property \"id\" validation failed: object matches none of the required",
        ),
        (
            "slash, path",
            "PUT",
            "/routes/a%2Fb",
            route(),
            "invalid configuration: property \"id\" validation failed: object matches none of the required",
        ),
        (
            "syntax, body",
            "PUT",
            "/routes",
            with(json!("a/b")),
            "invalid configuration: property \"id\" validation failed: object matches none of the required",
        ),
        ("POST, path", "POST", "/routes/1", route(), "wrong route id, do not need it"),
        ("POST, body", "POST", "/routes", with(json!(1)), "wrong route id, do not need it"),
        ("PATCH", "PATCH", "/routes", route(), "missing route id"),
        ("PATCH of the id", "PATCH", "/routes/1", json!({"id": "2"}), "wrong route id"),
        ("credential", "PUT", "/consumers/jack/credentials", json!({}), "missing credential id"),
        ("consumer", "PUT", "/consumers/jack", json!({"username": "bob"}), "wrong username"),
        (
            "times",
            "PUT",
            "/routes/1",
            json!({"upstream": {"update_time": 1}}),
            "the property is forbidden:  upstream.update_time",
        ),
        (
            "not an object",
            "PUT",
            "/routes/1",
            json!([]),
            "invalid configuration: wrong type: expected object, got table",
        ),
        ("null", "POST", "/routes", json!(null), "invalid configuration: wrong type: expected object, got userdata"),
    ] {
        let heard = api.call(method, path, body.to_string()).await;
        assert_eq!(heard.json()["error_msg"].as_str().unwrap_or_default(), want, "{row}: {}", heard.body);
        assert!(matches!(heard.status, 201 | 400), "{row}");
    }
    let posted = api.call("POST", "/routes", route().to_string()).await;
    let id = posted.json()["value"]["id"].as_str().unwrap().to_owned();
    assert_eq!((posted.status, id.len()), (201, 20), "{}", posted.body);
    assert_eq!(posted.json()["key"], format!("/apisix/routes/{id}"));
    assert_eq!(api.get(&format!("/routes/{id}")).await.status, 200);
}

#[tokio::test]
async fn a_put_that_replaces_keeps_the_creation_and_nothing_else() {
    let api = Api::new().await;
    let mut body = route();
    body["name"] = json!("old");
    api.put("/routes/1", body).await;
    // Times can be set by PATCH: an old creation shows that the next PUT keeps it.
    let patched = api.call("PATCH", "/routes/1", json!({"create_time": 7, "update_time": 8}).to_string()).await;
    assert_eq!(patched.json()["value"]["update_time"], 8, "{}", patched.body);
    let heard = api.put("/routes/1", route()).await.json();
    assert_eq!(heard["value"]["create_time"], 7);
    assert!(heard["value"]["update_time"].as_u64().unwrap() > 8);
    assert!(heard["value"].get("name").is_none());
    let got = api.get("/routes/1").await.json();
    assert_eq!((&got["createdIndex"], &got["modifiedIndex"]), (&json!(1), &json!(3)));
}

#[tokio::test]
async fn patches() {
    let api = Api::new().await;
    let missing = api.call("PATCH", "/routes/1", "{}").await;
    assert_eq!(missing.line(), "404 {\"message\":\"Key not found\"}");
    api.put("/routes/1", route()).await;
    for (row, path, body, status, pointer, want) in [
        (
            "merge grows nodes",
            "",
            json!({"upstream": {"nodes": {"b:80": 2}}}),
            200,
            "/value/upstream/nodes",
            json!({"a:80": 1, "b:80": 2}),
        ),
        (
            "null removes one",
            "",
            json!({"upstream": {"nodes": {"a:80": null}}}),
            200,
            "/value/upstream/nodes",
            json!({"b:80": 2}),
        ),
        ("sub-path replaces", "/upstream/nodes", json!({"c:80": 3}), 200, "/value/upstream/nodes", json!({"c:80": 3})),
        ("sub-path, scalar", "/desc", json!("d"), 200, "/value/desc", json!("d")),
        ("sub-path makes objects", "/labels/a", json!("b"), 200, "/value/labels", json!({"a": "b"})),
        ("sub-path through a scalar", "/desc/x/y", json!(1), 400, "/error_msg", json!("invalid sub-path: /desc")),
        ("checked as a whole", "/upstream/nodes", json!({"a:0": 3}), 400, "/error_msg", json!("invalid port 0")),
        (
            "checked as a whole, reference",
            "",
            json!({"service_id": "x"}),
            400,
            "/error_msg",
            json!("failed to fetch service info by service id [x], response code: 404"),
        ),
        (
            "not an object",
            "",
            json!(1),
            400,
            "/error_msg",
            json!("invalid configuration: wrong type: expected object, got number"),
        ),
    ] {
        let heard = api.call("PATCH", &format!("/routes/1{path}"), body.to_string()).await;
        assert_eq!(heard.status, status, "{row}: {}", heard.body);
        assert_eq!(heard.json().pointer(pointer), Some(&want), "{row}: {}", heard.body);
    }
}

#[tokio::test]
async fn deletions_respect_references_unless_forced() {
    let api = Api::new().await;
    api.put("/upstreams/u", json!({"nodes": {"a:80": 1}})).await;
    api.put("/services/s", json!({"upstream_id": "u"})).await;
    api.put("/routes/r", json!({"uri": "/", "service_id": "s"})).await;
    for (call, want) in [
        ("/upstreams/u", "400 {\"error_msg\":\"can not delete this upstream, service [s] is still using it now\"}"),
        (
            "/services/s",
            "400 {\"error_msg\":\"can not delete this service directly, route [r] is still using it now\"}",
        ),
        (
            "/services/s?force=1",
            "400 {\"error_msg\":\"can not delete this service directly, route [r] is still using it now\"}",
        ),
        ("/services/s?force=true", "200 {\"deleted\":\"1\",\"key\":\"/apisix/services/s\"}"),
        ("/upstreams/u", "200 {\"deleted\":\"1\",\"key\":\"/apisix/upstreams/u\"}"),
        ("/upstreams/u", "404 {\"message\":\"Key not found\"}"),
        ("/routes/r", "200 {\"deleted\":\"1\",\"key\":\"/apisix/routes/r\"}"),
    ] {
        assert_eq!(api.call("DELETE", call, "").await.line(), want, "{call}");
    }
}

#[tokio::test]
async fn a_consumer_takes_its_credentials_along_and_no_others() {
    let api = Api::new().await;
    for name in ["jack", "jack2"] {
        api.put("/consumers", json!({"username": name})).await;
        let heard = api
            .put(
                &format!("/consumers/{name}/credentials/c"),
                json!({"plugins": {"jwt-auth": {"key": name, "secret": "s"}}}),
            )
            .await;
        assert_eq!(heard.status, 201, "{}", heard.body);
    }
    let listed = api.get("/consumers").await.json();
    assert_eq!(listed["total"], 2, "credentials are not consumers: {listed}");
    assert_eq!(api.get("/consumers/jack/credentials").await.json()["total"], 1);
    let duplicate = json!({"plugins": {"jwt-auth": {"key": "jack", "secret": "s"}}});
    assert_eq!(
        api.put("/consumers/jack2/credentials/d", duplicate.clone()).await.line(),
        "400 {\"error_msg\":\"duplicate key of plugin jwt-auth found with credential: c of consumer: jack\"}"
    );
    assert_eq!(
        api.call("DELETE", "/consumers/jack", "").await.line(),
        "200 {\"deleted\":\"1\",\"key\":\"/apisix/consumers/jack\"}"
    );
    assert_eq!(api.get("/consumers/jack/credentials").await.line(), "404 {\"message\":\"Key not found\"}");
    assert_eq!(api.get("/consumers/jack2/credentials").await.json()["total"], 1);
    assert_eq!(
        api.put("/consumers/jack/credentials/c", duplicate.clone()).await.line(),
        "404 {\"error_msg\":\"consumer not found\"}"
    );
    assert_eq!(api.put("/consumers/jack2/credentials/d", duplicate).await.status, 201, "the key is free again");
}

#[tokio::test]
async fn a_ttl_is_stored_with_the_object_and_ends_with_the_next_write() {
    let state = state().await;
    let api = Api::of(state.clone(), "127.0.0.1");
    let now = crate::base::clock::unix().as_secs();
    let expiry = async || state.control.get("/apisix/routes/1").await.unwrap().unwrap().expires_unix_s;
    api.call("PUT", "/routes/1?ttl=1000", route().to_string()).await;
    assert!(expiry().await.is_some_and(|expires| (now + 1000..now + 1060).contains(&expires)));
    api.call("PUT", "/routes/1?ttl=0", route().to_string()).await;
    assert_eq!(expiry().await, None);
    api.call("PATCH", "/routes/1?ttl=5.5", "{}").await;
    assert!(expiry().await.is_some_and(|expires| (now + 6..now + 66).contains(&expires)));
    assert_eq!(api.call("PUT", "/routes/1?ttl=soon", route().to_string()).await.status, 400);
}

#[test]
fn a_write_that_is_not_live_or_not_stored_says_so() {
    for (ended, want) in [
        (
            WriteError::NotLive { revision: 7, reason: "worker 1 is behind".to_owned() },
            "503 {\"error_msg\":\"stored at revision 7, not yet live: worker 1 is behind\"}\n",
        ),
        (WriteError::Store(StoreError::Io("disk full".to_owned())), "503 {\"error_msg\":\"disk full\"}\n"),
        (WriteError::Internal, "500 {\"error_msg\":\"internal error\"}\n"),
    ] {
        let answer = ended_as(Err(ended));
        assert_eq!(format!("{} {}", answer.status().as_u16(), answer.body()), want);
    }
}
