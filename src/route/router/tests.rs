//! The index against tables from the specification, and against a router that sorts everything for each request.

use super::*;
use crate::http::request::OwnedRequest;
use crate::plugin::Chain;
use crate::route::{Rule, RuleParts, Target};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A route as a test writes it.
#[derive(Debug, Clone)]
struct Sketch {
    id: String,
    uris: Vec<String>,
    hosts: Vec<String>,
    priority: i64,
    methods: Vec<String>,
    remote_addrs: Vec<String>,
    vars: Option<Value>,
}

impl Sketch {
    fn new(id: &str, uris: &[&str], hosts: &[&str]) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        Self {
            id: id.to_owned(),
            uris: owned(uris),
            hosts: owned(hosts),
            priority: 0,
            methods: Vec::new(),
            remote_addrs: Vec::new(),
            vars: None,
        }
    }

    fn priority(mut self, priority: i64) -> Self {
        self.priority = priority;
        self
    }

    fn methods(mut self, methods: &[&str]) -> Self {
        self.methods = methods.iter().map(ToString::to_string).collect();
        self
    }

    fn vars(mut self, vars: Value) -> Self {
        self.vars = Some(vars);
        self
    }

    fn route(&self) -> Arc<Route> {
        let sketch = self.clone();
        let parts = RuleParts {
            uris: sketch.uris,
            hosts: sketch.hosts,
            priority: sketch.priority,
            methods: sketch.methods,
            remote_addrs: sketch.remote_addrs,
            vars: sketch.vars.as_ref(),
        };
        Arc::new(Route {
            id: sketch.id.into(),
            name: None,
            service_id: None,
            service_name: None,
            rule: Rule::new(parts).unwrap(),
            chain: Arc::new(Chain::default()),
            target: Target::None,
            timeouts: None,
            enable_websocket: false,
        })
    }
}

fn router(sketches: &[Sketch]) -> Router {
    let mut router = Router::new();
    for sketch in sketches {
        router.put(&sketch.id, Some(sketch.route()));
    }
    router
}

fn request(method: &str, host: &str, target: &str) -> OwnedRequest {
    let request = OwnedRequest::new(method, target);
    if host.is_empty() { request } else { request.field("Host", host) }
}

fn found(router: &Router, method: &str, host: &str, target: &str) -> Option<String> {
    router.find(&request(method, host, target).view()).map(|route| route.id.to_string())
}

#[test]
fn uri_patterns_are_found_through_the_index() {
    for (pattern, hits, misses) in [
        ("/foo", &["/foo", "/foo?a=1"][..], &["/foo/", "/fo", "/foobar"][..]),
        ("/foo*", &["/foo", "/foobar", "/foo/a"], &["/fo"]),
        ("/foo/*", &["/foo/", "/foo/a/b"], &["/foo"]),
        ("*", &["/", "/a"], &[]),
        ("/a/*/b", &["/a/x/y/b"], &["/a/b", "/a/x/c"]),
        ("/a/*rest", &["/a/", "/a/x"], &["/a"]),
        ("/a*b", &["/a", "/ax", "/a/c"], &["/b"]),
        ("/user/:id", &["/user/:id"], &["/user/1"]),
    ] {
        let router = router(&[Sketch::new("r", &[pattern], &[])]);
        for target in hits {
            assert!(found(&router, "GET", "h", target).is_some(), "{pattern} takes {target}");
        }
        for target in misses {
            assert!(found(&router, "GET", "h", target).is_none(), "{pattern} leaves {target}");
        }
    }
}

