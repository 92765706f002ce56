//! The worker's own index of routes, mode `radixtree_host_uri` (spec/routing-and-upstreams §2).
//!
//! Host groups are asked in this order: exact host, wildcard hosts by falling suffix length (`*` is the empty suffix),
//! routes without hosts. A host pattern with a port is compared with the raw `Host` value and goes before one without
//! of equal length. Inside a group `Group` decides. `priority` is never compared across groups.
//!
//! A lookup allocates nothing, and its cost does not grow with the number of routes; a change costs what the one
//! route costs. Bench: `route`.

use super::Route;
use super::group::Group;
use super::host::HostPattern;
use super::radix::PrefixMap;
use super::rule::Method;
use crate::base::map::HashMap;
use crate::http::request::Request;
use std::sync::Arc;

/// Finds the route of a request.
#[derive(Debug, Default)]
pub struct Router {
    /// What is indexed, by id: to know what to take out when a route changes.
    routes: HashMap<Box<str>, Arc<Route>>,
    /// Patterns compared with the host for matching.
    hosts: HostGroups,
    /// Patterns compared with the raw `Host` value, because they name a port.
    ported_hosts: HostGroups,
    any_host: Group,
}

/// Groups by host pattern.
#[derive(Debug, Default)]
struct HostGroups {
    exact: HashMap<Box<[u8]>, Group>,
    /// By the reversed suffix. Boxed, so that a node on the way fits one cache line.
    suffixes: PrefixMap<Box<Group>>,
}

impl Router {
    /// A router without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a route in the place of the one called `id`, if there is one; `None` takes it away.
    ///
    /// `id` is the route's own. Costs as much as the two routes have pairs of host and uri.
    pub fn put(&mut self, id: &str, route: Option<Arc<Route>>) {
        if let Some(old) = self.routes.remove(id) {
            self.each_group(&old, |group, uri| group.remove(&old, uri));
        }
        if let Some(new) = route {
            self.each_group(&new, |group, uri| group.add(&new, uri));
            self.routes.insert(id.into(), new);
        }
    }

    /// The route that `request` takes.
    pub fn find<'r>(&'r self, request: &Request<'_>) -> Option<&'r Arc<Route>> {
        let method = Method::of(request.method);
        let (plain, ported) = (&self.hosts, &self.ported_hosts);
        let mut lowered;
        // Without a colon the raw value has no port, and no pattern with a port can match it.
        let raw_host = if ported.is_empty() || !request.raw_host.contains(&b':') {
            None
        } else {
            lowered = [0; HOST_BYTES_MAX];
            lower(request.raw_host, &mut lowered)
        };
        if let Some(raw_host) = raw_host
            && let Some(found) = ported.find_exact(raw_host, request, method)
        {
            return Some(found);
        }
        plain
            .find_exact(request.host, request, method)
            .or_else(|| {
                let plain = plain.suffixes.prefixes_of(request.host.iter().rev().copied());
                let ported = ported.suffixes.prefixes_of(raw_host.unwrap_or_default().iter().rev().copied());
                longest_first(ported, plain).find_map(|group| group.find(request, method))
            })
            .or_else(|| self.any_host.find(request, method))
    }

    /// How many routes it holds.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether it holds no route.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Runs `change` for every group and pattern number that the route stands in, and drops groups left empty.
    fn each_group(&mut self, route: &Route, mut change: impl FnMut(&mut Group, usize)) {
        let rule = &route.rule;
        let mut change = |group: &mut Group| (0..rule.uris().len()).for_each(|uri| change(group, uri));
        if rule.hosts().is_empty() {
            change(&mut self.any_host);
        }
        for host in rule.hosts() {
            let groups = if host.has_port() { &mut self.ported_hosts } else { &mut self.hosts };
            groups.change(host, &mut change);
        }
    }
}

impl HostGroups {
    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.suffixes.is_empty()
    }

    #[inline]
    fn find_exact(&self, host: &[u8], request: &Request<'_>, method: Method) -> Option<&Arc<Route>> {
        if self.exact.is_empty() {
            return None;
        }
        self.exact.get(host)?.find(request, method)
    }

    fn change(&mut self, host: &HostPattern, change: impl FnOnce(&mut Group)) {
        let literal = host.literal();
        if host.is_suffix() {
            let reversed: Vec<u8> = literal.iter().rev().copied().collect();
            if self.suffixes.entry(&reversed).is_none() {
                self.suffixes.insert(&reversed, Box::default());
            }
            let Some(group) = self.suffixes.entry(&reversed) else { return };
            change(group);
            if group.is_empty() {
                self.suffixes.remove(&reversed);
            }
        } else {
            let group = self.exact.entry(literal.into()).or_default();
            change(group);
            if group.is_empty() {
                self.exact.remove(literal);
            }
        }
    }
}

/// Merges two runs of groups that each come longest suffix first; of equal lengths `first` goes first.
fn longest_first<'a>(
    first: impl Iterator<Item = (usize, &'a Box<Group>)>,
    second: impl Iterator<Item = (usize, &'a Box<Group>)>,
) -> impl Iterator<Item = &'a Group> {
    let (mut first, mut second) = (first.peekable(), second.peekable());
    std::iter::from_fn(move || {
        let length = second.peek().map(|(length, _)| *length);
        let next = first.next_if(|(other, _)| length.is_none_or(|length| *other >= length));
        next.or_else(|| second.next()).map(|(_, group)| group.as_ref())
    })
}

/// `host` in lower case; `None` if it is longer than any pattern with a port can be.
fn lower<'a>(host: &[u8], buffer: &'a mut [u8; HOST_BYTES_MAX]) -> Option<&'a [u8]> {
    let lowered = buffer.get_mut(..host.len())?;
    lowered.copy_from_slice(host);
    lowered.make_ascii_lowercase();
    Some(lowered)
}

/// Longest raw `Host` value that is compared with patterns that name a port: a domain name's 255 bytes (RFC 1035
/// §2.3.4) and a port. A longer one matches no such pattern.
const HOST_BYTES_MAX: usize = 262;

#[cfg(test)]
mod tests;
