//! Request variables, and conditions over them: `vars` of routes, `_meta.filter` of plugins
//! (spec/routing-and-upstreams §3).
//!
//! Parsed once per change, regular expressions compiled; evaluated for each request that reaches a route or a plugin
//! with such a condition. In: what is [`Known`] of a request. Out: whether the condition holds. Evaluation never fails
//! and never panics; it allocates only for variables that must be decoded, joined or rendered. Fuzz target: `vars`.
//!
//! Regular expressions run in time linear in the variable's length. So look-around, back references and the like,
//! which PCRE has, are refused when the expression is parsed. They work on bytes: classes such as `\w` and case
//! folding are ASCII, as in the original; `$` matches at the very end only.

use comparison::Comparison;
use serde_json::Value;

mod comparison;
mod known;
mod template;
pub mod variable;

pub use comparison::number;
pub use known::Known;
pub use template::Template;

/// A parsed list of conditions.
#[derive(Debug, Clone)]
pub struct Expression(Node);

#[derive(Debug, Clone)]
enum Node {
    Compare(Comparison),
    All(Box<[Node]>),
    Any(Box<[Node]>),
    NotAll(Box<[Node]>),
    NotAny(Box<[Node]>),
}

/// Why an expression cannot be used. The texts without a place to fill are APISIX's (spec/admin-api §5).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VarsError {
    /// The operator is unknown.
    #[error("invalid operator '{0}'")]
    InvalidOperator(String),
    /// A comparison stands where a list of expressions is expected, or a bare value where an expression is.
    #[error("rule should be wrapped inside brackets")]
    NotWrapped,
    /// An empty expression, or a logical word with fewer than two operands.
    #[error("rule too short")]
    TooShort,
    /// Neither two, three nor four members, or the variable's name or the pattern has the wrong type.
    #[error("invalid expression")]
    InvalidExpression,
    /// Four members, the second of which is not `!`.
    #[error("bad 'not' expression")]
    BadNot,
    /// A value of `ipmatch` is not an address or CIDR, or there is none.
    #[error("invalid ip address")]
    InvalidAddress,
    /// The pattern of `~~` or `~*` does not compile.
    #[error("regular expression '{pattern}' cannot be used: {cause}")]
    Regex {
        /// As configured.
        pattern: String,
        /// What the compiler says of it.
        cause: String,
    },
    /// More than [`DEPTH_MAX`] lists inside each other.
    #[error("expressions nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// The variable cannot be had here, although APISIX has it or may have it: what depends on it would be decided
    /// wrongly without a word.
    #[error("variable '{0}' is not supported")]
    Unavailable(String),
}

impl Expression {
    /// Parses a list of conditions: a route's `vars`, a plugin's `_meta.filter`.
    pub fn parse(vars: &Value) -> Result<Self, VarsError> {
        let Value::Array(rule) = vars else { return Err(VarsError::NotWrapped) };
        match rule.first() {
            None => Ok(Self(Node::All(Box::default()))),
            Some(first) if first.is_array() || first.is_object() || Logic::named(first).is_some() => {
                node(rule, 1).map(Self)
            }
            Some(_) => Err(VarsError::NotWrapped),
        }
    }

    /// Whether the condition holds, as far as the request is `known`.
    pub fn holds(&self, known: &Known<'_>) -> bool {
        self.0.holds(known)
    }

    /// The first name in it that stands for no variable, and therefore for something always absent.
    pub fn unknown(&self) -> Option<&str> {
        self.0.unknown()
    }
}

/// Judges the `vars` member of a route; the text follows `failed to validate the 'vars' expression: `.
pub fn check(vars: &Value) -> Result<(), String> {
    Expression::parse(vars).map(drop).map_err(|error| error.to_string())
}

/// Whether `name` is a variable that APISIX has and this gateway has not: what depends on it is refused.
pub fn unavailable(name: &str) -> bool {
    UNAVAILABLE.iter().any(|prefix| name.starts_with(prefix))
}

