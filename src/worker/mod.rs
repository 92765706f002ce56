//! One worker per core.

pub mod driver;
pub mod settings;
