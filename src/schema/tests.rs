use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::cmp::Ordering;

fn verdict(schema: &Value, value: &Value) -> String {
    match Schema::parse(schema).unwrap().check(value) {
        Ok(()) => "ok".to_owned(),
        Err(text) => text,
    }
}

#[test]
fn every_text_of_the_vocabulary() {
    let rows = [
        ("type, string", json!({"type": "string"}), json!(1), "wrong type: expected string, got number"),
        ("type, table", json!({"type": "string"}), json!([1]), "wrong type: expected string, got table"),
        ("type, null", json!({"type": "object"}), json!(null), "wrong type: expected object, got userdata"),
        ("type, boolean", json!({"type": "integer"}), json!(true), "wrong type: expected integer, got boolean"),
        ("type, fraction", json!({"type": "integer"}), json!(1.5), "wrong type: expected integer, got number"),
        ("type, whole float", json!({"type": "integer"}), json!(2.0), "ok"),
        (
            "type, list",
            json!({"type": ["string", "object"]}),
            json!(1),
            "wrong type: expected one of string, object, got number",
        ),
        ("required", json!({"required": ["a"]}), json!({}), "property \"a\" is required"),
        (
            "required, in the order of properties",
            json!({"properties": {"a": {"type": "string"}, "b": {}}, "required": ["b"]}),
            json!({"a": 1}),
            "property \"a\" validation failed: wrong type: expected string, got number",
        ),
        (
            "nested",
            json!({"properties": {"a": {"properties": {"b": {"type": "string"}}}}}),
            json!({"a": {"b": {}}}),
            "property \"a\" validation failed: property \"b\" validation failed: wrong type: expected string, got table",
        ),
        (
            "additional",
            json!({"additionalProperties": false}),
            json!({"x": 1}),
            "additional properties forbidden, found x",
        ),
        ("too short", json!({"minLength": 1}), json!(""), "string too short, expected at least 1, got 0"),
        ("too long", json!({"maxLength": 2}), json!("äöü"), "string too long, expected at most 2, got 3"),
        ("pattern", json!({"pattern": "^a$"}), json!("b"), "failed to match pattern \"^a$\" with \"b\""),
        ("enum", json!({"enum": ["a", 1]}), json!("b"), "matches none of the enum values"),
        ("enum, 1 and 1.0", json!({"enum": [1]}), json!(1.0), "ok"),
        ("const", json!({"const": 1}), json!(2), "failed to match the const value"),
        ("minimum", json!({"minimum": 1}), json!(0), "expected 0 to be at least 1"),
        ("maximum", json!({"maximum": 1.5}), json!(2), "expected 2 to be at most 1.5"),
        ("exclusive minimum", json!({"exclusiveMinimum": 0}), json!(0), "expected 0 to be greater than 0"),
        ("exclusive maximum", json!({"exclusiveMaximum": 1}), json!(1.0), "expected 1 to be smaller than 1"),
        ("min items", json!({"minItems": 2}), json!([1]), "expect array to have at least 2 items"),
        ("max items", json!({"maxItems": 0}), json!([1]), "expect array to have at most 0 items"),
        (
            "item",
            json!({"items": {"type": "string"}}),
            json!(["a", 1]),
            "failed to validate item 2: wrong type: expected string, got number",
        ),
        (
            "unique",
            json!({"uniqueItems": true}),
            json!(["a", "b", "a"]),
            "expected unique items but items 1 and 3 are equal",
        ),
        (
            "unique, objects",
            json!({"uniqueItems": true}),
            json!([{"a": 1}, {"a": 1.0}]),
            "expected unique items but items 1 and 2 are equal",
        ),
        ("min properties", json!({"minProperties": 1}), json!({}), "expect object to have at least 1 properties"),
        (
            "max properties",
            json!({"maxProperties": 1}),
            json!({"a": 1, "b": 2}),
            "expect object to have at most 1 properties",
        ),
        (
            "pattern properties",
            json!({"patternProperties": {"^h": {"type": "integer"}}}),
            json!({"host": "x"}),
            "failed to validate host (matching \"^h\"): wrong type: expected integer, got string",
        ),
        (
            "any of",
            json!({"anyOf": [{"type": "string"}, {"type": "array"}]}),
            json!(1),
            "object matches none of the required",
        ),
        (
            "any of, required lists",
            json!({"anyOf": [{"required": ["a", "b"]}, {"required": ["c"]}]}),
            json!({"a": 1}),
            "object matches none of the required: [\"a\",\"b\"] or [\"c\"]",
        ),
        (
            "one of, none",
            json!({"oneOf": [{"required": ["a"]}]}),
            json!({}),
            "value should match only one schema, but matches none",
        ),
        (
            "one of, both",
            json!({"oneOf": [{"type": "array"}, {"required": ["a"]}, {"required": ["b"]}]}),
            json!({"a": 1, "b": 1}),
            "value should match only one schema, but matches both schemas 2 and 3",
        ),
        (
            "all of",
            json!({"allOf": [{}, {"required": ["a"]}]}),
            json!({}),
            "allOf 2 failed: property \"a\" is required",
        ),
        ("not", json!({"not": {"required": ["a"]}}), json!({"a": 1}), "value wasn't supposed to match schema"),
        (
            "dependency, schema",
            json!({"dependencies": {"k": {"required": ["v"]}}}),
            json!({"k": 1}),
            "failed to validate dependent schema for \"k\": property \"v\" is required",
        ),
        (
            "dependency, members",
            json!({"dependencies": {"k": ["v"]}}),
            json!({"k": 1}),
            "property \"v\" is required when \"k\" is set",
        ),
        (
            "then",
            json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}),
            json!({"a": 1}),
            "then clause did not match",
        ),
        (
            "else",
            json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}),
            json!({"b": 1}),
            "else clause did not match",
        ),
        (
            "false",
            json!({"properties": {"a": false}}),
            json!({"a": 1}),
            "property \"a\" validation failed: value is never allowed here",
        ),
    ];
    for (row, schema, value, want) in rows {
        assert_eq!(verdict(&schema, &value), want, "{row}");
    }
}

