use super::*;
use crate::auth::jwt::Scratch;
use crate::http::request::OwnedRequest;
use crate::plugin::Edits;
use serde_json::json;

fn status(configuration: &Value, method: &str, target: &str) -> (u16, Vec<u8>) {
    let plugin = PublicApi::new(configuration);
    let (mut edits, mut scratch) = (Edits::default(), Scratch::default());
    let nobody = ConsumerTable::default();
    let mut limits = crate::limit::Local::default();
    let mut context = Context::new(crate::base::clock::Now::default(), &nobody, &mut edits, &mut scratch, &mut limits);
    let request = OwnedRequest::new(method, target);
    assert!(matches!(plugin.rewrite(&request.view(), &mut context), Verdict::Continue));
    let Verdict::Respond(answer) = plugin.access(&request.view(), &mut context) else { panic!("{target}: no answer") };
    (answer.status, answer.body.to_vec())
}

#[test]
fn a_path_and_a_method_name_an_endpoint_or_nothing() {
    let (sign, named) = ("/apisix/plugin/jwt/sign", json!({"uri": "/apisix/plugin/jwt/sign"}));
    // Without a key the sign endpoint answers 400, which nothing else here does.
    let cases = [
        (json!({}), "GET", sign, 400),
        (json!(null), "GET", sign, 400),
        (named.clone(), "GET", "/gen_token", 400),
        (named.clone(), "GET", "/gen_token?a=b", 400),
        (json!({}), "GET", "/gen_token", 404),
        (json!({}), "GET", "/apisix/plugin/jwt/sign/", 404),
        (json!({}), "GET", "/apisix/plugin/jwt/Sign", 404),
        (json!({"uri": ""}), "GET", sign, 404),
        (json!({"uri": "/apisix/plugin/wolf-rbac/login"}), "GET", sign, 404),
        (json!({}), "POST", sign, 404),
        (json!({}), "HEAD", sign, 404),
        (named, "get", "/gen_token", 404),
    ];
    for (configuration, method, target, want) in cases {
        let (status, body) = status(&configuration, method, target);
        assert_eq!(status, want, "{configuration} {method} {target}");
        assert_eq!(body, page(want).body.to_vec(), "{configuration} {method} {target}");
    }
}
