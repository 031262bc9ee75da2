//! The one difference between what is known of an integration's entities and what it declares: a pure function.
//!
//! `declare` and `remove` have the named entities as their scope, a complete snapshot has all. A declaration finds its
//! entity by name; only when no entity has that name, by its previous name, provided that nothing else is declared
//! under it. So a plugin may go on sending a previous name for ever, and the second time changes nothing.

use std::collections::{HashMap, HashSet};

use gatehouse_plugin_api::ids::EntityName;
use gatehouse_plugin_api::message::{EntityDeclaration, SyncOutcome};

use super::{Attachment, name_key};
use crate::store::EntityChange;

/// An entity that is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) id: i64,
    pub(super) declaration: &'a EntityDeclaration,
    pub(super) attachment: Attachment,
}

/// Which entities the declarations speak for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope<'a> {
    /// All: what is not declared is detached.
    All,
    /// The declared ones, and these, which are detached when they are not declared.
    Named(&'a [EntityName]),
}

/// The changes, with their counts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Difference {
    pub(super) changes: Vec<EntityChange>,
    pub(super) outcome: SyncOutcome,
}

/// Compares. The declarations are checked: no two have the same name, none the same previous name.
pub(super) fn difference(
    known: &[Known<'_>],
    declared: Vec<EntityDeclaration>,
    scope: Scope<'_>,
    now_ms: i64,
) -> Difference {
    let by_name: HashMap<_, _> =
        known.iter().map(|entity| (name_key(entity.declaration.name.as_str()), *entity)).collect();
    let declared_names: HashSet<String> =
        declared.iter().map(|entity| name_key(entity.name.as_str()).into_owned()).collect();
    let mut result = Difference::default();
    let mut listed = HashSet::with_capacity(declared.len());
    for mut declaration in declared {
        let previous = declaration.previous_name.take();
        let found = by_name.get(&name_key(declaration.name.as_str())).or_else(|| {
            let previous = previous.as_ref().map(|name| name_key(name.as_str()))?;
            by_name.get(&previous).filter(|_| !declared_names.contains(previous.as_ref()))
        });
        let Some(entity) = found else {
            result.outcome.created += 1;
            result.changes.push(EntityChange::Create { declaration, created_at_ms: now_ms });
            continue;
        };
        listed.insert(entity.id);
        let reconnected = entity.attachment != Attachment::Attached;
        if *entity.declaration == declaration && !reconnected {
            continue;
        }
        if reconnected {
            result.outcome.reconnected += 1;
        } else {
            result.outcome.updated += 1;
        }
        result.changes.push(EntityChange::Declare { id: entity.id, declaration });
    }
    let named: Option<HashSet<_>> = match scope {
        Scope::All => None,
        Scope::Named(names) => Some(names.iter().map(|name| name_key(name.as_str())).collect()),
    };
    for entity in known {
        let in_scope = named.as_ref().is_none_or(|named| named.contains(&name_key(entity.declaration.name.as_str())));
        if in_scope && entity.attachment == Attachment::Attached && !listed.contains(&entity.id) {
            result.outcome.detached += 1;
            result.changes.push(EntityChange::Attach { id: entity.id, attachment: Attachment::Detached });
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use gatehouse_plugin_api::ids::StateName;
    use gatehouse_plugin_api::message::StateDeclaration;
    use gatehouse_plugin_api::value::StateKind;
    use proptest::prelude::*;

    use super::*;

    fn name(name: &str) -> EntityName {
        EntityName::new(name).expect("valid")
    }

    /// `lamp`, `lamp=Label`, `lamp<old`.
    fn entity(text: &str) -> EntityDeclaration {
        let (text, previous) = text.split_once('<').map_or((text, None), |(text, old)| (text, Some(name(old))));
        let (text, label) = text.split_once('=').unwrap_or((text, ""));
        EntityDeclaration {
            name: name(text),
            label: label.into(),
            entity_type: "light".into(),
            states: vec![StateDeclaration {
                name: StateName::new("power").expect("valid"),
                label: String::new(),
                kind: StateKind::OnOff,
                sensed: true,
                controllable: true,
            }],
            previous_name: previous,
        }
    }

    type Model = Vec<(i64, EntityDeclaration, Attachment)>;

    fn compare(model: &Model, declared: &[&str], scope: Scope<'_>) -> Difference {
        let known: Vec<_> = model
            .iter()
            .map(|(id, declaration, attachment)| Known { id: *id, declaration, attachment: *attachment })
            .collect();
        difference(&known, declared.iter().map(|text| entity(text)).collect(), scope, 5)
    }

    fn apply(model: &mut Model, difference: Difference) {
        for change in difference.changes {
            match change {
                EntityChange::Create { declaration, .. } => {
                    let id = model.iter().map(|(id, ..)| id + 1).max().unwrap_or(1);
                    model.push((id, declaration, Attachment::Attached));
                }
                EntityChange::Declare { id, declaration } => {
                    let row = model.iter_mut().find(|row| row.0 == id).expect("known");
                    (row.1, row.2) = (declaration, Attachment::Attached);
                }
                EntityChange::Attach { id, attachment } => {
                    model.iter_mut().find(|row| row.0 == id).expect("known").2 = attachment;
                }
            }
        }
    }

    /// `1 lamp attached` per row.
    fn shown(model: &Model) -> String {
        let row = |(id, declaration, attachment): &(i64, EntityDeclaration, Attachment)| {
            format!("{id} {} {}", declaration.name, if *attachment == Attachment::Attached { "+" } else { "-" })
        };
        model.iter().map(row).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn every_case_by_table() {
        use Attachment::{Attached, Detached, Hidden};
        type Rows<'a> = &'a [(i64, &'a str, Attachment)];
        // known, declared, all?, removed, (created, updated, reconnected, detached), the rows after
        type Case<'a> = (Rows<'a>, &'a [&'a str], bool, &'a [&'a str], (u32, u32, u32, u32), &'a str);
        #[rustfmt::skip]
        let cases: &[Case<'_>] = &[
            (&[], &[], true, &[], (0, 0, 0, 0), ""),
            (&[], &["a", "b"], false, &[], (2, 0, 0, 0), "1 a +, 2 b +"),
            (&[(1, "a", Attached)], &["a"], true, &[], (0, 0, 0, 0), "1 a +"),
            (&[(1, "a", Attached)], &["A"], true, &[], (0, 1, 0, 0), "1 A +"),
            (&[(1, "a", Attached)], &["a=Lamp"], true, &[], (0, 1, 0, 0), "1 a +"),
            (&[(1, "a", Detached)], &["a"], false, &[], (0, 0, 1, 0), "1 a +"),
            (&[(1, "a", Hidden)], &["a=New"], false, &[], (0, 0, 1, 0), "1 a +"),
            (&[(1, "a", Attached), (2, "b", Attached)], &["b"], true, &[], (0, 0, 0, 1), "1 a -, 2 b +"),
            (&[(1, "a", Attached), (2, "b", Attached)], &["b"], false, &[], (0, 0, 0, 0), "1 a +, 2 b +"),
            (&[(1, "a", Attached), (2, "b", Attached)], &[], false, &["A"], (0, 0, 0, 1), "1 a -, 2 b +"),
            (&[(1, "a", Hidden)], &[], true, &[], (0, 0, 0, 0), "1 a -"),
            (&[(1, "old", Attached)], &["new<old"], true, &[], (0, 1, 0, 0), "1 new +"),
            (&[(1, "old", Attached)], &["new<OLD"], false, &[], (0, 1, 0, 0), "1 new +"),
            (&[(1, "old", Detached)], &["new<old"], true, &[], (0, 0, 1, 0), "1 new +"),
            (&[(1, "new", Attached)], &["new<old"], true, &[], (0, 0, 0, 0), "1 new +"),
            (&[(1, "old", Attached), (2, "new", Attached)], &["new<old"], true, &[], (0, 0, 0, 1), "1 old -, 2 new +"),
            (&[(1, "old", Attached)], &["new<old", "old"], true, &[], (1, 0, 0, 0), "1 old +, 2 new +"),
            (&[], &["new<old"], true, &[], (1, 0, 0, 0), "1 new +"),
        ];
        for (known, declared, all, removed, counts, after) in cases {
            let mut model: Model =
                known.iter().map(|(id, text, attachment)| (*id, entity(text), *attachment)).collect();
            let removed: Vec<_> = removed.iter().map(|text| name(text)).collect();
            let scope = if *all { Scope::All } else { Scope::Named(&removed) };
            let result = compare(&model, declared, scope);
            let SyncOutcome { created, updated, reconnected, detached } = result.outcome;
            assert_eq!((created, updated, reconnected, detached), *counts, "{known:?} {declared:?}");
            apply(&mut model, result);
            assert_eq!(shown(&model), *after, "{known:?} {declared:?}");
        }
    }

    fn step() -> impl Strategy<Value = (Vec<String>, bool)> {
        let entity = ("[a-dA-D]", "[xyz]?", proptest::option::of("[a-d]")).prop_map(|(name, label, previous)| {
            let label = if label.is_empty() { label } else { format!("={label}") };
            previous.map_or_else(|| format!("{name}{label}"), |old| format!("{name}{label}<{old}"))
        });
        (proptest::collection::vec(entity, 0..6), any::<bool>()).prop_map(|(entities, all)| {
            let (mut names, mut previous) = (HashSet::new(), HashSet::new());
            let sound = entities.into_iter().filter(|text| {
                let entity = entity_of(text);
                names.insert(entity.0) && entity.1.is_none_or(|old| previous.insert(old))
            });
            (sound.collect(), all)
        })
    }

    fn entity_of(text: &str) -> (String, Option<String>) {
        let entity = entity(text);
        (entity.name.as_str().to_lowercase(), entity.previous_name.map(|name| name.as_str().to_lowercase()))
    }

    proptest! {
        #[test]
        fn any_sequence_of_snapshots_ends_as_declared_and_loses_nothing(steps in proptest::collection::vec(step(), 1..8)) {
            let mut model = Model::new();
            for (declared, all) in steps {
                let declared: Vec<&str> = declared.iter().map(String::as_str).collect();
                let scope = || if all { Scope::All } else { Scope::Named(&[]) };
                let before: Vec<i64> = model.iter().map(|row| row.0).collect();
                let first = compare(&model, &declared, scope());
                let counts = first.outcome;
                let total = counts.created + counts.updated + counts.reconnected + counts.detached;
                prop_assert_eq!(total as usize, first.changes.len());
                apply(&mut model, first);

                // No row is ever lost, and no two have one name.
                prop_assert!(before.iter().all(|id| model.iter().any(|row| row.0 == *id)));
                let names: HashSet<_> = model.iter().map(|row| row.1.name.as_str().to_lowercase()).collect();
                prop_assert_eq!(names.len(), model.len());
                // What was declared is attached, exactly as declared.
                for text in &declared {
                    let mut wanted = entity(text);
                    wanted.previous_name = None;
                    prop_assert!(model.iter().any(|row| row.1 == wanted && row.2 == Attachment::Attached));
                }
                if all {
                    let attached = model.iter().filter(|row| row.2 == Attachment::Attached).count();
                    prop_assert_eq!(attached, declared.len());
                }
                // A second time there is nothing to do.
                prop_assert_eq!(compare(&model, &declared, scope()), Difference::default());
            }
        }
    }
}
