//! Why a reference could not be resolved: one cause each, none of which says anything of a value.

use std::fmt;

/// Every way for a reference not to be resolved. The texts go to the log and the status view; where the original has
/// words for a cause, they are its words (spec/consumers-credentials-secrets §5.2, §5.4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The reference has a control character.
    #[error("error format: control character")]
    ControlCharacter,
    /// `$env://` without a name.
    #[error("error format: no variable name")]
    VariableUnnamed,
    /// `$secret://` and nothing.
    #[error("error format: no secret manager")]
    NoManager,
    /// No id behind the manager.
    #[error("error format: no secret conf id")]
    NoId,
    /// No key behind the id.
    #[error("error format: no secret key id")]
    NoKey,
    /// The key has no member part, or leaves its directory.
    #[error("error key format: expected {0}")]
    KeyFormat(&'static str),
    /// Another manager than vault, aws and gcp.
    #[error("unknown secret manager: expected vault, aws or gcp")]
    UnknownManager,
    /// More references than [`super::REFERENCES_MAX`].
    #[error("more than {} references are in use", super::REFERENCES_MAX)]
    TooMany,
    /// The secret resource does not exist.
    #[error("no secret conf")]
    NoConfiguration,
    /// The secret resource cannot be used; the text quotes no value.
    #[error("the secret conf cannot be used: {0}")]
    Configuration(String),
    /// The environment has no such variable, here or where a manager's own configuration names one.
    #[error("environment variable {0} is not set")]
    VariableMissing(Box<str>),
    /// The manager has no such secret.
    #[error("can't find main key")]
    KeyMissing,
    /// The secret has no such member.
    #[error("can't find sub key")]
    MemberMissing,
    /// What was found is neither text nor a number nor a boolean.
    #[error("the value is no string, number or boolean")]
    NotText,
    /// A variable or a secret whose member was asked for is not a JSON object.
    #[error("the value is no JSON object")]
    NotAnObject,
    /// No connection, or it broke.
    #[error("the secret manager cannot be reached: {0}")]
    Unreachable(String),
    /// No answer within [`super::FETCH_WAIT_MAX`].
    #[error("no answer within {} s", super::FETCH_WAIT_MAX.as_secs())]
    Timeout,
    /// The server's certificate was refused.
    #[error("the server's certificate is not accepted: {0}")]
    Certificate(String),
    /// TLS failed otherwise.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The server speaks plain HTTP where TLS was asked for.
    #[error("uri says https, but the server speaks plain HTTP")]
    PlainHttp,
    /// 401 or 403, or the manager's own word for it.
    #[error("the secret manager refuses access (status {0})")]
    Forbidden(u16),
    /// 429.
    #[error("the secret manager asks for fewer requests (status 429)")]
    Throttled,
    /// 500 and above.
    #[error("the secret manager failed (status {0})")]
    Server(u16),
    /// A redirection; none is followed, so that a token goes nowhere else.
    #[error("the secret manager redirects (status {0}), which is not followed")]
    Redirected(u16),
    /// Another status that is no success.
    #[error("unexpected status {0}")]
    Status(u16),
    /// The answer is not JSON of the expected form.
    #[error("failed to decode result: not the expected JSON")]
    NotJson,
    /// The answer exceeds [`super::ANSWER_BYTES_MAX`].
    #[error("the answer is larger than {} bytes", super::ANSWER_BYTES_MAX)]
    TooLarge,
}

impl Failure {
    /// Under which reason it is counted.
    pub fn reason(&self) -> Reason {
        match self {
            Self::ControlCharacter | Self::VariableUnnamed | Self::NoManager | Self::NoId | Self::NoKey => {
                Reason::Malformed
            }
            Self::KeyFormat(_) => Reason::Malformed,
            Self::UnknownManager => Reason::UnknownManager,
            Self::TooMany => Reason::TooMany,
            Self::NoConfiguration => Reason::NoConfiguration,
            Self::Configuration(_) => Reason::Configuration,
            Self::VariableMissing(_) => Reason::VariableMissing,
            Self::KeyMissing => Reason::KeyMissing,
            Self::MemberMissing => Reason::MemberMissing,
            Self::NotText | Self::NotAnObject => Reason::WrongType,
            Self::Unreachable(_) => Reason::Unreachable,
            Self::Timeout => Reason::Timeout,
            Self::Certificate(_) => Reason::Certificate,
            Self::Tls(_) => Reason::Tls,
            Self::PlainHttp => Reason::PlainHttp,
            Self::Forbidden(_) => Reason::Forbidden,
            Self::Throttled => Reason::Throttled,
            Self::Server(_) => Reason::Server,
            Self::Redirected(_) => Reason::Redirected,
            Self::Status(_) => Reason::Status,
            Self::NotJson => Reason::NotJson,
            Self::TooLarge => Reason::TooLarge,
        }
    }

    /// Whether the manager has said that the secret is not there (any more), or nobody can be asked for it: a value
    /// from before is withdrawn. After any other failure it stays in use.
    pub fn withdraws(&self) -> bool {
        matches!(
            self,
            Self::NoConfiguration | Self::KeyMissing | Self::MemberMissing | Self::NotText | Self::NotAnObject
        )
    }
}

/// Causes as operators count them (`reason` of the metric and of the status view).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the cause of the same name")]
pub enum Reason {
    Malformed,
    UnknownManager,
    TooMany,
    NoConfiguration,
    Configuration,
    VariableMissing,
    KeyMissing,
    MemberMissing,
    WrongType,
    Unreachable,
    Timeout,
    Certificate,
    Tls,
    PlainHttp,
    Forbidden,
    Throttled,
    Server,
    Redirected,
    Status,
    NotJson,
    TooLarge,
}

impl Reason {
    /// Every reason, in the order of their counters.
    pub const ALL: [Self; 21] = [
        Self::Malformed,
        Self::UnknownManager,
        Self::TooMany,
        Self::NoConfiguration,
        Self::Configuration,
        Self::VariableMissing,
        Self::KeyMissing,
        Self::MemberMissing,
        Self::WrongType,
        Self::Unreachable,
        Self::Timeout,
        Self::Certificate,
        Self::Tls,
        Self::PlainHttp,
        Self::Forbidden,
        Self::Throttled,
        Self::Server,
        Self::Redirected,
        Self::Status,
        Self::NotJson,
        Self::TooLarge,
    ];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownManager => "unknown_manager",
            Self::TooMany => "too_many",
            Self::NoConfiguration => "no_configuration",
            Self::Configuration => "configuration",
            Self::VariableMissing => "variable_missing",
            Self::KeyMissing => "key_missing",
            Self::MemberMissing => "member_missing",
            Self::WrongType => "wrong_type",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Certificate => "certificate",
            Self::Tls => "tls",
            Self::PlainHttp => "plain_http",
            Self::Forbidden => "forbidden",
            Self::Throttled => "throttled",
            Self::Server => "server",
            Self::Redirected => "redirected",
            Self::Status => "status",
            Self::NotJson => "not_json",
            Self::TooLarge => "too_large",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_in_the_order_of_their_counters_and_have_names_of_their_own() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{reason}");
            assert!(!Reason::ALL[..index].iter().any(|other| other.name() == reason.name()), "{reason}");
        }
    }
}
