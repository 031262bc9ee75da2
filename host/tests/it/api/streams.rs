//! Event streams: the full state, readings one by one and gathered, resuming, lagging, plugins, the log.

use gatehouse_host::api::client::{EventStream, ServerEvent};
use gatehouse_host::api::types::{CommittedEvent, LaggedEvent, LogLine, LogPage, PluginEvent, ReadingEvent};
use gatehouse_plugin_api::Value;
use gatehouse_plugin_api::message::{Log, LogLevel, LogRecord};

use super::daemon::{Daemon, SUBSCRIBER_ROWS, test};

async fn next(events: &mut EventStream) -> ServerEvent {
    events.next().await.unwrap().expect("the stream goes on")
}

/// Skips to the next event of a name.
async fn next_named(events: &mut EventStream, name: &str) -> ServerEvent {
    loop {
        let event = next(events).await;
        if event.event == name {
            return event;
        }
    }
}

fn level(event: &ServerEvent) -> f64 {
    match event.json::<ReadingEvent>().unwrap().value {
        Value::Number(level) => level,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stream_begins_with_the_full_state_and_goes_on() {
    let daemon = Daemon::with_a_lamp().await;
    daemon.emit_levels([7]).await;
    let mut events = daemon.client.events("/v1/events?states=1", None).await.unwrap();
    assert_eq!(next(&mut events).await.event, "reset");
    assert_eq!(level(&next(&mut events).await), 7.0);
    daemon.emit_levels([8]).await;
    let event = next_named(&mut events, "state").await;
    let reading: ReadingEvent = event.json().unwrap();
    assert_eq!(reading.address.to_string(), "test:Lamp%2F1/level");
    assert_eq!(reading.value, Value::Number(8.0));
    assert!(reading.sequence > 0);
}

#[tokio::test]
async fn a_token_goes_on_where_it_was() {
    let daemon = Daemon::with_a_lamp().await;
    let mut events = daemon.client.events("/v1/events?states=1", None).await.unwrap();
    daemon.emit_levels([1]).await;
    let one: ReadingEvent = next_named(&mut events, "state").await.json().unwrap();
    let token = loop {
        let committed = next_named(&mut events, "committed").await;
        if committed.json::<CommittedEvent>().unwrap().sequence >= one.sequence {
            break committed.id.expect("a token");
        }
    };
    drop(events);
    daemon.emit_levels([2, 3]).await;
    let mut resumed = daemon.client.events("/v1/events?states=1", Some(&token)).await.unwrap();
    let first = next(&mut resumed).await;
    assert_eq!((first.event.as_str(), level(&first)), ("state", 2.0));
    assert_eq!(level(&next_named(&mut resumed, "state").await), 3.0);
    let mut unknown = daemon.client.events("/v1/events?states=1&resume=other:1", None).await.unwrap();
    assert_eq!(next(&mut unknown).await.event, "reset");
}

#[tokio::test]
async fn gathered_readings_come_in_order_and_whole() {
    let daemon = Daemon::with_a_lamp().await;
    let mut events = daemon.client.events("/v1/events?states=1&batch=1", None).await.unwrap();
    next_named(&mut events, "reset").await;
    let expected: Vec<f64> = (0..30).map(f64::from).collect();
    daemon.emit_levels(0..30).await;
    let mut levels = Vec::new();
    while levels.len() < expected.len() {
        for reading in next_named(&mut events, "states").await.json::<Vec<ReadingEvent>>().unwrap() {
            if let Value::Number(level) = reading.value {
                levels.push(level);
            }
        }
    }
    assert_eq!(levels, expected);
}

#[tokio::test]
async fn a_reader_that_is_too_slow_gets_a_token_and_the_end() {
    let daemon = Daemon::with_a_lamp().await;
    let mut events = daemon.client.events("/v1/events?states=1", None).await.unwrap();
    let token = next_named(&mut events, "committed").await.id;
    let too_many = u32::try_from(SUBSCRIBER_ROWS).unwrap() * 2;
    daemon.emit_levels(0..too_many).await;
    let lagged = next_named(&mut events, "lagged").await;
    assert_eq!(lagged.json::<LaggedEvent>().unwrap().resume, lagged.id);
    assert!(lagged.id.is_some() && token.is_some());
    assert_eq!(events.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_new_file_is_told() {
    let daemon = Daemon::start().await;
    let mut events = daemon.client.events("/v1/events?plugins=1", None).await.unwrap();
    std::fs::write(daemon.home.plugins_dir().join("broken.so"), "not a plugin").unwrap();
    let event: PluginEvent = next_named(&mut events, "plugin").await.json().unwrap();
    let plugin = event.plugin.expect("a verdict");
    assert_eq!(plugin.file_name, "broken.so");
    assert!(!plugin.advice.is_empty());
}

fn said(message: &str) -> Log {
    let record = LogRecord {
        level: LogLevel::Warn,
        target: "test".into(),
        message: message.into(),
        fields: Vec::new(),
        at_ms: 1_700_000_000_000,
    };
    Log { records: vec![record], dropped: 0 }
}

#[tokio::test]
async fn the_log_is_followed_from_where_one_was() {
    let daemon = Daemon::start().await;
    daemon.log.take(&test(), said("one"));
    daemon.log.take(&"other".parse().unwrap(), said("not mine"));
    let page: LogPage = daemon.client.get("/v1/log?integration=test&level=warn").await.unwrap();
    assert_eq!(page.lines.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["one"]);

    let mut log = daemon.client.events("/v1/log?follow=1&integration=test", None).await.unwrap();
    let one = next(&mut log).await;
    assert_eq!(one.json::<LogLine>().unwrap().message, "one");
    daemon.log.take(&test(), said("two"));
    assert_eq!(next(&mut log).await.json::<LogLine>().unwrap().message, "two");

    let mut resumed = daemon.client.events("/v1/log?follow=1&integration=test", one.id.as_deref()).await.unwrap();
    assert_eq!(next(&mut resumed).await.json::<LogLine>().unwrap().message, "two");

    let behind = format!("/v1/log?after={}&integration=test", page.resume);
    let page: LogPage = daemon.client.get(&behind).await.unwrap();
    assert_eq!((page.lines.len(), page.lines[0].message.as_str(), page.reset), (1, "two", false));
}

#[tokio::test]
async fn a_place_in_the_log_of_a_daemon_that_was_restarted_is_told() {
    let (before, after) = (Daemon::start().await, Daemon::start().await);
    before.log.take(&test(), said("before"));
    after.log.take(&test(), said("after"));
    let before: LogPage = before.client.get("/v1/log?integration=test").await.unwrap();
    let mut resumed = after.client.events("/v1/log?follow=1&integration=test", Some(&before.resume)).await.unwrap();
    assert_eq!(next(&mut resumed).await.event, "reset");
    assert_eq!(next(&mut resumed).await.json::<LogLine>().unwrap().message, "after");
    let page: LogPage = after.client.get(&format!("/v1/log?integration=test&after={}", before.resume)).await.unwrap();
    assert_eq!((page.lines.len(), page.reset), (1, true));
}
