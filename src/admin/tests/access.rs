//! Spec/admin-api §1, §2: who gets in, how answers are dressed, which methods there are.

use super::*;

#[tokio::test]
async fn a_key_is_found_and_judged() {
    let api = Api::new().await;
    let missing = "401 {\"error_msg\":\"failed to check token\",\"description\":\"missing apikey\"}";
    let wrong = "401 {\"error_msg\":\"failed to check token\",\"description\":\"wrong apikey\"}";
    let viewer = "401 {\"error_msg\":\"failed to check token\",\"description\":\"invalid method for role viewer\"}";
    let empty = "200 {\"total\":0,\"list\":[]}";
    for (row, method, query, header, cookie, want) in [
        ("none", "GET", "", "", "", missing),
        ("header", "GET", "", "admin-key", "", empty),
        ("query", "GET", "?api_key=admin-key", "", "", empty),
        ("cookie", "GET", "", "", "a=b; x_api_key=admin-key", empty),
        ("query before header", "GET", "?api_key=x", "admin-key", "", wrong),
        ("empty query is present", "GET", "?api_key=", "admin-key", "", wrong),
        ("header before cookie", "GET", "", "x", "x_api_key=admin-key", wrong),
        ("a prefix of the key", "GET", "", "admin-ke", "", wrong),
        ("more than the key", "GET", "", "admin-key ", "", wrong),
        ("viewer reads", "GET", "", "viewer-key", "", empty),
        ("viewer writes", "PUT", "", "viewer-key", "", viewer),
        ("viewer deletes", "DELETE", "", "viewer-key", "", viewer),
    ] {
        let mut request = Request::builder().method(method).uri(format!("/apisix/admin/routes{query}"));
        for (name, value) in [("x-api-key", header), ("cookie", cookie)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let heard = api.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(heard.line(), want, "{row}");
        assert_eq!(heard.headers.contains_key("x-api-version"), heard.status == 200, "{row}");
    }
}

#[tokio::test]
async fn an_open_api_asks_for_no_key() {
    for (row, change) in [
        ("not required", (|state: &mut AdminState| state.key_required = false) as fn(&mut AdminState)),
        ("no keys", |state| state.keys.clear()),
    ] {
        let mut state = state().await;
        change(&mut state);
        let heard =
            Api::of(state, "127.0.0.1").send(Request::get("/apisix/admin/routes").body(Body::empty()).unwrap()).await;
        assert_eq!(heard.line(), "200 {\"total\":0,\"list\":[]}", "{row}");
    }
}

#[tokio::test]
async fn addresses_outside_the_list_get_a_page_that_says_why() {
    for (peer, status) in [("127.0.0.9", 200), ("::ffff:127.0.0.9", 200), ("127.0.1.1", 403), ("::1", 403)] {
        let heard = Api::of(state().await, peer).get("/routes").await;
        assert_eq!(heard.status, status, "{peer}");
        if status == 403 {
            assert_eq!(heard.headers["content-type"], "text/html", "{peer}");
            assert!(heard.body.contains("allow_admin"), "{peer}: {}", heard.body);
        }
    }
    let heard = router(state().await).oneshot(Request::get("/apisix/admin/routes").body(Body::empty()).unwrap()).await;
    assert_eq!(heard.unwrap().status(), 403, "an unknown address is not an allowed one");
    let everybody = AdminState { allow: None, ..state().await };
    assert_eq!(Api::of(everybody, "203.0.113.1").get("/routes").await.status, 200);
}

#[tokio::test]
async fn guessing_is_slowed_per_address() {
    let state = state().await;
    let api = Api::of(state.clone(), "127.0.0.1");
    let guess = || Request::get("/apisix/admin/routes?api_key=guess").body(Body::empty()).unwrap();
    let mut statuses = Vec::new();
    for _ in 0..80 {
        statuses.push(api.send(guess()).await.status);
    }
    assert!(statuses.iter().take(60).all(|status| *status == 401), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&429));
    assert_eq!(api.send(guess()).await.headers["retry-after"], "1");
    assert_eq!(api.get("/routes").await.status, 200, "whoever has a key is not held up by others at the same address");
    let none = api.send(Request::get("/apisix/admin/routes").body(Body::empty()).unwrap()).await;
    assert_eq!(none.status, 401, "a request without a key is no guess");
}

#[tokio::test]
async fn every_answer_is_dressed() {
    let api = Api::new().await;
    for (row, path, content_type, is_versioned) in [
        ("resource", "/routes", "application/json", true),
        ("absent", "/routes/1", "application/json", true),
        ("unknown resource", "/x", "application/json", false),
        ("plugin names", "/plugins/list", "application/json", false),
        ("a schema", "/schema/route", "application/json", true),
        ("no resource", "", "text/html", false),
    ] {
        let heard = api.get(path).await;
        assert_eq!(heard.headers["content-type"], content_type, "{row}");
        assert_eq!(heard.headers["server"], "ringgate/test", "{row}");
        assert_eq!(
            heard.headers.get("x-api-version"),
            is_versioned.then_some(&HeaderValue::from_static("v3")),
            "{row}"
        );
        for (name, value) in [("origin", "*"), ("credentials", "true")] {
            assert_eq!(heard.headers[format!("access-control-allow-{name}")], value, "{row}");
        }
        assert_eq!(heard.headers["access-control-expose-headers"], "*", "{row}");
        assert_eq!(heard.headers["access-control-max-age"], "3600", "{row}");
    }
    let plain = Api::of(AdminState { cors: false, ..state().await }, "127.0.0.1");
    assert!(!plain.get("/routes").await.headers.contains_key("access-control-allow-origin"));
    assert_eq!(plain.call("OPTIONS", "/routes", "").await.status, 404);
}

