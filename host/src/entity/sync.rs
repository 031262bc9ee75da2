//! Declarations, removals and snapshots applied: checked, compared, persisted, then seen in memory.
//!
//! One at a time per integration, and to the end even when the caller goes away: database and memory never part.

use std::collections::HashMap;
use std::sync::Arc;

use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::ids::{EntityAddress, EntityName, IntegrationId};
use gatehouse_plugin_api::message::{EntityDeclaration, SyncOutcome};

use super::bounds::{ENTITIES_KNOWN_MAX, ENTITIES_MAX, check_declarations};
use super::difference::{Difference, Known, Scope, difference};
use super::{Attachment, Entity, HouseParts};
use crate::causes::with_causes;
use crate::store::{EntityChange, StoreError};

/// What is to be applied.
#[derive(Debug)]
pub(super) enum Wish {
    /// These and no others.
    Declare(Vec<EntityDeclaration>),
    /// Detach these.
    Remove(Vec<EntityName>),
    /// These are all.
    Synchronize(Vec<EntityDeclaration>),
}

/// Applies a wish of an integration.
pub(super) async fn apply(
    parts: &Arc<HouseParts>,
    integration: &IntegrationId,
    wish: Wish,
) -> Result<SyncOutcome, CallError> {
    let (parts, integration) = (Arc::clone(parts), integration.clone());
    to_the_end(async move {
        if let Wish::Declare(entities) | Wish::Synchronize(entities) = &wish {
            check_declarations(entities)?;
        }
        let gate = parts.gate(&integration);
        let _alone = gate.lock().await;
        let Difference { changes, outcome } = compare(&parts, &integration, wish)?;
        if !changes.is_empty() {
            persist(&parts, &integration, changes).await.map_err(|error| store_failed(&error))?;
        }
        Ok(outcome)
    })
    .await
}

/// Detaches everything of an integration; what no person touched is hidden.
pub(super) async fn detach_all(parts: &Arc<HouseParts>, integration: &IntegrationId) -> Result<(), StoreError> {
    let (parts, integration) = (Arc::clone(parts), integration.clone());
    to_the_end(async move {
        let gate = parts.gate(&integration);
        let _alone = gate.lock().await;
        let changes: Vec<_> = {
            let core = parts.core.lock();
            let known = core.registry.room(&integration).into_iter().flat_map(|room| room.known());
            known
                .filter_map(|known| {
                    let touched = known.entity.person_label.is_some();
                    let attachment = if touched { Attachment::Detached } else { Attachment::Hidden };
                    (known.entity.attachment != attachment).then_some(EntityChange::Attach { id: known.id, attachment })
                })
                .collect()
        };
        if changes.is_empty() { Ok(()) } else { persist(&parts, &integration, changes).await }
    })
    .await
}

/// Gives an entity a person's own name, or takes it away; `false` when there is no such entity.
pub(super) async fn label(
    parts: &Arc<HouseParts>,
    address: &EntityAddress,
    label: Option<String>,
) -> Result<bool, StoreError> {
    let (parts, address) = (Arc::clone(parts), address.clone());
    to_the_end(async move {
        let gate = parts.gate(&address.integration);
        let _alone = gate.lock().await;
        let id = parts.core.lock().registry.find(&address).map(|known| known.id);
        let Some(id) = id else { return Ok(false) };
        parts.store.entity_label(id, label.clone()).await?;
        parts.core.lock().registry.label(&address, label);
        Ok(true)
    })
    .await
}

/// Runs in a task of its own, which a caller that gives up does not end.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
        // The runtime is ending and drops this future too.
        Err(_) => std::future::pending().await,
    }
}

fn compare(parts: &HouseParts, integration: &IntegrationId, wish: Wish) -> Result<Difference, CallError> {
    let rows: Vec<(i64, Arc<Entity>)> = {
        let core = parts.core.lock();
        let known = core.registry.room(integration).into_iter().flat_map(|room| room.known());
        known.map(|known| (known.id, Arc::clone(&known.entity))).collect()
    };
    let known: Vec<Known<'_>> = rows
        .iter()
        .map(|(id, entity)| Known { id: *id, declaration: &entity.declaration, attachment: entity.attachment })
        .collect();
    let now_ms = parts.clock.now_ms();
    let result = match wish {
        Wish::Declare(entities) => difference(&known, entities, Scope::Named(&[]), now_ms),
        Wish::Synchronize(entities) => difference(&known, entities, Scope::All, now_ms),
        Wish::Remove(names) => {
            let parts_core = parts.core.lock();
            let room = parts_core.registry.room(integration);
            if let Some(missing) = names.iter().find(|name| room.and_then(|room| room.get(name.as_str())).is_none()) {
                let sentence = format!("{integration} has no entity {:?}: nothing was removed", missing.as_str());
                return Err(CallError::new(ErrorCode::NotFound, sentence));
            }
            drop(parts_core);
            difference(&known, Vec::new(), Scope::Named(&names), now_ms)
        }
    };
    let SyncOutcome { created, reconnected, detached, .. } = result.outcome;
    let attached = known.iter().filter(|entity| entity.attachment == Attachment::Attached).count();
    let after = attached + created as usize + reconnected as usize - detached as usize;
    let remembered = known.len() + created as usize;
    let too_many = |count, most, what| {
        let sentence = format!("{integration} would have {count} {what}; the most is {most}");
        Err(CallError::new(ErrorCode::InvalidRequest, sentence))
    };
    if after > ENTITIES_MAX {
        return too_many(after, ENTITIES_MAX, "entities");
    }
    if created > 0 && remembered > ENTITIES_KNOWN_MAX {
        return too_many(remembered, ENTITIES_KNOWN_MAX, "entities, detached ones included");
    }
    Ok(result)
}

async fn persist(
    parts: &HouseParts,
    integration: &IntegrationId,
    changes: Vec<EntityChange>,
) -> Result<(), StoreError> {
    let attached: HashMap<i64, Attachment> = changes
        .iter()
        .filter_map(|change| match change {
            EntityChange::Attach { id, attachment } => Some((*id, *attachment)),
            EntityChange::Create { .. } | EntityChange::Declare { .. } => None,
        })
        .collect();
    let rows = parts.store.entity_apply(integration, changes).await?;
    let mut core = parts.core.lock();
    for row in rows {
        core.registry.put(row);
    }
    core.registry.attach(integration, &attached);
    Ok(())
}

/// The store's failure as an integration hears it: it may try again.
pub(super) fn store_failed(error: &StoreError) -> CallError {
    CallError::new(ErrorCode::Transient, with_causes(error))
}
