//! From a schema document to the tree that is checked against.

use super::{Condition, Dependency, Node, Pattern, Property, Type, object, words};
use regex::Regex;
use serde_json::{Map, Value};

/// Parses one schema; `at` is its JSON pointer, for the error.
pub(super) fn node(document: &Value, at: &str) -> Result<Node, String> {
    if let Value::Bool(verdict) = document {
        return Ok(Node { verdict: Some(*verdict), ..Node::default() });
    }
    let members = object(document, at)?;
    let mut node = Node::default();
    for (keyword, operand) in &members {
        take(&mut node, &members, keyword, operand, &format!("{at}/{keyword}"))?;
    }
    if let Some(required) = members.get("required") {
        require(&mut node, names(required, &format!("{at}/required"))?);
    }
    Ok(node)
}

fn take(node: &mut Node, members: &Map<String, Value>, keyword: &str, operand: &Value, at: &str) -> Result<(), String> {
    match keyword {
        "type" => node.types = types(operand, at)?,
        "properties" => {
            for (name, schema) in &object(operand, at)? {
                let schema = self::node(schema, &format!("{at}/{name}"))?;
                node.properties.push(Property { name: name.clone(), required: false, node: schema });
            }
        }
        "patternProperties" => {
            for (source, schema) in &object(operand, at)? {
                node.patterns.push((pattern(source, at)?, self::node(schema, &format!("{at}/{source}"))?));
            }
        }
        "additionalProperties" => node.additional = Some(boxed(operand, at)?),
        "dependencies" => {
            for (name, rule) in &object(operand, at)? {
                let dependency = match rule {
                    Value::Array(_) => Dependency::Members(names(rule, at)?),
                    _ => Dependency::Schema(boxed(rule, &format!("{at}/{name}"))?),
                };
                node.dependencies.push((name.clone(), dependency));
            }
        }
        "minProperties" => node.properties_min = Some(count(operand, at)?),
        "maxProperties" => node.properties_max = Some(count(operand, at)?),
        "items" => node.items = Some(boxed(operand, at)?),
        "minItems" => node.items_min = Some(count(operand, at)?),
        "maxItems" => node.items_max = Some(count(operand, at)?),
        "uniqueItems" => node.items_unique = operand.as_bool().ok_or_else(|| wrong(at, "a boolean", operand))?,
        "minLength" => node.length_min = Some(count(operand, at)?),
        "maxLength" => node.length_max = Some(count(operand, at)?),
        "pattern" => node.pattern = Some(pattern(text(operand, at)?, at)?),
        "minimum" => node.minimum = Some(number(operand, at)?),
        "maximum" => node.maximum = Some(number(operand, at)?),
        "exclusiveMinimum" => node.exclusive_minimum = Some(number(operand, at)?),
        "exclusiveMaximum" => node.exclusive_maximum = Some(number(operand, at)?),
        "enum" => node.choices = Some(list(operand, at)?.clone()),
        "const" => node.constant = Some(operand.clone()),
        "allOf" => node.all_of = branches(operand, at)?,
        "oneOf" => node.one_of = branches(operand, at)?,
        "anyOf" => {
            node.any_of = branches(operand, at)?;
            node.any_of_required = required_lists(operand);
        }
        "not" => node.not = Some(boxed(operand, at)?),
        "if" => node.condition = Some(Box::new(condition(members, operand, at)?)),
        "then" | "else" if !members.contains_key("if") => return Err(format!("{at}: without an if")),
        // `required` is laid over the properties when all are known; `then` and `else` came with their `if`; the others
        // are for people and forms.
        "required" | "then" | "else" | "$schema" | "$id" | "$comment" | "title" | "description" | "default"
        | "examples" | "deprecated" | "encrypt_fields" => {}
        _ => return Err(format!("{at}: unknown keyword")),
    }
    Ok(())
}

/// Notes what is required, at the property where it is described, else in a list of its own.
fn require(node: &mut Node, required: Vec<String>) {
    for name in required {
        match node.properties.iter_mut().find(|property| property.name == name) {
            Some(property) => property.required = true,
            None => node.required.push(name),
        }
    }
}

fn condition(members: &Map<String, Value>, when: &Value, at: &str) -> Result<Condition, String> {
    let clause =
        |keyword: &str| members.get(keyword).map(|schema| node(schema, &format!("{at}/../{keyword}"))).transpose();
    Ok(Condition { when: node(when, at)?, then: clause("then")?, otherwise: clause("else")? })
}

/// `["a","b"] or ["c"]`: what the branches of an `anyOf` require.
fn required_lists(branches: &Value) -> String {
    let lists = branches.as_array().into_iter().flatten().filter_map(|branch| branch.get("required"));
    lists.map(Value::to_string).collect::<Vec<_>>().join(" or ")
}

fn types(operand: &Value, at: &str) -> Result<Vec<Type>, String> {
    let one = |name: &Value| match text(name, at)? {
        "null" => Ok(Type::Null),
        "boolean" => Ok(Type::Boolean),
        "integer" => Ok(Type::Integer),
        "number" => Ok(Type::Number),
        "string" => Ok(Type::String),
        "array" => Ok(Type::Array),
        "object" => Ok(Type::Object),
        other => Err(format!("{at}: unknown type {other:?}")),
    };
    match operand {
        Value::Array(types) => types.iter().map(one).collect(),
        _ => Ok(vec![one(operand)?]),
    }
}

fn branches(operand: &Value, at: &str) -> Result<Vec<Node>, String> {
    list(operand, at)?.iter().enumerate().map(|(index, schema)| node(schema, &format!("{at}/{index}"))).collect()
}

fn boxed(operand: &Value, at: &str) -> Result<Box<Node>, String> {
    node(operand, at).map(Box::new)
}

fn pattern(source: &str, at: &str) -> Result<Pattern, String> {
    let regex = Regex::new(source).map_err(|error| format!("{at}: {error}"))?;
    Ok(Pattern { source: source.to_owned(), regex })
}

fn names(operand: &Value, at: &str) -> Result<Vec<String>, String> {
    list(operand, at)?.iter().map(|name| text(name, at).map(str::to_owned)).collect()
}

fn list<'v>(operand: &'v Value, at: &str) -> Result<&'v Vec<Value>, String> {
    operand.as_array().ok_or_else(|| wrong(at, "an array", operand))
}

fn text<'v>(operand: &'v Value, at: &str) -> Result<&'v str, String> {
    operand.as_str().ok_or_else(|| wrong(at, "a string", operand))
}

fn count(operand: &Value, at: &str) -> Result<u64, String> {
    operand.as_u64().ok_or_else(|| wrong(at, "a count", operand))
}

fn number(operand: &Value, at: &str) -> Result<f64, String> {
    operand.as_f64().ok_or_else(|| wrong(at, "a number", operand))
}

fn wrong(at: &str, expected: &str, found: &Value) -> String {
    format!("{at}: expected {expected}, got {}", words::lua_type(found))
}
