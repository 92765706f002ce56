//! The access log: records made by workers, formatted and written elsewhere.

pub mod record;
