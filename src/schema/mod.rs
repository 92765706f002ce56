//! JSON Schema, judged in APISIX's order and told in APISIX's words (spec/admin-api §5.1).
//!
//! In: a schema document, parsed once into a tree with compiled patterns; then any number of values. Out: nothing, or
//! the first failure in schema order. Runs on the control side when something is written or loaded, never for a
//! request. It never panics, whatever the value, and never resolves a reference over the network.
//!
//! The words are the product here: clients of the original compare them, so the usual engines, whose verdicts are the
//! same, would not do. The keywords are those that APISIX's schemas use; a document with any other is refused when it
//! is parsed, so that no rule is ever silently without effect.

mod check;
mod parse;
mod reference;
pub mod words;

pub use reference::{env_reference, holds_reference, is_reference, secret_reference, starts_like_reference};

use regex::Regex;
use serde_json::{Map, Value};

/// A schema, parsed once.
#[derive(Debug)]
pub struct Schema {
    root: Node,
    is_literal: bool,
}

impl Schema {
    /// Parses a JSON Schema document (the subset APISIX's schemas use).
    ///
    /// Fails on a keyword it does not know, on an operand of the wrong kind and on a pattern that does not compile;
    /// the text says where.
    pub fn parse(document: &Value) -> Result<Self, String> {
        parse::node(document, "#").map(|root| Self { root, is_literal: false })
    }

    /// The same schema for objects in which nothing is resolved: a reference is judged like any text.
    #[must_use]
    pub fn literal(self) -> Self {
        Self { is_literal: true, ..self }
    }

    /// Checks `value`; the first failure, in schema order, as APISIX words it.
    ///
    /// A secret reference (see [`is_reference`]) where a string is expected passes every rule of that place: what it
    /// stands for is not known when it is written. [`Schema::literal`] has no such exception.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        check::Checker::new(self.is_literal).node(&self.root, value)
    }
}

/// One schema object. An absent rule is `None` or empty.
#[derive(Debug, Default)]
struct Node {
    /// `true` and `false` as schemas; `None` for an object.
    verdict: Option<bool>,
    types: Vec<Type>,
    properties: Vec<Property>,
    /// Required members that `properties` does not describe, in schema order.
    required: Vec<String>,
    patterns: Vec<(Pattern, Node)>,
    additional: Option<Box<Node>>,
    dependencies: Vec<(String, Dependency)>,
    properties_min: Option<u64>,
    properties_max: Option<u64>,
    items: Option<Box<Node>>,
    items_min: Option<u64>,
    items_max: Option<u64>,
    items_unique: bool,
    length_min: Option<u64>,
    length_max: Option<u64>,
    pattern: Option<Pattern>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    exclusive_minimum: Option<f64>,
    exclusive_maximum: Option<f64>,
    choices: Option<Vec<Value>>,
    constant: Option<Value>,
    all_of: Vec<Node>,
    any_of: Vec<Node>,
    /// The `required` lists of the `anyOf` branches, as the failure shows them.
    any_of_required: String,
    one_of: Vec<Node>,
    not: Option<Box<Node>>,
    condition: Option<Box<Condition>>,
}

#[derive(Debug)]
struct Property {
    name: String,
    required: bool,
    node: Node,
}

#[derive(Debug)]
struct Condition {
    when: Node,
    then: Option<Node>,
    otherwise: Option<Node>,
}

#[derive(Debug)]
enum Dependency {
    Members(Vec<String>),
    Schema(Box<Node>),
}

#[derive(Debug)]
struct Pattern {
    /// As written, for the failure's text.
    source: String,
    regex: Regex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl Type {
    fn admits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Null, Value::Null)
            | (Self::Boolean, Value::Bool(_))
            | (Self::Number, Value::Number(_))
            | (Self::String, Value::String(_))
            | (Self::Array, Value::Array(_))
            | (Self::Object, Value::Object(_)) => true,
            // A number without a fraction is an integer, however it was written.
            (Self::Integer, Value::Number(number)) => {
                number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
            }
            _ => false,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// A schema document that is an object, or nothing.
fn object(document: &Value, at: &str) -> Result<Map<String, Value>, String> {
    document.as_object().cloned().ok_or_else(|| format!("{at}: expected an object, got {}", words::lua_type(document)))
}

#[cfg(test)]
mod tests;
