//! Filters in their phases, against plugins that leave a trace.

use super::*;
use crate::auth::consumer::{ConsumerTable, Identity};
use crate::auth::jwt::Scratch;
use crate::base::clock::Now;
use crate::http::request::OwnedRequest;
use crate::limit::Local;
use crate::plugin::chain::MergedChains;
use crate::plugin::filter::{Filter, parse};
use crate::plugin::meta::Disabled;
use crate::plugin::{Edits, Plugin};
use crate::route::{Route, Router, Rule, RuleParts};
use serde_json::{Value, json};

/// Writes `owner.phase` where edits are collected.
#[derive(Debug)]
struct Traced {
    owner: &'static str,
    first_phase: Phase,
    identity: Option<Arc<Identity>>,
}

impl Plugin for Traced {
    fn rewrite(&self, _request: &Request<'_>, context: &mut Context<'_>) -> Verdict {
        if self.first_phase == Phase::Rewrite {
            context.edits.remove_fields.push(format!("{}.rewrite", self.owner).into_bytes().into());
        }
        if self.identity.is_some() {
            context.identity.clone_from(&self.identity);
        }
        Verdict::Continue
    }

    fn access(&self, _request: &Request<'_>, context: &mut Context<'_>) -> Verdict {
        if self.identity.is_none() {
            context.edits.remove_fields.push(format!("{}.access", self.owner).into_bytes().into());
        }
        Verdict::Continue
    }
}

fn link(name: &'static str, owner: &'static str, priority: i64, first_phase: Phase, filter: &Value) -> Link {
    let filter = (!filter.is_null()).then(|| Arc::new(Filter::new(parse(filter).unwrap(), first_phase)));
    let plugin = Arc::new(Traced { owner, first_phase, identity: None });
    Link { name, priority, is_auth: false, filter, plugin }
}

/// A plugin of both phases, right after authentication.
fn both(owner: &'static str, filter: &Value) -> Link {
    link("both", owner, 20, Phase::Rewrite, filter)
}

/// A plugin of the access phase.
fn late(owner: &'static str, filter: &Value) -> Link {
    link("late", owner, 10, Phase::Access, filter)
}

/// Authenticates everybody as jack of the group g, who brings `plugins`.
fn auth(plugins: Vec<Link>, filter: &Value) -> Link {
    let identity = Identity {
        username: "jack".into(),
        group_id: Some("g".into()),
        credential_id: None,
        fields: Box::default(),
        plugins: plugins.into(),
    };
    let plugin = Traced { owner: "auth", first_phase: Phase::Rewrite, identity: Some(Arc::new(identity)) };
    Link { is_auth: true, plugin: Arc::new(plugin), ..link("auth", "auth", 30, Phase::Rewrite, filter) }
}

/// The phases that ran for `GET <target>`, given global rules and the chain of the route `r1` for `/r`.
fn trace(rules: Vec<Link>, route: Vec<Link>, target: &str) -> String {
    let rule = Rule::new(RuleParts { uris: vec!["/r".into()], ..RuleParts::default() }).unwrap();
    let mut router = Router::new();
    let route = Route {
        id: "r1".into(),
        name: None,
        service_id: Some("s1".into()),
        service_name: None,
        rule,
        chain: Arc::new(Chain::new(route)),
        target: Target::None,
        timeouts: None,
        enable_websocket: false,
    };
    router.put("r1", Some(Arc::new(route)));
    let (mut edits, mut scratch, mut memory) = (Edits::default(), Scratch::default(), Memory::default());
    let (answers, consumers, rules) = (Answers::new(), ConsumerTable::default(), Arc::new(Chain::new(rules)));
    let mut limits = Local::default();
    let mut context = Context::new(Now::default(), &consumers, &mut edits, &mut scratch, &mut limits);
    let mut phases = Phases { answers: &answers, router: &router, global_rules: &rules, memory: &mut memory };
    let request = OwnedRequest::new("GET", target);
    let outcome = phases.run(&request.view(), &mut context, &mut MergedChains::default());
    assert_eq!(outcome.is_ok(), target.starts_with("/r"));
    let steps: Vec<_> = edits.remove_fields.iter().map(|step| std::str::from_utf8(step).unwrap()).collect();
    steps.join(" ")
}

#[test]
fn a_false_filter_skips_every_phase_and_a_true_one_none() {
    for (filter, want) in [
        (Value::Null, "route.rewrite route.access late.access"),
        (json!([]), "route.rewrite route.access late.access"),
        (json!([["arg_v", "==", "2"]]), "route.rewrite route.access late.access"),
        (json!([["arg_v", "==", "1"]]), "late.access"),
        (json!([["arg_v", "!", "==", "2"]]), "late.access"),
        (json!([["route_id", "r1"], ["service_id", "s1"]]), "route.rewrite route.access late.access"),
        (json!([["route_id", "r2"]]), "late.access"),
        (json!([["consumer_name", "==", null]]), "route.rewrite route.access late.access"),
    ] {
        let chain = vec![both("route", &filter), late("late", &Value::Null)];
        assert_eq!(trace(vec![], chain, "/r?v=2"), want, "{filter}");
    }
}