#[tokio::test]
async fn options_and_head_need_no_key() {
    let api = Api::new().await;
    let bare = |method: &str, path: &str| Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let heard = api.send(bare("OPTIONS", "/apisix/admin/anything")).await;
    assert_eq!((heard.status, heard.body.as_str()), (200, ""));
    assert_eq!(heard.headers["access-control-allow-methods"], "POST, GET, PUT, OPTIONS, DELETE, PATCH");
    assert_eq!(heard.headers["access-control-allow-headers"], "*");
    assert_eq!(heard.headers["content-type"], "text/plain");
    for (method, path, status) in [
        ("HEAD", "/apisix/admin", 200),
        ("HEAD", "/apisix/admin/", 200),
        ("HEAD", "/apisix/admin/routes", 404),
        ("TRACE", "/apisix/admin/routes", 404),
        ("GET", "/apisix/admin", 404),
        ("GET", "/apisix/administrator", 404),
        ("GET", "/", 404),
        ("OPTIONS", "/", 404),
    ] {
        assert_eq!(api.send(bare(method, path)).await.status, status, "{method} {path}");
    }
}

#[tokio::test]
async fn the_method_matrix() {
    let api = Api::new().await;
    for (method, path, want) in [
        ("POST", "/consumers", "405 {\"error_msg\":\"not supported `POST` method for consumer\"}"),
        ("PATCH", "/consumers/jack", "405 {\"error_msg\":\"not supported `PATCH` method for consumer\"}"),
        ("POST", "/consumers/jack/credentials", "405 {\"error_msg\":\"not supported `POST` method for credential\"}"),
        (
            "PATCH",
            "/consumers/jack/credentials/c",
            "405 {\"error_msg\":\"not supported `PATCH` method for credential\"}",
        ),
        ("POST", "/routes", "400 {\"error_msg\":\"missing configurations\"}"),
        ("PUT", "/routes/1", "400 {\"error_msg\":\"missing configurations\"}"),
        ("PATCH", "/routes/1", "400 {\"error_msg\":\"missing new configuration\"}"),
        ("PATCH", "/services/1/upstream", "400 {\"error_msg\":\"missing new configuration\"}"),
        ("DELETE", "/upstreams/1", "404 {\"message\":\"Key not found\"}"),
        ("DELETE", "/upstreams", "400 {\"error_msg\":\"missing upstream id\"}"),
        ("DELETE", "/consumers", "400 {\"error_msg\":\"missing consumer id\"}"),
        ("GET", "/routes/", "200 {\"total\":0,\"list\":[]}"),
        ("GET", "/consumers/jack/credentials", "404 {\"message\":\"Key not found\"}"),
        ("GET", "/consumers/jack/credentials/c", "404 {\"message\":\"Key not found\"}"),
        ("DELETE", "/routes/1/plugins", "400 {\"error_msg\":\"a sub-path is not supported by DELETE\"}"),
        ("GET", "/credentials", "404 {\"error_msg\":\"Unsupported resource type: credentials\"}"),
        ("PUT", "/ssls/1", "404 {\"error_msg\":\"Unsupported resource type: ssls\"}"),
        ("PUT", "/stream_routes/1", "400 {\"error_msg\":\"stream mode is disabled, can not add stream routes\"}"),
        ("PUT", "/plugins/x", "404 {\"error_msg\":\"not found\"}"),
        ("DELETE", "/schema/route", "404 {\"error_msg\":\"not found\"}"),
        ("GET", "/routes?ttl=x", "400 {\"error_msg\":\"invalid argument ttl: should be a number\"}"),
    ] {
        assert_eq!(api.call(method, path, "").await.line(), want, "{method} {path}");
    }
}

