//! How far a flow can be ended from outside: at once while it only asks, not while it saves or deletes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use super::flow::Turn;

/// What an open flow may be told from outside. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Leash {
    /// A person gives the flow up, or nobody came back to it.
    given_up: CancellationToken,
    /// The daemon ends.
    ending: CancellationToken,
    /// What it was about is being saved: half of that would help nobody.
    saving: Arc<AtomicBool>,
    /// A deletion is under way, in a task of its own.
    works: Arc<AtomicBool>,
}

impl Leash {
    /// Ends the turn that is being taken, and every later one.
    pub(super) fn give_up(&self) {
        self.given_up.cancel();
    }

    /// As `give_up`, a turn that waits for a deletion included.
    pub(super) fn end(&self) {
        self.ending.cancel();
        self.given_up.cancel();
    }

    /// From now on the flow ends by itself.
    pub(super) fn saves(&self) {
        self.saving.store(true, Ordering::SeqCst);
    }

    /// A deletion begins; it is over when what is returned is dropped.
    pub(super) fn work(&self) -> AtWork {
        self.works.store(true, Ordering::SeqCst);
        AtWork(Arc::clone(&self.works))
    }

    /// Whether a deletion is under way.
    pub(super) fn works(&self) -> bool {
        self.works.load(Ordering::SeqCst)
    }

    /// Why it cannot be given up now.
    pub(super) fn holds(&self) -> Option<&'static str> {
        if self.works() {
            return Some("what is being deleted cannot be kept any more");
        }
        let saving = self.saving.load(Ordering::SeqCst);
        saving.then_some("the integration is being saved and started: the flow ends by itself in a moment")
    }

    /// Takes a turn, to its end or until it is ended from outside.
    pub(super) async fn hold<T>(&self, turn: impl Future<Output = T>) -> Result<T, Turn> {
        let mut turn = std::pin::pin!(turn);
        tokio::select! {
            biased;
            turn = &mut turn => return Ok(turn),
            () = self.given_up.cancelled() => {}
        }
        if self.saving.load(Ordering::SeqCst) {
            return Ok(turn.await);
        }
        if self.works() {
            tokio::select! {
                biased;
                turn = &mut turn => return Ok(turn),
                () = self.ending.cancelled() => {}
            }
        }
        Err(Turn::Abort { code: "aborted".to_owned(), message: "the flow was given up".to_owned() })
    }
}

/// A deletion under way.
#[derive(Debug)]
pub(super) struct AtWork(Arc<AtomicBool>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
