//! The phases of one request before it goes upstream: route, rewrite, merge, access (see `LIFECYCLE.md`).
//!
//! Runs without waiting, so the worker's tables are borrowed once and cannot change under it.

use super::answers::Answers;
use super::exchange::{Client, Exchange};
use crate::http::path::{Normalised, normalise, split_target};
use crate::http::request::Request;
use crate::plugin::chain::{Chain, Link};
use crate::plugin::filter::Decisions;
use crate::plugin::{Answer, Context, Phase, Verdict};
use crate::route::Target;
use crate::route::host::{MatchingHost, matching_host};
use crate::upstream::Timeouts;
use crate::worker::state::State;
use crate::worker::tables::{LiveUpstream, Tables};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

/// What the phases decided.
#[derive(Debug)]
pub enum Decision {
    /// Answer now.
    Answer(Arc<Answer>),
    /// Ask this upstream.
    Forward(Forward),
}

/// Where a request goes, pinned for as long as it lasts.
#[derive(Debug)]
pub struct Forward {
    /// The upstream.
    pub upstream: Rc<LiveUpstream>,
    /// The route's waits, else the upstream's, else the default.
    pub timeouts: Timeouts,
}

/// Decides about the request in `buffer`.
pub fn decide(state: &State, exchange: &mut Exchange, buffer: &[u8], client: Client) -> Decision {
    if derive(state, exchange, buffer, client).is_err() {
        return Decision::Answer(state.answers.page(400));
    }
    state.catch_up();
    let mut tables = state.tables.borrow_mut();
    let tables = &mut *tables;
    // The labels are copied out while the request view borrows the exchange; they are put back below.
    let mut edits = std::mem::take(&mut exchange.edits);
    let mut decisions = std::mem::take(&mut exchange.decisions);
    let mut labels = (std::mem::take(&mut exchange.route_id), std::mem::take(&mut exchange.service_id));
    let mut scratch = state.scratch.borrow_mut();
    let mut limits = state.limits.borrow_mut();
    let mut context = Context::new(exchange.now, &tables.consumers, &mut edits, &mut scratch, &mut limits);
    let request = exchange.request(buffer, client);
    let mut phases = Phases {
        answers: &state.answers,
        router: &tables.router,
        global_rules: &tables.global_rules,
        decisions: &mut decisions,
    };
    let outcome = phases.run(&request, &mut context, &mut tables.merged, &mut labels);
    let identity = context.identity.take();
    exchange.edits = edits;
    exchange.decisions = decisions;
    exchange.identity = identity;
    (exchange.route_id, exchange.service_id) = labels;
    match outcome {
        Ok((target, timeouts)) => settle(state, tables, target, timeouts),
        Err(answer) => Decision::Answer(answer),
    }
}

/// What the phases read, and what they remember of each other.
struct Phases<'w> {
    answers: &'w Answers,
    router: &'w crate::route::Router,
    global_rules: &'w Chain,
    decisions: &'w mut Decisions,
}

type Outcome = Result<(Target, Option<Timeouts>), Arc<Answer>>;

impl<'w> Phases<'w> {
    fn run(
        &mut self,
        request: &Request<'_>,
        context: &mut Context<'w>,
        merged: &mut crate::plugin::chain::MergedChains,
        labels: &mut (Vec<u8>, Vec<u8>),
    ) -> Outcome {
        let Some(route) = self.router.find(request) else {
            // Global rules also see requests that no route takes (spec/routing-and-upstreams §4).
            self.rewrite(self.global_rules, request, context)?;
            self.access(self.global_rules, request, context)?;
            return Err(Arc::clone(&self.answers.route_not_found));
        };
        context.route = Some(route);
        labels.0.extend_from_slice(route.id.as_bytes());
        labels.1.extend_from_slice(route.service_id.as_deref().unwrap_or_default().as_bytes());
        match route.target {
            Target::ServiceMissing => return Err(self.answers.page(404)),
            Target::Unusable => return Err(self.answers.page(503)),
            Target::Upstream(_) | Target::None => {}
        }
        self.rewrite(self.global_rules, request, context)?;
        self.rewrite(&route.chain, request, context)?;
        let with_consumer = match &context.identity {
            Some(identity) => merged.find(&route.chain, &identity.plugins),
            None => None,
        };
        if let Some(merged) = &with_consumer {
            self.rewrite(&merged.brought, request, context)?;
        }
        self.access(self.global_rules, request, context)?;
        self.access(with_consumer.as_deref().map_or(&*route.chain, |merged| &merged.chain), request, context)?;
        Ok((route.target, route.timeouts))
    }