#[test]
fn host_patterns_are_found_through_the_index() {
    for (pattern, hits, misses) in [
        ("foo.com", &["foo.com", "FOO.com", "foo.com:9080"][..], &["a.foo.com", "xfoo.com", ""][..]),
        ("Foo.COM", &["foo.com"], &["foo.org"]),
        ("*.foo.com", &["a.foo.com", "a.b.foo.com", ".foo.com", "A.foo.com:1"], &["foo.com", "xfoo.com"]),
        ("*foo.com", &["foo.com", "xfoo.com", "a.foo.com"], &["foo.org"]),
        ("*", &["foo.com", "", "x:1"], &[]),
        ("foo.com:8080", &["foo.com:8080", "Foo.com:8080"], &["foo.com", "foo.com:80", "a.foo.com:8080"]),
        ("*.foo.com:8080", &["a.foo.com:8080", "A.B.foo.com:8080"], &["foo.com:8080", "a.foo.com", "a.foo.com:80"]),
        ("*:8080", &["foo.com:8080", "x:8080"], &["x:80", "x"]),
    ] {
        let router = router(&[Sketch::new("r", &["/*"], &[pattern])]);
        for host in hits {
            assert!(found(&router, "GET", host, "/").is_some(), "{pattern} takes {host}");
        }
        for host in misses {
            assert!(found(&router, "GET", host, "/").is_none(), "{pattern} leaves {host}");
        }
    }
}

#[test]
fn a_host_beyond_all_bounds_matches_no_pattern_with_a_port() {
    let router = router(&[Sketch::new("port", &["/*"], &["*:80"]), Sketch::new("any", &["/*"], &["*"])]);
    let long = "a".repeat(HOST_BYTES_MAX);
    assert_eq!(found(&router, "GET", &format!("{long}:80"), "/").as_deref(), Some("any"));
    assert_eq!(found(&router, "GET", &format!("{}:80", &long[3..]), "/").as_deref(), Some("port"));
}

#[test]
fn candidates_come_in_order() {
    let exact = || Sketch::new("exact", &["/a/b"], &[]);
    let long = || Sketch::new("long", &["/a/b*"], &[]);
    let short = || Sketch::new("short", &["/a/*"], &[]);
    let rows = [
        (
            "exact host before a wildcard whatever the priority",
            "h.com",
            "/x",
            "exact",
            vec![Sketch::new("exact", &["/*"], &["h.com"]), Sketch::new("wild", &["/x"], &["*.com"]).priority(9)],
        ),
        (
            "longest suffix first",
            "a.b.com",
            "/",
            "long",
            vec![Sketch::new("short", &["/"], &["*.com"]).priority(9), Sketch::new("long", &["/*"], &["*.b.com"])],
        ),
        (
            "a suffix with its dot is longer",
            "a.b.com",
            "/",
            "dot",
            vec![Sketch::new("bare", &["/"], &["*b.com"]), Sketch::new("dot", &["/*"], &["*.b.com"])],
        ),
        (
            "wildcard before the star",
            "a.com",
            "/",
            "wild",
            vec![Sketch::new("star", &["/"], &["*"]).priority(9), Sketch::new("wild", &["/*"], &["*.com"])],
        ),
        (
            "star before no host",
            "a.com",
            "/",
            "star",
            vec![Sketch::new("none", &["/"], &[]).priority(9), Sketch::new("star", &["/*"], &["*"])],
        ),
        (
            "a port is the more exact host",
            "a.com:81",
            "/",
            "port",
            vec![Sketch::new("plain", &["/"], &["a.com"]).priority(9), Sketch::new("port", &["/*"], &["a.com:81"])],
        ),
        (
            "suffixes with and without port by length",
            "x.a.com:81",
            "/",
            "plain",
            vec![Sketch::new("port", &["/"], &["*:81"]).priority(9), Sketch::new("plain", &["/*"], &["*.a.com"])],
        ),
        ("exact uri before a prefix", "h", "/a/b", "exact", vec![short().priority(9), long().priority(9), exact()]),
        ("longest prefix first", "h", "/a/bc", "long", vec![short().priority(9), long(), exact().priority(9)]),
        (
            "priority among equal uris",
            "h",
            "/a/b",
            "high",
            vec![exact(), Sketch::new("high", &["/a/b"], &[]).priority(1)],
        ),
        (
            "priority among equal literal parts",
            "h",
            "/a/x/b",
            "short",
            vec![Sketch::new("inner", &["/a/*/b"], &[]), short().priority(1)],
        ),
        (
            "longer text among equal literal parts",
            "h",
            "/a/x/b",
            "to-b",
            vec![short(), Sketch::new("to-b", &["/a/*/b"], &[])],
        ),
        (
            "byte order of the id at last",
            "h",
            "/",
            "10",
            vec![Sketch::new("9", &["/"], &[]), Sketch::new("10", &["/"], &[]), Sketch::new("a", &["/"], &[])],
        ),
        (
            "more conditions do not raise the rank",
            "h",
            "/",
            "1",
            vec![
                Sketch::new("1", &["/"], &[]),
                Sketch::new("2", &["/"], &[]).methods(&["GET"]).vars(json!([["uri", "==", "/"]])),
            ],
        ),
        (
            "the next candidate when a condition fails",
            "h",
            "/a/b",
            "short",
            vec![exact().methods(&["POST"]), long().vars(json!([["arg_x", "==", "1"]])), short()],
        ),
        (
            "the next group when all of one fail",
            "a.b.com",
            "/a/b",
            "none",
            vec![
                Sketch::new("exact", &["/a/b"], &["a.b.com"]).methods(&["POST"]),
                Sketch::new("suffix", &["/a/b/c"], &["*.b.com"]),
                Sketch::new("star", &["/a/b"], &["*"]).vars(json!([["http_x", "~=", null]])),
                Sketch::new("none", &["/*"], &[]),
            ],
        ),
        (
            "an inner wildcard that fails gives way to a shorter prefix",
            "h",
            "/a/x/c",
            "short",
            vec![Sketch::new("inner", &["/a/x*/*/b"], &[]), short()],
        ),
    ];
    for (name, host, target, want, mut sketches) in rows {
        for _ in 0..sketches.len() {
            assert_eq!(found(&router(&sketches), "GET", host, target).as_deref(), Some(want), "{name}");
            sketches.rotate_left(1);
        }
    }
}

