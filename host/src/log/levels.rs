//! Which events are logged: the filter of the configuration, and for single integrations another one while the daemon
//! runs.
//!
//! What a plugin says is filtered in its worker, before it crosses; here is what the host says about an integration, in
//! its span or with its name as a field. A level that an integration's filter names without a module holds for all of
//! that; `module=level` holds for that module alone, and the configuration's filter for the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use gatehouse_plugin_api::ids::IntegrationId;
use parking_lot::RwLock;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use super::layer::INTEGRATION;

/// The filters of single integrations, set while the daemon runs. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Levels(Arc<RwLock<BTreeMap<IntegrationId, Wanted>>>);

#[derive(Debug)]
struct Wanted {
    text: String,
    targets: Targets,
}

impl Wanted {
    /// Whether an event is logged; `None` when this filter does not speak of its module.
    fn decides(&self, metadata: &Metadata<'_>) -> Option<bool> {
        let speaks = self.targets.default_level().is_some()
            || self.targets.iter().any(|(module, _)| metadata.target().starts_with(module));
        speaks.then(|| self.targets.would_enable(metadata.target(), metadata.level()))
    }

    fn most(&self) -> LevelFilter {
        let levels = self.targets.iter().map(|(_, level)| level).chain(self.targets.default_level());
        levels.max().unwrap_or(LevelFilter::OFF)
    }
}

impl Levels {
    /// Sets an integration's filter, or with `None` takes it away; what was set before. In force at once.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn set(&self, id: &IntegrationId, filter: Option<&str>) -> Result<Option<String>, ParseError> {
        let wanted = match filter {
            Some(text) => Some(Wanted { text: text.to_owned(), targets: text.parse()? }),
            None => None,
        };
        let before = match wanted {
            Some(wanted) => self.0.write().insert(id.clone(), wanted),
            None => self.0.write().remove(id),
        };
        tracing::callsite::rebuild_interest_cache();
        Ok(before.map(|before| before.text))
    }

    /// The filter that was set for an integration.
    pub fn get(&self, id: &IntegrationId) -> Option<String> {
        self.0.read().get(id).map(|wanted| wanted.text.clone())
    }

    /// The most that any of them lets through; `None` when there is none.
    fn most(&self) -> Option<LevelFilter> {
        self.0.read().values().map(Wanted::most).max()
    }
}

/// The log's filter: in front of the layer it lets through what anybody may want, and the layer, which knows what an
/// event is about, asks it once more. Cheap to clone.
///
/// Not as a filter's own `event_enabled`: when that refuses an event of the only layer, `tracing-subscriber` 0.3 keeps
/// the refusal for the thread's next event.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    configured: Arc<EnvFilter>,
    levels: Levels,
}

impl Chosen {
    pub(super) fn new(configured: EnvFilter, levels: Levels) -> Self {
        Self { configured: Arc::new(configured), levels }
    }

    /// Whether an event about an integration, or about none, is logged.
    pub(super) fn passes<S>(
        &self,
        metadata: &Metadata<'_>,
        integration: Option<&IntegrationId>,
        context: Context<'_, S>,
    ) -> bool
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let levels = self.levels.0.read();
        if levels.is_empty() {
            // It came through the filter in front.
            return true;
        }
        let decided = integration.and_then(|id| levels.get(id)).and_then(|wanted| wanted.decides(metadata));
        drop(levels);
        decided.unwrap_or_else(|| self.configured.enabled(metadata, context))
    }
}

/// Whether a span says which integration it is about: without it nobody could tell what an event in it is about.
fn names_one(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.fields().field(INTEGRATION).is_some()
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Filter<S> for Chosen {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        names_one(metadata)
            || self.configured.enabled(metadata, context.clone())
            || (metadata.is_event() && self.levels.most().is_some_and(|most| *metadata.level() <= most))
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if names_one(metadata) {
            return Interest::always();
        }
        match self.levels.most() {
            Some(most) if metadata.is_event() && *metadata.level() <= most => Interest::sometimes(),
            _ => <EnvFilter as Filter<S>>::callsite_enabled(&self.configured, metadata),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let configured = <EnvFilter as Filter<S>>::max_level_hint(&self.configured)?;
        // Those that name an integration are of this level.
        Some(configured.max(LevelFilter::INFO).max(self.levels.most().unwrap_or(LevelFilter::OFF)))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        <EnvFilter as Filter<S>>::on_new_span(&self.configured, attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        <EnvFilter as Filter<S>>::on_record(&self.configured, id, values, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        <EnvFilter as Filter<S>>::on_enter(&self.configured, id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        <EnvFilter as Filter<S>>::on_exit(&self.configured, id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        <EnvFilter as Filter<S>>::on_close(&self.configured, id, context);
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::SubscriberExt;

    use super::super::layer::LineLayer;
    use super::super::tests::id;
    use super::super::{HostLog, LogQuery};
    use super::*;

    #[test]
    fn one_integration_is_told_of_more_or_less_than_the_others() {
        let (log, levels) = (HostLog::in_memory(100), Levels::default());
        let filter = Chosen::new(EnvFilter::new("warn"), levels.clone());
        let subscriber =
            tracing_subscriber::registry().with(LineLayer::behind(log.clone(), filter.clone()).with_filter(filter));
        let said = |who: &str| {
            let after = log.read(&LogQuery::default()).resume;
            let span = tracing::info_span!("integration", integration = %id(who));
            let inside = span.enter();
            tracing::debug!("a decision");
            tracing::info!("a transition");
            tracing::warn!("a complaint");
            drop(inside);
            tracing::info!(integration = %id(who), "by its name");
            let lines = log.read(&LogQuery { after: Some(after), ..LogQuery::default() }).lines;
            assert!(lines.iter().all(|line| line.integration == Some(id(who))), "{lines:?}");
            lines.iter().map(|line| line.message.clone()).collect::<Vec<_>>()
        };
        tracing::subscriber::with_default(subscriber, || {
            assert_eq!(said("hue"), ["a complaint"]);
            assert_eq!(levels.set(&id("hue"), Some("debug")).expect("read"), None);
            assert_eq!(said("hue"), ["a decision", "a transition", "a complaint", "by its name"]);
            assert_eq!(said("hass"), ["a complaint"]);
            levels.set(&id("hue"), Some("off")).expect("read");
            assert!(said("hue").is_empty());
            // A module of the plugin's says nothing about the host's own.
            levels.set(&id("hue"), Some("hue_plugin=trace")).expect("read");
            assert_eq!(said("hue"), ["a complaint"]);
            assert_eq!(levels.set(&id("hue"), None).expect("read").as_deref(), Some("hue_plugin=trace"));
            assert_eq!(said("hue"), ["a complaint"]);
        });
        assert!(levels.set(&id("hue"), Some("a=b=c")).is_err());
    }
}
