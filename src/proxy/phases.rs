//! The phases of one request before it goes upstream: route, rewrite, merge, access (see `LIFECYCLE.md`).
//!
//! Runs without waiting, so the worker's tables are borrowed once and cannot change under it. Where a plugin has to
//! wait for somebody outside, the phases end in [`Decision::Wait`] and go on in [`resume`], with the chains, the route
//! and the upstream that they had: those travel in the [`Paused`].

use super::answers::Answers;
use super::exchange::{Client, Exchange};
use crate::auth::jwt::Payload;
use crate::http::path::{Normalised, normalise, split_target};
use crate::http::request::Request;
use crate::plugin::chain::{Chain, Link, Merged, MergedChains};
use crate::plugin::filter::Decisions;
use crate::plugin::{Answer, Context, Phase, Verdict, Waiting};
use crate::route::host::{MatchingHost, matching_host};
use crate::route::{Route, Target};
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
    /// Wait, then [`resume`].
    Wait(Box<Paused>),
}

/// Where a request goes, pinned for as long as it lasts.
#[derive(Debug)]
pub struct Forward {
    /// The upstream.
    pub upstream: Rc<LiveUpstream>,
    /// The route's waits, else the upstream's, else the default.
    pub timeouts: Timeouts,
}

/// A request in the middle of its access phase, with everything it started with.
#[derive(Debug)]
pub struct Paused {
    pause: Pause,
    /// What follows if every plugin lets the request pass.
    passed: Decision,
}

/// Where the access phase stopped.
#[derive(Debug)]
struct Pause {
    waiting: Box<dyn Waiting>,
    chains: AccessChains,
    next: Position,
    payload: Option<Payload>,
}

impl Paused {
    /// See [`Waiting::may_be_left`].
    pub fn may_be_left(&self) -> bool {
        self.pause.waiting.may_be_left()
    }

    /// Waits for what the plugin waits for. Nothing of the worker's is borrowed.
    pub async fn wait(&mut self, state: &State) {
        self.pause.waiting.wait(&state.redis).await;
    }
}

/// The chains of one request's access phase, in the order they run.
#[derive(Debug)]
struct AccessChains {
    global_rules: Arc<Chain>,
    /// `None` where no route takes the request.
    route: Option<Arc<Route>>,
    /// In place of the route's own chain.
    merged: Option<Rc<Merged>>,
}

impl AccessChains {
    fn list(&self) -> [Option<&Chain>; 2] {
        let route = self.route.as_ref().map(|route| &*route.chain);
        [Some(&self.global_rules), self.merged.as_ref().map(|merged| &merged.chain).or(route)]
    }
}

/// A place in [`AccessChains`].
#[derive(Debug, Clone, Copy, Default)]
struct Position {
    turn: usize,
    link: usize,
}

/// Decides about the request in `buffer`.
pub fn decide(state: &State, exchange: &mut Exchange, buffer: &[u8], client: Client) -> Decision {
    if derive(state, exchange, buffer, client).is_err() {
        return Decision::Answer(state.answers.page(400));
    }
    state.catch_up();
    let mut tables = state.tables.borrow_mut();
    let tables = &mut *tables;
    let mut memory = Memory::take(exchange);
    let mut edits = std::mem::take(&mut exchange.edits);
    let mut scratch = state.scratch.borrow_mut();
    let mut limits = state.limits.borrow_mut();
    let mut context = Context::new(exchange.now, &tables.consumers, &mut edits, &mut scratch, &mut limits);
    let request = exchange.request(buffer, client);
    let mut phases = Phases {
        answers: &state.answers,
        router: &tables.router,
        global_rules: &tables.global_rules,
        memory: &mut memory,
    };
    let outcome = phases.run(&request, &mut context, &mut tables.merged);
    let identity = context.identity.take();
    exchange.edits = edits;
    exchange.identity = identity;
    memory.give_back(exchange);
    match outcome {
        Ok((target, timeouts)) => settle(state, tables, target, timeouts),
        Err(Ended::Answer(answer)) => Decision::Answer(answer),
        Err(Ended::Wait(pause)) => {
            let passed = match &pause.chains.route {
                Some(route) => settle(state, tables, route.target, route.timeouts),
                None => Decision::Answer(Arc::clone(&state.answers.route_not_found)),
            };
            Decision::Wait(Box::new(Paused { pause: *pause, passed }))
        }
    }
}

/// Goes on with a request whose plugin has waited.
pub fn resume(state: &State, exchange: &mut Exchange, buffer: &[u8], client: Client, paused: Paused) -> Decision {
    let tables = state.tables.borrow();
    let Paused { pause: Pause { waiting, chains, next, payload }, passed } = paused;
    let mut memory = Memory::take(exchange);
    let mut edits = std::mem::take(&mut exchange.edits);
    let mut scratch = state.scratch.borrow_mut();
    let mut limits = state.limits.borrow_mut();
    let mut context = Context::new(exchange.now, &tables.consumers, &mut edits, &mut scratch, &mut limits);
    context.route = chains.route.as_deref();
    context.identity = exchange.identity.take();
    context.payload = payload;
    let request = exchange.request(buffer, client);
    let stopped = match waiting.resume(&request, &mut context) {
        Verdict::Continue => access(chains.list(), next, &mut memory.decisions, &request, &mut context),
        verdict => Some((verdict, next)),
    };
    let payload = context.payload.take();
    let identity = context.identity.take();
    exchange.edits = edits;
    exchange.identity = identity;
    memory.give_back(exchange);
    match stopped {
        None | Some((Verdict::Continue, _)) => passed,
        Some((Verdict::Respond(answer), _)) => Decision::Answer(answer),
        Some((Verdict::Wait(waiting), next)) => {
            Decision::Wait(Box::new(Paused { pause: Pause { waiting, chains, next, payload }, passed }))
        }
    }
}

