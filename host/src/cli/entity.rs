//! `entity list|show|snapshot|rename`: the things in the house.

use std::path::Path;

use gatehouse_plugin_api::ids::EntityAddress;
use serde_json::json;

use super::args;
use super::daemon::Daemon;
use super::failure::Failure;
use super::output::{Output, Tone};
use super::table::{Table, Toned, pairs};
use super::{save, state, when, words};
use crate::api::types::{Availability, Entity};
use crate::entity::Attachment;

/// The type of an entity that has images.
const CAMERA: &str = "camera";

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
            // Only one that is there can be asked; what keeps it from answering is no reason to show nothing.
            let online = entity.availability == Availability::Online;
            let stream = if online { daemon.stream(&address).await } else { Ok(None) };
            let stream = match stream {
                Ok(stream) => stream.map(|stream| stream.url),
                Err(failure) => failure.message().map(|why| output.paint(Tone::Warn, format!("not known: {why}"))),
            };
            let table = state::table(&states, when::now_ms(), output);
            output.line(format!("{}\n\n{table}", shown(&entity, stream, daemon, output)))
        }
        args::Entity::Snapshot { address, out } => snapshot(daemon, &address, out.as_deref(), output).await,
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

fn shown(entity: &Entity, stream: Option<String>, daemon: &Daemon, output: &Output) -> String {
    let Toned(word, tone) = attachment(entity);
    let controllable: Vec<_> =
        entity.states.iter().filter(|state| state.controllable).map(|state| state.address.state.to_string()).collect();
    let mut rows = vec![
        ("Entity", entity.address.to_string()),
        ("Name", entity.label.clone()),
        ("What", entity.entity_type.clone()),
        ("Now", output.paint(tone, word)),
        ("Since", when::local(entity.created_at_ms)),
        ("Can be set", if controllable.is_empty() { "nothing".to_owned() } else { controllable.join(", ") }),
    ];
    if entity.entity_type == CAMERA {
        rows.push(("Image", daemon.hints.command(&["entity", "snapshot", &entity.address.to_string()])));
    }
    rows.extend(stream.map(|stream| ("Stream", stream)));
    pairs(output, &rows)
}

async fn snapshot(
    daemon: &Daemon,
    address: &EntityAddress,
    out: Option<&Path>,
    output: &Output,
) -> Result<(), Failure> {
    let image = daemon.snapshot(address).await?;
    if out == Some(Path::new("-")) {
        return output.bytes(&image.bytes);
    }
    let name = format!("{}-{}.{}", address.integration, plain(address.entity.as_str()), ending(&image.media_type));
    let path = save::write(out, &name, &image.bytes, "--out FILE")?;
    if output.json {
        let size_bytes = image.bytes.len();
        return output.json(&json!({
            "address": address, "file": path, "media_type": image.media_type, "size_bytes": size_bytes,
        }));
    }
    let size = words::bytes(image.bytes.len() as u64);
    output.line(format!("saved {} ({size}, {})", path.display(), image.media_type))
}

/// The ending of a file of a media type.
fn ending(media_type: &str) -> &str {
    match media_type.strip_prefix("image/") {
        Some("jpeg") => "jpg",
        Some("svg+xml") => "svg",
        Some(other) => other,
        None => "bin",
    }
}

/// A name as part of a file's.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || ".-_".contains(c) { c } else { '_' }).collect()
}
