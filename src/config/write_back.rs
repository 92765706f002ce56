//! Puts a generated admin key into the text of `config.yaml` and leaves every other byte as it was.
//!
//! The place is found by the YAML parser, the edit is made in the text, and the result is parsed again: unless it is
//! the old tree with exactly this key set, nothing is returned.

use super::error::Fault;
use super::yaml::{self, Table};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use serde_saphyr::{Location, Spanned};

/// `text` with `key` at `.deployment.admin.admin_key[index].key`.
///
/// An entry that is there with `key: ""` is filled in. Without `admin_key` the list with one entry is added.
pub(super) fn with_key(text: &str, index: usize, key: &str) -> Result<String, Fault> {
    let before = yaml::parse(text)?;
    let (edited, wanted) = match place(text)? {
        Place::Entries(places) => {
            let location = places.get(index).copied().flatten().ok_or(Fault::NoPlace("the entry has no key"))?;
            (filled(text, &location, key)?, with_value(before, index, key))
        }
        Place::Below(indent_of, location) => {
            (inserted(text, &location, &block(indent_of, key))?, with_entry(before, key))
        }
        Place::End => (appended(text, &block(Level::Root, key)), with_entry(before, key)),
    };
    match yaml::parse(&edited) {
        Ok(after) if Some(&after) == wanted.as_ref() => Ok(edited),
        _ => Err(Fault::NoPlace("the file's layout leaves no safe place for it")),
    }
}

/// Where a key goes.
enum Place {
    /// The `key` values of the list that is there.
    Entries(Vec<Option<Location>>),
    /// Before the first key of this mapping.
    Below(Level, Location),
    /// After everything.
    End,
}

/// Which mapping a block is added to.
#[derive(Clone, Copy)]
enum Level {
    Root,
    Deployment,
    Admin,
}

#[derive(Deserialize)]
struct Root {
    deployment: Option<Spanned<Deployment>>,
}

#[derive(Deserialize)]
struct Deployment {
    admin: Option<Spanned<Admin>>,
}

#[derive(Deserialize)]
struct Admin {
    admin_key: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    key: Option<Spanned<IgnoredAny>>,
}

fn place(text: &str) -> Result<Place, Fault> {
    let unfit = |_| Fault::NoPlace("the file's layout is unusual");
    let root: Option<Root> = serde_saphyr::from_str_with_options(text, yaml::options()).map_err(unfit)?;
    let Some(deployment) = root.and_then(|root| root.deployment) else { return Ok(Place::End) };
    let Some(admin) = deployment.value.admin else {
        return Ok(Place::Below(Level::Deployment, deployment.referenced));
    };
    Ok(match admin.value.admin_key {
        Some(entries) => {
            let places = entries.into_iter().map(|entry| entry.key.map(|key| key.referenced));
            Place::Entries(places.collect())
        }
        None => Place::Below(Level::Admin, admin.referenced),
    })
}

/// `text` with the empty scalar at `location` replaced; the kind of quotes stays.
fn filled(text: &str, location: &Location, key: &str) -> Result<String, Fault> {
    let (before, rest) = split(text, location)?;
    for quotes in ["\"\"", "''"] {
        if let Some(after) = rest.strip_prefix(quotes) {
            let quote = quotes.get(..1).unwrap_or_default();
            return Ok([before, quote, key, quote, after].concat());
        }
    }
    Err(Fault::NoPlace("the value in the file is not \"\""))
}

/// `text` with `lines` before the line of `location`, indented like it.
fn inserted(text: &str, location: &Location, lines: &[String]) -> Result<String, Fault> {
    let (before, rest) = split(text, location)?;
    let (head, indent) = before.rsplit_once('\n').map_or(("", before), |(head, indent)| (head, indent));
    if !indent.bytes().all(|byte| byte == b' ') {
        return Err(Fault::NoPlace("the mapping around it is not written one key per line"));
    }
    let mut out = String::with_capacity(text.len() + 128);
    if before.contains('\n') {
        out.push_str(head);
        out.push('\n');
    }
    for line in lines {
        out.push_str(&[indent, line, "\n"].concat());
    }
    out.push_str(indent);
    out.push_str(rest);
    Ok(out)
}

fn appended(text: &str, lines: &[String]) -> String {
    let mut out = text.to_owned();
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    for line in lines {
        out.push_str(&[line, "\n"].concat());
    }
    out
}

fn split<'t>(text: &'t str, location: &Location) -> Result<(&'t str, &'t str), Fault> {
    let start = location.span().byte_offset().and_then(|start| usize::try_from(start).ok());
    start.and_then(|start| text.split_at_checked(start)).ok_or(Fault::NoPlace("its place in the file is not known"))
}

