//! Server-sent events as they come: the parser and the stream. Format: WHATWG HTML, section 9.2.

use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::ClientError;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerEvent {
    /// Its name: `state`, `lifecycle`, `log`, ….
    pub event: String,
    /// Its id, when it has one: what to resume after.
    pub id: Option<String>,
    /// Its data: JSON.
    pub data: String,
}

impl ServerEvent {
    /// Reads the data.
    ///
    /// # Errors
    /// [`ClientError::Unreadable`] when it is not a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_str(&self.data).map_err(|error| ClientError::Unreadable {
            path: format!("the event {:?}", self.event),
            problem: error.to_string(),
        })
    }
}

/// An open event stream. Dropping it closes the connection.
#[derive(Debug)]
pub struct EventStream {
    body: Incoming,
    parser: Parser,
}

impl EventStream {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, parser: Parser::default() }
    }

    /// The next event; `None` when the daemon ended the stream (it is stopping, or this reader was too slow). May be
    /// cancelled and called again.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the connection broke.
    pub async fn next(&mut self) -> Result<Option<ServerEvent>, ClientError> {
        loop {
            if let Some(event) = self.parser.next() {
                return Ok(Some(event));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::broken(&error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.parser.push(&data);
                    }
                }
            }
        }
    }
}

/// Turns bytes into events; knows no transport.
#[derive(Debug, Default)]
struct Parser {
    bytes: BytesMut,
    /// How far `bytes` has been searched for a line's end.
    searched: usize,
    current: ServerEvent,
    has_data: bool,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<ServerEvent> {
        loop {
            let end = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n');
            let Some(end) = end.map(|end| end + self.searched) else {
                self.searched = self.bytes.len();
                return None;
            };
            let line = self.bytes.split_to(end + 1);
            self.searched = 0;
            let line = String::from_utf8_lossy(&line[..end]);
            let line = line.strip_suffix('\r').unwrap_or(&line);
            if let Some(event) = self.line(line) {
                return Some(event);
            }
        }
    }

    fn line(&mut self, line: &str) -> Option<ServerEvent> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.current);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.current.event),
            "id" => self.current.id = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.current.data.push('\n');
                }
                self.current.data.push_str(value);
            }
            // A comment (an empty field name) keeps the connection alive; others are for later versions.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(chunks: &[&str]) -> Vec<ServerEvent> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for chunk in chunks {
            parser.push(chunk.as_bytes());
            while let Some(event) = parser.next() {
                events.push(event);
            }
        }
        events
    }

    #[test]
    fn events_are_read_whatever_the_chunks() {
        let text = "event: state\nid: a:1\ndata: {\"x\":1}\n\n: keep-alive\n\nevent: two\r\ndata: a\r\ndata: b\r\n\r\n";
        let expected = vec![
            ServerEvent { event: "state".into(), id: Some("a:1".into()), data: "{\"x\":1}".into() },
            ServerEvent { event: "two".into(), id: None, data: "a\nb".into() },
        ];
        assert_eq!(parse(&[text]), expected);
        let bytes: Vec<_> = text.split_inclusive(|_| true).collect();
        assert_eq!(parse(&bytes), expected);
    }

    #[test]
    fn an_event_without_data_is_none() {
        assert_eq!(parse(&["event: nothing\n\n"]), []);
    }
}
