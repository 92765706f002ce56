//! `_meta.filter`: the requests that a plugin takes part in (spec/consumers-credentials-secrets §4.5).
//!
//! Parsed when a configuration is compiled. Evaluated once per request: in the first phase in which the plugin does
//! anything, so that a plugin of the access phase is filtered by the consumer that the rewrite phase found. Later
//! phases go by the same [`Decisions`]. An expression that errors would have to run its plugin; once parsed, none
//! can. Never waits or panics, and allocates no more than the variables do (see [`crate::vars`]).

use super::{Context, Phase};
use crate::http::request::Request;
use crate::vars::{Expression, VarsError};
use serde_json::Value;
use std::sync::Arc;

/// The filter of one configuration of a plugin.
#[derive(Debug)]
pub struct Filter {
    expression: Expression,
    /// The plugin does nothing before.
    first_phase: Phase,
}

impl Filter {
    /// A filter for a plugin that begins with `first_phase`.
    pub fn new(expression: Expression, first_phase: Phase) -> Self {
        Self { expression, first_phase }
    }
}

/// Parses a `_meta.filter`.
///
/// A name that stands for no variable is refused: what is always absent would switch a plugin off, maybe the one that
/// authenticates, for a misspelling or for a variable that only APISIX has.
pub fn parse(filter: &Value) -> Result<Expression, VarsError> {
    let expression = Expression::parse(filter)?;
    match expression.unknown() {
        Some(name) => Err(VarsError::Unavailable(name.to_owned())),
        None => Ok(expression),
    }
}

/// Judges a `_meta.filter`; the text follows `failed to validate the 'vars' expression: `.
pub fn check(filter: &Value) -> Result<(), String> {
    parse(filter).map(drop).map_err(|error| error.to_string())
}

/// What the filters of one request have said. Reused between requests.
///
/// A handful at most, so a scan is the fastest index. Filters are told apart by address: a chain and what a consumer
/// makes of it share them, and the tables that own them stand still while a request's phases run.
#[derive(Debug, Default)]
pub struct Decisions(Vec<(usize, bool)>);

impl Decisions {
    /// Whether the plugin behind `filter` takes part in `phase` of this request.
    pub fn admit(&mut self, filter: &Arc<Filter>, phase: Phase, request: &Request<'_>, context: &Context<'_>) -> bool {
        if phase < filter.first_phase {
            return false;
        }
        let address = Arc::as_ptr(filter).addr();
        if let Some((_, holds)) = self.0.iter().find(|(known, _)| *known == address) {
            return *holds;
        }
        let holds = filter.expression.holds(&context.known(request));
        self.0.push((address, holds));
        holds
    }

    /// Forgets the last request's decisions, keeping the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
