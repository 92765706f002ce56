//! The log thread: takes batches from all workers, formats them and appends them to the file.

use super::batch::{Batch, decode};
use super::escape::Escape;
use super::file::LogFile;
use super::format::{self, Format};
use super::record::Try;
use super::writer::{Message, Writer};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// What the access log is told at start (`nginx_config.http.*`).
#[derive(Debug, Clone)]
pub struct Options {
    /// The file (`access_log`); `None` switches the log off.
    pub path: Option<PathBuf>,
    /// A template, or `json` (`access_log_format`).
    pub format: String,
    /// How a template's values are escaped (`access_log_format_escape`).
    pub escape: Escape,
    /// Capacity of a worker's batch, and bytes of text gathered before a write (`access_log_buffer`). 16 KiB.
    pub buffer_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { path: None, format: format::DEFAULT.to_owned(), escape: Escape::Default, buffer_bytes: BUFFER_BYTES }
    }
}

impl Options {
    /// The file that `enable_access_log` and `access_log` mean: none if switched off or if the path is the word
    /// `off`; a relative path starts from `prefix`.
    pub fn destination(enabled: bool, access_log: &str, prefix: &Path) -> Option<PathBuf> {
        (enabled && access_log != "off").then(|| prefix.join(access_log))
    }
}

/// The running access log, held by the control side.
#[derive(Debug)]
pub struct Sink {
    running: Option<Running>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Running {
    to_log: SyncSender<Message>,
    reopen: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Records that did not reach the file.
#[derive(Debug, Default)]
pub struct Counters {
    dropped: AtomicU64,
    unwritten: AtomicU64,
}

impl Counters {
    /// Records dropped by workers because the log thread was behind.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Records that could not be written to the file.
    pub fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }

    pub(super) fn add_dropped(&self, records: u64) {
        self.dropped.fetch_add(records, Ordering::Relaxed);
    }
}

impl Sink {
    /// Opens the file, starts the log thread and makes `writers` ends, one for each thread that logs requests.
    ///
    /// Fails if the file cannot be opened. Unknown variables of the format are named in one warning.
    pub fn start(options: &Options, writers: usize) -> io::Result<(Self, Vec<Writer>)> {
        let counters = Arc::new(Counters::default());
        let Some(path) = &options.path else {
            return Ok((Self { running: None, counters }, (0..writers).map(|_| Writer::off()).collect()));
        };
        let (format, unknown) = Format::compile(&options.format, options.escape);
        if !unknown.is_empty() {
            let names = unknown.join(", ");
            tracing::warn!("nginx_config.http.access_log_format: no such variable, shown as absent: {names}");
        }
        let buffer_bytes = options.buffer_bytes.max(BUFFER_BYTES_MIN);
        let (to_log, messages) = sync_channel(writers.saturating_mul(BATCHES_PER_WRITER).max(1));
        let (recycled, ends): (Vec<_>, Vec<_>) = (0..writers)
            .map(|writer| {
                let (back, returned) = sync_channel(BATCHES_PER_WRITER);
                (back, Writer::connected(writer, buffer_bytes, to_log.clone(), returned, Arc::clone(&counters)))
            })
            .unzip();
        let reopen = Arc::new(AtomicBool::new(false));
        let log = LogThread {
            messages,
            recycled,
            reopen: Arc::clone(&reopen),
            counters: Arc::clone(&counters),
            file: LogFile::open(path)?,
            format,
            ids: RequestIds::seeded()?,
            buffer_bytes,
            lines: Vec::with_capacity(2 * buffer_bytes),
            lines_records: 0,
            tries: Vec::new(),
        };
        let thread = thread::Builder::new().name("access-log".to_owned()).spawn(move || log.run())?;
        Ok((Self { running: Some(Running { to_log, reopen, thread }), counters }, ends))
    }

    /// Opens the file's path anew soon, after a rotation moved the file away. Does not wait.
    pub fn reopen(&self) {
        if let Some(running) = &self.running {
            running.reopen.store(true, Ordering::Release);
            // A full queue needs no waking: the thread looks at the switch after the batch at hand.
            let _ = running.to_log.try_send(Message::Wake);
        }
    }

    /// Records that did not reach the file; the handle stays valid after [`Sink::stop`].
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Writes every batch sent so far and ends the log thread; waits for it. Writers are to be dropped or flushed
    /// before; what they send later is counted as dropped.
    pub fn stop(self) {
        if let Some(running) = self.running {
            let _ = running.to_log.send(Message::Stop);
            if running.thread.join().is_err() {
                tracing::error!("the access log's thread had ended with a panic");
            }
        }
    }
}

/// What the log thread owns.
struct LogThread {
    messages: Receiver<Message>,
    /// Where each writer's buffers go back to.
    recycled: Vec<SyncSender<Vec<u8>>>,
    reopen: Arc<AtomicBool>,
    counters: Arc<Counters>,
    file: LogFile,
    format: Format,
    ids: RequestIds,
    buffer_bytes: usize,
    /// Text not written yet.
    lines: Vec<u8>,
    /// How many records `lines` shows.
    lines_records: u64,
    /// Scratch of the record being formatted.
    tries: Vec<Try>,
}

impl LogThread {
    fn run(mut self) {
        let mut stopping = false;
        while !stopping {
            let Ok(message) = self.messages.recv() else { break };
            stopping |= self.take(message);
            while self.lines.len() < self.buffer_bytes {
                let Ok(message) = self.messages.try_recv() else { break };
                stopping |= self.take(message);
            }
            if self.reopen.swap(false, Ordering::Acquire) {
                self.file.reopen();
            }
            self.write();
        }
        while let Ok(message) = self.messages.try_recv() {
            self.take(message);
            self.write();
        }
    }

