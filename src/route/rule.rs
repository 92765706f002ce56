//! What a request must look like to take a route: a route's own words, parsed once per change.

use super::host::HostPattern;
use super::pattern::UriPattern;
use crate::base::network::network;
use crate::http::request::Request;
use crate::vars::{Expression, Known, VarsError};
use ipnet::IpNet;
use serde_json::Value;

/// What a request must look like to take a route, ready to compare. Made by [`Rule::new`].
///
/// The default rule has no uri, so nothing matches it.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    uris: Box<[UriPattern]>,
    hosts: Box<[HostPattern]>,
    priority: i64,
    methods: MethodSet,
    remote_addrs: Box<[IpNet]>,
    vars: Option<Expression>,
}

/// A rule as configured.
#[derive(Debug, Clone, Default)]
pub struct RuleParts<'a> {
    /// `uri` or `uris`.
    pub uris: Vec<String>,
    /// `host` or `hosts`, or the service's `hosts`, in any case; empty means every host.
    pub hosts: Vec<String>,
    /// `priority`: decides among patterns with the same literal part only.
    pub priority: i64,
    /// `methods`; empty means every method.
    pub methods: Vec<String>,
    /// `remote_addr` or `remote_addrs`: addresses or CIDRs; empty means every address.
    pub remote_addrs: Vec<String>,
    /// `vars`.
    pub vars: Option<&'a Value>,
}

/// Why a rule cannot be used. Names the member and what was found there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// No uri at all.
    #[error("neither uri nor uris is given")]
    NoUri,
    /// A uri without a byte.
    #[error("uris: empty text")]
    EmptyUri,
    /// Not a host pattern.
    #[error("hosts: `{0}` is not a host pattern")]
    Host(String),
    /// Not one of the ten methods of the schema.
    #[error("methods: `{0}` is not a known method")]
    Method(String),
    /// Neither an address nor a CIDR.
    #[error("remote_addrs: `{0}` is neither an ip address nor a cidr")]
    RemoteAddr(String),
    /// The expression cannot be used.
    #[error("vars: {0}")]
    Vars(#[from] VarsError),
}

impl Rule {
    /// Parses a rule. Fails on the first member that cannot be used.
    pub fn new(parts: RuleParts<'_>) -> Result<Self, RuleError> {
        if parts.uris.is_empty() {
            return Err(RuleError::NoUri);
        }
        if parts.uris.iter().any(String::is_empty) {
            return Err(RuleError::EmptyUri);
        }
        let hosts = parts.hosts.into_iter().map(|host| HostPattern::new(&host).ok_or(RuleError::Host(host)));
        let mut hosts = hosts.collect::<Result<Vec<_>, _>>()?;
        // The index takes each pattern once.
        hosts.sort_unstable_by(|left, right| left.text().cmp(right.text()));
        hosts.dedup();
        let addresses = parts.remote_addrs.into_iter().map(|text| network(&text).ok_or(RuleError::RemoteAddr(text)));
        Ok(Self {
            uris: parts.uris.iter().map(|uri| UriPattern::new(uri)).collect(),
            hosts: hosts.into(),
            priority: parts.priority,
            methods: MethodSet::new(parts.methods)?,
            remote_addrs: addresses.collect::<Result<_, _>>()?,
            vars: parts.vars.map(Expression::parse).transpose()?,
        })
    }

    /// The uri patterns; never empty in a rule made by [`Rule::new`].
    pub fn uris(&self) -> &[UriPattern] {
        &self.uris
    }

    /// The host patterns, each once, in byte order; empty means every host.
    pub fn hosts(&self) -> &[HostPattern] {
        &self.hosts
    }

    /// Decides among patterns with the same literal part only; higher first.
    pub fn priority(&self) -> i64 {
        self.priority
    }

    /// The methods that take the route.
    pub fn methods(&self) -> MethodSet {
        self.methods
    }

    /// Whether there are conditions beside host, uri and method.
    pub fn has_conditions(&self) -> bool {
        !self.remote_addrs.is_empty() || self.vars.is_some()
    }

