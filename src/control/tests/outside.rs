//! What comes from elsewhere: the stored state at start, workers that lag, names, the clock.

use super::*;
use crate::base::clock;

fn expiring(key: &str, value: &str, expires_unix_s: u64) -> Op {
    Op::Put { key: key.into(), value: value.into(), expires_unix_s: Some(expires_unix_s) }
}

#[tokio::test]
async fn the_stored_state_is_the_first_batch_without_what_has_expired() {
    let store = Gate::default();
    let old = expiring("/old", "1", clock::unix().as_secs() - 1);
    store.commit(&[vec![put("/b", "2")], vec![put("/a", "1"), old]]).unwrap();
    let house = House::on(store).await;
    assert_eq!(house.control.revision(), 3, "the expired object's deletion is a write");
    assert_eq!(house.control.get("/old").await.unwrap(), None);
    assert_eq!(house.told().await, [(3, vec!["/a=1".to_owned(), "/b=2".to_owned()])]);
}

#[tokio::test]
async fn the_index_knows_the_stored_state() {
    let store = Gate::default();
    let consumers = (0..10_000).map(|number| {
        let value = format!(r#"{{"group_id":"g","plugins":{{"jwt-auth":{{"key":"k{number}"}}}}}}"#);
        vec![put(&format!("/apisix/consumers/c{number}"), &value)]
    });
    store.commit(&consumers.collect::<Vec<_>>()).unwrap();
    let house = House::on(store).await;
    let seen = house.control.write::<_, (), _>(|view| {
        let owners = view.auth_key_owners("jwt-auth", "k77");
        Ok((vec![], (owners, view.referrers("/apisix/consumer_groups/g").len())))
    });
    assert_eq!(seen.await.unwrap().0, (vec![Arc::from("/apisix/consumers/c77")], 10_000));
}

#[tokio::test]
async fn an_expired_key_goes_like_a_deleted_one() {
    let house = House::new().await;
    let soon = clock::unix().as_secs() + 1;
    let write = vec![expiring("/apisix/routes/1", r#"{"service_id":1}"#, soon), expiring("/stays", "1", soon)];
    store(&house.control, write).await.unwrap();
    store(&house.control, vec![put("/stays", "2")]).await.unwrap();
    while house.control.get("/apisix/routes/1").await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(clock::unix().as_secs() >= soon);
    let next = house.control.write::<_, (), _>(|view| {
        assert_eq!(view.referrers("/apisix/services/1"), []);
        Ok((vec![put("/last", "3")], ()))
    });
    assert_eq!(next.await.unwrap().1, 4);
    assert_eq!(&*house.control.get("/stays").await.unwrap().unwrap().value, "2");
    let told: Vec<_> = house.told().await.into_iter().skip(3).collect();
    let want = [(3, vec!["/apisix/routes/1=gone".to_owned()]), (4, vec!["/last=3".to_owned()])];
    assert_eq!(told, want);
}

#[tokio::test]
async fn an_expiry_that_the_store_refuses_is_tried_again() {
    let house = House::new().await;
    store(&house.control, vec![expiring("/a", "1", clock::unix().as_secs())]).await.unwrap();
    house.store.fails.store(true, Ordering::SeqCst);
    let commits = house.store.commits.load(Ordering::SeqCst);
    // It may have gone before the store began to fail; then there is nothing to try again.
    while house.store.commits.load(Ordering::SeqCst) == commits && house.control.revision() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.store.fails.store(false, Ordering::SeqCst);
    while house.control.get("/a").await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_lagging_worker_is_told_to_the_caller_and_seen_in_health() {
    let (feed, mut mailboxes) = Feed::new(2).unwrap();
    let (idle, idle_doorbell) = mailboxes.pop().unwrap();
    let (mailbox, doorbell) = mailboxes.pop().unwrap();
    let worker = work(mailbox, doorbell);
    let (_resolutions, results) = mpsc::unbounded_channel();
    let waits = Waits { live: Duration::from_millis(60), ..waits() };
    let store_of_it = Arc::new(MemoryStore::new());
    let control = Control::start_with(store_of_it, feed, Echo, (Patient, results), None, waits).await.unwrap();
    let end = store(&control, vec![put("/a", "1")]).await;
    let Err(WriteError::NotLive { revision: 1, reason }) = end else { panic!("{end:?}") };
    assert_eq!(reason, "worker 1 has not applied batch 2 (it is at 0)");
    assert_eq!(&*control.get("/a").await.unwrap().unwrap().value, "1", "it is stored all the same");
    let health = control.health();
    assert!(health.lagging_since_unix_s.is_some(), "{health:?}");
    assert_eq!((health.published, health.applied.as_slice()), (2, [2, 0].as_slice()));
    let late = work(idle, idle_doorbell);
    store(&control, vec![put("/a", "2")]).await.unwrap();
    assert_eq!(control.health().lagging_since_unix_s, None);
    drop(control);
    let told = tokio::task::spawn_blocking(|| (worker.join().unwrap(), late.join().unwrap())).await.unwrap();
    assert_eq!(told.0, told.1);
}

#[tokio::test]
async fn a_write_waits_for_the_first_addresses_of_its_names() {
    let house = House::new().await;
    let write = tokio::spawn({
        let control = house.control.clone();
        async move { store(&control, vec![put("/u", "wants origin.test")]).await }
    });
    while house.control.health().applied != [2, 2] {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Others do not wait behind it.
    store(&house.control, vec![put("/a", "1")]).await.unwrap();
    let addresses = vec![IpAddr::from([127, 0, 0, 1])];
    house.resolutions.send(Resolution { name: "origin.test".into(), addresses }).unwrap();
    assert_eq!(write.await.unwrap().unwrap(), 1);
    assert_eq!(house.control.health().applied, [4, 4], "the addresses are live when the write is answered");
    assert_eq!(house.told().await.pop().unwrap(), (2, vec!["origin.test is [127.0.0.1]".to_owned()]));
}

#[tokio::test]
async fn a_name_that_nobody_answers_holds_a_write_back_only_so_long() {
    let house = House::new().await;
    let began = tokio::time::Instant::now();
    assert_eq!(store(&house.control, vec![put("/u", "wants nowhere.test")]).await.unwrap(), 1);
    assert!(began.elapsed() >= waits().first_resolution);
}

#[tokio::test]
async fn a_start_takes_any_number_of_answers_before_a_worker_runs() {
    let names = QUEUE_BATCHES_MAX + 100;
    let gate = Gate::default();
    gate.commit(&[(0..names).map(|n| put(&format!("/u{n}"), &format!("wants {n}.test"))).collect()]).unwrap();
    let (feed, mut mailboxes) = Feed::new(1).unwrap();
    let (resolutions, results) = mpsc::unbounded_channel();
    let waits = Waits { start_resolution: Duration::from_secs(20), ..waits() };
    let started = Control::start_with(Arc::new(gate), feed, Echo, (Patient, results), None, waits);
    // One at a time: what comes in together is taken together.
    let answers = async {
        for n in 0..names {
            resolutions.send(Resolution { name: format!("{n}.test").into(), addresses: Vec::new() }).unwrap();
            tokio::task::yield_now().await;
        }
    };
    let both = async { tokio::join!(started, answers).0.unwrap() };
    let control = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    assert_eq!(control.health().published, 1);
    let mut changes = 0;
    mailboxes[0].0.apply(|batch| changes += batch.changes.len());
    assert_eq!(changes, names * 2);
}

#[tokio::test]
async fn the_start_waits_for_names_only_so_long() {
    let gate = Gate::default();
    gate.commit(&[vec![put("/u", "wants nowhere.test")]]).unwrap();
    let house = House::on(gate).await;
    house.resolutions.send(Resolution { name: "nowhere.test".into(), addresses: Vec::new() }).unwrap();
    while house.control.health().published != 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
