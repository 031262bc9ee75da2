//! Server-sent events over the control socket with nothing but the standard library.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::wait::BOUND;

/// One event.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// The token to go on behind it.
    pub id: Option<String>,
    /// What it says.
    pub data: Value,
}

/// A stream of events.
#[derive(Debug)]
pub struct Events {
    reader: BufReader<UnixStream>,
}

impl Events {
    /// Opens a stream, behind `resume` when there is one (as `Last-Event-ID`).
    ///
    /// # Panics
    /// When the socket cannot be reached, or the daemon refuses.
    pub fn open(socket: &Path, path: &str, resume: Option<&str>) -> Self {
        let mut stream = UnixStream::connect(socket).expect("the daemon listens");
        stream.set_read_timeout(Some(BOUND)).expect("a bound");
        let resume = resume.map(|token| format!("last-event-id: {token}\r\n")).unwrap_or_default();
        // In HTTP/1.0 a body has no chunks: it goes on until the connection ends.
        write!(stream, "GET {path} HTTP/1.0\r\nhost: gatehouse\r\n{resume}\r\n").expect("sent");
        let mut events = Self { reader: BufReader::new(stream) };
        let head = events.line().expect("an answer");
        assert!(head.contains(" 200 "), "{head}");
        while events.line().is_some_and(|line| !line.is_empty()) {}
        events
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).expect("the stream goes on or ends in order");
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// The next event whose name and data fit; those before it are passed over.
    ///
    /// # Panics
    /// When the stream ends first.
    #[track_caller]
    pub fn find(&mut self, name: &str, fits: impl Fn(&Value) -> bool) -> Event {
        Iterator::find(self, |event| event.name == name && fits(&event.data)).expect("the stream goes on")
    }
}

impl Iterator for Events {
    type Item = Event;

    /// Waits for the next event; `None` when the stream ended.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("id", id)) => event.id = Some(id.to_owned()),
                Some(("data", data)) => event.data = serde_json::from_str(data).expect("data is JSON"),
                _ if line.is_empty() && !event.name.is_empty() => return Some(event),
                _ => {}
            }
        }
    }
}
