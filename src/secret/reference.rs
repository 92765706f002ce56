//! References taken apart (spec/consumers-credentials-secrets §5.2).

use super::failure::Failure;
use crate::schema::{env_reference, secret_reference};

/// What a reference asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference<'a> {
    /// `$env://NAME[/field]`.
    Env {
        /// The variable's exact name.
        name: &'a str,
        /// A member of the JSON object that the variable holds; everything behind the first slash.
        field: Option<&'a str>,
    },
    /// `$secret://<manager>/<id>/<key>`.
    Managed {
        /// What speaks to the secret manager.
        kind: ManagerKind,
        /// `<manager>/<id>`: the secret resource's name.
        manager: &'a str,
        /// What the manager is asked for; may contain slashes.
        key: &'a str,
    },
}

/// The secret managers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManagerKind {
    /// `HashiCorp` Vault, KV engine.
    Vault,
    /// AWS Secrets Manager.
    Aws,
    /// GCP Secret Manager.
    Gcp,
}

impl ManagerKind {
    /// The manager that references and keys call `name`.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "vault" => Some(Self::Vault),
            "aws" => Some(Self::Aws),
            "gcp" => Some(Self::Gcp),
            _ => None,
        }
    }
}

impl<'a> Reference<'a> {
    /// Takes `text` apart, which starts the way references do.
    pub fn parse(text: &'a str) -> Result<Self, Failure> {
        if text.contains(char::is_control) {
            return Err(Failure::ControlCharacter);
        }
        if let Some(rest) = env_reference(text) {
            let (name, field) = rest.split_once('/').map_or((rest, None), |(name, field)| (name, Some(field)));
            return if name.is_empty() { Err(Failure::VariableUnnamed) } else { Ok(Self::Env { name, field }) };
        }
        let rest = secret_reference(text).ok_or(Failure::NoManager)?;
        let (name, behind) = rest.split_once('/').unwrap_or((rest, ""));
        if name.is_empty() {
            return Err(Failure::NoManager);
        }
        let kind = ManagerKind::of(name).ok_or(Failure::UnknownManager)?;
        let (id, key) = behind.split_once('/').unwrap_or((behind, ""));
        if id.is_empty() {
            return Err(Failure::NoId);
        }
        if key.is_empty() {
            return Err(Failure::NoKey);
        }
        let manager = rest.get(..name.len() + 1 + id.len()).ok_or(Failure::NoId)?;
        Ok(Self::Managed { kind, manager, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let env = |name, field| Ok(Reference::Env { name, field });
        let managed = |kind, manager, key| Ok(Reference::Managed { kind, manager, key });
        for (text, want) in [
            ("$env://NAME", env("NAME", None)),
            ("$ENV://name", env("name", None)),
            ("$Env://A/b/c", env("A", Some("b/c"))),
            ("$env://A/", env("A", Some(""))),
            ("$env://", Err(Failure::VariableUnnamed)),
            ("$env:///x", Err(Failure::VariableUnnamed)),
            ("$env://A\n", Err(Failure::ControlCharacter)),
            ("$secret://vault/jwt/jack/jwt-secret", managed(ManagerKind::Vault, "vault/jwt", "jack/jwt-secret")),
            ("$secret://aws/1/a", managed(ManagerKind::Aws, "aws/1", "a")),
            ("$secret://gcp/1/a/b/c", managed(ManagerKind::Gcp, "gcp/1", "a/b/c")),
            ("$secret://", Err(Failure::NoManager)),
            ("$secret:///1/a", Err(Failure::NoManager)),
            ("$secret://vault", Err(Failure::NoId)),
            ("$secret://vault//a", Err(Failure::NoId)),
            ("$secret://vault/1", Err(Failure::NoKey)),
            ("$secret://vault/1/", Err(Failure::NoKey)),
            ("$secret://VAULT/1/a", Err(Failure::UnknownManager)),
            ("$secret://azure/1/a", Err(Failure::UnknownManager)),
        ] {
            assert_eq!(Reference::parse(text), want, "{text:?}");
        }
    }
}
