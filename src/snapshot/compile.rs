//! Compilation: configuration events in, changes for workers out; only what an event touches is compiled.

use super::change::Change;
use crate::store::Event;
use std::net::IpAddr;

/// What the compiler made of some events.
#[derive(Debug, Default)]
pub struct Compiled {
    /// For every worker, in order.
    pub changes: Vec<Change>,
    /// Domain names that upstream nodes now need and did not before.
    pub names_wanted: Vec<Box<str>>,
    /// Domain names that no node needs any more.
    pub names_released: Vec<Box<str>>,
}

/// Holds what is needed to compile the next change, and nothing that a worker needs.
#[derive(Debug, Default)]
pub struct Compiler {}

impl Compiler {
    /// Takes events in order. An object that cannot be used is logged and fails closed; it never stops the rest.
    pub fn apply(&mut self, _events: &[Event]) -> Compiled {
        Compiled::default()
    }

    /// Takes a name's current addresses; returns the upstreams that change by it.
    pub fn resolved(&mut self, _name: &str, _addresses: &[IpAddr]) -> Vec<Change> {
        Vec::new()
    }
}
