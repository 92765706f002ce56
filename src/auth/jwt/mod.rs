//! JSON Web Tokens (RFC 7515, 7518, 7519), strictly.
//!
//! [`judge`] is the whole way of a token: its bytes, the route's policy, a look-up and the time in, the credential
//! that it proves out, or exactly why it proves none. [`judge_remembered`] is the same way for workers, who remember
//! what cost a signature to verify and brake those who send forgeries. Runs once per request that presents a token.
//! Never allocates after warm-up (save for what `extra` verifies), waits or panics; neither token nor secret appears
//! in anything it returns. Bench: `auth/judge`; fuzz target: `jwt_token`.

pub mod algorithm;
pub mod cache;
pub mod claims;
mod extra;
pub mod failure;
pub mod issue;
pub mod json;
mod judge;
pub mod key;
mod memory;
pub mod payload;
pub mod seen;
pub mod signing;
pub mod token;
pub mod verify;

pub use algorithm::Algorithm;
pub use claims::{ClaimError, ClaimFault, Claims, KeyError, TimeChecks, TimeClaim};
pub use failure::{Failure, Rejection, Step};
pub use issue::{IssueError, Issuer};
pub use judge::{Judging, Policy, Scratch, Workspace, judge, judge_remembered};
pub use key::{KeyFault, PublicKey};
pub use memory::{Memory, Settings};
pub use payload::Payload;
pub use signing::SigningKey;
pub use token::{TOKEN_BYTES_MAX, TokenError};
pub use verify::{JwtCredential, VerifyError, VerifyingKey};
