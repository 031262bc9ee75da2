//! The thread that writes the log to standard error, and the bounded queue before it.
//!
//! Standard error may be stuck (a stopped terminal, a pipe that nobody reads), and a thread of the runtime must never
//! wait for it. What the queue cannot hold is dropped, the oldest first, and told in its place once writing goes on.
//! `tracing-appender` was looked at: its queue is bounded in lines alone, holds text instead of the lines that the ring
//! shares, and only counts what it drops.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatehouse_plugin_api::message::LogLevel;
use parking_lot::{Condvar, Mutex};

use super::text::format_line;
use super::{LogLine, ring};

/// Lines that may wait.
const QUEUE_LINES: usize = 4096;
/// Bytes of lines that may wait.
const QUEUE_BYTES: usize = 1024 * 1024;

/// Writes lines in the background.
#[derive(Debug)]
pub(super) struct Output(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// There is something to write, or nobody will push any more.
    ready: Condvar,
    /// Everything was written.
    idle: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Arc<LogLine>>,
    bytes: usize,
    dropped: u64,
    writing: bool,
    ended: bool,
}

impl Output {
    /// To this process's standard error.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn stderr() -> io::Result<Self> {
        Self::to(Stderr, io::stderr().is_terminal())
    }

    fn to(sink: impl Write + Send + 'static, coloured: bool) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writing = Arc::clone(&shared);
        std::thread::Builder::new().name("log-writer".into()).spawn(move || writing.write_all(sink, coloured))?;
        Ok(Self(shared))
    }

    /// Queues a line; never waits.
    pub(super) fn push(&self, line: Arc<LogLine>) {
        let mut queue = self.0.queue.lock();
        queue.bytes += ring::bytes(&line);
        queue.lines.push_back(line);
        while queue.lines.len() > QUEUE_LINES || queue.bytes > QUEUE_BYTES {
            let Some(oldest) = queue.lines.pop_front() else { break };
            queue.bytes -= ring::bytes(&oldest);
            queue.dropped += 1;
        }
        self.0.ready.notify_one();
    }

    /// Waits until everything was written, at most this long.
    pub(super) fn drain(&self, within: Duration) {
        let give_up = Instant::now() + within;
        let mut queue = self.0.queue.lock();
        while queue.writing || queue.has_work() {
            if self.0.idle.wait_until(&mut queue, give_up).timed_out() {
                return;
            }
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.0.queue.lock().ended = true;
        self.0.ready.notify_one();
    }
}

impl Queue {
    fn has_work(&self) -> bool {
        !self.lines.is_empty() || self.dropped > 0
    }
}

impl Shared {
    /// Writes what comes until nobody will push any more.
    fn write_all(&self, mut sink: impl Write, coloured: bool) {
        let mut queue = self.queue.lock();
        loop {
            while !queue.has_work() {
                self.idle.notify_all();
                if queue.ended {
                    return;
                }
                self.ready.wait(&mut queue);
            }
            let lines = std::mem::take(&mut queue.lines);
            let dropped = std::mem::take(&mut queue.dropped);
            queue.bytes = 0;
            queue.writing = true;
            drop(queue);
            let mut text = String::new();
            if let Some(next) = lines.front().filter(|_| dropped > 0) {
                text.push_str(&format_line(&told(dropped, next.at_ms), coloured));
            }
            for line in &lines {
                text.push_str(&format_line(line, coloured));
            }
            // Standard error is gone with the terminal, or its disk is full: the lines are still in memory.
            let _ = sink.write_all(text.as_bytes());
            queue = self.queue.lock();
            queue.writing = false;
        }
    }
}

/// The line in place of those that were dropped.
fn told(dropped: u64, at_ms: i64) -> LogLine {
    LogLine {
        sequence: 0,
        at_ms,
        level: LogLevel::Warn,
        target: module_path!().to_owned(),
        integration: None,
        message: "lines were not written here: standard error took nothing; `gatehouse log` has the newest".to_owned(),
        fields: BTreeMap::from([("lines".to_owned(), dropped.to_string())]),
    }
}

/// Standard error without the standard library's lock, which whoever panics or prints would wait for.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, poll};
        let stderr = rustix::stdio::stderr();
        loop {
            match rustix::io::write(stderr, bytes) {
                // Whoever shares it made it non-blocking.
                Err(rustix::io::Errno::AGAIN) => {
                    poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], None)?;
                }
                other => return Ok(other?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn line(sequence: u64) -> Arc<LogLine> {
        Arc::new(LogLine { sequence, message: format!("line {sequence}"), fields: BTreeMap::new(), ..told(0, 0) })
    }

    #[test]
    fn a_stuck_output_holds_nobody_up_and_what_was_dropped_is_told() {
        let (sink, mut reader) = UnixStream::pair().expect("a pair");
        let output = Output::to(sink, false).expect("a thread");
        let lines = 40 * QUEUE_LINES as u64;
        // Nobody reads: without the queue this would wait for ever.
        for sequence in 1..=lines {
            output.push(line(sequence));
        }
        {
            let queue = output.0.queue.lock();
            assert!(queue.bytes <= QUEUE_BYTES && queue.lines.len() <= QUEUE_LINES && queue.dropped > 0);
        }
        drop(output);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("text");
        let dropped: Vec<u64> = text
            .lines()
            .filter(|line| line.contains("lines were not written here"))
            .filter_map(|line| line.rsplit('=').next()?.parse().ok())
            .collect();
        let written = text.lines().count() - dropped.len();
        assert_eq!(written as u64 + dropped.iter().sum::<u64>(), lines, "{dropped:?}");
        assert!(text.ends_with(&format!("line {lines}\n")));
    }

    #[test]
    fn draining_waits_for_what_was_pushed_and_not_for_ever() {
        let (sink, mut reader) = UnixStream::pair().expect("a pair");
        let output = Output::to(sink, false).expect("a thread");
        output.push(line(1));
        output.drain(Duration::from_secs(60));
        let mut bytes = [0; 1024];
        let length = reader.read(&mut bytes).expect("read");
        assert!(bytes[..length].ends_with(b"line 1\n"));
        for sequence in 0..QUEUE_LINES as u64 * 2 {
            output.push(line(sequence));
        }
        // It is stuck now, and draining comes back all the same.
        output.drain(Duration::from_millis(1));
        assert!(output.0.queue.lock().writing);
    }
}
