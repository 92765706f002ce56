//! Writes against each other: groups, refusals, failures.

use super::*;

#[tokio::test]
async fn a_write_is_durable_and_live_on_every_worker_when_it_is_answered() {
    let house = House::new().await;
    let (value, revision) = house
        .control
        .write::<_, (), _>(|view| Ok((vec![put("/a", "1"), put("/b", "2")], view.next_revision())))
        .await
        .unwrap();
    assert_eq!((value, revision), (1, 1));
    let health = house.control.health();
    assert_eq!((health.published, health.applied.as_slice()), (2, [2, 2].as_slice()), "the start's batch and this one");
    assert!(health.writable && health.lagging_since_unix_s.is_none() && health.revision == 1);
    assert_eq!(&*house.control.get("/a").await.unwrap().unwrap().value, "1");
    assert_eq!(house.control.range("/").await.unwrap().len(), 2);
    assert_eq!(house.control.range_page("/", Some("/a"), 1).await.unwrap()[0].key, "/b".into());
    assert_eq!(house.told().await, [(0, vec![]), (1, vec!["/a=1".to_owned(), "/b=2".to_owned()])]);
}

#[tokio::test]
async fn a_write_without_effect_takes_no_revision_and_reaches_nobody() {
    let house = House::new().await;
    assert_eq!(store(&house.control, vec![put("/a", "1")]).await.unwrap(), 1);
    assert_eq!(store(&house.control, vec![]).await.unwrap(), 1);
    assert_eq!(store(&house.control, vec![delete("/b")]).await.unwrap(), 1);
    assert_eq!(store(&house.control, vec![delete("/a")]).await.unwrap(), 2);
    assert_eq!(house.store.commits.load(Ordering::SeqCst), 2);
    assert_eq!(house.told().await.len(), 3);
}

#[tokio::test]
async fn writers_at_once_are_committed_in_groups_and_each_exactly_once() {
    const WRITERS: u64 = 64;
    const EACH: u64 = 20;
    let house = House::new().await;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let control = house.control.clone();
        writers.spawn(async move {
            let mut revisions = Vec::new();
            for _ in 0..EACH {
                // Read, add one, write: exact only if each sees what the one before it in the group has done.
                let counted = control.write::<_, StoreError, _>(|view| {
                    let count = view.get("/count")?.map_or(0, |item| item.value.parse::<u64>().unwrap()) + 1;
                    Ok((vec![put("/count", &count.to_string())], (count, view.next_revision())))
                });
                let ((count, promised), revision) = counted.await.unwrap();
                assert_eq!((count, promised), (revision, revision));
                revisions.push(revision);
            }
            revisions
        });
    }
    let mut revisions: Vec<u64> = writers.join_all().await.concat();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=WRITERS * EACH).collect::<Vec<_>>());
    let commits = house.store.commits.load(Ordering::SeqCst) as u64;
    assert!(commits < WRITERS * EACH / 4, "{commits} commits: writes that waited did not share one");
    let told: Vec<_> = house.told().await.into_iter().flat_map(|(_, changes)| changes).collect();
    let want: Vec<_> = (1..=WRITERS * EACH).map(|count| format!("/count={count}")).collect();
    assert_eq!(told, want);
}

