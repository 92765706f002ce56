//! Against a small name server on a free loopback port.

use super::*;
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::UdpSocket;

/// What the server says about every name.
#[derive(Debug, Clone)]
enum Zone {
    /// These addresses with this TTL; no records of the other kind.
    Addresses(Vec<&'static str>, u32),
    /// There is no such name.
    Missing,
    /// An error.
    Refusing,
    /// No answer at all.
    Silent,
}

struct Server {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    queries: Arc<AtomicUsize>,
}

impl Server {
    async fn start(zone: Zone) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (zone, queries) = (Arc::new(Mutex::new(zone)), Arc::new(AtomicUsize::new(0)));
        let (current, counter) = (Arc::clone(&zone), Arc::clone(&queries));
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                counter.fetch_add(1, Ordering::Relaxed);
                let zone = current.lock().unwrap().clone();
                if let Some(answer) = answer(&buffer[..length], &zone) {
                    socket.send_to(&answer, peer).await.unwrap();
                }
            }
        });
        Self { address, zone, queries }
    }

    fn set(&self, zone: Zone) {
        *self.zone.lock().unwrap() = zone;
    }
}

fn answer(query: &[u8], zone: &Zone) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).unwrap();
    let question = query.queries[0].clone();
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    assert_eq!(answer.metadata.message_type, MessageType::Response);
    answer.metadata.recursion_available = true;
    answer.add_query(question.clone());
    match zone {
        Zone::Silent => return None,
        Zone::Missing => answer.metadata.response_code = ResponseCode::NXDomain,
        Zone::Refusing => answer.metadata.response_code = ResponseCode::ServFail,
        Zone::Addresses(addresses, ttl) => {
            for address in addresses.iter().map(|text| text.parse::<IpAddr>().unwrap()) {
                let kind = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
                if question.query_type() == kind {
                    answer.add_answer(Record::from_rdata(question.name().clone(), *ttl, RData::from(address)));
                }
            }
        }
    }
    Some(answer.to_vec().unwrap())
}

fn start(server: &Server, pace: Pace) -> (Resolver, mpsc::UnboundedReceiver<Resolution>) {
    let (results, receiver) = mpsc::unbounded_channel();
    let options = ResolverOptions { servers: vec![server.address], timeout_s: Some(1), ..ResolverOptions::default() };
    (Resolver::start_with(options, pace, Path::new("/nonexistent"), results).unwrap(), receiver)
}

/// As in production, a hundred times as fast.
fn fast() -> Pace {
    let ms = Duration::from_millis;
    Pace { valid: None, ttl_min: ms(10), ttl_max: ms(3000), retry_min: ms(10), retry_max: ms(50) }
}

async fn next(results: &mut mpsc::UnboundedReceiver<Resolution>) -> Resolution {
    tokio::time::timeout(Duration::from_secs(20), results.recv()).await.expect("a result in time").unwrap()
}

fn resolution(name: &str, addresses: &[&str]) -> Resolution {
    Resolution { name: name.into(), addresses: addresses.iter().map(|text| text.parse().unwrap()).collect() }
}

#[tokio::test]
async fn a_name_is_published_once_and_again_when_it_changes() {
    let server = Server::start(Zone::Addresses(vec!["10.0.0.2", "10.0.0.1"], 0)).await;
    let (resolver, mut results) = start(&server, fast());
    resolver.want("Node.Test");
    resolver.want("node.test");
    assert_eq!(next(&mut results).await, resolution("node.test", &["10.0.0.1", "10.0.0.2"]));
    // Another order is the same set: the next thing published is the next change.
    server.set(Zone::Addresses(vec!["10.0.0.1", "10.0.0.2"], 0));
    let seen = server.queries.load(Ordering::Relaxed);
    while server.queries.load(Ordering::Relaxed) < seen + 3 {
        tokio::task::yield_now().await;
    }
    server.set(Zone::Addresses(vec!["10.0.0.3"], 0));
    assert_eq!(next(&mut results).await, resolution("node.test", &["10.0.0.3"]));
}

#[tokio::test]
async fn a_name_without_a_records_has_its_aaaa_records() {
    let server = Server::start(Zone::Addresses(vec!["::1"], 300)).await;
    let (resolver, mut results) = start(&server, fast());
    resolver.want("six.test");
    assert_eq!(next(&mut results).await, resolution("six.test", &["::1"]));
}