/// The shape that APISIX gives a credential of jwt-auth.
fn jwt_credential() -> Value {
    json!({
        "type": "object",
        "properties": {
            "key": {"type": "string", "minLength": 1},
            "secret": {"type": "string", "minLength": 1},
            "algorithm": {"type": "string", "enum": ["HS256", "RS256"], "default": "HS256"},
            "exp": {"type": "integer", "minimum": 1}
        },
        "dependencies": {"algorithm": {"oneOf": [
            {"properties": {"algorithm": {"enum": ["HS256"]}}},
            {"properties": {"public_key": {"type": "string"}, "algorithm": {"enum": ["RS256"]}}, "required": ["public_key"]}
        ]}},
        "required": ["key"]
    })
}

#[test]
fn texts_of_jwt_auth() {
    let rows = [
        ("key missing", json!({}), "property \"key\" is required"),
        (
            "key a number",
            json!({"key": 1}),
            "property \"key\" validation failed: wrong type: expected string, got number",
        ),
        (
            "key empty",
            json!({"key": ""}),
            "property \"key\" validation failed: string too short, expected at least 1, got 0",
        ),
        (
            "RS256 without public key",
            json!({"key": "k", "algorithm": "RS256"}),
            "failed to validate dependent schema for \"algorithm\": value should match only one schema, but matches none",
        ),
        ("RS256 with public key", json!({"key": "k", "algorithm": "RS256", "public_key": "p"}), "ok"),
        ("exp 0", json!({"key": "k", "exp": 0}), "property \"exp\" validation failed: expected 0 to be at least 1"),
    ];
    for (row, value, want) in rows {
        assert_eq!(verdict(&jwt_credential(), &value), want, "{row}");
    }
}

#[test]
fn a_reference_passes_every_rule_of_a_text_and_no_other() {
    for reference in ["$secret://vault/1/a/b", "$env://X", "$ENV://X", "$Env://x"] {
        let whole = json!({"key": reference, "secret": reference, "algorithm": reference});
        assert_eq!(verdict(&jwt_credential(), &whole), "ok", "{reference}");
        // Either branch may be meant, so having what both need is not ambiguous.
        let with_key = json!({"key": "k", "algorithm": reference, "public_key": reference});
        assert_eq!(verdict(&jwt_credential(), &with_key), "ok", "{reference}");
        assert_eq!(verdict(&json!({"type": "string", "maxLength": 1, "pattern": "^a$"}), &json!(reference)), "ok");
        assert_eq!(
            verdict(&json!({"type": "integer"}), &json!(reference)),
            "wrong type: expected integer, got string",
            "{reference}"
        );
    }
    let short = Schema::parse(&json!({"type": "string", "maxLength": 1})).unwrap();
    assert!(short.check(&json!("$env://X")).is_ok());
    assert!(short.literal().check(&json!("$env://X")).is_err(), "where nothing is resolved it is judged");
    for text in ["$SECRET://vault", "$env:/X", "env://X", "$en", "$secret:/", "$é://x", "$env://a\r\nb: c"] {
        assert!(!is_reference(text), "{text}");
    }
}

