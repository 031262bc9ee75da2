//! The newest lines in memory, bounded in number and in bytes. Numbers have no gaps, so a place is found by counting.

use std::collections::VecDeque;
use std::collections::vec_deque;
use std::sync::Arc;

use super::LogLine;

/// What a line takes beside its texts: itself, and the allocation around it.
const LINE_BYTES: usize = size_of::<LogLine>() + 64;
/// What a field takes beside its texts: two strings, and its share of a tree's node.
const FIELD_BYTES: usize = 96;

/// See the module.
#[derive(Debug)]
pub(super) struct Ring {
    lines: VecDeque<Arc<LogLine>>,
    bytes: usize,
    keep_lines: usize,
    keep_bytes: usize,
    newest: u64,
}

impl Ring {
    /// An empty ring; one line is kept whatever its size.
    pub(super) fn new(keep_lines: usize, keep_bytes: usize) -> Self {
        Self { lines: VecDeque::new(), bytes: 0, keep_lines: keep_lines.max(1), keep_bytes, newest: 0 }
    }

    /// Numbers and keeps a line; the oldest make room.
    pub(super) fn push(&mut self, mut line: LogLine) -> Arc<LogLine> {
        self.newest += 1;
        line.sequence = self.newest;
        self.bytes += bytes(&line);
        let line = Arc::new(line);
        self.lines.push_back(Arc::clone(&line));
        while self.lines.len() > self.keep_lines || (self.bytes > self.keep_bytes && self.lines.len() > 1) {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= bytes(&oldest);
        }
        line
    }

    /// The number of the newest line; 0 before the first.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// How many lines there are.
    pub(super) fn len(&self) -> u64 {
        self.lines.len() as u64
    }

    /// The number before the oldest line that is kept.
    pub(super) fn floor(&self) -> u64 {
        self.newest - self.len()
    }

    /// The lines behind a number, oldest first.
    pub(super) fn after(&self, sequence: u64) -> vec_deque::Iter<'_, Arc<LogLine>> {
        let skip = sequence.saturating_sub(self.floor()).min(self.len());
        self.lines.range(usize::try_from(skip).unwrap_or(usize::MAX)..)
    }
}

/// About what a line takes in memory.
pub(super) fn bytes(line: &LogLine) -> usize {
    let fields: usize = line.fields.iter().map(|(name, value)| name.len() + value.len() + FIELD_BYTES).sum();
    LINE_BYTES + line.target.len() + line.message.len() + fields
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gatehouse_plugin_api::message::LogLevel;

    use super::*;

    fn line(message: &str) -> LogLine {
        LogLine {
            sequence: 0,
            at_ms: 0,
            level: LogLevel::Info,
            target: String::new(),
            integration: None,
            message: message.into(),
            fields: BTreeMap::new(),
        }
    }

    #[test]
    fn long_lines_leave_room_for_fewer() {
        let mut ring = Ring::new(1_000, 10 * 1024);
        for _ in 0..100 {
            ring.push(line(&"x".repeat(1024)));
            assert!(ring.bytes <= ring.keep_bytes, "{}", ring.bytes);
        }
        assert!((5..10).contains(&ring.len()), "{}", ring.len());
        assert_eq!(ring.bytes, ring.lines.iter().map(|line| bytes(line)).sum::<usize>());
        ring.push(line(&"x".repeat(20 * 1024)));
        assert_eq!((ring.len(), ring.newest(), ring.floor()), (1, 101, 100));
    }

    #[test]
    fn lines_behind_a_number_are_found() {
        let mut ring = Ring::new(3, usize::MAX);
        for n in 1..=5 {
            ring.push(line(&n.to_string()));
        }
        let found = |after| ring.after(after).map(|line| line.sequence).collect::<Vec<_>>();
        assert_eq!(found(0), [3, 4, 5]);
        assert_eq!(found(2), [3, 4, 5]);
        assert_eq!(found(4), [5]);
        assert_eq!(found(5), [] as [u64; 0]);
        assert_eq!(found(9), [] as [u64; 0]);
    }
}