impl Node {
    fn holds(&self, known: &Known<'_>) -> bool {
        let holds = |node: &Self| node.holds(known);
        match self {
            Self::Compare(comparison) => comparison.holds(known),
            Self::All(nodes) => nodes.iter().all(holds),
            Self::Any(nodes) => nodes.iter().any(holds),
            Self::NotAll(nodes) => !nodes.iter().all(holds),
            Self::NotAny(nodes) => !nodes.iter().any(holds),
        }
    }

    fn unknown(&self) -> Option<&str> {
        match self {
            Self::Compare(comparison) => comparison.unknown(),
            Self::All(nodes) | Self::Any(nodes) | Self::NotAll(nodes) | Self::NotAny(nodes) => {
                nodes.iter().find_map(Self::unknown)
            }
        }
    }
}

/// Parses one list: expressions joined by AND, a logical word with operands, or a comparison.
fn node(list: &[Value], depth: usize) -> Result<Node, VarsError> {
    if depth > DEPTH_MAX {
        return Err(VarsError::TooDeep);
    }
    let Some((first, operands)) = list.split_first() else { return Err(VarsError::TooShort) };
    let parse = |operands: &[Value]| operands.iter().map(|value| operand(value, depth)).collect::<Result<Box<_>, _>>();
    if first.is_array() || first.is_object() {
        return parse(list).map(Node::All);
    }
    let Some(logic) = Logic::named(first) else { return Comparison::parse(list).map(Node::Compare) };
    if operands.len() < 2 {
        return Err(VarsError::TooShort);
    }
    let nodes = parse(operands)?;
    Ok(match logic {
        Logic::And => Node::All(nodes),
        Logic::Or => Node::Any(nodes),
        Logic::NotAnd => Node::NotAll(nodes),
        Logic::NotOr => Node::NotAny(nodes),
    })
}

fn operand(value: &Value, depth: usize) -> Result<Node, VarsError> {
    match value {
        Value::Array(list) => node(list, depth + 1),
        // To the original an object is a list without members.
        Value::Object(_) => Err(VarsError::TooShort),
        _ => Err(VarsError::NotWrapped),
    }
}

#[derive(Debug, Clone, Copy)]
enum Logic {
    And,
    Or,
    NotAnd,
    NotOr,
}

impl Logic {
    fn named(value: &Value) -> Option<Self> {
        let name = value.as_str()?;
        let words = [("AND", Self::And), ("OR", Self::Or), ("!AND", Self::NotAnd), ("!OR", Self::NotOr)];
        words.into_iter().find(|(word, _)| name.eq_ignore_ascii_case(word)).map(|(_, logic)| logic)
    }
}