#[tokio::test]
async fn both_kinds_mean_the_a_records() {
    let server = Server::start(Zone::Addresses(vec!["::1", "10.0.0.1"], 300)).await;
    let (resolver, mut results) = start(&server, fast());
    resolver.want("both.test");
    assert_eq!(next(&mut results).await, resolution("both.test", &["10.0.0.1"]));
}

#[tokio::test]
async fn a_failure_is_told_at_first_and_later_keeps_the_last_good_set() {
    for failure in [Zone::Missing, Zone::Refusing, Zone::Silent] {
        let server = Server::start(failure.clone()).await;
        let (resolver, mut results) = start(&server, fast());
        resolver.want("node.test");
        assert_eq!(next(&mut results).await, resolution("node.test", &[]), "{failure:?}");
        server.set(Zone::Addresses(vec!["10.0.0.1"], 0));
        assert_eq!(next(&mut results).await, resolution("node.test", &["10.0.0.1"]), "{failure:?} heals");
        server.set(failure.clone());
        let seen = server.queries.load(Ordering::Relaxed);
        while server.queries.load(Ordering::Relaxed) < seen + 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(results.try_recv().is_err(), "{failure:?} keeps the last good set");
    }
}

#[tokio::test]
async fn the_ttl_rules_unless_the_configuration_does() {
    for (ttl, valid, is_repeated) in
        [(0, None, true), (300, None, false), (300, Some(10), true), (0, Some(60_000), false)]
    {
        let server = Server::start(Zone::Addresses(vec!["10.0.0.1"], ttl)).await;
        let (resolver, mut results) = start(&server, Pace { valid: valid.map(Duration::from_millis), ..fast() });
        resolver.want("node.test");
        next(&mut results).await;
        server.set(Zone::Addresses(vec!["10.0.0.2"], ttl));
        let change = tokio::time::timeout(Duration::from_millis(300), results.recv()).await;
        // Nothing within the time proves nothing on a slow machine, so only the repeating rows wait for longer.
        if is_repeated && change.is_err() {
            assert_eq!(next(&mut results).await, resolution("node.test", &["10.0.0.2"]), "{ttl} {valid:?}");
        }
        assert!(is_repeated || change.is_err(), "{ttl} {valid:?}");
    }
}

#[tokio::test]
async fn a_released_name_is_asked_no_more_and_can_be_wanted_again() {
    let server = Server::start(Zone::Addresses(vec!["10.0.0.1"], 0)).await;
    let (resolver, mut results) = start(&server, fast());
    resolver.want("node.test");
    next(&mut results).await;
    resolver.release("NODE.test");
    server.set(Zone::Addresses(vec!["10.0.0.2"], 0));
    while results.try_recv().is_ok() {}
    resolver.want("node.test");
    assert_eq!(next(&mut results).await, resolution("node.test", &["10.0.0.2"]), "a first result again");
}

#[tokio::test]
async fn the_hosts_file_comes_first_and_its_edits_are_seen() {
    let directory = tempfile::tempdir().unwrap();
    let hosts = directory.path().join("hosts");
    std::fs::write(&hosts, "192.0.2.1 node.test\n").unwrap();
    let server = Server::start(Zone::Addresses(vec!["10.0.0.1"], 0)).await;
    let (results, mut receiver) = mpsc::unbounded_channel();
    let options = ResolverOptions { servers: vec![server.address], ..ResolverOptions::default() };
    let pace = Pace { valid: Some(Duration::from_millis(10)), ..fast() };
    let resolver = Resolver::start_with(options, pace, &hosts, results).unwrap();
    resolver.want("node.test");
    assert_eq!(next(&mut receiver).await, resolution("node.test", &["192.0.2.1"]));
    assert_eq!(server.queries.load(Ordering::Relaxed), 0, "nobody was asked");
    std::fs::write(&hosts, "192.0.2.20 node.test\n").unwrap();
    assert_eq!(next(&mut receiver).await, resolution("node.test", &["192.0.2.20"]));
    std::fs::write(&hosts, "").unwrap();
    assert_eq!(next(&mut receiver).await, resolution("node.test", &["10.0.0.1"]));
}

#[tokio::test]
async fn more_names_than_places_all_get_their_turn() {
    let server = Server::start(Zone::Addresses(vec!["10.0.0.1"], 300)).await;
    let (resolver, mut results) = start(&server, fast());
    let count = 4 * LOOKUPS_MAX;
    for index in 0..count {
        resolver.want(&format!("n{index}.test"));
    }
    let mut seen = crate::base::map::HashSet::default();
    while seen.len() < count {
        let result = next(&mut results).await;
        if !result.addresses.is_empty() {
            seen.insert(result.name);
        }
    }
}
