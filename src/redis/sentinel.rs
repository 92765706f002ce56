//! The server that the sentinels call master (spec/limit-count §2, §10).
//!
//! The sentinels are asked in their order, and who they name must say itself that it is one. Asked again when it fails
//! or turns out to be a replica by now.

use super::RedisError;
use super::client::Client;
use super::cluster::FORGOTTEN_AFTER;
use super::deployment::{Access, Deployment, Target};
use super::flight::Flight;
use super::reply::{Reply, text};
use super::script::push_command;
use crate::base::clock::monotonic_us;
use crate::net::task;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// What one worker knows of one master.
#[derive(Debug)]
pub(super) struct Master {
    sentinels: Box<[Arc<Target>]>,
    name: Box<str>,
    access: Access,
    current: RefCell<Option<Arc<Target>>>,
    search: Flight<Result<Arc<Target>, RedisError>>,
    used_us: Cell<u64>,
}

impl Master {
    pub(super) fn new(sentinels: &[Arc<Target>], name: &str, access: &Access) -> Self {
        Self {
            sentinels: sentinels.into(),
            name: name.into(),
            access: access.clone(),
            current: RefCell::default(),
            search: Flight::default(),
            used_us: Cell::new(0),
        }
    }

    /// Whether nobody has asked for long: what it knows is dropped then.
    pub(super) fn is_idle(&self, now_us: u64) -> bool {
        now_us.saturating_sub(self.used_us.get()) > FORGOTTEN_AFTER.as_micros() as u64
    }

    /// Asks the master; once more where another has taken its place before the command was executed.
    pub(super) async fn ask(
        self: &Rc<Self>,
        client: &Rc<Client>,
        deployment: &Deployment,
        push: &dyn Fn(&mut Vec<u8>),
    ) -> Result<Reply, RedisError> {
        self.used_us.set(monotonic_us());
        let Deployment { timeout, keepalive, .. } = deployment;
        let known = self.current.borrow().clone();
        let is_known = known.is_some();
        let node = match known {
            Some(node) => node,
            None => self.found(client, deployment).await?,
        };
        let result = client.link(&node).ask(*timeout, *keepalive, push).await;
        let may_ask_again = match &result {
            Err(RedisError::Refused(words)) if words.starts_with("READONLY") => true,
            Ok(_) | Err(RedisError::Refused(_)) => return result,
            Err(error) => error.is_unsent(),
        };
        // Unless somebody has found another one meanwhile.
        self.current.borrow_mut().take_if(|current| *current == node);
        if !may_ask_again || !is_known {
            return result;
        }
        let node = self.found(client, deployment).await?;
        client.link(&node).ask(*timeout, *keepalive, push).await
    }

    async fn found(self: &Rc<Self>, client: &Rc<Client>, deployment: &Deployment) -> Result<Arc<Target>, RedisError> {
        let (later, is_first) = self.search.join();
        if is_first {
            let (master, client, deployment) = (Rc::clone(self), Rc::clone(client), deployment.clone());
            task::spawn(async move {
                let looked = client.guard(master.look(&client, &deployment)).await;
                let outcome = looked.unwrap_or(Err(RedisError::Unexpected("a defect")));
                if let Ok(node) = &outcome {
                    *master.current.borrow_mut() = Some(Arc::clone(node));
                }
                master.search.land(&outcome);
            });
        }
        task::within(deployment.timeout, later.take()).await.unwrap_or(Err(RedisError::TimedOut))
    }

    async fn look(&self, client: &Rc<Client>, deployment: &Deployment) -> Result<Arc<Target>, RedisError> {
        let Deployment { timeout, keepalive, .. } = deployment;
        let mut last = RedisError::Nowhere("no sentinel answers");
        for sentinel in &self.sentinels {
            let question: [&[u8]; 3] = [b"SENTINEL", b"get-master-addr-by-name", self.name.as_bytes()];
            let reply = client.link(sentinel).ask(*timeout, *keepalive, |out| push_command(out, &question)).await;
            let node = match reply.and_then(|reply| self.named(&reply)) {
                Ok(node) => node,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            let role = client.link(&node).ask(*timeout, *keepalive, |out| push_command(out, &[b"ROLE"])).await;
            match role {
                Ok(Reply::Array(items)) if items.first().and_then(text) == Some("master") => return Ok(node),
                Ok(_) => last = RedisError::Nowhere("who the sentinel names is no master"),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn named(&self, reply: &Reply) -> Result<Arc<Target>, RedisError> {
        let Reply::Array(items) = reply else {
            return Err(RedisError::Nowhere("the sentinel does not know the master's name"));
        };
        let (host, port) = match &**items {
            [host, port] => (text(host), text(port).and_then(|port| port.parse().ok())),
            _ => (None, None),
        };
        let (Some(host), Some(port)) = (host, port) else { return Err(RedisError::Unexpected("no address")) };
        Ok(Arc::new(Target { host: host.into(), port, access: self.access.clone() }))
    }
}
