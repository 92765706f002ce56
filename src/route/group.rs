//! The routes of one host pattern, by uri (spec/routing-and-upstreams §2.3, the order inside a group).
//!
//! A lookup costs one hash of the path and one walk along it; after that it touches only routes whose literal part
//! the path begins with.

use super::Route;
use super::pattern::UriPattern;
use super::radix::PrefixMap;
use super::rule::{Method, MethodSet};
use crate::base::map::HashMap;
use crate::http::request::Request;
use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

/// An index of routes by uri.
#[derive(Debug, Default)]
pub(super) struct Group {
    exact: HashMap<Box<[u8]>, Candidates>,
    prefixes: PrefixMap<Candidates>,
}

impl Group {
    /// The first route in order whose pattern and conditions hold.
    #[inline]
    pub(super) fn find(&self, request: &Request<'_>, method: Method) -> Option<&Arc<Route>> {
        if let Some(found) = self.exact.get(request.path).and_then(|candidates| candidates.find(request, method)) {
            return Some(found);
        }
        let path = request.path.iter().copied();
        self.prefixes.prefixes_of(path).find_map(|(_, candidates)| candidates.find(request, method))
    }

    /// Adds a route under its pattern number `uri`.
    pub(super) fn add(&mut self, route: &Arc<Route>, uri: usize) {
        let (Some(pattern), Some(candidate)) = (route.rule.uris().get(uri), Candidate::new(route, uri)) else { return };
        let literal = pattern.literal();
        let candidates = if pattern.is_exact() { self.exact.get_mut(literal) } else { self.prefixes.entry(literal) };
        if let Some(candidates) = candidates {
            candidates.add(candidate);
            return;
        }
        let candidates = Candidates { first: candidate, rest: Vec::new() };
        if pattern.is_exact() {
            self.exact.insert(literal.into(), candidates);
        } else {
            self.prefixes.insert(literal, candidates);
        }
    }

    /// Takes a route away from under its pattern number `uri`.
    pub(super) fn remove(&mut self, route: &Arc<Route>, uri: usize) {
        let (Some(pattern), Some(candidate)) = (route.rule.uris().get(uri), Candidate::new(route, uri)) else { return };
        let literal = pattern.literal();
        if pattern.is_exact() {
            if self.exact.get_mut(literal).is_some_and(|candidates| candidates.remove(&candidate)) {
                self.exact.remove(literal);
            }
        } else if self.prefixes.entry(literal).is_some_and(|candidates| candidates.remove(&candidate)) {
            self.prefixes.remove(literal);
        }
    }

    /// Whether no route is left.
    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty()
    }
}

/// Routes with the same literal part, best first. One is the rule; more cost an allocation.
#[derive(Debug)]
struct Candidates {
    first: Candidate,
    rest: Vec<Candidate>,
}

impl Candidates {
    #[inline]
    fn find(&self, request: &Request<'_>, method: Method) -> Option<&Arc<Route>> {
        std::iter::once(&self.first)
            .chain(&self.rest)
            .find(|candidate| candidate.holds(request, method))
            .map(|candidate| &candidate.route)
    }

    fn add(&mut self, mut candidate: Candidate) {
        if candidate.order(&self.first).is_lt() {
            std::mem::swap(&mut self.first, &mut candidate);
        }
        let place = self.rest.partition_point(|other| other.order(&candidate).is_lt());
        self.rest.insert(place, candidate);
    }

    /// Returns whether it was the only one, and so still stands and is to be dropped with the list.
    fn remove(&mut self, candidate: &Candidate) -> bool {
        if candidate.order(&self.first).is_eq() {
            if self.rest.is_empty() {
                return true;
            }
            self.first = self.rest.remove(0);
        } else if let Ok(place) = self.rest.binary_search_by(|other| other.order(candidate)) {
            self.rest.remove(place);
        }
        false
    }
}

/// One uri of one route. What nearly all routes ask for is at hand, so that most are judged without being touched.
#[derive(Debug)]
struct Candidate {
    route: Arc<Route>,
    /// Which of the route's patterns.
    uri: u32,
    methods: MethodSet,
    /// Whether the pattern goes beyond its literal part.
    has_pieces: bool,
    /// Whether the rule has conditions besides the methods.
    has_conditions: bool,
}

impl Candidate {
    fn new(route: &Arc<Route>, uri: usize) -> Option<Self> {
        let rule = &route.rule;
        Some(Self {
            has_pieces: rule.uris().get(uri)?.has_pieces(),
            has_conditions: rule.has_conditions(),
            methods: rule.methods(),
            route: Arc::clone(route),
            uri: uri as u32,
        })
    }

    #[inline]
    fn holds(&self, request: &Request<'_>, method: Method) -> bool {
        self.methods.contains(method)
            && (!self.has_pieces || self.pattern().is_some_and(|pattern| pattern.holds(request.path)))
            && (!self.has_conditions || self.route.rule.conditions_hold(request))
    }

    fn pattern(&self) -> Option<&UriPattern> {
        self.route.rule.uris().get(self.uri as usize)
    }

    /// Higher `priority`, then longer pattern text, then byte order of the id. The last keeps a route's own patterns apart.
    fn order(&self, other: &Self) -> Ordering {
        let key = |candidate: &Self| {
            let text_length = candidate.pattern().map_or(0, |pattern| pattern.text().len());
            Reverse((candidate.route.rule.priority(), text_length))
        };
        key(self)
            .cmp(&key(other))
            .then_with(|| self.route.id.cmp(&other.route.id))
            .then_with(|| self.uri.cmp(&other.uri))
    }
}