#[test]
fn a_route_is_replaced_and_taken_away() {
    let mut router = Router::new();
    router.put("r", Some(Sketch::new("r", &["/a", "/b*"], &["h", "*.h", "h"]).route()));
    assert_eq!(found(&router, "GET", "h", "/b1").as_deref(), Some("r"));
    router.put("r", Some(Sketch::new("r", &["/c"], &["*"]).route()));
    assert_eq!(found(&router, "GET", "h", "/b1"), None);
    assert_eq!(found(&router, "GET", "h", "/c").as_deref(), Some("r"));
    assert_eq!(router.len(), 1);
    router.put("r", None);
    router.put("other", None);
    assert_eq!(found(&router, "GET", "h", "/c"), None);
    assert!(router.is_empty());
}

/// One way a route can be reached, as the specification ranks it: smaller goes first.
type Rank = (u8, Reverse<usize>, bool, u8, Reverse<usize>, Reverse<i64>, Reverse<usize>, String);

/// Every (host, uri) pair of every route that the request fits, sorted by the specification's rules; the best wins.
fn naive(sketches: &BTreeMap<String, Sketch>, method: &str, raw_host: &str, target: &str) -> Option<String> {
    let raw_host = raw_host.to_lowercase();
    let host = raw_host.split(':').next().unwrap();
    let path = target.split('?').next().unwrap();
    let mut ranks: Vec<Rank> = Vec::new();
    for sketch in sketches.values() {
        let query_holds = match &sketch.vars {
            None => true,
            Some(_) => target.contains("k=1"),
        };
        let method_holds = sketch.methods.is_empty() || sketch.methods.iter().any(|name| name == method);
        let address_holds = sketch.remote_addrs.is_empty() || sketch.remote_addrs.iter().any(|net| net == "127.0.0.1");
        if !(query_holds && method_holds && address_holds) {
            continue;
        }
        let mut groups: Vec<(u8, Reverse<usize>, bool)> = Vec::new();
        if sketch.hosts.is_empty() {
            groups.push((2, Reverse(0), false));
        }
        for pattern in &sketch.hosts {
            let pattern = pattern.to_lowercase();
            let subject = if pattern.contains(':') { raw_host.as_str() } else { host };
            let is_plain = !pattern.contains(':');
            match pattern.strip_prefix('*') {
                Some(suffix) if subject.ends_with(suffix) => groups.push((1, Reverse(suffix.len()), is_plain)),
                None if subject == pattern => groups.push((0, Reverse(0), is_plain)),
                _ => {}
            }
        }
        for pattern in &sketch.uris {
            let literal = pattern.split('*').next().unwrap();
            let is_exact = !pattern.contains('*');
            let fits = if is_exact {
                path == pattern
            } else if pattern.split('/').any(|segment| segment.starts_with('*')) {
                path.starts_with(literal) && fits_segments(&pattern.split('/').collect::<Vec<_>>(), path)
            } else {
                path.starts_with(literal)
            };
            if fits {
                for (class, suffix, is_plain) in &groups {
                    ranks.push((
                        *class,
                        *suffix,
                        *is_plain,
                        u8::from(!is_exact),
                        Reverse(literal.len()),
                        Reverse(sketch.priority),
                        Reverse(pattern.len()),
                        sketch.id.clone(),
                    ));
                }
            }
        }
    }
    ranks.into_iter().min().map(|rank| rank.7)
}

