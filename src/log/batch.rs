//! Records on their way to the log thread: one flat buffer, fixed-width numbers and length-prefixed texts.
//!
//! Both ends are this module, in one process: the form has no version and native details may change freely.

use super::record::{Record, Try};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Records of one worker, in the order they were made.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Encoded records, back to back.
    pub(super) bytes: Vec<u8>,
    /// How many records `bytes` holds.
    pub(super) records: u64,
}

impl Batch {
    /// An empty batch over `buffer`, whose capacity is kept and whose content is dropped.
    pub(super) fn over(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { bytes: buffer, records: 0 }
    }

    /// Appends `record`. Allocates only if [`encoded_bytes`] exceeds the spare capacity.
    pub(super) fn push(&mut self, record: &Record<'_>) {
        let out = &mut self.bytes;
        out.extend_from_slice(&record.unix_us.to_le_bytes());
        out.extend_from_slice(&record.request_us.to_le_bytes());
        push_address(out, record.client);
        out.push(record.minor_version);
        out.extend_from_slice(&record.status.to_le_bytes());
        out.extend_from_slice(&record.body_bytes_sent.to_le_bytes());
        for text in texts(record) {
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text);
        }
        let tries = record.tries.get(..TRIES_MAX).unwrap_or(record.tries);
        out.push(tries.len() as u8);
        for attempt in tries {
            push_address(out, attempt.address);
            out.extend_from_slice(&attempt.status.to_le_bytes());
            out.extend_from_slice(&attempt.us.to_le_bytes());
        }
        self.records += 1;
    }
}

/// An upper bound of the bytes that `record` takes in a batch.
pub(super) fn encoded_bytes(record: &Record<'_>) -> usize {
    let texts: usize = texts(record).iter().map(|text| 4 + text.len()).sum();
    NUMBERS_BYTES_MAX + texts + record.tries.len().min(TRIES_MAX) * TRY_BYTES_MAX
}

/// Takes the next record off the front of `bytes`; `None` at the end. `tries` is scratch that the record borrows.
pub(super) fn decode<'a, 'b: 'a>(bytes: &mut &'b [u8], tries: &'a mut Vec<Try>) -> Option<Record<'a>> {
    let unix_us = u64::from_le_bytes(take(bytes)?);
    let request_us = u64::from_le_bytes(take(bytes)?);
    let client = take_address(bytes)?;
    let [minor_version] = take(bytes)?;
    let status = u16::from_le_bytes(take(bytes)?);
    let body_bytes_sent = u64::from_le_bytes(take(bytes)?);
    let mut texts: [&[u8]; TEXTS] = [&[]; TEXTS];
    for text in &mut texts {
        let length = u32::from_le_bytes(take(bytes)?) as usize;
        let (head, rest) = bytes.split_at_checked(length)?;
        *text = head;
        *bytes = rest;
    }
    let [count] = take(bytes)?;
    tries.clear();
    for _ in 0..count {
        let address = take_address(bytes)?;
        let status = u16::from_le_bytes(take(bytes)?);
        let us = u64::from_le_bytes(take(bytes)?);
        tries.push(Try { address, status, us });
    }
    let [method, target, host, upstream_host, referer, user_agent, route_id, service_id, consumer, info] = texts;
    Some(Record {
        unix_us,
        request_us,
        client,
        method,
        target,
        minor_version,
        host,
        upstream_host,
        referer,
        user_agent,
        status,
        body_bytes_sent,
        tries,
        route_id,
        service_id,
        consumer,
        rate_limiting_info: info,
    })
}

/// The texts of a record in the order both ends use.
fn texts<'a>(record: &Record<'a>) -> [&'a [u8]; TEXTS] {
    [
        record.method,
        record.target,
        record.host,
        record.upstream_host,
        record.referer,
        record.user_agent,
        record.route_id,
        record.service_id,
        record.consumer,
        record.rate_limiting_info,
    ]
}

fn push_address(out: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => {
            out.push(4);
            out.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(6);
            out.extend_from_slice(&ip.octets());
        }
    }
    out.extend_from_slice(&address.port().to_le_bytes());
}

fn take_address(bytes: &mut &[u8]) -> Option<SocketAddr> {
    let [family] = take(bytes)?;
    let ip = if family == 4 {
        IpAddr::V4(Ipv4Addr::from(take::<4>(bytes)?))
    } else {
        IpAddr::V6(Ipv6Addr::from(take::<16>(bytes)?))
    };
    Some(SocketAddr::new(ip, u16::from_le_bytes(take(bytes)?)))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

/// Text fields of a record.
const TEXTS: usize = 10;
/// Tries that are logged; a proxy gives up long before.
const TRIES_MAX: usize = u8::MAX as usize;
/// The fixed-width part: three 64-bit numbers, an IPv6 address with tag and port, version, status, count of tries.
const NUMBERS_BYTES_MAX: usize = 3 * 8 + 19 + 1 + 2 + 1;
/// One try: an IPv6 address with tag and port, status, duration.
const TRY_BYTES_MAX: usize = 19 + 2 + 8;

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_or_torn_buffer_yields_nothing() {
        let mut batch = Batch::default();
        batch.push(&samples::proxied());
        for end in 0..batch.bytes.len() {
            assert_eq!(decode(&mut &batch.bytes[..end], &mut Vec::new()), None, "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn records_come_back_as_they_were(owned in prop::collection::vec(samples::any(), 0..4)) {
            let mut batch = Batch::default();
            for one in &owned {
                let before = batch.bytes.len();
                batch.push(&one.record());
                prop_assert!(batch.bytes.len() - before <= encoded_bytes(&one.record()));
            }
            prop_assert_eq!(batch.records, owned.len() as u64);
            let mut rest = batch.bytes.as_slice();
            for one in &owned {
                let mut tries = Vec::new();
                prop_assert_eq!(decode(&mut rest, &mut tries), Some(one.record()));
            }
            prop_assert!(rest.is_empty());
        }
    }
}
