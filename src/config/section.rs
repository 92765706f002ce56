//! Takes typed values out of the merged tree. What nobody took is left over, and so is known to have no effect.

use super::error::Fault;
use super::units;
use super::yaml::{Table, kind};
use ipnet::IpNet;
use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;

/// One mapping of the tree, with the dotted path that leads to it. Every reader takes its key out.
pub(super) struct Section {
    path: String,
    table: Table,
}

impl Section {
    /// The whole tree.
    pub(super) fn root(table: Table) -> Self {
        Self { path: String::new(), table }
    }

    /// Dotted path of `key`.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The mapping at `key`; one that was removed or never set is empty.
    pub(super) fn section(&mut self, key: &str) -> Result<Section, Fault> {
        Ok(self.section_if_present(key)?.unwrap_or_else(|| Section { path: self.path(key), table: Table::new() }))
    }

    /// The mapping at `key`, if there is one.
    pub(super) fn section_if_present(&mut self, key: &str) -> Result<Option<Section>, Fault> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Object(table)) => Ok(Some(Section { path: self.path(key), table })),
            Some(other) => Err(self.unfit(key, "a mapping", kind(&other))),
        }
    }

    /// A switch; one that was removed is off.
    pub(super) fn switch(&mut self, key: &str) -> Result<bool, Fault> {
        Ok(self.switch_if_present(key)?.unwrap_or(false))
    }

    /// A switch, if there is one.
    pub(super) fn switch_if_present(&mut self, key: &str) -> Result<Option<bool>, Fault> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(on)) => Ok(Some(on)),
            Some(other) => Err(self.unfit(key, "true or false", kind(&other))),
        }
    }

    /// A text, not empty.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, Fault> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(other) => Err(self.unfit(key, "a string", kind(&other))),
        }
    }

    /// One of `choices`; the first one when absent. The value itself is shown in the error: it is a mode, no secret.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Result<Option<T>, Fault> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return Ok(Some(*value));
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        Err(self.unfit(key, &format!("one of {}", names.join(", ")), &format!("{text:?}")))
    }

    /// A whole number from `least` to `most`. Digits in a string count too where the merge let one through.
    pub(super) fn count(&mut self, key: &str, least: u64, most: u64) -> Result<Option<u64>, Fault> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match whole(&value).filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.unfit(key, &format!("a whole number from {least} to {most}"), &shown(&value))),
        }
    }

    /// A time in nginx's syntax, or a number of seconds.
    pub(super) fn time(&mut self, key: &str) -> Result<Option<Duration>, Fault> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match scalar_text(&value).as_deref().and_then(units::time) {
            Some(time) => Ok(Some(time)),
            None => Err(self.unfit(key, "a time such as 60s, 1m30s or 500ms", &shown(&value))),
        }
    }

    /// A size in nginx's syntax, or a number of bytes.
    pub(super) fn size(&mut self, key: &str, least: u64, most: u64) -> Result<Option<u64>, Fault> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match scalar_text(&value).as_deref().and_then(units::size).filter(|bytes| (least..=most).contains(bytes)) {
            Some(bytes) => Ok(Some(bytes)),
            None => {
                let expected = format!("a size from {least} to {most} bytes, such as 8k or 1m");
                Err(self.unfit(key, &expected, &shown(&value)))
            }
        }
    }

    /// A list, its items as they are.
    pub(super) fn list(&mut self, key: &str) -> Result<Option<Vec<Value>>, Fault> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.unfit(key, "a list", kind(&other))),
        }
    }

    /// A list of addresses and networks; `unix:` is passed over, there are no such peers here.
    pub(super) fn networks(&mut self, key: &str) -> Result<Option<Vec<IpNet>>, Fault> {
        let Some(items) = self.list(key)? else { return Ok(None) };
        let mut networks = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let text = item.as_str().unwrap_or_default();
            if text == "unix:" {
                continue;
            }
            let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            let Some(network) = network else {
                return Err(self.unfit(&format!("{key}[{index}]"), "an IP address or network", &shown(item)));
            };
            networks.push(network);
        }
        Ok(Some(networks))
    }

    /// A port; 0 lets the kernel choose.
    pub(super) fn port(&mut self, key: &str) -> Result<Option<u16>, Fault> {
        Ok(self.count(key, 0, u64::from(u16::MAX))?.map(|port| port as u16))
    }

    /// An IP address, square brackets around IPv6 allowed.
    pub(super) fn ip(&mut self, key: &str) -> Result<Option<IpAddr>, Fault> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match bare_ip(&text) {
            Some(ip) => Ok(Some(ip)),
            None => Err(self.unfit(key, "an IP address", &format!("{text:?}"))),
        }
    }

    /// The value at `key`, taken out.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.table.shift_remove(key)
    }

    /// Adds what nobody took to `left`, each with its dotted path.
    pub(super) fn finish(self, left: &mut Vec<(String, Value)>) {
        let Self { path, table } = self;
        for (key, value) in table {
            let path = if path.is_empty() { key } else { format!("{path}.{key}") };
            left.push((path, value));
        }
    }

    /// The error for a value that cannot be used.
    pub(super) fn unfit(&self, key: &str, expected: &str, found: &str) -> Fault {
        Fault::Value { key: self.path(key), expected: expected.to_owned(), found: found.to_owned() }
    }
}

/// An address as `1.2.3.4`, `::1` or `[::1]`.
pub(super) fn bare_ip(text: &str) -> Option<IpAddr> {
    text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text).parse().ok()
}

/// A value in an error about a number, a time or an address: those hold no secret. Long texts are only named.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) if !text.is_empty() && text.len() <= SHOWN_BYTES_MAX => format!("{text:?}"),
        other => kind(other).to_owned(),
    }
}

/// A whole number, also when written as digits in a string or as `5.0`.
fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            number.as_f64().filter(|float| float.fract() == 0.0 && (0.0..EXACT_MAX).contains(float)).map(|f| f as u64)
        }),
        Value::String(text) => crate::base::bytes::decimal(text.as_bytes()),
        _ => None,
    }
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::Number(_) => whole(value).map(|number| number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

const SHOWN_BYTES_MAX: usize = 40;
/// Whole numbers below 2^53 are exact as `f64`.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