#[test]
fn a_filter_sees_what_is_known_in_the_first_phase_of_its_plugin_and_is_not_asked_again() {
    let jack = json!([["consumer_name", "jack"], ["consumer_group_id", "g"]]);
    let nobody = json!([["consumer_name", "==", null]]);
    let early = |filter: &Value| link("early", "early", 99, Phase::Rewrite, filter);
    for (name, plugin, want) in [
        ("rewrites before authentication: skipped for good", early(&jack), "auth.rewrite"),
        ("and admitted for good", early(&nobody), "early.rewrite auth.rewrite early.access"),
        ("rewrites after it", both("route", &jack), "auth.rewrite route.rewrite route.access"),
        ("rewrites after it, for nobody", both("route", &nobody), "auth.rewrite"),
        ("nothing to do in the rewrite phase", late("late", &jack), "auth.rewrite late.access"),
        (
            "an early place, but the access phase",
            link("late", "late", 99, Phase::Access, &jack),
            "auth.rewrite late.access",
        ),
        ("for nobody", late("late", &nobody), "auth.rewrite"),
    ] {
        // A plugin of jack's that nobody else has: chains are merged, and decisions outlast that.
        let brought = || vec![link("brought", "brought", 0, Phase::Access, &json!([["uri", "/never"]]))];
        for plugins in [vec![], brought()] {
            let chain = vec![auth(plugins, &Value::Null), plugin.clone()];
            assert_eq!(trace(vec![], chain, "/r"), want, "{name}");
        }
    }
}

#[test]
fn a_consumers_filter_comes_with_its_plugin_in_place_of_the_routes() {
    let (yes, no, none) = (json!([["consumer_name", "jack"]]), json!([["consumer_name", "jill"]]), Value::Null);
    for (name, routes, jacks, want) in [
        ("the route's says no, jack has none", Some(&no), Some(&none), "auth.rewrite jack.access"),
        ("the route's says no, jack's yes", Some(&no), Some(&yes), "auth.rewrite jack.access"),
        ("the route has none, jack's says no", Some(&none), Some(&no), "auth.rewrite route.rewrite"),
        ("the route's says yes, jack's no", Some(&yes), Some(&no), "auth.rewrite route.rewrite"),
        ("only jack has it, and it says yes", None, Some(&yes), "auth.rewrite jack.rewrite jack.access"),
        ("only jack has it, and it says no", None, Some(&no), "auth.rewrite"),
        ("jack has another one", Some(&yes), None, "auth.rewrite route.rewrite route.access"),
    ] {
        let jacks = jacks.map(|filter| both("jack", filter)).into_iter().collect();
        let mut chain = vec![auth(jacks, &Value::Null)];
        chain.extend(routes.map(|filter| both("route", filter)));
        assert_eq!(trace(vec![], chain, "/r"), want, "{name}");
    }
    let off = Link { plugin: Arc::new(Disabled), ..late("jack", &Value::Null) };
    let chain = vec![auth(vec![off], &Value::Null), late("route", &yes)];
    assert_eq!(trace(vec![], chain, "/r"), "auth.rewrite", "switched off outranks a filter");
}

#[test]
fn without_authentication_the_consumers_plugins_stay_out() {
    let chain = vec![auth(vec![late("jack", &Value::Null)], &json!([["arg_v", "2"]])), late("route", &Value::Null)];
    assert_eq!(trace(vec![], chain.clone(), "/r"), "route.access");
    assert_eq!(trace(vec![], chain, "/r?v=2"), "auth.rewrite jack.access");
}

#[test]
fn global_rules_are_filtered_like_others_with_and_without_a_route() {
    for (filter, on_route, elsewhere) in [
        (json!([["route_id", "r1"]]), "rule.rewrite auth.rewrite rule.access", ""),
        (json!([["route_id", "==", null]]), "auth.rewrite", "rule.rewrite rule.access"),
        (json!([["uri", "in", ["/r", "/else"]]]), "rule.rewrite auth.rewrite rule.access", "rule.rewrite rule.access"),
        (json!([["consumer_name", "jack"]]), "auth.rewrite", ""),
    ] {
        let rules = || vec![both("rule", &filter)];
        assert_eq!(trace(rules(), vec![auth(vec![], &Value::Null)], "/r"), on_route, "{filter}");
        assert_eq!(trace(rules(), vec![], "/else"), elsewhere, "{filter}");
    }
    let rules = vec![late("rule", &json!([["consumer_name", "jack"]]))];
    assert_eq!(trace(rules, vec![auth(vec![], &Value::Null)], "/r"), "auth.rewrite rule.access");
}
