//! One limit of a configuration: whom it counts together, and how many of them.

use super::amount::{Amount, AmountError};
use super::headers::Headers;
use crate::limit::{Kind, Pinned, Quota};
use crate::plugin::Site;
use crate::vars::variable::Variable;
use crate::vars::{Known, Template, unavailable};
use serde_json::Value;
use std::io::Write;
use std::sync::OnceLock;

/// One limit, ready to be asked.
#[derive(Debug)]
pub(super) struct Rule {
    limit: Amount,
    window_s: Amount,
    kind: Kind,
    counts_excess: bool,
    /// Its counters are in Redis.
    is_shared: bool,
    /// Of its keys: parent and version, or the group.
    prefix: Box<[u8]>,
    /// How much of its keys the table alone needs, at their front.
    pub(super) hidden: usize,
    source: Source,
    /// Of its keys, where one configuration has several limits.
    suffix: Box<[u8]>,
    /// The only key it can have, with its window from the first request on.
    pub(super) only: Option<(Box<[u8]>, OnceLock<Pinned>)>,
    pub(super) headers: Headers,
}

/// Where the value of a key comes from (spec/limit-count §5.1, §5.2).
#[derive(Debug)]
pub(in crate::plugin) enum Source {
    Constant(Box<[u8]>),
    Variable(Variable),
    Combination(Template),
    /// A template that must resolve for the rule to apply.
    OfRule(Template),
}

/// What a rule asks for a request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) quota: Quota,
    /// Nothing that the key names was there: the client's address stands in.
    pub(super) fell_back: bool,
}

impl Rule {
    /// What it asks of `known`, its key appended to `keys` unless it has but one; `None`: the rule does not apply.
    #[inline]
    pub(super) fn ask(&self, known: &Known<'_>, keys: &mut Vec<u8>) -> Result<Option<Asked>, AmountError> {
        let start = keys.len();
        let mut fell_back = false;
        if self.only.is_none() {
            keys.extend_from_slice(&self.prefix);
            match self.source.append(known, keys) {
                Found::Value => {}
                Found::Address => fell_back = true,
                Found::Nothing => {
                    keys.truncate(start);
                    return Ok(None);
                }
            }
            keys.extend_from_slice(&self.suffix);
        }
        let limit = self.limit.of(known, keys)?;
        let window_ms = self.window_s.of(known, keys)?.saturating_mul(1000);
        if self.kind == Kind::Sliding && !self.window_s.is_known() && !self.is_shared {
            // Sliding windows of different lengths have nothing in common. Writing to memory cannot fail.
            let _ = write!(keys, ".{window_ms}");
        }
        let quota = Quota { limit, window_ms, kind: self.kind, counts_excess: self.counts_excess };
        Ok(Some(Asked { quota, fell_back }))
    }
}

/// What a key's value was made of.
pub(in crate::plugin) enum Found {
    Value,
    Address,
    Nothing,
}

impl Source {
    /// Appends the value for a request.
    pub(in crate::plugin) fn append(&self, known: &Known<'_>, out: &mut Vec<u8>) -> Found {
        let start = out.len();
        let is_resolved = match self {
            Self::Constant(text) => {
                out.extend_from_slice(text);
                true
            }
            Self::Variable(variable) => variable.append(known, out),
            Self::Combination(template) | Self::OfRule(template) => template.expand(known, out),
        };
        if is_resolved {
            return Found::Value;
        }
        if matches!(self, Self::OfRule(_)) {
            return Found::Nothing;
        }
        out.truncate(start);
        Variable::RemoteAddr.append(known, out);
        Found::Address
    }
}

/// The limits of a configuration: one, or those of `rules`. Their keys begin with `prefix`; without a `site` they are
/// only checked.
pub(super) fn read_all(configuration: &Value, prefix: &str, site: Option<&Site<'_>>) -> Result<Box<[Rule]>, String> {
    read(configuration, prefix, site, false)
}

