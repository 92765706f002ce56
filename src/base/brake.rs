//! A brake on failures, by source address: slows guessing and forging without holding up who does neither.
//!
//! An address may fail a burst of times and then at a steady rate; whoever asks before trying again is told how long
//! to wait. Bounded in memory: beyond [`ADDRESSES_MAX`] addresses those that are new share one budget.

use super::map::HashMap;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

/// Failures counted per source address.
pub struct Brake {
    failures: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
    /// The quota's burst: the most that one failure can cost.
    burst: NonZeroU32,
    /// Until when an address must wait. Only addresses whose burst is spent are here, so no more than are counted.
    waiting: HashMap<IpAddr, Instant>,
    /// Whether new addresses share one budget.
    is_full: bool,
    /// When room was last looked for.
    room_made: Option<Instant>,
}

impl Brake {
    /// Allows what `quota` says.
    pub fn new(quota: Quota) -> Self {
        Self {
            failures: DefaultKeyedRateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            burst: quota.burst_size(),
            waiting: HashMap::default(),
            is_full: false,
            room_made: None,
        }
    }

    /// How long `from` must wait before it may fail again; `None` if it need not.
    pub fn wait(&self, from: IpAddr) -> Option<Duration> {
        if self.waiting.is_empty() {
            return None;
        }
        let crowd = self.waiting.get(&CROWD).filter(|_| self.is_full);
        let until = self.waiting.get(&network_of(from)).or(crowd)?;
        let now = self.clock.now();
        (now < *until).then(|| until.duration_since(now))
    }

    /// Counts a failure of `from` that is worth `cost` of the quota's units; more than the burst counts as the burst.
    pub fn failed(&mut self, from: IpAddr, cost: NonZeroU32) {
        let now = self.clock.now();
        let mut key = network_of(from);
        if self.failures.len() >= ADDRESSES_MAX {
            self.make_room(now);
            if self.is_full {
                // A crowd shares one budget: memory stays bounded and failing stays slow.
                key = CROWD;
            }
        }
        if let Ok(Err(not_until)) = self.failures.check_key_n(&key, cost.min(self.burst)) {
            self.waiting.insert(key, not_until.earliest_possible());
        }
    }

    /// Forgets addresses whose budget is whole again; looked for at most once in [`ROOM_EVERY`], because it looks at
    /// all of them.
    fn make_room(&mut self, now: Instant) {
        if self.room_made.is_some_and(|made| now.duration_since(made) < ROOM_EVERY) {
            return;
        }
        self.room_made = Some(now);
        self.failures.retain_recent();
        self.waiting.retain(|_, until| now < *until);
        self.is_full = self.failures.len() >= ADDRESSES_MAX;
    }
}

/// The clock's reading.
type Instant = <DefaultClock as Clock>::Instant;

impl fmt::Debug for Brake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Brake").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

/// What a client can change at will is not part of its address: a subscriber is given a /56 of IPv6 (RFC 6177 §2), and
/// an IPv4 address may come dressed as an IPv6 one.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << (128 - SUBSCRIBER_BITS)))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Whose budget the many share.
const CROWD: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Leading bits of an IPv6 address that its holder cannot choose.
const SUBSCRIBER_BITS: u32 = 56;
/// How often room is looked for while there are too many addresses.
const ROOM_EVERY: Duration = Duration::from_secs(1);
/// Addresses remembered; beyond that they share one budget.
pub const ADDRESSES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn brake(burst: u32) -> Brake {
        let hour = Duration::from_secs(3600);
        Brake::new(Quota::with_period(hour).unwrap().allow_burst(NonZeroU32::new(burst).unwrap()))
    }

    #[test]
    fn an_address_waits_once_its_burst_is_spent_and_others_do_not() {
        let (guesser, neighbour): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let mut brake = brake(3);
        for _ in 0..3 {
            brake.failed(guesser, ONE);
            assert_eq!(brake.wait(guesser), None);
        }
        brake.failed(guesser, ONE);
        let wait = brake.wait(guesser).unwrap();
        assert!(wait > Duration::from_secs(3000) && wait <= Duration::from_secs(3600), "{wait:?}");
        assert_eq!(brake.wait(neighbour), None);
    }

    #[test]
    fn dear_failures_spend_the_burst_sooner() {
        let from: IpAddr = [192, 0, 2, 1].into();
        let mut brake = brake(10);
        brake.failed(from, NonZeroU32::new(8).unwrap());
        assert_eq!(brake.wait(from), None);
        brake.failed(from, NonZeroU32::new(8).unwrap());
        assert!(brake.wait(from).is_some());
        let other: IpAddr = [192, 0, 2, 2].into();
        brake.failed(other, NonZeroU32::new(1000).unwrap());
        assert_eq!(brake.wait(other), None, "as much as the burst");
        brake.failed(other, ONE);
        assert!(brake.wait(other).is_some());
    }

    #[test]
    fn an_ipv6_subscriber_is_its_network_and_a_mapped_address_is_itself() {
        let mut brake = brake(1);
        for network in 1..=2_u128 {
            brake.failed(Ipv6Addr::from_bits((0x2001_0db8 << 96) | (network << 64) | network).into(), ONE);
        }
        assert!(brake.wait(Ipv6Addr::from_bits((0x2001_0db8 << 96) | 0x77).into()).is_some());
        assert!(brake.wait(Ipv6Addr::from_bits((0x2001_0db9 << 96) | 1).into()).is_none());
        let mapped = |last| IpAddr::from(std::net::Ipv4Addr::new(192, 0, 2, last).to_ipv6_mapped());
        brake.failed(mapped(1), ONE);
        brake.failed(mapped(1), ONE);
        assert!(brake.wait([192, 0, 2, 1].into()).is_some());
        assert!(brake.wait(mapped(2)).is_none());
        assert!(brake.wait(Ipv6Addr::LOCALHOST.into()).is_none());
    }

    #[test]
    fn a_crowd_is_bounded_in_memory_and_shares_one_budget() {
        let mut brake = brake(2);
        let address = |index: u32| IpAddr::from(index.to_be_bytes());
        for index in 0..3 * ADDRESSES_MAX as u32 {
            brake.failed(address(index), ONE);
        }
        assert!(brake.failures.len() <= ADDRESSES_MAX + 1, "{}", brake.failures.len());
        assert!(brake.waiting.len() <= ADDRESSES_MAX + 1, "{}", brake.waiting.len());
        assert!(brake.wait(address(1_000_000)).is_some(), "a stranger shares what the crowd has spent");
    }
}
