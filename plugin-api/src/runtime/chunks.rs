//! A complete snapshot on its way to the host: begin, chunks of a bounded size, end.

use crate::context::Host;
use crate::error::{CallError, ErrorCode};
use crate::message::{EntityDeclaration, SyncCall, SyncChunk, SyncOutcome};
use crate::{ops, wire};

/// The most that the entities of one chunk take, encoded: 1 MiB with what a chunk needs beside them.
pub(crate) const CHUNK_MAX_BYTES: usize = 1024 * 1024 - 64;

/// Sends `entities` as the snapshot that `of` asked for and returns once the host has applied it.
pub(super) async fn send(host: &Host, of: SyncCall, entities: Vec<EntityDeclaration>) -> Result<(), CallError> {
    let chunks = split(entities, CHUNK_MAX_BYTES)?;
    host.call::<_, ()>(&ops::SYNC_BEGIN, &of).await?;
    for entities in chunks {
        host.call::<_, ()>(&ops::SYNC_CHUNK, &SyncChunk { entities, serial: of.serial }).await?;
    }
    let outcome: SyncOutcome = host.call(&ops::SYNC_END, &of).await?;
    tracing::debug!(
        created = outcome.created,
        updated = outcome.updated,
        reconnected = outcome.reconnected,
        detached = outcome.detached,
        "snapshot applied"
    );
    Ok(())
}

/// Parts of at most `most` encoded bytes, in order.
pub(crate) fn split(entities: Vec<EntityDeclaration>, most: usize) -> Result<Vec<Vec<EntityDeclaration>>, CallError> {
    let mut chunks = Vec::new();
    let mut chunk = Vec::new();
    let mut chunk_bytes = 0;
    for entity in entities {
        let bytes = wire::encode(&entity).len();
        if bytes > most {
            let message = format!("the entity {} takes {bytes} bytes; the most is {most}", entity.name);
            return Err(CallError::new(ErrorCode::Refused, message));
        }
        if chunk_bytes + bytes > most {
            chunks.push(std::mem::take(&mut chunk));
            chunk_bytes = 0;
        }
        chunk_bytes += bytes;
        chunk.push(entity);
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::context::{Entity, State};

    fn lamps(count: usize) -> Vec<EntityDeclaration> {
        (0..count).map(|n| Entity::new(format!("lamp-{n:04}")).state(State::on_off("power")).build().unwrap()).collect()
    }

    #[test]
    fn chunks_keep_order_and_bound() {
        let one = wire::encode(&lamps(1)[0]).len();
        let chunks = split(lamps(100), one * 7).unwrap();
        assert_eq!(chunks.len(), 15);
        assert_eq!(chunks.concat(), lamps(100));
        for chunk in &chunks {
            assert!(chunk.iter().map(|entity| wire::encode(entity).len()).sum::<usize>() <= one * 7);
        }
    }

    #[test]
    fn an_entity_larger_than_a_chunk_is_named() {
        let error = split(lamps(1), 10).unwrap_err();
        assert!(error.message.contains("lamp-0000"), "{error}");
    }

    #[test]
    fn nothing_is_no_chunk() {
        assert!(split(Vec::new(), 10).unwrap().is_empty());
    }
}
