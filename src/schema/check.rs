//! A value against a tree: the first failure, in schema order.

use super::words::{lua_float, lua_number, lua_type};
use super::{Condition, Dependency, Node, Type, is_reference};
use crate::base::map::HashMap;
use serde_json::{Map, Number, Value};
use std::cell::Cell;

/// One check of one value.
#[derive(Debug)]
pub(super) struct Checker {
    /// References are texts like others.
    is_literal: bool,
    /// References that passed unseen so far. A branch that matched only because of one proves nothing, so it cannot
    /// make an `oneOf` ambiguous.
    passed_unseen: Cell<u32>,
}

type Verdict = Result<(), String>;

impl Checker {
    pub(super) fn new(is_literal: bool) -> Self {
        Self { is_literal, passed_unseen: Cell::new(0) }
    }

    pub(super) fn node(&self, node: &Node, value: &Value) -> Verdict {
        if let Some(verdict) = node.verdict {
            return if verdict { Ok(()) } else { Err("value is never allowed here".to_owned()) };
        }
        if !self.is_literal && node.expects_text() && value.as_str().is_some_and(is_reference) {
            self.passed_unseen.set(self.passed_unseen.get().saturating_add(1));
            return Ok(());
        }
        check_type(node, value)?;
        match value {
            Value::Object(members) => {
                self.object(node, members)?;
                self.dependencies(node, members, value)?;
            }
            Value::Array(items) => self.array(node, items)?,
            Value::String(text) => check_text(node, text)?,
            Value::Number(number) => check_number(node, number)?,
            Value::Null | Value::Bool(_) => {}
        }
        if node.choices.as_ref().is_some_and(|choices| !choices.iter().any(|choice| same(choice, value))) {
            return Err("matches none of the enum values".to_owned());
        }
        if node.constant.as_ref().is_some_and(|constant| !same(constant, value)) {
            return Err("failed to match the const value".to_owned());
        }
        self.combined(node, value)
    }

    fn object(&self, node: &Node, members: &Map<String, Value>) -> Verdict {
        let count = members.len() as u64;
        if let Some(max) = node.properties_max.filter(|max| count > *max) {
            return Err(format!("expect object to have at most {max} properties"));
        }
        if let Some(min) = node.properties_min.filter(|min| count < *min) {
            return Err(format!("expect object to have at least {min} properties"));
        }
        for property in &node.properties {
            match members.get(&property.name) {
                Some(value) => self
                    .node(&property.node, value)
                    .map_err(|inner| format!("property \"{}\" validation failed: {inner}", property.name))?,
                None if property.required => return Err(format!("property \"{}\" is required", property.name)),
                None => {}
            }
        }
        if let Some(name) = node.required.iter().find(|name| !members.contains_key(*name)) {
            return Err(format!("property \"{name}\" is required"));
        }
        self.undescribed(node, members)
    }

    /// Members that `properties` does not name: by pattern, else as `additionalProperties` says.
    fn undescribed(&self, node: &Node, members: &Map<String, Value>) -> Verdict {
        if node.patterns.is_empty() && node.additional.is_none() {
            return Ok(());
        }
        for (name, value) in members {
            let mut described = node.properties.iter().any(|property| property.name == *name);
            for (pattern, schema) in &node.patterns {
                if pattern.regex.is_match(name) {
                    described = true;
                    self.node(schema, value).map_err(|inner| {
                        format!("failed to validate {name} (matching \"{}\"): {inner}", pattern.source)
                    })?;
                }
            }
            let Some(additional) = node.additional.as_ref().filter(|_| !described) else { continue };
            if additional.verdict == Some(false) {
                return Err(format!("additional properties forbidden, found {name}"));
            }
            self.node(additional, value)
                .map_err(|inner| format!("failed to validate additional property {name}: {inner}"))?;
        }
        Ok(())
    }

    fn dependencies(&self, node: &Node, members: &Map<String, Value>, object: &Value) -> Verdict {
        for (name, dependency) in node.dependencies.iter().filter(|(name, _)| members.contains_key(name)) {
            match dependency {
                Dependency::Members(wanted) => {
                    if let Some(missing) = wanted.iter().find(|wanted| !members.contains_key(*wanted)) {
                        return Err(format!("property \"{missing}\" is required when \"{name}\" is set"));
                    }
                }
                Dependency::Schema(schema) => self
                    .node(schema, object)
                    .map_err(|inner| format!("failed to validate dependent schema for \"{name}\": {inner}"))?,
            }
        }
        Ok(())
    }

    fn array(&self, node: &Node, items: &[Value]) -> Verdict {
        let count = items.len() as u64;
        if let Some(min) = node.items_min.filter(|min| count < *min) {
            return Err(format!("expect array to have at least {min} items"));
        }
        if let Some(max) = node.items_max.filter(|max| count > *max) {
            return Err(format!("expect array to have at most {max} items"));
        }
        if let Some(schema) = &node.items {
            for (index, item) in items.iter().enumerate() {
                self.node(schema, item).map_err(|inner| format!("failed to validate item {}: {inner}", index + 1))?;
            }
        }
        match first_equal_pair(items).filter(|_| node.items_unique) {
            Some((first, second)) => Err(format!("expected unique items but items {first} and {second} are equal")),
            None => Ok(()),
        }
    }

