//! `entity list|show|rename`: the things in the house.

use super::args;
use super::daemon::Daemon;
use super::failure::Failure;
use super::output::{Output, Tone};
use super::table::{Table, Toned, pairs};
use super::{state, when};
use crate::api::types::{Availability, Entity};
use crate::entity::Attachment;

pub(super) async fn run(daemon: &Daemon, command: args::Entity, output: &Output) -> Result<(), Failure> {
    match command {
        args::Entity::List { integration, all } => {
            let mut entities = daemon.entities().await?;
            entities.retain(|entity| {
                (all || entity.attachment == Attachment::Attached)
                    && integration.as_ref().is_none_or(|id| entity.address.integration == *id)
            });
            if output.json {
                return output.json(&entities);
            }
            if entities.is_empty() {
                return output.line("No entities.");
            }
            output.line(listed(&entities, output))
        }
        args::Entity::Show { address } => {
            let entity = daemon.entity(&address).await?;
            if output.json {
                return output.json(&entity);
            }
            let mut states = daemon.states().await?;
            states.retain(|state| state.address.entity == entity.address);
            let table = state::table(&states, when::now_ms(), output);
            output.line(format!("{}\n\n{table}", shown(&entity, output)))
        }
        args::Entity::Rename { address, name } => {
            let entity = daemon.entity_rename(&address, name).await?;
            if output.json {
                return output.json(&entity);
            }
            output.line(format!("{} is now called {:?}", entity.address, entity.label))
        }
    }
}

fn attachment(entity: &Entity) -> Toned {
    match (entity.attachment, entity.availability) {
        (Attachment::Attached, Availability::Online) => Toned("online".to_owned(), Tone::Good),
        (Attachment::Attached, Availability::Offline) => Toned("offline".to_owned(), Tone::Warn),
        (Attachment::Detached, _) => Toned("detached".to_owned(), Tone::Dim),
        (Attachment::Hidden, _) => Toned("hidden".to_owned(), Tone::Dim),
    }
}

fn listed(entities: &[Entity], output: &Output) -> Table {
    let mut table = Table::new(output, &["ENTITY", "NAME", "WHAT", "STATES", ""]).unbroken(&[0]);
    for entity in entities {
        let states: Vec<_> = entity.states.iter().map(|state| state.address.state.as_str()).collect();
        table.row([
            entity.address.to_string().into(),
            entity.label.as_str().into(),
            entity.entity_type.as_str().into(),
            states.join(", ").into(),
            attachment(entity),
        ]);
    }
    table
}

fn shown(entity: &Entity, output: &Output) -> String {
    let Toned(word, tone) = attachment(entity);
    let controllable: Vec<_> =
        entity.states.iter().filter(|state| state.controllable).map(|state| state.address.state.to_string()).collect();
    let rows = [
        ("Entity", entity.address.to_string()),
        ("Name", entity.label.clone()),
        ("What", entity.entity_type.clone()),
        ("Now", output.paint(tone, word)),
        ("Since", when::local(entity.created_at_ms)),
        ("Can be set", if controllable.is_empty() { "nothing".to_owned() } else { controllable.join(", ") }),
    ];
    pairs(output, &rows)
}
