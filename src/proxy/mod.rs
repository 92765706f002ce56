//! (proxy)
