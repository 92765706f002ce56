//! Texts with variables in them: `$name`, `${name}`, `${ name ?? default }` (spec/limit-count §3).
//!
//! Parsed once per change. In, for each request: what is known of it. Out: the text, and whether any variable was
//! there. Never fails: what looks like no variable is text. Expanding allocates no more than the variables do.

use super::variable::Variable;
use super::{Known, VarsError, unavailable};

/// A parsed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Box<[Part]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<[u8]>),
    Variable {
        variable: Variable,
        /// What stands for it where it is absent.
        default: Option<Box<[u8]>>,
    },
}

impl Template {
    /// Parses `text`. Fails on a variable that APISIX has and this gateway has not; a name that nobody knows is always
    /// absent.
    pub fn parse(text: &str) -> Result<Self, VarsError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, tail) = rest.split_at(at);
            plain.push_str(before);
            let tail = tail.get(1..).unwrap_or_default();
            // A backslash keeps the sign a sign, and stays itself.
            let found = if plain.ends_with('\\') { None } else { reference(tail) };
            let Some(Reference { name, default, rest: behind }) = found else {
                plain.push('$');
                rest = tail;
                continue;
            };
            if unavailable(name) {
                return Err(VarsError::Unavailable(name.to_owned()));
            }
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain).into_bytes().into()));
            }
            let default = default.map(|text| text.as_bytes().into());
            parts.push(Part::Variable { variable: Variable::named(name), default });
            rest = behind;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into_bytes().into()));
        }
        Ok(Self(parts.into()))
    }

    /// Appends the text for a request; whether a variable was there, or its default stood in.
    pub fn expand(&self, known: &Known<'_>, out: &mut Vec<u8>) -> bool {
        let mut is_resolved = false;
        for part in &self.0 {
            is_resolved |= match part {
                Part::Text(text) => {
                    out.extend_from_slice(text);
                    false
                }
                Part::Variable { variable, default } => {
                    variable.append(known, out)
                        || default.as_ref().is_some_and(|text| {
                            out.extend_from_slice(text);
                            true
                        })
                }
            };
        }
        is_resolved
    }

    /// The text, if there is no variable in it.
    pub fn constant(&self) -> Option<&[u8]> {
        match &*self.0 {
            [] => Some(b""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}

struct Reference<'t> {
    name: &'t str,
    default: Option<&'t str>,
    rest: &'t str,
}

/// The variable at the start of what follows a `$`.
fn reference(text: &str) -> Option<Reference<'_>> {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.');
    let Some(braced) = text.strip_prefix('{') else {
        let end = text.find(|letter| !is_of_name(letter)).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        return (!name.is_empty()).then_some(Reference { name, default: None, rest });
    };
    let (inside, rest) = braced.split_once('}')?;
    let mut alternatives = inside.split("??").map(str::trim);
    let name = alternatives.next().filter(|name| !name.is_empty() && name.chars().all(is_of_name))?;
    Some(Reference { name, default: alternatives.next(), rest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::OwnedRequest;

    #[test]
    fn texts_expand() {
        let request = OwnedRequest::new("GET", "/p?a=1&empty=").field("Host", "h.test").field("X-Tier", "gold");
        let view = request.view();
        for (text, want, is_resolved) in [
            ("", "", false),
            ("plain", "plain", false),
            ("$remote_addr", "127.0.0.1", true),
            ("$remote_addr $host", "127.0.0.1 h.test", true),
            ("${remote_addr}_2s", "127.0.0.1_2s", true),
            ("$remote_addr_2s", "", false),
            ("a-$arg_a-b", "a-1-b", true),
            ("[$arg_empty]", "[]", true),
            ("[$arg_gone]", "[]", false),
            ("$arg_gone$arg_a", "1", true),
            ("${ http_x_tier ?? none }", "gold", true),
            ("${http_x_gone ?? none}", "none", true),
            ("${http_x_gone ?? a b ?? c}", "a b", true),
            ("${http_x_gone??}", "", true),
            (r"\$remote_addr", r"\$remote_addr", false),
            (r"\${host}$host", r"\${host}h.test", true),
            ("$", "$", false),
            ("$$host", "$h.test", true),
            ("${host", "${host", false),
            ("${}", "${}", false),
            ("${a b}", "${a b}", false),
            ("5 $ $-", "5 $ $-", false),
            ("\u{e9}$host\u{e9}", "\u{e9}h.test\u{e9}", true),
            ("$no_such_thing", "", false),
        ] {
            let mut out = b">".to_vec();
            let template = Template::parse(text).unwrap();
            assert_eq!(template.expand(&Known::of(&view), &mut out), is_resolved, "{text}");
            assert_eq!(String::from_utf8(out).unwrap(), format!(">{want}"), "{text}");
            let is_constant = matches!(template.0.as_ref(), [] | [Part::Text(_)]);
            assert_eq!(template.constant(), is_constant.then_some(text.as_bytes()), "{text}");
        }
        for text in ["$post_arg_a", "${post_arg.a.b}", "x${uri_param_id ?? 1}", "$graphql_name"] {
            assert!(matches!(Template::parse(text), Err(VarsError::Unavailable(_))), "{text}");
        }
    }
}
