//! Following the log: each follower reads the ring from its own place on, so a slow one holds nothing back and nothing
//! is kept for it.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::coop::consume_budget;

use super::{HostLog, LogLine, LogQuery};

/// Lines taken from the ring at once.
const TAKE_LINES: usize = 64;

/// What a follower sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// The place to go on behind is unknown: what follows are all the lines there are.
    Reset,
    /// So many lines, of whatever kind, made room before this follower came to read them.
    Missed(u64),
    /// A line that is meant.
    Line(Arc<LogLine>),
}

/// Reads the log as it grows.
#[derive(Debug)]
pub struct LogFollower {
    log: HostLog,
    query: LogQuery,
    /// The number of the last line that was looked at.
    seen: u64,
    newest: watch::Receiver<u64>,
    waiting: VecDeque<LogEvent>,
}

impl HostLog {
    /// The lines in memory that are meant, then those that come.
    pub fn follow(&self, query: LogQuery) -> LogFollower {
        let newest = self.0.newest.subscribe();
        let ring = self.0.ring.lock();
        let (mut seen, reset) = self.after(&ring, &query);
        if reset || query.after.is_none() {
            seen = ring.floor();
        }
        if let Some(limit) = query.limit {
            // The last of the lines that are too many, if there are more than asked for.
            let older = ring.after(seen).rev().filter(|line| query.matches(line)).nth(limit);
            seen = older.map_or(seen, |line| line.sequence);
        }
        drop(ring);
        let waiting = reset.then_some(LogEvent::Reset).into_iter().collect();
        LogFollower { log: self.clone(), query, seen, newest, waiting }
    }
}

impl LogFollower {
    /// The next event; `None` when the log is gone. May be cancelled and called again.
    pub async fn next(&mut self) -> Option<LogEvent> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.take() {
                // Others write as fast as this reads: it must not keep the thread for ever.
                consume_budget().await;
            } else {
                self.newest.changed().await.ok()?;
            }
        }
    }

    /// The next event if it is close at hand.
    pub fn next_now(&mut self) -> Option<LogEvent> {
        if self.waiting.is_empty() {
            self.take();
        }
        self.waiting.pop_front()
    }

    /// Looks at some lines behind the last one; `false` when there are none.
    fn take(&mut self) -> bool {
        self.newest.borrow_and_update();
        let ring = self.log.0.ring.lock();
        let missed = ring.floor().saturating_sub(self.seen);
        if missed > 0 {
            self.seen = ring.floor();
            self.waiting.push_back(LogEvent::Missed(missed));
        }
        let mut any = false;
        for line in ring.after(self.seen).take(TAKE_LINES) {
            any = true;
            self.seen = line.sequence;
            if self.query.matches(line) {
                self.waiting.push_back(LogEvent::Line(Arc::clone(line)));
            }
        }
        any
    }

    /// The place of a line, to go on behind it.
    pub fn place(&self, line: &LogLine) -> String {
        self.log.place(line.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{batch, id};
    use super::*;
    use gatehouse_plugin_api::message::LogLevel;

    fn say(log: &HostLog, messages: std::ops::RangeInclusive<u32>) {
        for n in messages {
            log.take(&id("a"), batch(LogLevel::Info, &n.to_string()));
        }
    }

    fn now(following: &mut LogFollower) -> Vec<String> {
        let told = |event| match event {
            LogEvent::Reset => "reset".to_owned(),
            LogEvent::Missed(lines) => format!("missed {lines}"),
            LogEvent::Line(line) => line.message.clone(),
        };
        std::iter::from_fn(|| following.next_now()).map(told).collect()
    }

    #[tokio::test]
    async fn followers_get_what_is_there_and_what_comes_after() {
        let log = HostLog::in_memory(10);
        say(&log, 1..=3);
        let mut following = log.follow(LogQuery { limit: Some(2), ..LogQuery::default() });
        assert_eq!(now(&mut following), ["2", "3"]);
        let next = following.next();
        say(&log, 4..=4);
        assert!(matches!(next.await, Some(LogEvent::Line(line)) if line.message == "4"));
    }

    #[test]
    fn a_slow_follower_is_told_how_much_it_missed() {
        let log = HostLog::in_memory(3);
        say(&log, 1..=1);
        let mut following = log.follow(LogQuery::default());
        assert_eq!(now(&mut following), ["1"]);
        say(&log, 2..=10);
        assert_eq!(now(&mut following), ["missed 6", "8", "9", "10"]);
        // One that begins has missed nothing: it asked for what there is.
        assert_eq!(now(&mut log.follow(LogQuery::default())), ["8", "9", "10"]);
    }

    #[test]
    fn a_place_of_another_boot_is_told() {
        let (log, before) = (HostLog::in_memory(3), HostLog::in_memory(3));
        say(&before, 1..=2);
        say(&log, 1..=2);
        let from = |after: String| log.follow(LogQuery { after: Some(after), ..LogQuery::default() });
        assert_eq!(now(&mut from(log.place(1))), ["2"]);
        assert_eq!(now(&mut from(log.place(2))), [] as [&str; 0]);
        for unknown in [before.place(1), log.place(3), "2".into(), format!("{}x", log.place(1))] {
            assert_eq!(now(&mut from(unknown.clone())), ["reset", "1", "2"], "{unknown}");
        }
        say(&log, 3..=6);
        assert_eq!(now(&mut from(log.place(1))), ["missed 2", "4", "5", "6"]);
    }
}