#[test]
fn a_document_that_cannot_be_kept_is_refused() {
    for (document, want) in [
        (json!({"maxLenght": 1}), "#/maxLenght: unknown keyword"),
        (json!({"then": {}}), "#/then: without an if"),
        (json!({"type": "text"}), "#/type: unknown type \"text\""),
        (json!({"properties": {"a": {"minLength": -1}}}), "#/properties/a/minLength: expected a count, got number"),
        (json!({"items": 1}), "#/items: expected an object, got number"),
    ] {
        assert_eq!(Schema::parse(&document).unwrap_err(), want);
    }
    assert!(Schema::parse(&json!({"pattern": "("})).is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c$:/]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-c]", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Schemas whose verdict a few lines can decide: the oracle below.
fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "boolean", "integer", "number", "string", "array", "object"])
            .prop_map(|name| json!({"type": name})),
        (0_u64..3).prop_map(|count| json!({"minLength": count, "minItems": count, "minProperties": count})),
        any::<i32>().prop_map(|bound| json!({"minimum": bound})),
        any_json().prop_map(|value| json!({"enum": [value]})),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            list.clone().prop_map(|branches| json!({"anyOf": branches})),
            list.clone().prop_map(|branches| json!({"allOf": branches})),
            list.prop_map(|branches| json!({ "oneOf": branches })),
            inner.clone().prop_map(|schema| json!({"not": schema})),
            inner.clone().prop_map(|schema| json!({"items": schema, "uniqueItems": true})),
            inner.prop_map(
                |schema| json!({"properties": {"a": schema}, "additionalProperties": schema, "required": ["b"]})
            ),
        ]
    })
}

/// The verdict alone, straight from the specification's definitions.
fn holds(schema: &Value, value: &Value) -> bool {
    schema.as_object().unwrap().iter().all(|(keyword, operand)| {
        let branches = || operand.as_array().unwrap().iter().filter(|branch| holds(branch, value)).count();
        match keyword.as_str() {
            "type" => match operand.as_str().unwrap() {
                "null" => value.is_null(),
                "boolean" => value.is_boolean(),
                "number" => value.is_number(),
                "integer" => value.as_f64().is_some_and(|float| float.fract() == 0.0),
                "string" => value.is_string(),
                "array" => value.is_array(),
                _ => value.is_object(),
            },
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= operand.as_u64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= operand.as_u64().unwrap()),
            "minProperties" => {
                value.as_object().is_none_or(|members| members.len() as u64 >= operand.as_u64().unwrap())
            }
            "minimum" => value.as_f64().is_none_or(|float| float >= operand.as_f64().unwrap()),
            "enum" => match (operand[0].as_f64(), value.as_f64()) {
                (Some(left), Some(right)) => left.partial_cmp(&right) == Some(Ordering::Equal),
                _ => operand[0] == *value,
            },
            "anyOf" => branches() > 0,
            "allOf" => branches() == operand.as_array().unwrap().len(),
            "oneOf" => branches() == 1,
            "not" => !holds(operand, value),
            "items" => value.as_array().is_none_or(|items| items.iter().all(|item| holds(operand, item))),
            "uniqueItems" => value.as_array().is_none_or(|items| {
                (1..items.len()).all(|later| (0..later).all(|earlier| items[later] != items[earlier]))
            }),
            "properties" => value.get("a").is_none_or(|member| holds(&operand["a"], member)),
            "additionalProperties" => value
                .as_object()
                .is_none_or(|members| members.iter().all(|(name, member)| name == "a" || holds(operand, member))),
            "required" => value.as_object().is_none_or(|members| members.contains_key("b")),
            _ => unreachable!("{keyword}"),
        }
    })
}

proptest! {
    #[test]
    fn verdicts_agree_with_the_definitions(schema in any_schema(), value in any_json()) {
        prop_assert_eq!(Schema::parse(&schema).unwrap().check(&value).is_ok(), holds(&schema, &value));
    }

    #[test]
    fn no_document_and_no_value_panics(document in any_json(), value in any_json()) {
        if let Ok(schema) = Schema::parse(&document) {
            let _ = schema.check(&value);
        }
        let _ = Schema::parse(&jwt_credential()).unwrap().check(&value);
    }
}