/// The lines of a list with one key, from the level above it on.
fn block(level: Level, key: &str) -> Vec<String> {
    let names: &[&str] = match level {
        Level::Root => &["deployment:", "admin:", "admin_key:"],
        Level::Deployment => &["admin:", "admin_key:"],
        Level::Admin => &["admin_key:"],
    };
    let mut lines: Vec<String> =
        names.iter().enumerate().map(|(depth, name)| format!("{}{name}", "  ".repeat(depth))).collect();
    let indent = "  ".repeat(names.len());
    lines.push(format!("{indent}- name: admin"));
    lines.push(format!("{indent}  key: \"{key}\""));
    lines.push(format!("{indent}  role: admin"));
    lines
}

fn with_value(before: Table, index: usize, key: &str) -> Option<Table> {
    let mut tree = Value::Object(before);
    *tree.pointer_mut(&format!("/deployment/admin/admin_key/{index}/key"))? = Value::String(key.to_owned());
    into_table(tree)
}

fn with_entry(before: Table, key: &str) -> Option<Table> {
    let mut table = before;
    let deployment = table.entry("deployment").or_insert_with(|| json!({})).as_object_mut()?;
    let admin = deployment.entry("admin").or_insert_with(|| json!({})).as_object_mut()?;
    admin.insert("admin_key".to_owned(), json!([{ "name": "admin", "key": key, "role": "admin" }]));
    Some(table)
}

fn into_table(value: Value) -> Option<Table> {
    match value {
        Value::Object(table) => Some(table),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "abcdefghijklmnopqrstuvwxyzABCDEF";

    /// Every case marks with `@` where its key (or the block that holds it) is expected.
    #[test]
    fn only_the_empty_value_changes() {
        let cases = [
            "deployment:\n  admin:\n    admin_key:\n      - name: admin\n        key: \"@\"   # note\n        role: admin\n# end",
            "deployment:\n  admin:\n    admin_key:\n    - key: '@'\n      role: admin\n",
            "deployment: {admin: {admin_key: [{key: \"@\", role: admin}]}}\n",
            "# ä comment with wide letters é\r\ndeployment:\r\n  admin:\r\n    admin_key:\r\n      - {role: admin, key: '@'}\r\n",
            "---\napisix: {a: 1}\ndeployment:\n    admin:\n        admin_key:\n            -\n                key: \"@\"\n                role: admin\n",
        ];
        for marked in cases {
            let (blank, want) = (marked.replace('@', ""), marked.replace('@', KEY));
            assert_eq!(with_key(&blank, 0, KEY).unwrap(), want, "{marked}");
        }
    }

    #[test]
    fn the_right_entry_is_filled() {
        let text = "deployment:\n  admin:\n    admin_key:\n      - {key: \"\", role: admin}\n      - {key: \"\", role: admin}\n";
        let one = with_key(text, 1, KEY).unwrap();
        assert_eq!(one, text.replacen("\"\"", "@", 1).replacen("\"\"", &format!("\"{KEY}\""), 1).replace('@', "\"\""));
    }

    #[test]
    fn a_missing_list_is_added_and_the_rest_stays() {
        let entry = |indent: &str| {
            format!(
                "{indent}admin_key:\n{indent}  - name: admin\n{indent}    key: \"{KEY}\"\n{indent}    role: admin\n"
            )
        };
        let cases = [
            ("", format!("deployment:\n  admin:\n{}", entry("    "))),
            ("# only this", format!("# only this\ndeployment:\n  admin:\n{}", entry("    "))),
            ("apisix:\n  a: 1\n", format!("apisix:\n  a: 1\ndeployment:\n  admin:\n{}", entry("    "))),
            (
                "deployment:\n  # role\n  role: traditional # x\n",
                format!("deployment:\n  # role\n  admin:\n{}  role: traditional # x\n", entry("    ")),
            ),
            (
                "deployment:\n   admin:\n      allow_admin: [127.0.0.0/24]\nb: 1\n",
                format!("deployment:\n   admin:\n{}      allow_admin: [127.0.0.0/24]\nb: 1\n", entry("      ")),
            ),
        ];
        for (text, want) in cases {
            assert_eq!(with_key(text, 0, KEY).unwrap(), want, "{text}");
        }
    }

    #[test]
    fn no_safe_place_is_an_error() {
        let cases = [
            "deployment: {role: traditional}\n",
            "{apisix: {}}\n",
            "a: 1\n...\n",
            "deployment:\n  admin:\n    admin_key:\n      - {role: admin}\n",
            "x: &k \"\"\ndeployment:\n  admin:\n    admin_key:\n      - {key: *k, role: admin}\n",
            "deployment:\n  admin:\n    admin_key:\n      - {key: \"${{KEY}}\", role: admin}\n",
            "a: &d {admin: {admin_key: [{key: \"\", role: admin}]}}\ndeployment: *d\nb: *d\n",
        ];
        for text in cases {
            let error = with_key(text, 0, KEY).unwrap_err().to_string();
            let expected = "deployment.admin.admin_key: cannot write a generated key";
            assert!(error.starts_with(expected) && !error.contains(KEY), "{text}: {error}");
        }
    }
}
