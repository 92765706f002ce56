//! Domain names and references to secrets on their way to a first answer: a write that needs one is answered once it
//! has come.

use crate::base::map::HashMap;
use crate::dns::Resolver;
use crate::secret;
use crate::secret::env::Environment;
use crate::snapshot::compile::ManagerChange;
use crate::snapshot::feed::Epoch;
use tokio::sync::oneshot;

/// Who resolves.
pub(super) trait Resolve: Send + 'static {
    /// Whether anybody answers.
    fn answers(&self) -> bool;
    /// See [`Resolver::want`].
    fn want(&self, name: &str);
    /// See [`Resolver::release`].
    fn release(&self, name: &str);
}

impl Resolve for Option<Resolver> {
    fn answers(&self) -> bool {
        self.is_some()
    }

    fn want(&self, name: &str) {
        if let Some(resolver) = self {
            resolver.want(name);
        }
    }

    fn release(&self, name: &str) {
        if let Some(resolver) = self {
            resolver.release(name);
        }
    }
}

/// Who resolves references to secrets, and where its results arrive.
pub struct SecretSource {
    /// What asks secret managers.
    pub resolver: secret::Resolver,
    /// What their configurations' references to the environment are read from.
    pub environment: Environment,
    /// Its results.
    pub resolutions: tokio::sync::mpsc::UnboundedReceiver<secret::Resolution>,
}

/// A resolver of references, and what it reads the environment from; nobody answers without one.
pub(super) type Secrets = Names<Option<(secret::Resolver, Environment)>>;

impl Resolve for Option<(secret::Resolver, Environment)> {
    fn answers(&self) -> bool {
        self.is_some()
    }

    fn want(&self, reference: &str) {
        if let Some((resolver, _)) = self {
            resolver.want(reference);
        }
    }

    fn release(&self, reference: &str) {
        if let Some((resolver, _)) = self {
            resolver.release(reference);
        }
    }
}

impl Secrets {
    /// Secret resources are as `changes` say.
    pub(super) fn configure(&self, changes: &[ManagerChange]) {
        let Some((resolver, environment)) = &self.resolver else { return };
        for ManagerChange { name, configuration } in changes {
            resolver.configure(name, configuration.as_deref(), *environment);
        }
    }
}

/// Comes with the batch that carries a name's first addresses, or a reference's first value; closed if the name is no longer wanted.
pub(super) type FirstAnswer = oneshot::Receiver<Epoch>;

/// The resolver, and who waits for its first answers.
#[derive(Debug)]
pub(super) struct Names<N> {
    resolver: N,
    /// Wanted names without an answer so far.
    unanswered: HashMap<Box<str>, Vec<oneshot::Sender<Epoch>>>,
}

impl<N: Resolve> Names<N> {
    pub(super) fn new(resolver: N) -> Self {
        Self { resolver, unanswered: HashMap::default() }
    }

    /// Has the names resolved. What comes back is to be waited for.
    pub(super) fn want(&mut self, names: Vec<Box<str>>) -> Vec<FirstAnswer> {
        let mut answers = Vec::new();
        for name in names {
            self.resolver.want(&name);
            if self.resolver.answers() {
                let (tell, answer) = oneshot::channel();
                self.unanswered.entry(name).or_default().push(tell);
                answers.push(answer);
            }
        }
        answers
    }

    /// Lets the names go.
    pub(super) fn release(&mut self, names: &[Box<str>]) {
        for name in names {
            self.resolver.release(name);
            self.unanswered.remove(name);
        }
    }

    /// The name has an answer; those who wait are to be told the batch that carries it.
    pub(super) fn answered(&mut self, name: &str) -> Vec<oneshot::Sender<Epoch>> {
        self.unanswered.remove(name).unwrap_or_default()
    }

    /// How many names wait for their first answer.
    pub(super) fn unanswered(&self) -> usize {
        self.unanswered.len()
    }
}
