//! The answers that need no configuration, rendered once per worker.

use crate::http::answer::{head_too_large, page, route_not_found};
use crate::http::request_head::HeadError;
use crate::plugin::Answer;
use std::sync::Arc;

/// The gateway's own answers.
#[derive(Debug)]
pub struct Answers {
    /// 404 where no route matches.
    pub route_not_found: Arc<Answer>,
    pages: Vec<Arc<Answer>>,
    head_too_large: Arc<Answer>,
}

impl Answers {
    /// Renders them.
    pub fn new() -> Self {
        Self {
            route_not_found: Arc::new(route_not_found()),
            pages: PAGES.iter().map(|status| Arc::new(page(*status))).collect(),
            head_too_large: Arc::new(head_too_large()),
        }
    }

    /// The HTML page for `status`.
    pub fn page(&self, status: u16) -> Arc<Answer> {
        match self.pages.iter().find(|page| page.status == status) {
            Some(page) => Arc::clone(page),
            None => Arc::new(page(status)),
        }
    }

    /// The answer to a head that was refused.
    pub fn refusal(&self, error: HeadError) -> Arc<Answer> {
        match error {
            HeadError::FieldsTooLarge => Arc::clone(&self.head_too_large),
            _ => self.page(error.status()),
        }
    }
}

impl Default for Answers {
    fn default() -> Self {
        Self::new()
    }
}

const PAGES: [u16; 12] = [400, 404, 405, 408, 413, 414, 417, 500, 502, 503, 504, 505];