/// Tries every length for every wildcard segment.
fn fits_segments(segments: &[&str], rest: &str) -> bool {
    let Some((segment, later)) = segments.split_first() else { return rest.is_empty() };
    let after = |rest: &str| match later {
        [] => rest.is_empty(),
        later => rest.strip_prefix('/').is_some_and(|rest| fits_segments(later, rest)),
    };
    if segment.starts_with('*') {
        (0..=rest.len()).any(|length| after(&rest[length..]))
    } else {
        rest.strip_prefix(segment).is_some_and(after)
    }
}

fn sketches() -> impl Strategy<Value = Sketch> {
    let uris = vec![
        "/", "/a", "/a/", "/a/b", "/a/b/c", "/*", "*", "/a*", "/a/*", "/a/b*", "/a/*/b", "/a/*x/c", "/a/*/", "/a*b",
        "/a/*/b/*", "/b*/c",
    ];
    let hosts = vec!["*", "h.com", "a.h.com", "*.h.com", "*h.com", "*.com", "h.com:81", "*.h.com:81", "*:81", "*m:81"];
    (
        0..12_u8,
        prop::sample::subsequence(uris, 1..4),
        prop::sample::subsequence(hosts, 0..3),
        -1..2_i64,
        prop::sample::subsequence(vec!["GET", "POST"], 0..2),
        prop::option::weighted(0.2, prop::sample::select(vec!["127.0.0.1", "10.0.0.1"])),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(id, uris, hosts, priority, methods, remote_addr, has_vars)| Sketch {
            remote_addrs: remote_addr.into_iter().map(ToOwned::to_owned).collect(),
            vars: has_vars.then(|| json!([["arg_k", "==", "1"]])),
            ..Sketch::new(&id.to_string(), &uris, &hosts).priority(priority).methods(&methods)
        })
}

fn requests() -> impl Strategy<Value = (&'static str, &'static str, &'static str)> {
    let hosts = vec!["", "h.com", "H.com:81", "a.h.com", "a.h.com:81", "b.a.h.com:81", "xh.com", "x.org", "x.org:81"];
    let targets = vec![
        "/",
        "/a",
        "/a/",
        "/a/b",
        "/a/b/c",
        "/a/x/b",
        "/a/x/b?k=1",
        "/a/x/c",
        "/ab",
        "/a/b?k=1",
        "/a/b/b/z",
        "/bx/c",
        "/b",
        "/?k=1",
    ];
    (prop::sample::select(vec!["GET", "POST", "BREW"]), prop::sample::select(hosts), prop::sample::select(targets))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn agrees_with_sorting_everything(
        steps in prop::collection::vec((sketches(), prop::bool::weighted(0.75)), 1..30),
        requests in prop::collection::vec(requests(), 1..30),
    ) {
        let mut router = Router::new();
        let mut model = BTreeMap::new();
        for (sketch, is_put) in &steps {
            if *is_put {
                router.put(&sketch.id, Some(sketch.route()));
                model.insert(sketch.id.clone(), sketch.clone());
            } else {
                router.put(&sketch.id, None);
                model.remove(&sketch.id);
            }
        }
        prop_assert_eq!(router.len(), model.len());
        for (method, host, target) in requests {
            prop_assert_eq!(
                found(&router, method, host, target),
                naive(&model, method, host, target),
                "{} {} {}", method, host, target
            );
        }
        for id in model.keys() {
            router.put(id, None);
        }
        prop_assert!(router.hosts.is_empty() && router.ported_hosts.is_empty() && router.any_host.is_empty());
    }
}
