//! What variables are read from.

use crate::auth::consumer::Identity;
use crate::auth::jwt::Payload;
use crate::http::request::Request;
use crate::route::Route;

/// What is known of a request at the moment when a variable is read. What is not known yet is absent.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The request itself.
    pub request: &'a Request<'a>,
    /// The route it takes, once chosen.
    pub route: Option<&'a Route>,
    /// Who is calling, once an authentication plugin has said so.
    pub identity: Option<&'a Identity>,
    /// What the caller's token says, once jwt-auth with `store_in_ctx` has verified one.
    pub payload: Option<&'a Payload>,
}

impl<'a> Known<'a> {
    /// The request alone: what is known when a route is chosen.
    pub fn of(request: &'a Request<'a>) -> Self {
        Self { request, route: None, identity: None, payload: None }
    }
}