#[tokio::test]
async fn plugins_and_schemas_can_be_read() {
    let api = Api::new().await;
    assert!(api.get("/plugins/list").await.json().as_array().unwrap().contains(&json!("jwt-auth")));
    assert_eq!(api.get("/plugins/list?subsystem=stream").await.line(), "200 []");
    assert_eq!(api.get("/plugins/list?subsystem=x").await.line(), "400 invalid subsystem passed");
    assert_eq!(api.get("/plugins/nope").await.line(), "404 {\"error_msg\":\"plugin not found in subsystem http\"}");
    assert_eq!(
        api.get("/plugins/jwt-auth?subsystem=x").await.line(),
        "400 {\"error_msg\":\"unsupported subsystem: x\"}"
    );
    let schema = api.get("/plugins/jwt-auth?schema_type=consumer").await;
    assert_eq!(schema.status, 200);
    assert_eq!(api.get("/schema/plugins/jwt-auth?schema_type=consumer").await.body, schema.body);
    assert_eq!(api.get("/plugins?all=true").await.json()["jwt-auth"]["priority"], 2510);
    for name in [
        "route",
        "service",
        "upstream",
        "consumer",
        "credential",
        "consumer_group",
        "plugin_config",
        "global_rule",
        "plugins",
    ] {
        assert_eq!(api.get(&format!("/schema/{name}")).await.json()["type"], "object", "{name}");
    }
    assert_eq!(api.get("/schema/routes").await.line(), "400 {\"error_msg\":\"not found schema: routes\"}");
    let names = api.get("/plugins/list").await.json();
    assert_eq!(names, json!(["jwt-auth", "limit-count", "limit-req", "public-api"]), "highest priority first");
    assert_eq!(api.call("PUT", "/plugins/reload", "").await.line(), "200 done");
    for method in ["GET", "POST"] {
        let text = format!("please use PUT method to reload the plugins, {method} method is not allowed.");
        let want = format!("405 {{\"error_msg\":\"{text}\"}}");
        assert_eq!(api.call(method, "/plugins/reload", "").await.line(), want);
    }
    let validate = |body: Value| api.call("POST", "/schema/validate/services", body.to_string());
    assert_eq!(validate(json!({"upstream_id": "absent", "plugins": {"nope": {}}})).await.line(), "200 ");
    assert_eq!(
        validate(json!({"x": 1})).await.line(),
        "400 {\"error_msg\":\"additional properties forbidden, found x\"}"
    );
}

#[tokio::test]
async fn a_whole_configuration_is_judged_without_being_stored() {
    let api = Api::new().await;
    let validate = |body: Value| api.call("POST", "/configs/validate", body.to_string());
    let upstream = json!({"nodes": {"a:80": 1}});
    let right = json!({
        "routes": [
            {"id": "1", "uri": "/", "service_id": "absent", "plugin_config_id": "absent"},
            {"id": 2, "uri": "/", "upstream": upstream, "plugins": {"limit-count": {"count": 1, "time_window": 1}}},
        ],
        "routes_conf_version": 7,
        "consumers": [
            {"username": "jack", "group_id": "absent"},
            {"id": "jack/credentials/c", "plugins": {"jwt-auth": {"key": "k", "secret": "s"}}},
            {"id": "bob/credentials/c", "plugins": {"jwt-auth": {"key": "k", "secret": "s"}}},
        ],
        "global_rules": [{"id": "1", "plugins": {"jwt-auth": {}}}, {"id": "2", "plugins": {"jwt-auth": {}}}],
        "plugin_metadata": [{"id": "limit-count", "limit_header": "X-L"}],
        "secrets": [{"id": "vault/1", "uri": "http://h", "prefix": "kv", "token": "t"}],
    });
    assert_eq!(validate(right).await.line(), "200 {}");
    assert_eq!(api.get("/routes").await.json()["total"], 0, "nothing is stored");

    let wrong = json!({
        "routes": [
            {"id": "1", "uri": "/", "upstream": upstream},
            {"id": 1, "uri": "/", "upstream": upstream},
            {"uri": "/", "upstream": upstream},
            {"id": "3", "uri": "/", "plugins": {"nope": {}}},
            7,
        ],
        "consumers": [
            {"username": "jack"},
            {"username": "jack"},
            {"id": "jack/credentials/c", "plugins": {"limit-count": {"count": 1, "time_window": 1}}},
            {"id": "no name/credentials/c", "plugins": {}},
        ],
        "secrets": [{"id": "foo/1"}],
        "plugin_metadata": [{"id": "nope"}],
        "services": {},
        "things": [],
    });
    let heard = validate(wrong).await;
    assert_eq!((heard.status, &heard.json()["error_msg"]), (400, &json!("Configuration validation failed")));
    let fault = |of: &str, id: Value, index: u64, error: &str| json!({"resource_type": of, "resource_id": id, "index": index, "error": error});
    let want = json!([
        fault("routes", json!(1), 1, "found duplicate id 1"),
        fault("routes", json!(null), 2, "missing route id"),
        fault("routes", json!("3"), 3, "unknown plugin [nope]"),
        fault("routes", json!(null), 4, "invalid configuration: wrong type: expected object, got number"),
        fault("consumers", json!("jack"), 1, "found duplicate username jack"),
        fault("consumers", json!("jack/credentials/c"), 2, "only supports auth type plugins in consumer credential"),
        fault("consumers", json!("no name/credentials/c"), 3, "wrong username 'no name'"),
        fault("secrets", json!("foo/1"), 0, "invalid secret manager: foo"),
        fault("plugin_metadata", json!("nope"), 0, "invalid plugin name"),
        {"resource_type": "services", "error": "wrong type: expected array, got table"},
        {"resource_type": "things", "error": "Unsupported resource type: things"},
    ]);
    assert_eq!(heard.json()["errors"], want);
    assert_eq!(
        api.call("POST", "/configs/validate", "").await.line(),
        "400 {\"error_msg\":\"missing configurations\"}"
    );
}
