//! What ends or moves a live picture: keys, and the signals that come from outside.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::failure::Failure;

/// Whether a key ends the picture.
pub(super) fn ends(key: KeyEvent) -> bool {
    if key.kind == KeyEventKind::Release {
        return false;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    matches!(key.code, KeyCode::Esc | KeyCode::Char('q')) || (control && matches!(key.code, KeyCode::Char('c' | 'd')))
}

/// Key presses and changes of size. Reading them blocks, so a thread does it; it ends with the process.
pub(super) fn keys() -> mpsc::UnboundedReceiver<Event> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Ok(event) = crossterm::event::read() {
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A keyboard that stays silent: in the place of one that is gone.
pub(super) fn silent() -> mpsc::UnboundedReceiver<Event> {
    mpsc::unbounded_channel().1
}

/// What ends a picture from outside.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Ctrl-C and SIGTERM from now on.
    ///
    /// # Errors
    /// When signals cannot be received.
    pub(super) fn new() -> Result<Self, Failure> {
        let failed = |error| Failure::io("signals cannot be received", &error);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    /// Resolves when one comes.
    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
