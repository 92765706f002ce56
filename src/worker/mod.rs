//! One worker per core.

pub mod settings;
