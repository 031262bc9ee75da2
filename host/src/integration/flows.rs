//! Flows: who has one open, which step waits, how answers reach it, when it is given up.
//!
//! The host owns a flow. It keeps the answers and checks them field by field before a plugin sees them; the plugin
//! may lose everything and is told again. A new integration exists only once its flow is done: until then its id is
//! reserved, its worker serves the flow alone and what it stores is kept aside.
//!
//! A deactivation flow of a plugin's own comes before the host's question what to keep, not in its place: what is
//! deleted is the host's to say.

mod activation;
mod deactivation;
mod flow;
mod leash;
mod own;
mod target;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use gatehouse_plugin_api::ids::IntegrationId;
use parking_lot::Mutex;

use self::flow::{Flow, Turn};
use self::leash::Leash;
use super::OperationError;
use super::flow_view::{FlowBegin, FlowInput, FlowKind, FlowState, FlowView};
use super::registry::Registry;

/// The flows that are open, and those that ended a while ago.
#[derive(Debug, Default)]
pub(super) struct Flows(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    by_id: HashMap<String, Arc<Slot>>,
    /// The daemon ends: none is opened any more.
    closed: bool,
}

#[derive(Debug)]
struct Slot {
    begun_at_ms: i64,
    /// The content of the plugin that it is about.
    generation: Option<String>,
    leash: Leash,
    view: Mutex<FlowView>,
    /// `None` once it ended.
    flow: tokio::sync::Mutex<Option<Flow>>,
}

impl Slot {
    fn is_open(&self) -> bool {
        matches!(self.view.lock().state, FlowState::Step { .. })
    }

    /// Shows what a turn led to; an ended flow lets go of its worker.
    async fn show(&self, flow: &mut Option<Flow>, turn: Turn, expires_at_ms: i64) -> FlowView {
        let state = match turn {
            Turn::Show { step, defaults } => FlowState::Step { step, defaults },
            Turn::Done(info_message) => FlowState::Done { info_message },
            Turn::Abort { code, message } => FlowState::Aborted { code, message },
        };
        if !matches!(state, FlowState::Step { .. })
            && let Some(mut ended) = flow.take()
        {
            ended.close().await;
        }
        let mut view = self.view.lock();
        view.state = state;
        view.expires_at_ms = expires_at_ms;
        view.clone()
    }
}

impl Flows {
    /// A flow as it is now.
    pub(super) fn view(&self, flow_id: &str) -> Result<FlowView, OperationError> {
        self.slot(flow_id).map(|slot| slot.view.lock().clone())
    }

    /// Gives all flows up, for the daemon's end: what is being asked of a plugin is not waited for.
    pub(super) async fn close(&self) {
        let slots: Vec<_> = {
            let mut slots = self.0.lock();
            slots.closed = true;
            slots.by_id.drain().map(|(_, slot)| slot).collect()
        };
        futures_util::future::join_all(slots.iter().map(|slot| {
            slot.leash.end();
            end(slot)
        }))
        .await;
    }

    fn slot(&self, flow_id: &str) -> Result<Arc<Slot>, OperationError> {
        self.0.lock().by_id.get(flow_id).cloned().ok_or_else(|| OperationError::NotFound {
            what: format!("the flow {flow_id:?}"),
            hint: ": it ended or expired, begin a new one".to_owned(),
        })
    }

    /// Takes the place of a new flow; one integration has at most one that is open.
    fn reserve(&self, slot: &Arc<Slot>) -> Result<(), Refused> {
        let (flow_id, integration) = {
            let view = slot.view.lock();
            (view.flow_id.clone(), view.integration.clone())
        };
        let mut slots = self.0.lock();
        if slots.closed {
            return Err(Refused::Ending);
        }
        let mut others = slots.by_id.values();
        if let Some(other) = others.find(|other| other.is_open() && other.view.lock().integration == integration) {
            return Err(Refused::Open(Arc::clone(other)));
        }
        slots.by_id.insert(flow_id, Arc::clone(slot));
        Ok(())
    }

    fn forget(&self, flow_id: &str) -> Option<Arc<Slot>> {
        self.0.lock().by_id.remove(flow_id)
    }
}

/// Why a flow has no place.
enum Refused {
    /// The integration has this one open.
    Open(Arc<Slot>),
    /// The daemon ends.
    Ending,
}

