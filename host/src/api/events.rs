//! Server-sent events: what changes becomes bytes, many events a write. Format: WHATWG HTML, section 9.2.

use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use gatehouse_plugin_api::ids::StateAddress;
use gatehouse_plugin_api::value::Value;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::types::{CommittedEvent, Done, LaggedEvent, MissedEvent};
use crate::app::App;
use crate::app::feed::{Feed, FeedEvent};
use crate::entity::{LiveState, StateEvent};
use crate::log::{LogEvent, LogFollower};

/// Enough for one write: what is ready is gathered up to this size.
const WRITE_BYTES: usize = 32 * 1024;
/// A comment is sent when nothing else was for this long, so that both sides notice a dead connection.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Events as text, growing until they are taken.
#[derive(Debug, Default)]
struct EventText {
    bytes: BytesMut,
    /// Readings are being gathered into one `states` event.
    gathering: bool,
}

/// One reading as it stands in an event: borrowed, and its address written without an allocation.
#[derive(Serialize)]
struct ReadingText<'a> {
    #[serde(serialize_with = "as_text")]
    address: &'a StateAddress,
    value: &'a Value,
    changed_at_ms: i64,
    last_seen_ms: i64,
    sequence: u64,
}

fn as_text<S: serde::Serializer>(address: &StateAddress, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(address)
}

impl<'a> From<&'a LiveState> for ReadingText<'a> {
    fn from(state: &'a LiveState) -> Self {
        Self {
            address: &state.address,
            value: &state.value,
            changed_at_ms: state.changed_at_ms,
            last_seen_ms: state.last_seen_ms,
            sequence: state.sequence,
        }
    }
}

impl EventText {
    /// One event. `data` becomes one line, because JSON escapes line breaks.
    fn event(&mut self, name: &str, id: Option<&str>, data: &impl Serialize) {
        self.close_gathered();
        self.bytes.extend_from_slice(b"event: ");
        self.bytes.extend_from_slice(name.as_bytes());
        if let Some(id) = id {
            self.bytes.extend_from_slice(b"\nid: ");
            self.bytes.extend_from_slice(id.as_bytes());
        }
        self.bytes.extend_from_slice(b"\ndata: ");
        self.json(data);
        self.bytes.extend_from_slice(b"\n\n");
    }

    /// One more reading of the `states` event that is being gathered.
    fn gather(&mut self, reading: &ReadingText<'_>) {
        let start: &[u8] = if self.gathering { b"," } else { b"event: states\ndata: [" };
        self.gathering = true;
        self.bytes.extend_from_slice(start);
        self.json(reading);
    }

    fn close_gathered(&mut self) {
        if std::mem::take(&mut self.gathering) {
            self.bytes.extend_from_slice(b"]\n\n");
        }
    }

    fn json(&mut self, data: &impl Serialize) {
        use bytes::BufMut as _;
        serde_json::to_writer((&mut self.bytes).writer(), data)
            .expect("memory takes every byte, and events have string keys only");
    }

    fn take(&mut self) -> Bytes {
        self.close_gathered();
        self.bytes.split().freeze()
    }
}

/// The stream of what changes.
struct ChangeStream {
    app: App,
    feed: Feed,
    batch: bool,
    token: Option<String>,
    text: EventText,
    ended: bool,
    draining: CancellationToken,
}

/// Answers with what changes; with `batch`, readings that are ready together come as one `states` event.
pub(super) fn changes(app: App, feed: Feed, batch: bool, draining: CancellationToken) -> Response {
    let stream = ChangeStream { app, feed, batch, token: None, text: EventText::default(), ended: false, draining };
    event_stream(stream::unfold(stream, |mut stream| async {
        let bytes = stream.next_write().await?;
        Some((bytes, stream))
    }))
}

impl ChangeStream {
    async fn next_write(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let first = tokio::select! {
            event = self.feed.next() => event?,
            () = tokio::time::sleep(KEEP_ALIVE_EVERY) => return Some(Bytes::from_static(KEEP_ALIVE)),
            () = self.draining.cancelled() => return None,
        };
        self.write(first);
        while !self.ended && self.text.bytes.len() < WRITE_BYTES {
            let Some(event) = self.feed.next_now() else { break };
            self.write(event);
        }
        Some(self.text.take())
    }

    fn write(&mut self, event: FeedEvent) {
        match event {
            FeedEvent::State(StateEvent::Reading(state)) if self.batch => self.text.gather(&(&*state).into()),
            FeedEvent::State(StateEvent::Reading(state)) => self.text.event("state", None, &ReadingText::from(&*state)),
            FeedEvent::State(StateEvent::Committed { sequence }) => {
                let token = self.app.feed_token(sequence);
                self.text.event("committed", Some(&token), &CommittedEvent { sequence });
                self.token = Some(token);
            }
            FeedEvent::State(StateEvent::Reset) => self.text.event("reset", None, &Done {}),
            FeedEvent::State(StateEvent::Lagged) => {
                let resume = self.token.take();
                self.text.event("lagged", resume.as_deref(), &LaggedEvent { resume: resume.clone() });
                self.ended = true;
            }
            FeedEvent::Lifecycle(event) => self.text.event("lifecycle", None, &event),
            FeedEvent::Plugin(event) => self.text.event("plugin", None, &event),
        }
    }
}

