//! What a worker prints: line by line into the host's log, bounded, with the last lines kept as a cause of death.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::unix::pipe::Receiver;
use tokio::time::Instant;

/// A longer line is cut.
const MAX_LINE_BYTES: usize = 2048;
/// Lines logged in one [`WINDOW`]; further ones are counted.
const LINES_PER_WINDOW: u32 = 100;
const WINDOW: Duration = Duration::from_secs(1);
/// Lines kept to explain a death.
const LAST_LINES: usize = 5;

/// The last lines that a worker printed.
#[derive(Debug, Clone, Default)]
pub(super) struct LastLines(Arc<Mutex<VecDeque<String>>>);

impl LastLines {
    /// The lines as one text; `None` when nothing was printed.
    pub(super) fn text(&self) -> Option<String> {
        let lines = self.0.lock();
        (!lines.is_empty()).then(|| lines.iter().map(String::as_str).collect::<Vec<_>>().join(" / "))
    }

    fn keep(&self, line: &str) {
        let mut lines = self.0.lock();
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }
}

/// A pipe: its end for the worker, and the host's. Needs a tokio runtime with I/O.
pub(super) fn pipe() -> io::Result<(OwnedFd, Receiver)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((write, Receiver::from_owned_fd(read)?))
}

/// Logs what comes until the last holder of the other end is gone.
pub(super) async fn log(pipe: Receiver, last: LastLines) {
    let mut lines = Lines::new(last);
    let mut buffer = vec![0; 8192];
    loop {
        if pipe.readable().await.is_err() {
            break;
        }
        match pipe.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => lines.take(&buffer[..count], Instant::now()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    lines.end();
}

/// Cuts bytes into lines, within bounds of length and number.
struct Lines {
    last: LastLines,
    line: Vec<u8>,
    window_began: Option<Instant>,
    in_window: u32,
    dropped: u64,
}

impl Lines {
    fn new(last: LastLines) -> Self {
        Self { last, line: Vec::new(), window_began: None, in_window: 0, dropped: 0 }
    }

    fn take(&mut self, bytes: &[u8], now: Instant) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_whole) = match part {
                [text @ .., b'\n'] => (text, true),
                text => (text, false),
            };
            let room = MAX_LINE_BYTES - self.line.len();
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if is_whole {
                self.log_line(now);
            }
        }
    }

    fn end(&mut self) {
        self.log_line(Instant::now());
        self.tell_dropped();
    }

    fn log_line(&mut self, now: Instant) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim_end().to_owned();
        if line.is_empty() {
            return;
        }
        self.last.keep(&line);
        if self.window_began.is_none_or(|began| now.duration_since(began) >= WINDOW) {
            self.tell_dropped();
            self.window_began = Some(now);
            self.in_window = 0;
        }
        if self.in_window < LINES_PER_WINDOW {
            self.in_window += 1;
            tracing::info!(line, "printed by the worker");
        } else {
            self.dropped += 1;
        }
    }

    fn tell_dropped(&mut self) {
        if self.dropped > 0 {
            tracing::warn!(lines = self.dropped, "the worker prints too much: lines were left out of the log");
            self.dropped = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_counted_and_the_last_ones_kept() {
        let now = Instant::now();
        let mut lines = Lines::new(LastLines::default());
        lines.take(b"one\ntw", now);
        lines.take(b"o\n\n", now);
        assert_eq!(lines.last.text().as_deref(), Some("one / two"));
        lines.take(&vec![b'x'; 3 * MAX_LINE_BYTES], now);
        assert_eq!(lines.line.len(), MAX_LINE_BYTES);
        lines.take(&b"\n".repeat(3), now);
        lines.take(&b"again\n".repeat(1000), now);
        assert_eq!((lines.in_window, lines.dropped), (LINES_PER_WINDOW, 903));
        lines.take(b"later\n", now + WINDOW);
        assert_eq!((lines.in_window, lines.dropped), (1, 0));
        assert_eq!(lines.last.text().as_deref(), Some("again / again / again / again / later"));
    }
}
