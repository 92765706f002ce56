//! The start: everything in the store, read in pages, indexed, compiled, and published as the first batch, with the
//! addresses and secrets that it needs as far as they come in time.

use super::index::Index;
use super::leases::Leases;
use super::names::{Names, Resolve, SecretSource};
use super::writer::{Job, Outside, Writer};
use super::{Compile, Shared};
use crate::base::clock;
use crate::dns::Resolution;
use crate::store::{Event, Op, StoreError, Write};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Makes the writer, with everything that the store holds published.
///
/// Objects that expired while nobody ran are deleted first, so they are never served.
pub(super) async fn load<C: Compile, N: Resolve>(
    shared: Arc<Shared>,
    mut compiler: C,
    (resolver, resolutions): (N, mpsc::UnboundedReceiver<Resolution>),
    secrets: Option<SecretSource>,
    queue: mpsc::Receiver<Job>,
) -> Result<Writer<C, N>, StoreError> {
    let now_unix_s = clock::unix().as_secs();
    let mut index = Index::default();
    let mut leases = Leases::default();
    let mut outside = Outside::new(Names::new(resolver), resolutions, secrets);
    let mut managers = Vec::new();
    let mut secrets_wanted = Vec::new();
    let mut changes = Vec::new();
    let mut expired: Vec<Write> = Vec::new();
    let mut after: Option<Arc<str>> = None;
    loop {
        let page = shared.store.range("", after.as_deref(), LOAD_PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(Arc::clone(&last.key));
        let mut events = Vec::with_capacity(page.len());
        for item in page {
            if item.expires_unix_s.is_some_and(|expires| expires <= now_unix_s) {
                expired.push(vec![Op::Delete { key: item.key }]);
                continue;
            }
            index.replace(&item.key, None, Some(&item.value));
            leases.set(&item.key, item.expires_unix_s);
            events.push(Event { revision: item.mod_revision, key: item.key, value: Some(item.value) });
        }
        let mut compiled = compiler.apply(&events);
        outside.names.release(&compiled.names_released);
        drop(outside.names.want(compiled.names_wanted));
        managers.append(&mut compiled.managers);
        secrets_wanted.append(&mut compiled.secrets_wanted);
        changes.append(&mut compiled.changes);
        // What else runs on this thread gets its turn between pages.
        tokio::task::yield_now().await;
    }
    // Managers come before what is to be asked of them. Nothing is released: each object is seen once.
    outside.secrets.configure(&managers);
    drop(outside.secrets.want(secrets_wanted));
    if !expired.is_empty() {
        shared.store.commit(&expired)?;
    }
    let deadline = Instant::now() + shared.waits.start_resolution;
    let mut writer = Writer::new(shared, compiler, outside, index, leases, queue);
    writer.publish_first(changes, deadline).await;
    Ok(writer)
}

/// Objects read and compiled at a time.
const LOAD_PAGE: usize = 4096;
