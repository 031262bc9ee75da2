//! The page of the rooms.

use std::collections::BTreeMap;

use gatehouse_plugin_api::manage::ManageReply;
use gatehouse_plugin_api::{Result, serde_json::json};

use super::{field, go_to, problem, room_number};
use crate::home::{Home, not_started};

pub(super) async fn show(home: &Home) -> Result<ManageReply> {
    let house = home.visit().await?.ok_or_else(not_started)?;
    let rooms: Vec<_> = house
        .rooms
        .iter()
        .map(|room| {
            let lamps = house.lamps.iter().filter(|lamp| lamp.room == room.id);
            json!({ "id": room.id, "name": room.name, "lamps": lamps.count() })
        })
        .collect();
    Ok(ManageReply::Template {
        name: "panes/rooms.html".to_owned(),
        context: json!({ "rooms": rooms, "status": house.status(), "website": home.link() }),
    })
}

pub(super) async fn change(home: &Home, form: &BTreeMap<String, String>) -> Result<ManageReply> {
    let done = match field(form, "action") {
        "add" => home.furnish(|house| house.add_room(field(form, "name")).map(drop)).await?,
        "rename" => match room_number(form) {
            Ok(room) => home.furnish(|house| house.rename_room(room, field(form, "name"))).await?,
            Err(sentence) => Err(sentence),
        },
        _ => Err("Say what to do with the rooms: action=add or action=rename.".to_owned()),
    };
    Ok(done.map_or_else(problem, |()| go_to([("page", "rooms")])))
}