/// Takes the place of a new flow; with `take_over` that of the one that is open.
async fn reserve(registry: &Arc<Registry>, slot: &Arc<Slot>, take_over: bool) -> Result<(), OperationError> {
    loop {
        let other = match registry.flows().reserve(slot) {
            Ok(()) => return Ok(()),
            Err(Refused::Ending) => return Err(OperationError::Unavailable("the daemon is ending".to_owned())),
            Err(Refused::Open(other)) => other,
        };
        if !take_over {
            return Err(in_the_way(registry, &other));
        }
        let flow_id = other.view.lock().flow_id.clone();
        match abort(registry, &flow_id).await {
            // One that has ended meanwhile is in nobody's way.
            Ok(()) | Err(OperationError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The sentence for a flow that another one is in the way of.
fn in_the_way(registry: &Registry, open: &Slot) -> OperationError {
    let open_for_ms = registry.base().clock.now_ms().saturating_sub(open.begun_at_ms).max(0);
    let since = gatehouse_plugin_api::duration::format_ms(open_for_ms.unsigned_abs() / 1_000 * 1_000);
    let FlowView { flow_id, kind, integration: id, integration_type, .. } = &*open.view.lock();
    let (what, command) = match kind {
        FlowKind::Activate => ("activation", "activate"),
        FlowKind::Deactivate => ("deactivation", "deactivate"),
    };
    // A further instance that does not exist yet is named by its type.
    let named = if registry.get(id).is_none() && id.as_str() != integration_type.as_str() {
        format!("{integration_type} --id {id}")
    } else {
        id.to_string()
    };
    OperationError::Conflict(format!(
        "{id} is in the middle of another {what}: the flow {flow_id} was begun {since} ago; go on there, or give it up \
         and begin anew: gatehouse integration {command} {named} --take-over"
    ))
}

async fn end(slot: &Slot) {
    if let Some(mut flow) = slot.flow.lock().await.take() {
        flow.close().await;
    }
}

/// Opens a flow and shows its first step.
pub(super) async fn begin(registry: &Arc<Registry>, begin: FlowBegin) -> Result<FlowView, OperationError> {
    let target = target::find(registry, &begin)?;
    let flow_id = new_id()?;
    let expires_at_ms = expiry(registry);
    let view = FlowView {
        flow_id: flow_id.clone(),
        kind: begin.kind,
        integration_type: target.integration_type.clone(),
        integration: target.id.clone(),
        state: FlowState::Step { step: flow::opening(), defaults: super::attributes::offered(&[], None) },
        expires_at_ms,
    };
    let leash = Leash::default();
    let generation = target.plugin.as_ref().map(|plugin| plugin.sha256().to_owned());
    let flow = Flow::new(Arc::clone(registry), flow_id.clone(), begin.kind, target, leash.clone());
    let slot = Arc::new(Slot {
        begun_at_ms: registry.base().clock.now_ms(),
        generation,
        leash,
        view: Mutex::new(view),
        flow: tokio::sync::Mutex::new(Some(flow)),
    });
    reserve(registry, &slot, begin.take_over).await?;
    tokio::spawn(expire(Arc::downgrade(registry), flow_id.clone()));
    let mut unheard = Unheard { flow: Some((Arc::clone(registry), flow_id)) };
    let registry = Arc::clone(registry);
    let shown = in_a_task(async move {
        let mut flow = slot.flow.lock().await;
        let turn = match flow.as_mut() {
            Some(flow) => slot.leash.hold(flow.first()).await.unwrap_or_else(|ended| ended),
            None => Turn::Abort { code: "aborted".to_owned(), message: "the flow was given up".to_owned() },
        };
        Ok(slot.show(&mut flow, turn, expiry(&registry)).await)
    })
    .await;
    unheard.flow = None;
    shown
}

/// A flow whose id nobody knows yet: given up when whoever began it goes away before it is told.
struct Unheard {
    flow: Option<(Arc<Registry>, String)>,
}

impl Drop for Unheard {
    fn drop(&mut self) {
        let Some((registry, flow_id)) = self.flow.take() else { return };
        // Without a runtime the daemon has ended, and so have its flows.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // What is being saved already ends by itself.
            runtime.spawn(async move { abort(&registry, &flow_id).await });
        }
    }
}

/// Answers a step and shows the next.
pub(super) async fn answer(
    registry: &Arc<Registry>,
    flow_id: &str,
    step_id: &str,
    input: FlowInput,
) -> Result<FlowView, OperationError> {
    let slot = registry.flows().slot(flow_id)?;
    let (registry, step_id) = (Arc::clone(registry), step_id.to_owned());
    in_a_task(async move {
        let Ok(mut flow) = slot.flow.try_lock() else {
            return Err(OperationError::Conflict("another answer to this flow is being worked on".to_owned()));
        };
        let Some(open) = flow.as_mut() else {
            return Err(OperationError::Conflict("the flow has ended: begin a new one".to_owned()));
        };
        let shown = open.shown().step_id.clone();
        if shown != step_id {
            return Err(OperationError::Conflict(format!(
                "the step {step_id:?} is not shown any more: answer {shown:?}"
            )));
        }
        let turn = match slot.leash.hold(open.answer(input)).await {
            Ok(turn) => turn?,
            Err(ended) => ended,
        };
        Ok(slot.show(&mut flow, turn, expiry(&registry)).await)
    })
    .await
}

/// Gives a flow up: what is being asked of the plugin is not waited for.
pub(super) async fn abort(registry: &Arc<Registry>, flow_id: &str) -> Result<(), OperationError> {
    let slot = registry.flows().slot(flow_id)?;
    let held = |slot: &Slot| slot.leash.holds().filter(|_| slot.is_open());
    if let Some(why) = held(&slot) {
        return Err(OperationError::Conflict(why.to_owned()));
    }
    slot.leash.give_up();
    let flow_id = flow_id.to_owned();
    let registry = Arc::clone(registry);
    in_a_task(async move {
        // Once its turn is over. That one may have come too far in this very moment.
        let flow = slot.flow.lock().await;
        if let Some(why) = held(&slot) {
            return Err(OperationError::Conflict(why.to_owned()));
        }
        drop(flow);
        registry.flows().forget(&flow_id);
        end(&slot).await;
        Ok(())
    })
    .await
}

/// Gives up the activations by a generation that may not run any longer: their workers are its own. One that is being
/// saved already ends by itself, and a deactivation goes on, because it leads away from the plugin.
pub(super) async fn give_up_generation(registry: &Arc<Registry>, sha256: &str) {
    let flows: Vec<String> = {
        let slots = registry.flows().0.lock();
        let of_it = slots.by_id.iter().filter(|(_, slot)| {
            slot.generation.as_deref() == Some(sha256) && slot.view.lock().kind == FlowKind::Activate
        });
        of_it.map(|(flow_id, _)| flow_id.clone()).collect()
    };
    for flow_id in flows {
        // It may have ended meanwhile.
        let _ = abort(registry, &flow_id).await;
    }
}

/// Runs to its end even when whoever asked goes away: a half-made integration helps nobody.
async fn in_a_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, OperationError>> + Send + 'static,
) -> Result<T, OperationError> {
    let task = tokio::spawn(work);
    task.await.unwrap_or_else(|_| Err(OperationError::Unavailable("the flow failed and is given up".to_owned())))
}

/// Forgets a flow once nobody has answered it for long enough.
async fn expire(registry: Weak<Registry>, flow_id: String) {
    loop {
        let Some((clock, slot)) = registry.upgrade().and_then(|registry| {
            let slot = registry.flows().slot(&flow_id).ok()?;
            Some((registry.base().clock.clone(), slot))
        }) else {
            return;
        };
        let left_ms = slot.view.lock().expires_at_ms.saturating_sub(clock.now_ms());
        if left_ms <= 0 && slot.leash.works() {
            // Nobody looks, and the deletion goes on: until it is over nothing else may begin.
            slot.view.lock().expires_at_ms = registry.upgrade().map_or(i64::MAX, |registry| expiry(&registry));
            continue;
        }
        drop(slot);
        if left_ms > 0 {
            clock.sleep(Duration::from_millis(left_ms.unsigned_abs())).await;
            continue;
        }
        let slot = registry.upgrade().and_then(|registry| registry.flows().forget(&flow_id));
        if let Some(slot) = slot {
            tracing::debug!(flow = flow_id, "a flow expired");
            slot.leash.give_up();
            end(&slot).await;
        }
        return;
    }
}

fn expiry(registry: &Registry) -> i64 {
    let base = registry.base();
    let wait = i64::try_from(base.config.integrations.flow_expires_ms).unwrap_or(i64::MAX);
    base.clock.now_ms().saturating_add(wait)
}

fn new_id() -> Result<String, OperationError> {
    let mut bytes = [0_u8; 12];
    getrandom::fill(&mut bytes)
        .map_err(|error| OperationError::Unavailable(format!("the system has no randomness to give: {error}")))?;
    Ok(hex::encode(bytes))
}

/// The id that an integration gets, for sentences.
fn quoted(id: &IntegrationId) -> String {
    format!("{:?}", id.as_str())
}