/// Variables of the original that need the body, the route's captures or a GraphQL parser.
const UNAVAILABLE: [&str; 3] = ["post_arg", "graphql_", "uri_param_"];
/// Lists that may stand inside each other.
pub const DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::OwnedRequest;
    use proptest::prelude::*;
    use serde_json::json;

    fn request() -> OwnedRequest {
        OwnedRequest::new("GET", "/p?k=v&n=12&e=&f=1.5&h=0x10")
            .field("Host", "Foo.com:9080")
            .field("X-Real-IP", "10.1.2.3")
            .field("cookie", "sid=abc")
    }

    #[test]
    fn operators_follow_the_table() {
        for (vars, want) in [
            (json!([]), true),
            (json!([["arg_k", "==", "v"]]), true),
            (json!([["arg_k", "v"]]), true),
            (json!([["arg_k", "V"]]), false),
            (json!([["arg_n", 12]]), true),
            (json!([["arg_n", "==", 12]]), true),
            (json!([["arg_n", "==", 12.0]]), true),
            (json!([["arg_h", "==", 16]]), true),
            (json!([["arg_n", "==", "12.0"]]), false),
            (json!([["arg_k", "==", 12]]), false),
            (json!([["arg_k", "~=", 12]]), true),
            (json!([["arg_n", "~=", 12]]), false),
            (json!([["arg_n", "~=", "12"]]), false),
            (json!([["arg_gone", "==", 12]]), false),
            (json!([["arg_gone", "~=", 12]]), true),
            (json!([["arg_gone", "~=", "x"]]), true),
            (json!([["arg_k", "==", true]]), false),
            (json!([["arg_k", "~=", ["v"]]]), true),
            (json!([["arg_n", ">", 11]]), true),
            (json!([["arg_n", ">", "11"]]), true),
            (json!([["arg_n", ">", 12]]), false),
            (json!([["arg_n", ">=", 12]]), true),
            (json!([["arg_n", "<", 12]]), false),
            (json!([["arg_n", "<=", 12]]), true),
            (json!([["arg_f", "<", 1.6]]), true),
            (json!([["arg_k", "<", 12]]), false),
            (json!([["arg_gone", "<", 12]]), false),
            (json!([["arg_n", "<", "x"]]), false),
            (json!([["arg_n", "<", null]]), false),
            (json!([["uri", "~~", "^/[a-z]$"]]), true),
            (json!([["uri", "~~", "P"]]), false),
            (json!([["uri", "~*", "P"]]), true),
            (json!([["arg_gone", "~~", ".*"]]), false),
            (json!([["arg_gone", "!", "~~", ".*"]]), true),
            (json!([["arg_n", "~~", 2]]), true),
            (json!([["arg_n", "in", ["11", "12"]]]), true),
            (json!([["arg_n", "IN", [11, 12]]]), false),
            (json!([["arg_n", "in", "12"]]), false),
            (json!([["arg_gone", "in", [null, ""]]]), false),
            (json!([["arg_k", "has", "v"]]), false),
            (json!([["arg_k", "!", "has", "v"]]), true),
            (json!([["remote_addr", "ipmatch", "127.0.0.0/8"]]), true),
            (json!([["remote_addr", "ipmatch", ["10.0.0.1", "127.0.0.1"]]]), true),
            (json!([["remote_addr", "IPMatch", ["10.0.0.1", "::/0"]]]), false),
            (json!([["http_x_real_ip", "ipmatch", "10.0.0.0/8"]]), true),
            (json!([["arg_k", "ipmatch", "0.0.0.0/0"]]), false),
            (json!([["arg_gone", "ipmatch", "0.0.0.0/0"]]), false),
            (json!([["http_x", "==", null]]), true),
            (json!([["http_x", "=="]]), true),
            (json!([["http_x", null]]), true),
            (json!([["http_host", "==", null]]), false),
            (json!([["http_x", "~=", null]]), false),
            (json!([["http_host", "~=", null]]), true),
            (json!([["arg_e", "==", null]]), false),
            (json!([["arg_e", "==", ""]]), true),
            (json!([["arg_k", "!", "==", "v"]]), false),
            (json!([["no_such_variable", "==", null]]), true),
            (json!([["consumer_name", "==", null]]), true),
            (json!([["consumer_name", "==", "jack"]]), false),
            (json!([["status", ">", 0]]), false),
        ] {
            let holds = Expression::parse(&vars).unwrap().holds(&Known::of(&request().view()));
            assert_eq!(holds, want, "{vars}");
        }
    }

    #[test]
    fn logical_words_join_and_nest() {
        let yes = || json!(["arg_k", "==", "v"]);
        let no = || json!(["arg_k", "==", "w"]);
        for (vars, want) in [
            (json!([yes(), yes()]), true),
            (json!([yes(), no()]), false),
            (json!(["AND", yes(), no()]), false),
            (json!(["or", no(), yes()]), true),
            (json!(["OR", no(), no()]), false),
            (json!(["!OR", no(), no()]), true),
            (json!(["!or", no(), yes()]), false),
            (json!(["!AND", yes(), yes()]), false),
            (json!(["!and", yes(), no()]), true),
            (json!([["OR", no(), ["!AND", yes(), no()]], yes()]), true),
            (json!(["OR", [yes(), no()], [yes(), yes()]]), true),
        ] {
            let holds = Expression::parse(&vars).unwrap().holds(&Known::of(&request().view()));
            assert_eq!(holds, want, "{vars}");
        }
    }

    #[test]
    fn refusals_use_the_known_texts() {
        let mut deep = json!([["arg_k", "==", "v"]]);
        for _ in 0..DEPTH_MAX {
            deep = json!([deep]);
        }
        for (vars, want) in [
            (json!([["arg_k", "=", "v"]]), "invalid operator '='"),
            (json!([["arg_k", "INVALID", 10]]), "invalid operator 'invalid'"),
            (json!([["arg_k", "!", "=", "v"]]), "invalid operator '='"),
            (json!([["arg_k", 5, "v"]]), "invalid operator '5'"),
            (json!(["arg_k", "==", "v"]), "rule should be wrapped inside brackets"),
            (json!([null]), "rule should be wrapped inside brackets"),
            (json!({ "arg_k": "v" }), "rule should be wrapped inside brackets"),
            (json!([["arg_k", "==", "v"], "arg_n"]), "rule should be wrapped inside brackets"),
            (json!(["OR", ["arg_k", "v"]]), "rule too short"),
            (json!(["OR", ["arg_k", "v"], ["AND"]]), "rule too short"),
            (json!([[]]), "rule too short"),
            (json!([{}]), "rule too short"),
            (json!([["arg_k"]]), "invalid expression"),
            (json!([[1, "==", "v"]]), "invalid expression"),
            (json!([["arg_k", "~~", null]]), "invalid expression"),
            (json!([["arg_k", "!", "==", "v", "w"]]), "invalid expression"),
            (json!([["!", "arg_k", "==", "1"]]), "bad 'not' expression"),
            (json!([["remote_addr", "ipmatch", ""]]), "invalid ip address"),
            (json!([["remote_addr", "ipmatch"]]), "invalid ip address"),
            (json!([["remote_addr", "ipmatch", []]]), "invalid ip address"),
            (json!([["remote_addr", "ipmatch", [""]]]), "invalid ip address"),
            (json!([["remote_addr", "ipmatch", "10.0.0.0/33"]]), "invalid ip address"),
            (deep, "expressions nested more than 32 deep"),
            (json!([["post_arg_name", "==", "x"]]), "variable 'post_arg_name' is not supported"),
            (json!([["uri", "~~", "(?=a)"]]), "regular expression '(?=a)' cannot be used: "),
            (json!([["uri", "~~", "[0"]]), "regular expression '[0' cannot be used: "),
        ] {
            let text = check(&vars).unwrap_err();
            let is_known = if want.ends_with(": ") { text.starts_with(want) } else { text == want };
            assert!(is_known, "{vars}: {text}");
            assert!(!text.contains('\n'), "{vars}: {text}");
        }
    }

    #[test]
    fn variables_that_cannot_be_had_are_refused() {
        for name in ["post_arg", "post_arg_a", "post_arg.a.b", "graphql_name", "uri_param_id"] {
            let error = Expression::parse(&json!([[name, "==", "x"]])).unwrap_err();
            assert_eq!(error, VarsError::Unavailable(name.to_owned()));
        }
    }

    #[test]
    fn names_without_a_variable_are_found_wherever_they_stand() {
        for (vars, want) in [
            (json!([]), None),
            (json!([["arg_k", "v"], ["route_id", "!", "==", "1"]]), None),
            (json!([["arg_k", "v"], ["OR", ["uri", "/"], ["!AND", ["urii", "/"], ["other", 1]]]]), Some("urii")),
            (json!(["!OR", ["status", ">", 1], ["remote_addr", "ipmatch", "::/0"]]), Some("status")),
            (json!([["other", "ipmatch", "::/0"]]), Some("other")),
        ] {
            assert_eq!(Expression::parse(&vars).unwrap().unknown(), want, "{vars}");
        }
    }

    /// JSON that often looks like an expression.
    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            prop::sample::select(vec![
                "AND", "or", "!", "==", "~=", ">", "~~", "in", "has", "ipmatch", "arg_k", "uri", "10.0.0.1", "[", "12",
            ])
            .prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| prop::collection::vec(inner, 0..5).prop_map(Value::from))
    }

    proptest! {
        #[test]
        fn parsing_and_evaluating_never_panic(vars in anything()) {
            if let Ok(expression) = Expression::parse(&vars) {
                let holds = expression.holds(&Known::of(&request().view()));
                let negated = json!(["!AND", vars, []]);
                prop_assert!(Expression::parse(&negated).is_err());
                let twice = json!(["!OR", vars, vars]);
                if let Ok(twice) = Expression::parse(&twice) {
                    prop_assert_eq!(twice.holds(&Known::of(&request().view())), !holds);
                }
            }
        }
    }
}