    fn combined(&self, node: &Node, value: &Value) -> Verdict {
        if let Some(condition) = &node.condition {
            self.condition(condition, value)?;
        }
        for (index, branch) in node.all_of.iter().enumerate() {
            self.node(branch, value).map_err(|inner| format!("allOf {} failed: {inner}", index + 1))?;
        }
        if !node.any_of.is_empty() && !node.any_of.iter().any(|branch| self.node(branch, value).is_ok()) {
            let detail = if node.any_of_required.is_empty() { "" } else { ": " };
            return Err(format!("object matches none of the required{detail}{}", node.any_of_required));
        }
        self.exactly_one(&node.one_of, value)?;
        match &node.not {
            Some(schema) if self.matches(schema, value) == Match::Proven => {
                Err("value wasn't supposed to match schema".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn condition(&self, condition: &Condition, value: &Value) -> Verdict {
        let (clause, word) = match self.node(&condition.when, value) {
            Ok(()) => (&condition.then, "then"),
            Err(_) => (&condition.otherwise, "else"),
        };
        match clause {
            Some(clause) => self.node(clause, value).map_err(|_| format!("{word} clause did not match")),
            None => Ok(()),
        }
    }

    fn exactly_one(&self, branches: &[Node], value: &Value) -> Verdict {
        if branches.is_empty() {
            return Ok(());
        }
        let mut proven = None;
        let mut matched = false;
        for (index, branch) in branches.iter().enumerate() {
            match (self.matches(branch, value), proven) {
                (Match::None, _) => {}
                (Match::Unseen, _) => matched = true,
                (Match::Proven, None) => proven = Some(index + 1),
                (Match::Proven, Some(first)) => {
                    let second = index + 1;
                    return Err(format!(
                        "value should match only one schema, but matches both schemas {first} and {second}"
                    ));
                }
            }
        }
        if matched || proven.is_some() {
            Ok(())
        } else {
            Err("value should match only one schema, but matches none".to_owned())
        }
    }

    fn matches(&self, node: &Node, value: &Value) -> Match {
        let before = self.passed_unseen.get();
        match self.node(node, value) {
            Err(_) => Match::None,
            Ok(()) if self.passed_unseen.get() == before => Match::Proven,
            Ok(()) => Match::Unseen,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    None,
    /// It matched, but a reference stood for something unknown.
    Unseen,
    Proven,
}

impl Node {
    /// Whether a string belongs here: by `type`, or, where a branch leaves that out, by rules that only strings have.
    fn expects_text(&self) -> bool {
        if !self.types.is_empty() {
            return self.types.contains(&Type::String);
        }
        let of_text = |values: &[Value]| !values.is_empty() && values.iter().all(Value::is_string);
        self.pattern.is_some()
            || self.length_min.is_some()
            || self.length_max.is_some()
            || self.choices.as_deref().is_some_and(of_text)
            || self.constant.as_ref().is_some_and(Value::is_string)
    }
}

fn check_type(node: &Node, value: &Value) -> Verdict {
    if node.types.is_empty() || node.types.iter().any(|kind| kind.admits(value)) {
        return Ok(());
    }
    let expected = node.types.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    let one_of = if node.types.len() > 1 { "one of " } else { "" };
    Err(format!("wrong type: expected {one_of}{expected}, got {}", lua_type(value)))
}

fn check_text(node: &Node, text: &str) -> Verdict {
    if node.length_min.is_some() || node.length_max.is_some() {
        let length = text.chars().count() as u64;
        if let Some(min) = node.length_min.filter(|min| length < *min) {
            return Err(format!("string too short, expected at least {min}, got {length}"));
        }
        if let Some(max) = node.length_max.filter(|max| length > *max) {
            return Err(format!("string too long, expected at most {max}, got {length}"));
        }
    }
    match node.pattern.as_ref().filter(|pattern| !pattern.regex.is_match(text)) {
        Some(pattern) => Err(format!("failed to match pattern \"{}\" with \"{text}\"", pattern.source)),
        None => Ok(()),
    }
}

fn check_number(node: &Node, number: &Number) -> Verdict {
    let Some(value) = number.as_f64() else { return Ok(()) };
    let rules = [
        (node.minimum.filter(|bound| value < *bound), "at least"),
        (node.exclusive_minimum.filter(|bound| value <= *bound), "greater than"),
        (node.maximum.filter(|bound| value > *bound), "at most"),
        (node.exclusive_maximum.filter(|bound| value >= *bound), "smaller than"),
    ];
    match rules.iter().find_map(|(broken, relation)| Some(((*broken)?, relation))) {
        Some((bound, relation)) => {
            Err(format!("expected {} to be {relation} {}", lua_number(number), lua_float(bound)))
        }
        None => Ok(()),
    }
}

/// Positions, from 1, of the first item that repeats an earlier one, the earlier first.
fn first_equal_pair(items: &[Value]) -> Option<(usize, usize)> {
    // Long lists are lists of text; only other items are compared pair by pair.
    let mut texts: HashMap<&str, usize> = HashMap::default();
    items.iter().enumerate().find_map(|(index, item)| {
        let earlier = match item {
            Value::String(text) => texts.insert(text, index),
            _ => items.iter().take(index).position(|other| same(other, item)),
        };
        earlier.map(|earlier| (earlier + 1, index + 1))
    })
}

/// Equality as JSON Schema has it: 1 and 1.0 are the same, the order of members does not matter.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, value)| right.get(name).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}