    fn rewrite(&mut self, chain: &Chain, request: &Request<'_>, context: &mut Context<'_>) -> Result<(), Arc<Answer>> {
        chain.links.iter().try_for_each(|link| {
            if !self.takes_part(link, Phase::Rewrite, request, context) {
                return Ok(());
            }
            match link.plugin.rewrite(request, context) {
                Verdict::Continue => Ok(()),
                Verdict::Respond(answer) => Err(answer),
            }
        })
    }

    fn access(&mut self, chain: &Chain, request: &Request<'_>, context: &mut Context<'_>) -> Result<(), Arc<Answer>> {
        chain.links.iter().try_for_each(|link| {
            if !self.takes_part(link, Phase::Access, request, context) {
                return Ok(());
            }
            match link.plugin.access(request, context) {
                Verdict::Continue => Ok(()),
                Verdict::Respond(answer) => Err(answer),
            }
        })
    }

    /// Whether `link` takes part in `phase`; without a filter that is one comparison with null.
    #[inline]
    fn takes_part(&mut self, link: &Link, phase: Phase, request: &Request<'_>, context: &Context<'_>) -> bool {
        match &link.filter {
            None => true,
            Some(filter) => self.decisions.admit(filter, phase, request, context),
        }
    }
}

fn settle(state: &State, tables: &Tables, target: Target, timeouts: Option<Timeouts>) -> Decision {
    let Target::Upstream(slot) = target else {
        return Decision::Answer(state.answers.page(503));
    };
    match tables.upstream(slot) {
        // The id dangles: APISIX answers 502 there, and 503 where there is nothing to choose from.
        None => Decision::Answer(state.answers.page(502)),
        Some(upstream) if upstream.balance.is_empty() => Decision::Answer(state.answers.page(503)),
        Some(upstream) => {
            let timeouts = timeouts.or(upstream.upstream.timeouts).unwrap_or_default();
            Decision::Forward(Forward { upstream: Rc::clone(upstream), timeouts })
        }
    }
}

/// Fills in what routing needs: the normalised path, the host, the client's address.
fn derive(state: &State, exchange: &mut Exchange, buffer: &[u8], client: Client) -> Result<(), ()> {
    let settings = &state.settings;
    let mut path = std::mem::take(&mut exchange.path);
    let raw_path = split_target(exchange.raw_target(buffer)).0;
    let outcome = normalise(raw_path, &mut path);
    exchange.path_is_rewritten = matches!(outcome, Ok(Normalised::Rewritten));
    if settings.delete_uri_tail_slash {
        if !exchange.path_is_rewritten {
            path.clear();
            path.extend_from_slice(raw_path);
        }
        if path.last() == Some(&b'/') {
            path.pop();
        }
        exchange.path_is_rewritten = true;
    }
    exchange.path = path;
    outcome.map_err(drop)?;

    let mut host = std::mem::take(&mut exchange.host);
    exchange.host_bytes = match matching_host(exchange.raw_host(buffer), &mut host) {
        MatchingHost::Prefix(bytes) => Some(bytes),
        MatchingHost::Rewritten => None,
    };
    exchange.host = host;
    exchange.remote_addr = Some(remote_addr(state, exchange, buffer, client));
    Ok(())
}

/// The client's address: from the real-ip header when the peer is trusted to set it, else the peer's own.
fn remote_addr(state: &State, exchange: &Exchange, buffer: &[u8], client: Client) -> IpAddr {
    let peer = client.peer.ip();
    let settings = &state.settings;
    if !settings.real_ip_from.iter().any(|network| network.contains(&peer)) {
        return peer;
    }
    let header = settings.real_ip_header.as_bytes();
    let field = exchange.head.fields.iter().rfind(|field| field.name.of(buffer).eq_ignore_ascii_case(header));
    let Some(value) = field.map(|field| field.value.of(buffer)) else { return peer };
    // Of a list (X-Forwarded-For) the last member is the one that the trusted peer added.
    let last = value.rsplit(|byte| *byte == b',').next().map(crate::base::bytes::trim_ows).unwrap_or_default();
    let named = std::str::from_utf8(last).ok().and_then(|text| text.parse::<IpAddr>().ok());
    // Proxies on sockets for both families write IPv4 addresses as IPv6 ones.
    named.map_or(peer, |address| address.to_canonical())
}

#[cfg(test)]
mod tests;