#[tokio::test]
async fn a_group_shares_one_commit_and_its_writes_see_each_other() {
    let house = House::new().await;
    house.store.set_closed(true);
    let first = tokio::spawn({
        let control = house.control.clone();
        async move { store(&control, vec![put("/apisix/routes/0", r#"{"upstream_id":"u"}"#)]).await }
    });
    house.queued(0).await;
    let mut group = tokio::task::JoinSet::new();
    for number in 1..=3 {
        let control = house.control.clone();
        group.spawn(async move {
            let route = format!("/apisix/routes/{number}");
            let write = control.write(move |view| {
                let users = view.referrers("/apisix/upstreams/u");
                let keys = view.keys("/apisix/routes/").unwrap();
                assert_eq!(users, keys, "every route so far refers to it");
                if users.len() == 3 {
                    return Err(users.iter().map(ToString::to_string).collect::<Vec<_>>());
                }
                Ok((vec![put(&route, r#"{"upstream_id":"u"}"#)], ()))
            });
            write.await.map(|((), revision)| revision)
        });
        house.queued(number).await;
    }
    house.store.set_closed(false);
    assert_eq!(first.await.unwrap().unwrap(), 1);
    let mut revisions = Vec::new();
    for end in group.join_all().await {
        match end {
            Ok(revision) => revisions.push(revision),
            Err(WriteError::Refused(users)) => {
                assert_eq!(users, ["/apisix/routes/0", "/apisix/routes/1", "/apisix/routes/2"]);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    revisions.sort_unstable();
    assert_eq!(revisions, [2, 3]);
    assert_eq!(house.store.commits.load(Ordering::SeqCst), 2);
    assert_eq!(house.store.get("/apisix/routes/3").unwrap(), None, "a refused write has left something");
}

#[tokio::test]
async fn one_of_many_takes_an_auth_key() {
    let house = House::new().await;
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..32 {
        let control = house.control.clone();
        writers.spawn(async move {
            let key = format!("/apisix/consumers/c{number}");
            let write = control.write(move |view| match view.auth_key_owners("jwt-auth", "k").as_slice() {
                [] => Ok((vec![put(&key, r#"{"plugins":{"jwt-auth":{"key":"k"}}}"#)], key)),
                [owner] => Err(owner.to_string()),
                owners => panic!("{owners:?}"),
            });
            write.await.map(|(key, _)| key)
        });
    }
    let (taken, refused): (Vec<_>, Vec<_>) = writers.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(taken.len(), 1);
    let owner = taken.into_iter().next().unwrap().unwrap();
    for refusal in refused {
        assert!(matches!(&refusal, Err(WriteError::Refused(by)) if *by == owner), "{refusal:?}");
    }
    store(&house.control, vec![delete(&owner)]).await.unwrap();
    let free = house.control.write::<_, (), _>(|view| Ok((vec![], view.auth_key_owners("jwt-auth", "k").len())));
    assert_eq!(free.await.unwrap().0, 0);
}

#[tokio::test]
async fn a_store_that_fails_leaves_the_old_state() {
    let house = House::new().await;
    let consumer = r#"{"group_id":"g","plugins":{"jwt-auth":{"key":"k"}}}"#;
    store(&house.control, vec![put("/apisix/consumers/a", consumer)]).await.unwrap();
    house.store.fails.store(true, Ordering::SeqCst);
    let write = vec![delete("/apisix/consumers/a"), put("/apisix/consumers/b", consumer)];
    let failed = store(&house.control, write.clone()).await;
    let Err(WriteError::Store(StoreError::Io(text))) = failed else { panic!("{failed:?}") };
    assert_eq!(text, "no space left on device");
    house.store.fails.store(false, Ordering::SeqCst);
    let seen = house.control.write::<_, (), _>(|view| {
        let owners = view.auth_key_owners("jwt-auth", "k");
        Ok((vec![], (owners, view.referrers("/apisix/consumer_groups/g"), view.next_revision())))
    });
    let a = vec![Arc::from("/apisix/consumers/a")];
    assert_eq!(seen.await.unwrap().0, (a.clone(), a, 2));
    assert_eq!(house.control.health().published, 2, "nothing was published for the failed write");
    assert_eq!(store(&house.control, write).await.unwrap(), 2);
}

#[tokio::test]
async fn checks_that_panic_end_their_own_write_only() {
    let house = House::new().await;
    let panicking = house.control.write::<(), (), _>(|_| panic!("a defect in a check"));
    assert!(matches!(panicking.await, Err(WriteError::Internal)));
    assert_eq!(store(&house.control, vec![put("/a", "1")]).await.unwrap(), 1);
    assert!(house.control.health().writable);
}