/// What the phases of one request remember of it: the exchange's, out of it while the request view borrows that.
#[derive(Debug, Default)]
struct Memory {
    decisions: Decisions,
    route_id: Vec<u8>,
    service_id: Vec<u8>,
}

impl Memory {
    fn take(exchange: &mut Exchange) -> Self {
        Self {
            decisions: std::mem::take(&mut exchange.decisions),
            route_id: std::mem::take(&mut exchange.route_id),
            service_id: std::mem::take(&mut exchange.service_id),
        }
    }

    fn give_back(self, exchange: &mut Exchange) {
        let Self { decisions, route_id, service_id } = self;
        (exchange.decisions, exchange.route_id, exchange.service_id) = (decisions, route_id, service_id);
    }
}

/// What the phases read, and what they remember of each other.
struct Phases<'w, 'm> {
    answers: &'w Answers,
    router: &'w crate::route::Router,
    global_rules: &'w Arc<Chain>,
    memory: &'m mut Memory,
}

/// Where a request goes that every plugin has let pass.
type Outcome = Result<(Target, Option<Timeouts>), Ended>;

/// Why the phases did not come to their end.
enum Ended {
    Answer(Arc<Answer>),
    Wait(Box<Pause>),
}

impl From<Arc<Answer>> for Ended {
    fn from(answer: Arc<Answer>) -> Self {
        Self::Answer(answer)
    }
}

impl<'w> Phases<'w, '_> {
    fn run(&mut self, request: &Request<'_>, context: &mut Context<'w>, merged: &mut MergedChains) -> Outcome {
        let Some(route) = self.router.find(request) else {
            // Global rules also see requests that no route takes (spec/routing-and-upstreams §4).
            self.rewrite(self.global_rules, request, context)?;
            self.access(None, None, request, context)?;
            return Err(Ended::Answer(Arc::clone(&self.answers.route_not_found)));
        };
        context.route = Some(route);
        self.memory.route_id.extend_from_slice(route.id.as_bytes());
        self.memory.service_id.extend_from_slice(route.service_id.as_deref().unwrap_or_default().as_bytes());
        match route.target {
            Target::ServiceMissing => return Err(Ended::Answer(self.answers.page(404))),
            Target::Unusable => return Err(Ended::Answer(self.answers.page(503))),
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
        self.access(Some(route), with_consumer, request, context)?;
        Ok((route.target, route.timeouts))
    }

    fn rewrite(&mut self, chain: &Chain, request: &Request<'_>, context: &mut Context<'_>) -> Result<(), Arc<Answer>> {
        chain.links.iter().try_for_each(|link| {
            if !takes_part(link, Phase::Rewrite, &mut self.memory.decisions, request, context) {
                return Ok(());
            }
            match link.plugin.rewrite(request, context) {
                Verdict::Continue => Ok(()),
                Verdict::Respond(answer) => Err(answer),
                // No plugin does; one that did must not be taken for one that lets pass.
                Verdict::Wait(_) => Err(self.answers.page(500)),
            }
        })
    }

    fn access(
        &mut self,
        route: Option<&Arc<Route>>,
        merged: Option<Rc<Merged>>,
        request: &Request<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Ended> {
        let own = route.map(|route| merged.as_deref().map_or(&*route.chain, |merged| &merged.chain));
        let chains = [Some(&**self.global_rules), own];
        match access(chains, Position::default(), &mut self.memory.decisions, request, context) {
            None | Some((Verdict::Continue, _)) => Ok(()),
            Some((Verdict::Respond(answer), _)) => Err(Ended::Answer(answer)),
            Some((Verdict::Wait(waiting), next)) => {
                let chains =
                    AccessChains { global_rules: Arc::clone(self.global_rules), route: route.cloned(), merged };
                Err(Ended::Wait(Box::new(Pause { waiting, chains, next, payload: context.payload.take() })))
            }
        }
    }
}

/// Runs the access phase of `chains` from `from` on. The first verdict that stops it, and where it would go on.
fn access(
    chains: [Option<&Chain>; 2],
    from: Position,
    decisions: &mut Decisions,
    request: &Request<'_>,
    context: &mut Context<'_>,
) -> Option<(Verdict, Position)> {
    let mut start = from.link;
    for (turn, chain) in chains.into_iter().enumerate().skip(from.turn) {
        for (index, link) in chain.map_or(&[][..], |chain| &chain.links).iter().enumerate().skip(start) {
            if !takes_part(link, Phase::Access, decisions, request, context) {
                continue;
            }
            match link.plugin.access(request, context) {
                Verdict::Continue => {}
                verdict => return Some((verdict, Position { turn, link: index + 1 })),
            }
        }
        start = 0;
    }
    None
}

/// Whether `link` takes part in `phase`; without a filter that is one comparison with null.
#[inline]
fn takes_part(
    link: &Link,
    phase: Phase,
    decisions: &mut Decisions,
    request: &Request<'_>,
    context: &Context<'_>,
) -> bool {
    match &link.filter {
        None => true,
        Some(filter) => decisions.admit(filter, phase, request, context),
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
