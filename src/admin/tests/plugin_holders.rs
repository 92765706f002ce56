//! The kinds that only carry plugins, and plugin metadata (spec/admin-api §2, §3, §5 to §8).

use super::*;

/// Directory, and what messages call one.
const HOLDERS: [(&str, &str); 3] =
    [("consumer_groups", "consumer group"), ("plugin_configs", "plugin config"), ("global_rules", "global rule")];

#[tokio::test]
async fn they_take_every_method_but_post() {
    let api = Api::new().await;
    for (directory, word) in HOLDERS {
        let one = format!("/{directory}/1");
        let post = api.call("POST", &format!("/{directory}"), "{}").await;
        assert_eq!(post.line(), format!("405 {{\"error_msg\":\"not supported `POST` method for {word}\"}}"));
        for (method, path, body, want) in [
            ("PUT", format!("/{directory}"), r#"{"plugins":{}}"#, format!("missing {word} id")),
            ("PUT", one.clone(), r#"{"id":"2","plugins":{}}"#, format!("wrong {word} id")),
            ("DELETE", format!("/{directory}"), "", format!("missing {word} id")),
            ("PATCH", format!("/{directory}"), "{}", format!("missing {word} id")),
            ("PUT", one.clone(), "{}", "invalid configuration: property \\\"plugins\\\" is required".to_owned()),
            ("PUT", one.clone(), r#"{"plugins":{"x":{}}}"#, "unknown plugin [x]".to_owned()),
            (
                "PUT",
                one.clone(),
                r#"{"plugins":{},"uri":"/"}"#,
                "invalid configuration: additional properties forbidden, found uri".to_owned(),
            ),
            (
                "PUT",
                one.clone(),
                r#"{"plugins":{},"create_time":1}"#,
                "the property is forbidden:  create_time".to_owned(),
            ),
            (
                "PUT",
                one.clone(),
                r#"{"plugins":{"jwt-auth":{"realm":1}}}"#,
                "failed to check the configuration of plugin jwt-auth err: property \\\"realm\\\" validation failed: \
                 wrong type: expected string, got number"
                    .to_owned(),
            ),
        ] {
            let heard = api.call(method, &path, body).await;
            assert_eq!(heard.line(), format!("400 {{\"error_msg\":\"{want}\"}}"), "{method} {path} {body}");
        }
        for method in ["GET", "PATCH", "DELETE"] {
            assert_eq!(api.call(method, &one, "{}").await.line(), "404 {\"message\":\"Key not found\"}", "{method}");
        }
        assert_eq!(api.get(&format!("/{directory}")).await.line(), "200 {\"total\":0,\"list\":[]}");

        let limit = json!({"count": 2, "time_window": 60});
        let body = json!({"id": 1, "plugins": {"limit-count": limit}});
        for status in [201, 200] {
            let heard = api.put(&format!("/{directory}"), body.clone()).await;
            assert_eq!((heard.status, &heard.json()["key"]), (status, &json!(format!("/apisix/{directory}/1"))));
        }
        let merged = api.call("PATCH", &one, r#"{"plugins":{"limit-count":{"count":3}}}"#).await;
        assert_eq!((merged.status, &merged.json()["value"]["plugins"]["limit-count"]["count"]), (200, &json!(3)));
        let refused = api.call("PATCH", &format!("{one}/plugins/limit-count/count"), "0").await;
        assert!(refused.line().starts_with("400 {\"error_msg\":\"failed to check"), "{}", refused.body);
        let replaced = api.call("PATCH", &format!("{one}/plugins"), r#"{"jwt-auth":{}}"#).await;
        assert_eq!((replaced.status, &replaced.json()["value"]["plugins"]), (200, &json!({"jwt-auth": {}})));
        let got = api.get(&one).await.json();
        assert_eq!(got["value"]["plugins"], json!({"jwt-auth": {}}));
        assert!(got["value"]["update_time"].is_u64(), "{got}");
        assert_eq!(api.get(&format!("/{directory}")).await.json()["total"], 1);
        let gone = api.call("DELETE", &one, "").await;
        assert_eq!(gone.line(), format!("200 {{\"deleted\":\"1\",\"key\":\"/apisix/{directory}/1\"}}"));
    }
}

#[tokio::test]
async fn names_and_labels_are_not_for_global_rules() {
    let api = Api::new().await;
    let body = json!({"plugins": {}, "name": "n", "desc": "d", "labels": {"a": "b"}});
    for directory in ["consumer_groups", "plugin_configs"] {
        assert_eq!(api.put(&format!("/{directory}/1"), body.clone()).await.status, 201, "{directory}");
        assert_eq!(api.get(&format!("/{directory}?label=a&name=n")).await.json()["total"], 1);
    }
    let heard = api.put("/global_rules/1", body).await;
    assert_eq!(
        heard.line(),
        "400 {\"error_msg\":\"invalid configuration: additional properties forbidden, found name\"}"
    );
}

#[tokio::test]
async fn what_is_referred_to_exists_and_stays() {
    let api = Api::new().await;
    let route = json!({"uri": "/", "plugins": {}, "plugin_config_id": 1});
    let consumer = json!({"username": "jack", "group_id": "1"});
    for (path, referrer, directory, word, missing, in_use) in [
        (
            "/routes/1",
            route,
            "plugin_configs",
            "plugin config",
            "failed to fetch plugin config info by plugin config id [1], response code: 404",
            "route [1]",
        ),
        (
            "/consumers",
            consumer,
            "consumer_groups",
            "consumer group",
            "failed to fetch consumer group info by consumer group id [1], response code: 404",
            "consumer [jack]",
        ),
    ] {
        let target = format!("/{directory}/1");
        assert_eq!(api.put(path, referrer.clone()).await.line(), format!("400 {{\"error_msg\":\"{missing}\"}}"));
        assert_eq!(api.put(&target, json!({"plugins": {}})).await.status, 201);
        assert_eq!(api.put(path, referrer).await.status, 201);
        for query in ["", "?force=false"] {
            let want = format!("400 {{\"error_msg\":\"can not delete this {word}, {in_use} is still using it now\"}}");
            assert_eq!(api.call("DELETE", &format!("{target}{query}"), "").await.line(), want);
        }
        assert_eq!(api.call("DELETE", &format!("{target}?force=true"), "").await.status, 200);
    }
}

#[tokio::test]
async fn a_plugin_stands_in_one_global_rule() {
    let api = Api::new().await;
    let limit = |count: u64| json!({"plugins": {"limit-count": {"count": count, "time_window": 60}}});
    assert_eq!(api.put("/global_rules/a", limit(1)).await.status, 201);
    assert_eq!(api.put("/global_rules/a", limit(2)).await.status, 200, "its own");
    assert_eq!(api.put("/global_rules/b", json!({"plugins": {"jwt-auth": {}}})).await.status, 201);
    let want = "400 {\"error_msg\":\"plugin 'limit-count' already exists in global rule with id 'a'\"}";
    assert_eq!(api.put("/global_rules/b", limit(1)).await.line(), want);
    assert_eq!(api.call("PATCH", "/global_rules/b", limit(1).to_string()).await.line(), want);
    assert_eq!(api.call("DELETE", "/global_rules/a", "").await.status, 200);
    assert_eq!(api.put("/global_rules/b", limit(1)).await.status, 200);
}

#[tokio::test]
async fn metadata_has_the_plugins_name() {
    let api = Api::new().await;
    for (method, path, body, want) in [
        ("PUT", "/plugin_metadata", "{}", "400 {\"error_msg\":\"missing plugin name\"}"),
        ("PUT", "/plugin_metadata/nope", "{}", "400 {\"error_msg\":\"invalid plugin name\"}"),
        (
            "PUT",
            "/plugin_metadata/limit-count",
            r#"{"id":"jwt-auth"}"#,
            "400 {\"error_msg\":\"wrong plugin_metadata id\"}",
        ),
        ("POST", "/plugin_metadata", "{}", "405 {\"error_msg\":\"not supported `POST` method for plugin_metadata\"}"),
        (
            "PATCH",
            "/plugin_metadata/limit-count",
            "{}",
            "405 {\"error_msg\":\"not supported `PATCH` method for plugin_metadata\"}",
        ),
        ("GET", "/plugin_metadata/limit-count", "", "404 {\"message\":\"Key not found\"}"),
        (
            "PUT",
            "/plugin_metadata/limit-count",
            r#"{"limit_header":1}"#,
            "400 {\"error_msg\":\"invalid configuration: property \\\"limit_header\\\" validation failed: wrong type: \
             expected string, got number\"}",
        ),
        (
            "PUT",
            "/plugin_metadata/limit-count",
            r#"{"reset_header":"a b"}"#,
            "400 {\"error_msg\":\"invalid configuration: property \\\"reset_header\\\" validation failed: not a field name\"}",
        ),
        (
            "PUT",
            "/plugin_metadata/limit-count",
            r#"{"limit_header":"X-L"}"#,
            "201 {\"key\":\"/apisix/plugin_metadata/limit-count\",\"value\":{\"limit_header\":\"X-L\",\"id\":\"limit-count\"}}",
        ),
        (
            "PUT",
            "/plugin_metadata",
            r#"{"id":"limit-count"}"#,
            "200 {\"key\":\"/apisix/plugin_metadata/limit-count\",\"value\":{\"id\":\"limit-count\"}}",
        ),
        (
            "PUT",
            "/plugin_metadata/jwt-auth",
            r#"{"what":[1]}"#,
            "201 {\"key\":\"/apisix/plugin_metadata/jwt-auth\",\"value\":{\"what\":[1],\"id\":\"jwt-auth\"}}",
        ),
        (
            "DELETE",
            "/plugin_metadata/jwt-auth",
            "",
            "200 {\"deleted\":\"1\",\"key\":\"/apisix/plugin_metadata/jwt-auth\"}",
        ),
    ] {
        assert_eq!(api.call(method, path, body).await.line(), want, "{method} {path} {body}");
    }
    assert_eq!(api.get("/plugin_metadata").await.json()["total"], 1);
    assert!(api.get("/plugins?all=true").await.json()["limit-count"]["metadata_schema"]["properties"].is_object());
}
