//! The event stream without end: when the daemon goes away it is asked again until it is back.

use std::collections::VecDeque;
use std::time::Duration;

use crate::api::client::{ClientError, EventStream};
use crate::api::types::ReadingEvent;
use crate::cli::daemon::Daemon;
use crate::cli::failure::Failure;

const PATH: &str = "/v1/events";
/// Between two attempts to reach a daemon that went away.
const AGAIN_AFTER: Duration = Duration::from_millis(300);

/// What the stream brings.
#[derive(Debug)]
pub(super) enum Seen {
    /// A reading.
    Reading(Box<ReadingEvent>),
    /// An integration or a plugin changed: states may have come or gone.
    Changed,
    /// The daemon is away.
    Lost,
    /// It is there again.
    Back,
}

/// The stream, and where to go on after a break.
#[derive(Debug)]
pub(super) struct Feed {
    daemon: Daemon,
    stream: Option<EventStream>,
    /// The last resume token.
    token: Option<String>,
    waiting: VecDeque<Seen>,
    away: bool,
}

impl Feed {
    /// Subscribes to what changes from now on.
    ///
    /// # Errors
    /// When there is no daemon.
    pub(super) async fn open(daemon: &Daemon) -> Result<Self, Failure> {
        let stream = daemon.events(PATH, None).await.map_err(|error| daemon.failure(&error))?;
        Ok(Self { daemon: daemon.clone(), stream: Some(stream), token: None, waiting: VecDeque::new(), away: false })
    }

    /// What comes next. May be cancelled and called again.
    ///
    /// # Errors
    /// When the daemon speaks what cannot be understood.
    pub(super) async fn next(&mut self) -> Result<Seen, Failure> {
        loop {
            if let Some(seen) = self.waiting.pop_front() {
                return Ok(seen);
            }
            let Some(stream) = &mut self.stream else {
                self.connect().await?;
                continue;
            };
            match stream.next().await {
                Ok(Some(event)) => {
                    let failure = |error: ClientError| self.daemon.failure(&error);
                    match event.event.as_str() {
                        "state" => self.waiting.push_back(Seen::Reading(event.json().map_err(failure)?)),
                        "states" => {
                            let readings: Vec<ReadingEvent> = event.json().map_err(failure)?;
                            self.waiting.extend(readings.into_iter().map(|reading| Seen::Reading(Box::new(reading))));
                        }
                        "lifecycle" | "plugin" | "reset" => self.waiting.push_back(Seen::Changed),
                        _ => {}
                    }
                    if event.id.is_some() {
                        self.token = event.id;
                    }
                }
                // The daemon stops, or this reader was too slow: the token leads on in both cases.
                Ok(None) | Err(_) => self.stream = None,
            }
        }
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        match self.daemon.events(PATH, self.token.as_deref()).await {
            Ok(stream) => {
                self.stream = Some(stream);
                if std::mem::take(&mut self.away) {
                    self.waiting.push_back(Seen::Back);
                }
            }
            Err(error @ (ClientError::Denied { .. } | ClientError::Unreadable { .. })) => {
                return Err(self.daemon.failure(&error));
            }
            Err(_) if !self.away => {
                self.away = true;
                self.waiting.push_back(Seen::Lost);
            }
            Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
        }
        Ok(())
    }
}
