//! A worker's end of the access log.

use super::batch::{Batch, encoded_bytes};
use super::record::Record;
use super::sink::Counters;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

/// Takes one worker's records. Does nothing when the access log is off.
///
/// Records wait in the current batch until it is full, [`Writer::flush`] is called or the writer is dropped.
#[derive(Debug)]
pub struct Writer(Option<Line>);

/// The line to the log thread.
#[derive(Debug)]
struct Line {
    batch: Batch,
    /// Capacity of a batch; only a single record larger than this grows one beyond.
    batch_bytes: usize,
    /// Tells the log thread where to return the buffer.
    writer: usize,
    to_log: SyncSender<Message>,
    /// Buffers that the log thread is done with.
    recycled: Receiver<Vec<u8>>,
    counters: Arc<Counters>,
}

/// What the log thread is told.
#[derive(Debug)]
pub(super) enum Message {
    /// Records to write; the buffer goes back to `writer`.
    Batch {
        /// Index of the writer.
        writer: usize,
        /// Its records.
        batch: Batch,
    },
    /// Look at the reopen switch.
    Wake,
    /// Write what is queued, then end.
    Stop,
}

impl Writer {
    /// A writer that drops everything.
    pub fn off() -> Self {
        Self(None)
    }

    pub(super) fn connected(
        writer: usize,
        batch_bytes: usize,
        to_log: SyncSender<Message>,
        recycled: Receiver<Vec<u8>>,
        counters: Arc<Counters>,
    ) -> Self {
        let batch = Batch::over(Vec::with_capacity(batch_bytes));
        Self(Some(Line { batch, batch_bytes, writer, to_log, recycled, counters }))
    }

    /// Whether records go anywhere: if not, none needs to be made.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Copies `record` into the current batch; sends the batch first if the record does not fit. Never waits.
    #[inline]
    pub fn push(&mut self, record: &Record<'_>) {
        if let Some(line) = &mut self.0 {
            line.push(record);
        }
    }

    /// Sends what the current batch holds. To be called about once a second, so that lines of a quiet gateway show up.
    pub fn flush(&mut self) {
        if let Some(line) = &mut self.0 {
            line.send();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Line {
    fn push(&mut self, record: &Record<'_>) {
        if self.batch.bytes.len() + encoded_bytes(record) > self.batch_bytes {
            self.send();
        }
        self.batch.push(record);
    }

    fn send(&mut self) {
        if self.batch.records == 0 {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        let next = match self.to_log.try_send(Message::Batch { writer: self.writer, batch }) {
            Ok(()) => self.recycled.try_recv().unwrap_or_else(|_| Vec::with_capacity(self.batch_bytes)),
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => self.drop_records(message),
        };
        self.batch = Batch::over(next);
    }

    /// Counts the records of a batch that could not be sent and keeps its buffer.
    fn drop_records(&self, message: Message) -> Vec<u8> {
        let Message::Batch { batch, .. } = message else { return Vec::new() };
        self.counters.add_dropped(batch.records);
        batch.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::decode;
    use super::super::samples;
    use super::*;
    use std::sync::mpsc::sync_channel;

    /// A writer whose log thread is the test.
    fn writer(batch_bytes: usize, queue: usize) -> (Writer, Receiver<Message>, SyncSender<Vec<u8>>, Arc<Counters>) {
        let (to_log, messages) = sync_channel(queue);
        let (back, recycled) = sync_channel(queue);
        let counters = Arc::new(Counters::default());
        (Writer::connected(0, batch_bytes, to_log, recycled, Arc::clone(&counters)), messages, back, counters)
    }

    fn batches(messages: &Receiver<Message>) -> Vec<Batch> {
        messages
            .try_iter()
            .filter_map(|message| if let Message::Batch { batch, .. } = message { Some(batch) } else { None })
            .collect()
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_waits() {
        let (mut writer, messages, _back, counters) = writer(1024, 2);
        for _ in 0..1_000 {
            writer.push(&samples::proxied());
        }
        writer.flush();
        let sent: u64 = batches(&messages).iter().map(|batch| batch.records).sum();
        assert!(sent > 0);
        assert_eq!(sent + counters.dropped(), 1_000);

        writer.push(&samples::proxied());
        drop(messages);
        drop(writer);
        assert_eq!(sent + counters.dropped(), 1_001, "what the last flush could not deliver counts too");
    }

    #[test]
    fn buffers_go_round() {
        let (mut writer, messages, back, _counters) = writer(1024, 8);
        let mut seen = Vec::new();
        for _ in 0..100 {
            writer.push(&samples::proxied());
            writer.flush();
            for batch in batches(&messages) {
                assert!(batch.bytes.capacity() <= 1024, "the buffer grew");
                seen.push(batch.bytes.as_ptr() as usize);
                back.try_send(batch.bytes).unwrap();
            }
        }
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() <= 2, "{} buffers were allocated", seen.len());
    }

    #[test]
    fn a_record_larger_than_a_batch_arrives_whole() {
        let target = vec![b'a'; 5_000];
        let large = Record { target: &target, ..samples::proxied() };
        let (mut writer, messages, _back, _counters) = writer(1024, 8);
        writer.push(&samples::unread());
        writer.push(&large);
        writer.push(&samples::unread());
        writer.flush();
        writer.flush();
        let batches = batches(&messages);
        assert_eq!(batches.iter().map(|batch| batch.records).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(decode(&mut batches[1].bytes.as_slice(), &mut Vec::new()), Some(large));
    }

    #[test]
    fn a_writer_that_is_off_takes_everything() {
        let mut writer = Writer::off();
        assert!(!writer.is_on());
        writer.push(&samples::proxied());
        writer.flush();
    }
}
