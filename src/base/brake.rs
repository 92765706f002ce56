//! A brake on failures, by source address: slows guessing and forging without holding up who does neither.
//!
//! An address may fail a burst of times and then at a steady rate; whoever asks before trying again is told how long
//! to wait. Bounded in memory: beyond [`ADDRESSES_MAX`] addresses those that are new share one budget.

use super::map::HashMap;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Failures counted per source address.
pub struct Brake {
    failures: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
    /// Until when an address must wait. Only addresses whose burst is spent are here.
    waiting: HashMap<IpAddr, <DefaultClock as Clock>::Instant>,
}

impl Brake {
    /// Allows what `quota` says.
    pub fn new(quota: Quota) -> Self {
        Self {
            failures: DefaultKeyedRateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            waiting: HashMap::default(),
        }
    }

    /// How long `from` must wait before it may fail again; `None` if it need not.
    pub fn wait(&self, from: IpAddr) -> Option<Duration> {
        let until = self.waiting.get(&network_of(from))?;
        let now = self.clock.now();
        (now < *until).then(|| until.duration_since(now))
    }

    /// Counts a failure of `from`.
    pub fn failed(&mut self, from: IpAddr) {
        let from = network_of(from);
        let now = self.clock.now();
        let mut key = from;
        if self.failures.len() >= ADDRESSES_MAX {
            self.failures.retain_recent();
            self.waiting.retain(|_, until| now < *until);
            if self.failures.len() >= ADDRESSES_MAX {
                // A crowd shares one budget: memory stays bounded and failing stays slow.
                key = CROWD;
            }
        }
        if let Err(not_until) = self.failures.check_key(&key) {
            if self.waiting.len() >= ADDRESSES_MAX {
                self.waiting.retain(|_, until| now < *until);
            }
            if self.waiting.len() < ADDRESSES_MAX {
                self.waiting.insert(from, not_until.earliest_possible());
            }
        }
    }
}

impl fmt::Debug for Brake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Brake").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

/// What a client can change at will is not part of its address: an IPv6 host owns its /64.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Whose budget the many share.
const CROWD: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Addresses remembered; beyond that they share one budget.
pub const ADDRESSES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn brake(burst: u32) -> Brake {
        let hour = Duration::from_secs(3600);
        Brake::new(Quota::with_period(hour).unwrap().allow_burst(NonZeroU32::new(burst).unwrap()))
    }

    #[test]
    fn an_address_waits_once_its_burst_is_spent_and_others_do_not() {
        let (guesser, neighbour): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let mut brake = brake(3);
        for _ in 0..3 {
            brake.failed(guesser);
            assert_eq!(brake.wait(guesser), None);
        }
        brake.failed(guesser);
        let wait = brake.wait(guesser).unwrap();
        assert!(wait > Duration::from_secs(3000) && wait <= Duration::from_secs(3600), "{wait:?}");
        assert_eq!(brake.wait(neighbour), None);
    }

    #[test]
    fn an_ipv6_host_is_its_network() {
        let mut brake = brake(1);
        for host in 1..=2_u128 {
            brake.failed(Ipv6Addr::from_bits((0x2001_0db8 << 96) | host).into());
        }
        assert!(brake.wait(Ipv6Addr::from_bits((0x2001_0db8 << 96) | 0x77).into()).is_some());
        assert!(brake.wait(Ipv6Addr::from_bits((0x2001_0db9 << 96) | 1).into()).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let mut brake = brake(1);
        for address in 0..3 * ADDRESSES_MAX as u32 {
            let from = IpAddr::from(address.to_be_bytes());
            brake.failed(from);
            brake.failed(from);
        }
        assert!(brake.failures.len() <= ADDRESSES_MAX + 1, "{}", brake.failures.len());
        assert!(brake.waiting.len() <= ADDRESSES_MAX, "{}", brake.waiting.len());
    }
}