/// [`read_all`] for counters in Redis: their keys are `prefix` and the value, without what tells windows of this node
/// apart. So rules that come to the same text count together, as in the original.
pub(super) fn read_shared(configuration: &Value, prefix: &str, site: &Site<'_>) -> Result<Box<[Rule]>, String> {
    read(configuration, prefix, Some(site), true)
}

fn read(configuration: &Value, prefix: &str, site: Option<&Site<'_>>, is_shared: bool) -> Result<Box<[Rule]>, String> {
    let kind = match configuration.get("window_type").and_then(Value::as_str) {
        Some("sliding") => Kind::Sliding,
        _ => Kind::Fixed,
    };
    let group = configuration.get("group").and_then(Value::as_str);
    let is_grouped = group.is_some();
    let hidden = group.map_or(0, |group| prefix.len().saturating_sub(group.len() + 1));
    let metadata = site.and_then(|site| site.metadata);
    let one = |limits: &Value, source: Source, suffix: String, headers: Headers| -> Result<Rule, String> {
        let amount = |name: &str| {
            Amount::read(limits.get(name)).map_err(|why| format!("property \"{name}\" validation failed: {why}"))
        };
        let (limit, window_s) = (amount("count")?, amount("time_window")?);
        let prefix: Box<[u8]> = prefix.as_bytes().into();
        let suffix = if is_shared { String::new() } else { suffix };
        let is_only = !is_shared && suffix.is_empty() && (kind == Kind::Fixed || window_s.is_known());
        let only = match &source {
            Source::Constant(value) if is_only => Some(([&*prefix, value].concat().into(), OnceLock::new())),
            _ => None,
        };
        // A group's limit may be edited and a template's value may change while the count goes on.
        let counts_excess = is_grouped || !limit.is_known();
        let suffix = suffix.into_bytes().into();
        Ok(Rule { limit, window_s, kind, counts_excess, is_shared, prefix, hidden, source, suffix, only, headers })
    };
    let Some(rules) = configuration.get("rules").and_then(Value::as_array) else {
        let source = source(configuration, site)?;
        let rule = one(configuration, source, String::new(), Headers::new(configuration, metadata, None)?)?;
        return Ok(Box::new([rule]));
    };
    let rules = rules.iter().enumerate().map(|(index, rule)| {
        let text = |name: &str| rule.get(name).and_then(Value::as_str);
        let key = Template::parse(text("key").unwrap_or_default()).map_err(|error| in_key(&error))?;
        let position = (index + 1).to_string();
        let headers = Headers::new(configuration, metadata, Some(text("header_prefix").unwrap_or(&position)))?;
        // Two rules may come to the same text; they must not come to the same window.
        one(rule, Source::OfRule(key), format!("#{position}"), headers)
    });
    rules.collect()
}

/// Where the value of a key comes from, by the members `key` and `key_type`; without a `site` it is only checked.
pub(in crate::plugin) fn source(configuration: &Value, site: Option<&Site<'_>>) -> Result<Source, String> {
    let text = |name: &str, default| configuration.get(name).and_then(Value::as_str).unwrap_or(default);
    let key = text("key", "remote_addr");
    Ok(match text("key_type", "var") {
        "constant" => Source::Constant(key.as_bytes().into()),
        "var_combination" => Source::Combination(Template::parse(key).map_err(|error| in_key(&error))?),
        _ if unavailable(key) => return Err(in_key(&format!("variable '{key}' is not supported"))),
        _ => match (Variable::named(key), site.and_then(|site| site.consumer)) {
            // On the consumer itself everybody who gets here is that consumer.
            (Variable::ConsumerName, Some(username)) => Source::Constant(username.as_bytes().into()),
            (variable, _) => {
                if let (Variable::Unknown(name), Some(site)) = (&variable, site) {
                    let key = site.key;
                    tracing::warn!(key, variable = &**name, "a limit's key is no variable: it counts by remote_addr");
                }
                Source::Variable(variable)
            }
        },
    })
}

fn in_key(why: &dyn std::fmt::Display) -> String {
    format!("property \"key\" validation failed: {why}")
}
