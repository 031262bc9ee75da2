//! Declarations that read as a sentence: an entity and its states, names validated when they are built.

use crate::error::Result;
use crate::message::{EntityDeclaration, StateDeclaration};
use crate::value::StateKind;

use super::{entity_name, state_name};

/// An entity in the making.
///
/// ```
/// use gatehouse_plugin_api::{Entity, State};
///
/// let lamp = Entity::new("lamp-1")
///     .label("Lamp")
///     .entity_type("light")
///     .state(State::on_off("power").controllable())
///     .state(State::number("brightness", "%").range(0.0, 100.0).controllable());
/// assert_eq!(lamp.build().expect("good names").states.len(), 2);
/// ```
#[derive(Debug, Clone)]
pub struct Entity {
    name: String,
    label: String,
    entity_type: String,
    states: Vec<State>,
    previous_name: Option<String>,
}

impl Entity {
    /// An entity by the upstream's own name of it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            label: String::new(),
            entity_type: String::new(),
            states: Vec::new(),
            previous_name: None,
        }
    }

    /// Its name for a person.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// What it is: `light`, `thermostat`, `door`, …; lower-case.
    #[must_use]
    pub fn entity_type(mut self, entity_type: impl Into<String>) -> Self {
        self.entity_type = entity_type.into();
        self
    }

    /// Adds a state.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.states.push(state);
        self
    }

    /// The name it had before, when the upstream renamed it.
    #[must_use]
    pub fn previous_name(mut self, name: impl Into<String>) -> Self {
        self.previous_name = Some(name.into());
        self
    }

    /// The declaration.
    ///
    /// # Errors
    /// `refused` names what cannot be a name.
    pub fn build(self) -> Result<EntityDeclaration> {
        Ok(EntityDeclaration {
            name: entity_name(&self.name)?,
            label: self.label,
            entity_type: self.entity_type,
            states: self.states.into_iter().map(State::build).collect::<Result<_>>()?,
            previous_name: self.previous_name.as_deref().map(entity_name).transpose()?,
        })
    }
}

/// A state in the making: sensed, and not controllable, until it says otherwise.
#[derive(Debug, Clone)]
pub struct State {
    name: String,
    label: String,
    kind: StateKind,
    sensed: bool,
    controllable: bool,
}

impl State {
    /// A state of any kind.
    pub fn new(name: impl Into<String>, kind: StateKind) -> Self {
        Self { name: name.into(), label: String::new(), kind, sensed: true, controllable: false }
    }

    /// A number; `unit` as printed (`°C`, `%`, `W`, `B/s`), empty for a bare number.
    pub fn number(name: impl Into<String>, unit: &str) -> Self {
        Self::new(name, StateKind::number(unit))
    }

    /// Free text.
    pub fn text(name: impl Into<String>) -> Self {
        Self::new(name, StateKind::Text)
    }

    /// On or off.
    pub fn on_off(name: impl Into<String>) -> Self {
        Self::new(name, StateKind::OnOff)
    }

    /// One of a list, in the order to show.
    pub fn choice<S: Into<String>>(name: impl Into<String>, options: impl IntoIterator<Item = S>) -> Self {
        Self::new(name, StateKind::Choice { options: options.into_iter().map(Into::into).collect() })
    }

    /// Something that happens: one of these events; of any when there are none.
    pub fn event<S: Into<String>>(name: impl Into<String>, events: impl IntoIterator<Item = S>) -> Self {
        Self::new(name, StateKind::Event { events: events.into_iter().map(Into::into).collect() })
    }

    /// A moment in time.
    pub fn timestamp(name: impl Into<String>) -> Self {
        Self::new(name, StateKind::Timestamp)
    }

    /// Its name for a person.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The least and the greatest value of a number; without effect on other kinds.
    #[must_use]
    pub fn range(mut self, least: f64, greatest: f64) -> Self {
        if let StateKind::Number { min, max, .. } = &mut self.kind {
            (*min, *max) = (Some(least), Some(greatest));
        }
        self
    }

    /// It can be set as well as sensed.
    #[must_use]
    pub fn controllable(mut self) -> Self {
        self.controllable = true;
        self
    }

    /// It can be set, and no readings of it come.
    #[must_use]
    pub fn control_only(mut self) -> Self {
        (self.sensed, self.controllable) = (false, true);
        self
    }

    /// The declaration.
    ///
    /// # Errors
    /// `refused` when the name cannot be one.
    pub fn build(self) -> Result<StateDeclaration> {
        Ok(StateDeclaration {
            name: state_name(&self.name)?,
            label: self.label,
            kind: self.kind,
            sensed: self.sensed,
            controllable: self.controllable,
        })
    }
}

/// What [`super::Context::declare`] takes.
pub trait Declarable {
    /// The declaration.
    ///
    /// # Errors
    /// `refused` names what cannot be a name.
    fn into_declaration(self) -> Result<EntityDeclaration>;
}

impl Declarable for Entity {
    fn into_declaration(self) -> Result<EntityDeclaration> {
        self.build()
    }
}

impl Declarable for EntityDeclaration {
    fn into_declaration(self) -> Result<EntityDeclaration> {
        Ok(self)
    }
}
