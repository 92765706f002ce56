//! The Admin API over the wire: statuses and bodies byte for byte, as clients of the original match on them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

mod support;

use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};
use support::client::{Client, Response, once};
use support::gateway::{Gateway, Setup};
use support::{program, wait_for};

/// One call, and what it must answer: status, and the body where it matters.
type Row<'a> = (&'a str, &'a str, &'a str, u16, &'a str);

#[test]
fn methods_and_paths() {
    let gateway = Gateway::start();
    table(
        &gateway,
        &[
            ("PUT", "routes/1", ROUTE, 201, ANY),
            ("PUT", "services/1", "{}", 201, ANY),
            ("PUT", "upstreams/1", r#"{"nodes":{"a:1":1}}"#, 201, ANY),
            ("PUT", "consumers/jack", r#"{"username":"jack"}"#, 201, ANY),
            ("PUT", "consumers/jack/credentials/1", "{}", 201, ANY),
            ("GET", "routes/1", "", 200, ANY),
            ("GET", "routes/1/", "", 200, ANY),
            ("GET", "routes", "", 200, ANY),
            ("GET", "routes/", "", 200, ANY),
            ("POST", "routes", ROUTE, 201, ANY),
            ("POST", "services", "{}", 201, ANY),
            ("POST", "upstreams", r#"{"nodes":{}}"#, 201, ANY),
            ("POST", "consumers", "{}", 405, r#"{"error_msg":"not supported `POST` method for consumer"}"#),
            ("PATCH", "consumers/jack", "{}", 405, r#"{"error_msg":"not supported `PATCH` method for consumer"}"#),
            (
                "POST",
                "consumers/jack/credentials",
                "{}",
                405,
                r#"{"error_msg":"not supported `POST` method for credential"}"#,
            ),
            (
                "PATCH",
                "consumers/jack/credentials/1",
                "{}",
                405,
                r#"{"error_msg":"not supported `PATCH` method for credential"}"#,
            ),
            ("GET", "nonsense", "", 404, r#"{"error_msg":"Unsupported resource type: nonsense"}"#),
            ("PUT", "nonsense/1", "{}", 404, r#"{"error_msg":"Unsupported resource type: nonsense"}"#),
            ("PUT", "plugins/jwt-auth", "{}", 404, r#"{"error_msg":"not found"}"#),
            (
                "PUT",
                "stream_routes/1",
                "{}",
                400,
                r#"{"error_msg":"stream mode is disabled, can not add stream routes"}"#,
            ),
            ("GET", "", "", 404, ANY),
            ("TRACE", "routes/1", "", 404, ANY),
            ("HEAD", "routes/1", "", 404, ANY),
        ],
    );
}

#[test]
fn ids_names_and_times() {
    let gateway = Gateway::start();
    let wrong_id = r#"{"error_msg":"invalid configuration: property \"id\" validation failed: object matches none of the required"}"#;
    table(
        &gateway,
        &[
            ("PUT", "routes", &with(ROUTE, r#""id":"jwt-route""#), 201, ANY),
            ("PUT", "routes/jwt-route", ROUTE, 200, ANY),
            ("PUT", "routes/7", &with(ROUTE, r#""id":7"#), 201, ANY),
            ("PUT", "routes/7", &with(ROUTE, r#""id":"7""#), 200, ANY),
            ("PUT", "routes", ROUTE, 400, r#"{"error_msg":"missing route id"}"#),
            ("PUT", "routes/1", &with(ROUTE, r#""id":2"#), 400, r#"{"error_msg":"wrong route id"}"#),
            ("POST", "routes/1", ROUTE, 400, r#"{"error_msg":"wrong route id, do not need it"}"#),
            ("POST", "routes", &with(ROUTE, r#""id":"1""#), 400, r#"{"error_msg":"wrong route id, do not need it"}"#),
            ("PUT", "routes/a%20b", ROUTE, 400, wrong_id),
            ("PUT", "routes/..%2Fx", ROUTE, 400, wrong_id),
            ("PUT", &format!("routes/{}", "x".repeat(65)), ROUTE, 400, wrong_id),
            ("PUT", "consumers/jack", r#"{"username":"jill"}"#, 400, r#"{"error_msg":"wrong username"}"#),
            ("PUT", "consumers", r#"{"username":"jack"}"#, 201, ANY),
            ("PUT", "consumers", r#"{"username":"jack"}"#, 200, ANY),
            ("PUT", "consumers", r#"{"username":"a.b"}"#, 400, ANY),
            ("PUT", "consumers/jack/credentials", "{}", 400, r#"{"error_msg":"missing credential id"}"#),
            ("PUT", "consumers/nobody/credentials/1", "{}", 404, r#"{"error_msg":"consumer not found"}"#),
            ("DELETE", "routes", "", 400, r#"{"error_msg":"missing route id"}"#),
            ("PATCH", "routes", "{}", 400, r#"{"error_msg":"missing route id"}"#),
            (
                "PUT",
                "routes/1",
                &with(ROUTE, r#""create_time":1"#),
                400,
                r#"{"error_msg":"the property is forbidden:  create_time"}"#,
            ),
            (
                "PUT",
                "routes/1",
                r#"{"uri":"/","upstream":{"nodes":{},"update_time":1}}"#,
                400,
                r#"{"error_msg":"the property is forbidden:  upstream.update_time"}"#,
            ),
        ],
    );
    let (_, posted) = gateway.admin("POST", "routes", &serde_json::from_str(ROUTE).unwrap());
    let id = posted["value"]["id"].as_str().unwrap();
    assert_eq!(posted["key"], format!("/apisix/routes/{id}"));
    assert_eq!(gateway.admin("GET", &format!("routes/{id}"), &Value::Null).0, 200);

    let (_, first) = gateway.admin("GET", "routes/7", &Value::Null);
    gateway.put("routes/7", &serde_json::from_str(ROUTE).unwrap());
    let (_, second) = gateway.admin("GET", "routes/7", &Value::Null);
    assert_eq!(first["value"]["create_time"], second["value"]["create_time"]);
    assert_eq!(first["createdIndex"], second["createdIndex"]);
    assert!(second["modifiedIndex"].as_u64() > first["modifiedIndex"].as_u64());
}

#[test]
fn shapes_of_answers() {
    let gateway = Gateway::start();
    let sent =
        json!({"uri": "/a", "plugins": {}, "labels": {"a": "b"}, "upstream": {"nodes": [], "type": "roundrobin"}});
    let (created, put) = gateway.admin("PUT", "routes/1", &sent);
    assert_eq!((created, members(&put)), (201, vec!["key", "value"]));
    let (status, got) = gateway.admin("GET", "routes/1", &Value::Null);
    assert_eq!((status, members(&got)), (200, vec!["createdIndex", "key", "modifiedIndex", "value"]));
    assert_eq!(got["value"], put["value"]);
    // Neither defaults are added nor empty arrays lost.
    let mut without_extras = got["value"].clone();
    for extra in ["id", "create_time", "update_time"] {
        assert!(without_extras.as_object_mut().unwrap().remove(extra).is_some(), "{extra}");
    }
    assert_eq!(without_extras, sent);
    assert_eq!(got["value"]["id"], "1");

    let (_, list) = gateway.admin("GET", "routes", &Value::Null);
    assert_eq!(list, json!({"total": 1, "list": [got]}));
    let (_, patched) = gateway.admin("PATCH", "routes/1", &json!({"desc": "x"}));
    assert_eq!((members(&patched), &patched["value"]["uri"]), (vec!["key", "value"], &json!("/a")));
    table(
        &gateway,
        &[
            ("DELETE", "routes/1", "", 200, r#"{"deleted":"1","key":"/apisix/routes/1"}"#),
            ("DELETE", "routes/1", "", 404, r#"{"message":"Key not found"}"#),
            ("GET", "routes/1", "", 404, r#"{"message":"Key not found"}"#),
            ("PATCH", "routes/1", "{}", 404, r#"{"message":"Key not found"}"#),
            ("GET", "routes", "", 200, r#"{"total":0,"list":[]}"#),
            ("GET", "consumers/jack/credentials", "", 404, r#"{"message":"Key not found"}"#),
        ],
    );
}

#[test]
fn every_answer_carries_its_fields() {
    let gateway = Gateway::start();
    let ask = |method: &str, path: &str, key: &str| {
        let target = format!("/apisix/admin{path}");
        once(gateway.admin_address(), method, &target, &[("X-API-KEY", key)], b"").unwrap()
    };
    let key = gateway.admin_key();
    let cases: [Labelled; 6] = [
        ("GET", "/routes", key, 200, "application/json", Some("v3")),
        ("GET", "/routes/1", key, 404, "application/json", Some("v3")),
        ("GET", "/routes", "wrong", 401, "application/json", None),
        ("GET", "/nonsense", key, 404, "application/json", None),
        ("GET", "/routes?page=1&page_size=5", key, 400, "application/json", Some("v3")),
        ("DELETE", "", key, 404, "text/html", None),
    ];
    for (method, path, key, status, content_type, version) in cases {
        let answer = ask(method, path, key);
        let found = (answer.status, answer.field("content-type"), answer.field("x-api-version"));
        assert_eq!(found, (status, Some(content_type), version), "{method} {path}: {}", answer.text());
        assert_eq!(answer.field("access-control-allow-origin"), Some("*"), "{method} {path}");
        assert!(answer.field("server").is_some_and(|server| server.starts_with("ringgate/")), "{method} {path}");
    }
    let preflight = ask("OPTIONS", "/routes", "");
    assert_eq!((preflight.status, preflight.body.len()), (200, 0));
    let methods = preflight.field("access-control-allow-methods");
    assert_eq!(methods, Some("POST, GET, PUT, OPTIONS, DELETE, PATCH"));
    assert_eq!(ask("HEAD", "", "").status, 200, "a probe needs no key");
}

#[test]
fn keys_and_roles() {
    let gateway =
        Gateway::with(&Setup { admin: "      - {name: reader, key: reader-key, role: viewer}\n", ..Setup::default() });
    let key = gateway.admin_key();
    let with_key = |name: &str, key: &str| vec![(name.to_owned(), key.to_owned())];
    let refused = |why: &str| format!("{{\"error_msg\":\"failed to check token\",\"description\":\"{why}\"}}\n");
    let cases: [Keyed; 9] = [
        ("GET", "", vec![], 401, refused("missing apikey")),
        ("GET", "", with_key("X-API-KEY", "wrong"), 401, refused("wrong apikey")),
        ("GET", "", with_key("x-api-key", ""), 401, refused("wrong apikey")),
        ("GET", "", with_key("X-API-KEY", key), 200, String::new()),
        ("GET", "?api_key=KEY", vec![], 200, String::new()),
        ("GET", "?api_key=wrong", with_key("X-API-KEY", key), 401, refused("wrong apikey")),
        ("GET", "", with_key("Cookie", "a=b; x_api_key=KEY"), 200, String::new()),
        ("GET", "", with_key("X-API-KEY", "reader-key"), 200, String::new()),
        ("PUT", "", with_key("X-API-KEY", "reader-key"), 401, refused("invalid method for role viewer")),
    ];
    for (method, query, fields, status, body) in cases {
        let target = format!("/apisix/admin/routes{}", query.replace("KEY", key));
        let fields: Vec<(String, String)> =
            fields.into_iter().map(|(name, value)| (name, value.replace("KEY", key))).collect();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = once(gateway.admin_address(), method, &target, &fields, b"").unwrap();
        assert_eq!(answer.status, status, "{method} {query} {fields:?}: {}", answer.text());
        assert!(body.is_empty() || answer.text() == body, "{method} {query} {fields:?}: {}", answer.text());
    }
}

#[test]
fn bodies() {
    let gateway = Gateway::start();
    let put = |path: &str, body: &[u8]| call(&gateway, "PUT", path, body);
    // Two bodies of the documentation carry such lines, in the way curl sends them.
    let commented = r#"{
  "id": "cred",
  "plugins": {
    "jwt-auth": {
      "key": "jack-key",
      # highlight-next-line
      "secret": "not # a comment"
      # highlight-end
    }
  }
}"#;
    gateway.put("consumers/jack", &json!({"username": "jack"}));
    let url = format!("http://{}/apisix/admin/consumers/jack/credentials", gateway.admin_address());
    let key = format!("X-API-KEY: {}", gateway.admin_key());
    let arguments = ["-sS", "-w", "%{http_code}", "-o", "/dev/null", "-X", "PUT", "-H", &key, "-d", commented, &url];
    let ended = program::run(Command::new("curl").args(arguments), "");
    assert_eq!(ended.stdout, "201", "{ended:?}");
    let (_, stored) = gateway.admin("GET", "consumers/jack/credentials/cred", &Value::Null);
    assert_eq!(stored["value"]["plugins"]["jwt-auth"]["secret"], "not # a comment");

    for (name, body, wanted) in [
        ("an array", "[]", "invalid configuration: wrong type: expected object, got table"),
        ("text", "\"x\"", "invalid configuration: wrong type: expected object, got string"),
        ("null", "null", "invalid configuration: wrong type: expected object, got userdata"),
        ("none", "", "missing configurations"),
    ] {
        let answer = put("routes/1", body.as_bytes());
        assert_eq!((answer.status, &answer.json()), (400, &json!({"error_msg": wanted})), "{name}");
    }
    let broken = put("routes/1", b"{\"uri\": ");
    assert_eq!((broken.status, &broken.json()["req_body"]), (400, &json!("{\"uri\": ")));
    assert!(broken.json()["error_msg"].as_str().unwrap().starts_with("invalid request body: "));

    let large = json!({"uri": "/", "plugins": {}, "desc": "x".repeat(1_572_864)}).to_string();
    let answer = put("routes/1", large.as_bytes());
    let text =
        format!("invalid request body: request size {} is greater than the maximum size 1572864 allowed", large.len());
    assert_eq!((answer.status, answer.json()), (400, json!({"error_msg": text})));
    let mut client = Client::connect(gateway.admin_address()).unwrap();
    let key = gateway.admin_key();
    client
        .send(format!(
            "PUT /apisix/admin/routes/1 HTTP/1.1\r\nHost: a\r\nX-API-KEY: {key}\r\nExpect: 100-continue\r\n\
             Content-Length: 1572865\r\n\r\n"
        ))
        .unwrap();
    assert_eq!(client.next_response("PUT").unwrap().status, 400, "a body that is too large is not asked for");
}

#[test]
fn lists_are_filtered_and_paged() {
    let gateway = Gateway::start();
    gateway.put("services/1", &json!({}));
    for number in (1..=25).rev() {
        let mut route = json!({"uri": format!("/n/{number}"), "name": format!("route-{number}"), "plugins": {}});
        if number % 5 == 0 {
            route["labels"] = json!({"five": "yes"});
            route["service_id"] = json!(1);
        }
        gateway.put(&format!("routes/{number:02}"), &route);
    }
    let list = |query: &str| {
        let (status, answer) = gateway.admin("GET", &format!("routes{query}"), &Value::Null);
        assert_eq!(status, 200, "{query}: {answer}");
        let ids =
            answer["list"].as_array().unwrap().iter().map(|item| item["value"]["id"].as_str().unwrap().to_owned());
        (answer["total"].as_u64().unwrap(), ids.collect::<Vec<_>>())
    };
    let (total, all) = list("");
    assert_eq!((total, all.len(), all[0].as_str()), (25, 25, "01"), "in key order");
    let cases: [(&str, u64, usize, &str); 11] = [
        ("?page=1&page_size=10", 25, 10, "25"),
        ("?page=3&page_size=10", 25, 5, "05"),
        ("?page=4&page_size=10", 25, 0, ""),
        ("?page=0&page_size=10", 25, 10, "25"),
        ("?page=2", 25, 25, "01"),
        ("?name=route-1", 11, 11, "01"),
        ("?name=^route-1$", 1, 1, "01"),
        ("?label=five", 5, 5, "05"),
        ("?label=yes", 0, 0, ""),
        ("?uri=/n/2[0-9]&label=five", 2, 2, "20"),
        ("?filter=service_id%3D1%26colour%3Dred", 5, 5, "05"),
    ];
    for (query, total, count, first) in cases {
        let (found_total, ids) = list(query);
        let found = (found_total, ids.len(), ids.first().map_or("", String::as_str));
        assert_eq!(found, (total, count, first), "{query}: {ids:?}");
    }
    for size in ["9", "501"] {
        let answer = call(&gateway, "GET", &format!("routes?page=1&page_size={size}"), b"");
        assert_eq!((answer.status, answer.text().as_str()), (400, "page_size must be between 10 and 500"));
    }
    gateway.put("consumers/jack", &json!({"username": "jack"}));
    gateway.put("consumers/jack/credentials/c", &json!({}));
    let (_, consumers) = gateway.admin("GET", "consumers", &Value::Null);
    assert_eq!((&consumers["total"], &consumers["list"][0]["value"]["username"]), (&json!(1), &json!("jack")));
}

#[test]
fn patches_merge_or_replace() {
    let gateway = Gateway::start();
    let upstream = json!({"nodes": {"a:1": 1}, "type": "roundrobin", "retries": 1});
    gateway.put("routes/1", &json!({"uri": "/", "methods": ["GET", "PUT"], "upstream": upstream}));
    let steps = [
        ("routes/1", json!({"upstream": {"nodes": {"b:1": 2}}}), "/upstream/nodes", json!({"a:1": 1, "b:1": 2})),
        ("routes/1", json!({"upstream": {"nodes": {"a:1": null}}}), "/upstream/nodes", json!({"b:1": 2})),
        ("routes/1", json!({"methods": ["POST"]}), "/methods", json!(["POST"])),
        ("routes/1/upstream/nodes", json!({"c:1": 3}), "/upstream/nodes", json!({"c:1": 3})),
        ("routes/1/labels/team", json!("blue"), "/labels", json!({"team": "blue"})),
        ("routes/1/upstream/retries", json!(5), "/upstream/retries", json!(5)),
    ];
    for (path, body, pointer, wanted) in steps {
        let (status, answer) = gateway.admin("PATCH", path, &body);
        assert_eq!((status, answer["value"].pointer(pointer)), (200, Some(&wanted)), "{path} {body}: {answer}");
        let (_, stored) = gateway.admin("GET", "routes/1", &Value::Null);
        assert_eq!(stored["value"], answer["value"], "{path}");
    }
    table(
        &gateway,
        &[
            ("PATCH", "routes/1/uri/a", "1", 400, r#"{"error_msg":"invalid sub-path: /uri"}"#),
            ("PATCH", "routes/1", "", 400, r#"{"error_msg":"missing new configuration"}"#),
            ("PATCH", "routes/1", r#"{"methods":["GO"]}"#, 400, ANY),
            ("PATCH", "routes/1", r#"{"id":"2"}"#, 400, r#"{"error_msg":"wrong route id"}"#),
            ("PATCH", "routes/1", r#"{"create_time":5,"update_time":6}"#, 200, ANY),
        ],
    );
    let (_, stored) = gateway.admin("GET", "routes/1", &Value::Null);
    assert_eq!((&stored["value"]["create_time"], &stored["value"]["update_time"]), (&json!(5), &json!(6)));
    assert_eq!(stored["value"]["methods"], json!(["POST"]), "a refused patch changes nothing");
}

#[test]
fn what_is_in_use_is_not_deleted() {
    let gateway = Gateway::start();
    gateway.put("upstreams/u", &json!({"nodes": {"a:1": 1}}));
    gateway.put("services/s", &json!({"upstream_id": "u"}));
    gateway.put("routes/r", &json!({"uri": "/r", "service_id": "s"}));
    gateway.put("routes/q", &json!({"uri": "/q", "upstream_id": "u"}));
    gateway.put("consumers/jack", &json!({"username": "jack"}));
    gateway.put("consumers/jack/credentials/c", &json!({}));
    let in_use = r#"{"error_msg":"can not delete this upstream, route [q] is still using it now"}"#;
    let by_service = r#"{"error_msg":"can not delete this upstream, service [s] is still using it now"}"#;
    let service = r#"{"error_msg":"can not delete this service directly, route [r] is still using it now"}"#;
    table(
        &gateway,
        &[
            ("DELETE", "services/s", "", 400, service),
            ("DELETE", "upstreams/u", "", 400, in_use),
            ("DELETE", "routes/q", "", 200, ANY),
            ("DELETE", "upstreams/u", "", 400, by_service),
            ("DELETE", "upstreams/u?force=yes", "", 400, by_service),
            ("DELETE", "upstreams/u?force=true", "", 200, r#"{"deleted":"1","key":"/apisix/upstreams/u"}"#),
            ("DELETE", "routes/r", "", 200, ANY),
            ("DELETE", "services/s", "", 200, ANY),
            ("DELETE", "consumers/jack", "", 200, r#"{"deleted":"1","key":"/apisix/consumers/jack"}"#),
            ("GET", "consumers/jack/credentials/c", "", 404, r#"{"message":"Key not found"}"#),
        ],
    );
}

#[test]
fn references_and_keys_are_checked() {
    let gateway = Gateway::start();
    let login = |key: &str| json!({"plugins": {"jwt-auth": {"key": key, "secret": "s"}}}).to_string();
    table(
        &gateway,
        &[
            (
                "PUT",
                "routes/1",
                r#"{"uri":"/","upstream_id":"9"}"#,
                400,
                r#"{"error_msg":"failed to fetch upstream info by upstream id [9], response code: 404"}"#,
            ),
            (
                "PUT",
                "routes/1",
                r#"{"uri":"/","service_id":9}"#,
                400,
                r#"{"error_msg":"failed to fetch service info by service id [9], response code: 404"}"#,
            ),
            (
                "PUT",
                "routes/1",
                r#"{"uri":"/","plugins":{"no-such":{}}}"#,
                400,
                r#"{"error_msg":"unknown plugin [no-such]"}"#,
            ),
            ("PUT", "consumers/jack", r#"{"username":"jack"}"#, 201, ANY),
            ("PUT", "consumers/jill", r#"{"username":"jill"}"#, 201, ANY),
            ("PUT", "consumers/jack/credentials/c1", &login("k"), 201, ANY),
            ("PUT", "consumers/jack/credentials/c1", &login("k"), 200, ANY),
            (
                "PUT",
                "consumers/jill/credentials/c2",
                &login("k"),
                400,
                r#"{"error_msg":"duplicate key of plugin jwt-auth found with credential: c1 of consumer: jack"}"#,
            ),
            (
                "PUT",
                "consumers/jack/credentials/c3",
                r#"{"plugins":{"jwt-auth":{"secret":"s"}}}"#,
                400,
                concat!(
                    r#"{"error_msg":"invalid plugins configuration: failed to check the configuration of plugin "#,
                    r#"jwt-auth err: property \"key\" is required"}"#
                ),
            ),
            (
                "PUT",
                "routes/1",
                r#"{"uri":"/","plugins":{},"host":"a","hosts":["b"]}"#,
                400,
                r#"{"error_msg":"only one of host or hosts is allowed"}"#,
            ),
            (
                "PUT",
                "routes/1",
                r#"{"uri":"/","plugins":{},"nonsense":1}"#,
                400,
                r#"{"error_msg":"invalid configuration: additional properties forbidden, found nonsense"}"#,
            ),
        ],
    );
}

#[test]
fn what_has_a_ttl_vanishes() {
    let gateway = Gateway::start();
    let written = Instant::now();
    table(
        &gateway,
        &[
            ("PUT", "routes/1?ttl=2", ROUTE, 201, ANY),
            ("PUT", "routes/2?ttl=0", ROUTE, 201, ANY),
            ("PUT", "routes/3?ttl=2", ROUTE, 201, ANY),
            // A later write without a limit lifts the earlier one.
            ("PUT", "routes/3", ROUTE, 200, ANY),
            ("PUT", "routes/4?ttl=soon", ROUTE, 400, r#"{"error_msg":"invalid argument ttl: should be a number"}"#),
            ("GET", "routes?ttl=x", "", 400, r#"{"error_msg":"invalid argument ttl: should be a number"}"#),
            ("GET", "routes/1", "", 200, ANY),
        ],
    );
    wait_for("the route to expire", || (gateway.admin("GET", "routes/1", &Value::Null).0 == 404).then_some(()));
    assert!(written.elapsed() >= Duration::from_secs(2), "it went after {:?}", written.elapsed());
    for id in [2, 3] {
        assert_eq!(gateway.admin("GET", &format!("routes/{id}"), &Value::Null).0, 200, "{id}");
    }
}

#[test]
fn it_says_what_it_can_do() {
    let gateway = Gateway::start();
    assert_eq!(
        gateway.admin("GET", "plugins/list", &Value::Null),
        (200, json!(["jwt-auth", "limit-count", "limit-req", "public-api"]))
    );
    let (status, schema) = gateway.admin("GET", "plugins/jwt-auth?schema_type=consumer", &Value::Null);
    assert_eq!((status, &schema["properties"]["key"]["type"]), (200, &json!("string")));
    assert_eq!(gateway.admin("GET", "schema/plugins/jwt-auth?schema_type=consumer", &Value::Null).1, schema);
    let (_, all) = gateway.admin("GET", "plugins?all=true", &Value::Null);
    assert_eq!((&all["jwt-auth"]["priority"], &all["jwt-auth"]["consumer_schema"]), (&json!(2510), &schema));
    table(
        &gateway,
        &[
            ("GET", "plugins/none", "", 404, r#"{"error_msg":"plugin not found in subsystem http"}"#),
            ("GET", "schema/none", "", 400, r#"{"error_msg":"not found schema: none"}"#),
            ("GET", "schema/route", "", 200, ANY),
            ("POST", "schema/validate/consumers", r#"{"username":"jack"}"#, 200, ""),
            ("POST", "schema/validate/consumers", "{}", 400, r#"{"error_msg":"property \"username\" is required"}"#),
        ],
    );
    let stream = call(&gateway, "GET", "plugins/list?subsystem=mail", b"");
    assert_eq!((stream.status, stream.text().as_str()), (400, "invalid subsystem passed"));
}

#[track_caller]
fn table(gateway: &Gateway, rows: &[Row<'_>]) {
    let mut wrong = Vec::new();
    for (method, path, body, status, wanted) in rows {
        let answer = call(gateway, method, path, body.as_bytes());
        let text = answer.text();
        if answer.status != *status || (*wanted != ANY && text.trim_end_matches('\n') != *wanted) {
            wrong.push(format!("{method} {path} {body}\n  found  {} {text}  wanted {status} {wanted}", answer.status));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn call(gateway: &Gateway, method: &str, path: &str, body: &[u8]) -> Response {
    let target = format!("/apisix/admin/{path}");
    let answer = once(gateway.admin_address(), method, &target, &[("X-API-KEY", gateway.admin_key())], body);
    answer.unwrap_or_else(|error| panic!("{method} {target}: {error}"))
}

/// A body with one more member.
fn with(body: &str, member: &str) -> String {
    body.replacen('{', &format!("{{{member},"), 1)
}

fn members(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Method, path, key; status, content type, version.
type Labelled<'a> = (&'a str, &'a str, &'a str, u16, &'a str, Option<&'a str>);
/// Method, query, fields; status, body.
type Keyed<'a> = (&'a str, &'a str, Vec<(String, String)>, u16, String);

const ROUTE: &str = r#"{"uri":"/","upstream":{"nodes":{"a:1":1}}}"#;
const ANY: &str = "any body";