    /// Whether the conditions beside host, uri and method hold.
    pub fn conditions_hold(&self, request: &Request<'_>) -> bool {
        (self.remote_addrs.is_empty() || self.remote_addrs.iter().any(|net| net.contains(&request.remote_addr)))
            && self.vars.as_ref().is_none_or(|vars| vars.holds(&Known::of(request)))
    }
}

/// A request's method as one bit, or none for a method outside the ten of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method(u16);

impl Method {
    /// Methods compare with their case (RFC 9110 §9.1).
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        let known = METHODS.iter().position(|method| method.as_bytes() == name);
        Self(known.map_or(0, |place| 1 << place))
    }
}

/// The `methods` of a rule. The default set is empty and stands for every method, also for those outside the ten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MethodSet(u16);

impl MethodSet {
    fn new(names: Vec<String>) -> Result<Self, RuleError> {
        let mut set = 0;
        for name in names {
            match Method::of(name.as_bytes()) {
                Method(0) => return Err(RuleError::Method(name)),
                Method(bit) => set |= bit,
            }
        }
        Ok(Self(set))
    }

    /// Whether a request with this method may take the route.
    #[inline]
    pub fn contains(self, method: Method) -> bool {
        self.0 == 0 || self.0 & method.0 != 0
    }
}

/// The methods a route may name (spec/admin-api §6), frequent ones first.
const METHODS: [&str; 10] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::OwnedRequest;
    use serde_json::json;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let uris = texts(&["/a"]);
        let vars = json!([["arg_a", "=", "1"]]);
        for (parts, want) in [
            (RuleParts::default(), "neither uri nor uris is given"),
            (RuleParts { uris: texts(&["/a", ""]), ..RuleParts::default() }, "uris: empty text"),
            (
                RuleParts { uris: uris.clone(), hosts: texts(&["a*b"]), ..RuleParts::default() },
                "hosts: `a*b` is not a host pattern",
            ),
            (
                RuleParts { uris: uris.clone(), methods: texts(&["GET", "get"]), ..RuleParts::default() },
                "methods: `get` is not a known method",
            ),
            (
                RuleParts { uris: uris.clone(), remote_addrs: texts(&["10.0.0.0/33"]), ..RuleParts::default() },
                "remote_addrs: `10.0.0.0/33` is neither an ip address nor a cidr",
            ),
            (RuleParts { uris, vars: Some(&vars), ..RuleParts::default() }, "vars: invalid operator '='"),
        ] {
            assert_eq!(Rule::new(parts).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn methods_and_addresses_restrict() {
        let rule = |methods: &[&str], remote_addrs: &[&str]| {
            let (methods, remote_addrs) = (texts(methods), texts(remote_addrs));
            Rule::new(RuleParts { uris: texts(&["/a"]), methods, remote_addrs, ..RuleParts::default() }).unwrap()
        };
        for (methods, addresses, method, address, want) in [
            (&[][..], &[][..], "GET", "10.0.0.1", true),
            (&[], &[], "BREW", "10.0.0.1", true),
            (&["GET", "PURGE"], &[], "PURGE", "10.0.0.1", true),
            (&["GET", "PURGE"], &[], "POST", "10.0.0.1", false),
            (&["GET"], &[], "get", "10.0.0.1", false),
            (&["GET"], &[], "BREW", "10.0.0.1", false),
            (&[], &["10.0.0.1"], "GET", "10.0.0.1", true),
            (&[], &["10.0.0.1"], "GET", "10.0.0.2", false),
            (&[], &["1.1.1.1", "10.9.9.9/8"], "GET", "10.0.0.2", true),
            (&[], &["10.0.0.0/8"], "GET", "::1", false),
            (&[], &["fe80::/10", "::1"], "GET", "::1", true),
            (&[], &["0.0.0.0/0"], "GET", "1.2.3.4", true),
        ] {
            let mut request = OwnedRequest::new(method, "/a");
            request.remote_addr = address.parse().unwrap();
            let rule = rule(methods, addresses);
            let holds = rule.methods().contains(Method::of(method.as_bytes())) && rule.conditions_hold(&request.view());
            assert_eq!(holds, want, "{methods:?} {addresses:?} takes {method} from {address}");
        }
    }
}
