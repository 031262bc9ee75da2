//! How much of the queue each integration has, so that one that floods it leaves room for all others.

use std::collections::HashMap;

use gatehouse_plugin_api::ids::IntegrationId;

use super::ReadingRow;

/// What each integration has in the queue.
#[derive(Debug, Default)]
pub(super) struct Shares(HashMap<IntegrationId, Share>);

#[derive(Debug, Clone, Copy, Default)]
struct Share {
    rows: usize,
    bytes: usize,
}

impl Shares {
    /// Counts rows that came into the queue.
    pub(super) fn add(&mut self, rows: &[ReadingRow]) {
        for (integration, more) in by_integration(rows) {
            // Looked up first: the name is only copied for the first of its rows.
            match self.0.get_mut(integration) {
                Some(share) => {
                    share.rows += more.rows;
                    share.bytes += more.bytes;
                }
                None => drop(self.0.insert(integration.clone(), more)),
            }
        }
    }

    /// Counts rows that left the queue.
    pub(super) fn remove(&mut self, rows: &[ReadingRow]) {
        for (integration, less) in by_integration(rows) {
            let Some(share) = self.0.get_mut(integration) else { continue };
            share.rows -= less.rows;
            share.bytes -= less.bytes;
            if share.rows == 0 {
                self.0.remove(integration);
            }
        }
    }

    /// How many rows an integration may add where so much is free: it never has more than what it leaves free, so that
    /// one alone takes half of the queue, two take a third each, and whoever comes next always finds room.
    pub(super) fn room(&self, integration: &IntegrationId, free_rows: usize, free_bytes: usize) -> usize {
        let own = self.0.get(integration).copied().unwrap_or_default();
        if own.rows >= free_rows || own.bytes >= free_bytes {
            return 0;
        }
        ((free_rows - own.rows) / 2).max(1)
    }
}

fn by_integration(rows: &[ReadingRow]) -> impl Iterator<Item = (&IntegrationId, Share)> {
    rows.chunk_by(|a, b| of(a) == of(b)).map(|run| {
        let bytes = run.iter().map(|row| row.text_bytes as usize).sum();
        (of(&run[0]), Share { rows: run.len(), bytes })
    })
}

fn of(row: &ReadingRow) -> &IntegrationId {
    &row.live.address.entity.integration
}