/// The stream of the log's lines.
struct LogStream {
    following: LogFollower,
    text: EventText,
    keep_alive_every: Duration,
    draining: CancellationToken,
}

/// Answers with the log: the lines there are, then each as it comes, as events `log` whose id is the line's place.
/// A reader that is too slow is told by `missed` how many lines it did not get.
pub(super) fn log_lines(following: LogFollower, draining: CancellationToken) -> Response {
    let stream = LogStream { following, text: EventText::default(), keep_alive_every: KEEP_ALIVE_EVERY, draining };
    event_stream(stream::unfold(stream, |mut stream| async {
        let bytes = stream.next_write().await?;
        Some((bytes, stream))
    }))
}

impl LogStream {
    async fn next_write(&mut self) -> Option<Bytes> {
        // Lines that are not meant pass inside `next`, so they do not put the keep-alive off.
        let first = tokio::select! {
            event = self.following.next() => event?,
            () = tokio::time::sleep(self.keep_alive_every) => return Some(Bytes::from_static(KEEP_ALIVE)),
            () = self.draining.cancelled() => return None,
        };
        self.write(&first);
        while self.text.bytes.len() < WRITE_BYTES {
            let Some(event) = self.following.next_now() else { break };
            self.write(&event);
        }
        Some(self.text.take())
    }

    fn write(&mut self, event: &LogEvent) {
        match event {
            LogEvent::Reset => self.text.event("reset", None, &Done {}),
            LogEvent::Missed(lines) => self.text.event("missed", None, &MissedEvent { lines: *lines }),
            LogEvent::Line(line) => self.text.event("log", Some(&self.following.place(line)), &**line),
        }
    }
}

fn event_stream(writes: impl stream::Stream<Item = Bytes> + Send + 'static) -> Response {
    use futures_util::StreamExt as _;
    // The first bytes go out at once, so that the client knows that it is subscribed.
    let opening = stream::once(async { Bytes::from_static(b"retry: 1000\n\n") });
    let body = Body::from_stream(opening.chain(writes).map(Ok::<_, std::convert::Infallible>));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gatehouse_plugin_api::message::{Log, LogLevel, LogRecord};

    use super::*;
    use crate::api::types::ReadingEvent;
    use crate::log::{HostLog, LogQuery};

    fn reading(sequence: u64) -> LiveState {
        LiveState {
            address: Arc::new("hass:light \"a\"/on".parse().expect("valid")),
            value: Value::Number(21.5),
            changed_at_ms: 1,
            last_seen_ms: 2,
            sequence,
        }
    }

    #[test]
    fn a_reading_reads_back_as_the_contract_has_it() {
        let state = reading(3);
        let json = serde_json::to_string(&ReadingText::from(&state)).expect("json");
        let event: ReadingEvent = serde_json::from_str(&json).expect("the contract's type");
        assert_eq!((event.address, event.value, event.sequence), ((*state.address).clone(), state.value, 3));
    }

    #[tokio::test]
    async fn lines_that_are_not_meant_do_not_put_the_keep_alive_off() {
        let log = HostLog::in_memory(10);
        let query = LogQuery { integration: Some("mine".parse().expect("valid")), ..LogQuery::default() };
        let following = log.follow(query);
        let mut stream = LogStream {
            following,
            text: EventText::default(),
            keep_alive_every: Duration::from_millis(20),
            draining: CancellationToken::new(),
        };
        let give_up = std::time::Instant::now() + Duration::from_secs(20);
        let noise = async {
            while std::time::Instant::now() < give_up {
                let record = LogRecord {
                    level: LogLevel::Info,
                    target: "plugin".into(),
                    message: "noise".into(),
                    fields: Vec::new(),
                    at_ms: 0,
                };
                log.take(&"other".parse().expect("valid"), Log { records: vec![record], dropped: 0 });
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            written = stream.next_write() => assert_eq!(written.expect("a write"), KEEP_ALIVE),
            () = noise => panic!("no keep-alive came"),
        }
    }

    #[test]
    fn readings_are_gathered_until_another_event_or_the_write() {
        let mut text = EventText::default();
        text.gather(&(&reading(1)).into());
        text.gather(&(&reading(2)).into());
        text.event("committed", Some("b:2"), &CommittedEvent { sequence: 2 });
        text.gather(&(&reading(3)).into());
        let bytes = text.take();
        let text = std::str::from_utf8(&bytes).expect("text");
        let events: Vec<_> = text.split_terminator("\n\n").collect();
        assert_eq!(events.len(), 3, "{text}");
        let data = events[0].strip_prefix("event: states\ndata: ").expect("gathered");
        assert_eq!(serde_json::from_str::<Vec<ReadingEvent>>(data).expect("an array").len(), 2);
        assert_eq!(events[1], "event: committed\nid: b:2\ndata: {\"sequence\":2}");
    }
}