    /// Formats a batch and returns its buffer; `true` when told to stop.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Batch { writer, batch } => self.format(writer, batch),
            Message::Wake => {}
            Message::Stop => return true,
        }
        false
    }

    fn format(&mut self, writer: usize, batch: Batch) {
        let mut rest = batch.bytes.as_slice();
        while let Some(record) = decode(&mut rest, &mut self.tries) {
            self.format.push_line(&mut self.lines, &record, &self.ids.next());
        }
        self.lines_records += batch.records;
        // A buffer that one large record had grown is not kept.
        if batch.bytes.capacity() <= self.buffer_bytes
            && let Some(back) = self.recycled.get(writer)
        {
            let _ = back.try_send(batch.bytes);
        }
    }

    fn write(&mut self) {
        if !self.lines.is_empty() && !self.file.append(&self.lines) {
            self.counters.unwritten.fetch_add(self.lines_records, Ordering::Relaxed);
        }
        self.lines.clear();
        self.lines_records = 0;
    }
}

/// Makes request ids: 64 bits that no other process shares, then a count from a random start.
struct RequestIds {
    process: u64,
    next: u64,
}

impl RequestIds {
    fn seeded() -> io::Result<Self> {
        let random: [u8; 16] = ring::rand::generate(&ring::rand::SystemRandom::new())
            .map_err(|_| io::Error::other("no random bytes from the system"))?
            .expose();
        let both = u128::from_le_bytes(random);
        Ok(Self { process: (both >> 64) as u64, next: both as u64 })
    }

    fn next(&mut self) -> [u8; 32] {
        self.next = self.next.wrapping_add(1);
        let id = u128::from(self.process) << 64 | u128::from(self.next);
        let mut digits = [0; 32];
        for (index, digit) in digits.iter_mut().enumerate() {
            let nibble = id >> (124 - 4 * index) & 15;
            *digit = HEX_LOWER.get(nibble as usize).copied().unwrap_or(b'0');
        }
        digits
    }
}

const HEX_LOWER: &[u8; 16] = b"0123456789abcdef";
/// Default of `access_log_buffer`.
const BUFFER_BYTES: usize = 16 << 10;
/// Below this a batch would not hold one usual record.
const BUFFER_BYTES_MIN: usize = 1 << 10;
/// Batches in flight per writer. With the default buffer (2 MiB in flight) a worker that makes 100 000 records a
/// second goes on for about 60 ms without the log thread; a disk that is slower for longer loses lines.
const BATCHES_PER_WRITER: usize = 128;

#[cfg(test)]
mod tests {
    use super::super::record::Record;
    use super::super::samples;
    use super::*;
    use std::fs;

    fn options(path: &Path, format: &str) -> Options {
        Options { path: Some(path.to_owned()), format: format.to_owned(), ..Options::default() }
    }

    #[test]
    fn what_every_writer_pushed_is_in_the_file_after_stop() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let (sink, writers) = Sink::start(&options(&path, "$route_id $request_id"), 3).unwrap();
        let counters = sink.counters();
        let threads: Vec<_> = writers
            .into_iter()
            .enumerate()
            .map(|(index, mut writer)| {
                thread::spawn(move || {
                    let route_id = format!("r{index}");
                    for _ in 0..2_000 {
                        writer.push(&Record { route_id: route_id.as_bytes(), ..samples::proxied() });
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        sink.stop();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count() as u64 + counters.dropped(), 6_000);
        assert_eq!(counters.unwritten(), 0);
        let mut ids: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), text.lines().count(), "two requests share an id");
    }

    #[test]
    fn a_disk_that_is_full_loses_lines_and_counts_them() {
        let (sink, mut writers) = Sink::start(&options(Path::new("/dev/full"), "$status"), 1).unwrap();
        let counters = sink.counters();
        for _ in 0..10 {
            writers[0].push(&samples::proxied());
        }
        writers.clear();
        sink.stop();
        assert_eq!((counters.unwritten(), counters.dropped()), (10, 0));
    }

    #[test]
    fn reopening_follows_a_rotation() {
        let directory = tempfile::tempdir().unwrap();
        let (path, old) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
        let (sink, mut writers) = Sink::start(&options(&path, "$status"), 1).unwrap();
        fs::rename(&path, &old).unwrap();
        sink.reopen();
        while !path.exists() {
            thread::yield_now();
        }
        writers[0].push(&samples::unread());
        writers.clear();
        sink.stop();
        assert_eq!(fs::read_to_string(&path).unwrap(), "400\n");
        assert_eq!(fs::read_to_string(&old).unwrap(), "");
    }

    #[test]
    fn off_needs_no_thread() {
        let prefix = Path::new("/srv");
        assert_eq!(Options::destination(false, "logs/access.log", prefix), None);
        assert_eq!(Options::destination(true, "off", prefix), None);
        assert_eq!(Options::destination(true, "logs/a", prefix), Some(PathBuf::from("/srv/logs/a")));
        assert_eq!(Options::destination(true, "/var/a", prefix), Some(PathBuf::from("/var/a")));
        let (sink, mut writers) = Sink::start(&Options::default(), 2).unwrap();
        writers[1].push(&samples::proxied());
        sink.reopen();
        sink.stop();
    }
}
