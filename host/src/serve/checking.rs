//! The database's file is looked through, and what matters most of it copied, before damage is where nobody looks.
//!
//! Every page is read at the start and at every interval. A file that is sound gives a copy of everything but its history
//! (`gatehouse.db.kept`), and so does every change of an integration: what a later rescue cannot read it takes from there.

use std::time::Duration;

use crate::integration::Ground;

/// Looks at once and then at every interval; never resolves.
pub(super) async fn run(ground: Ground) {
    let store = &ground.store;
    loop {
        if let Err(error) = store.look().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the database could not be looked through");
        }
        let over = ground.clock.sleep(Duration::from_millis(ground.config.history.check_every_ms));
        tokio::pin!(over);
        loop {
            if let Err(error) = store.keep().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "what matters most was not copied");
            }
            tokio::select! {
                () = &mut over => break,
                () = store.changed() => {}
            }
        }
    }
}
