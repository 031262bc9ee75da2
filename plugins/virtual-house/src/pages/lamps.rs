//! The page of the lamps, of the house or of one room, and the same as a file.

use std::collections::BTreeMap;

use gatehouse_plugin_api::manage::ManageReply;
use gatehouse_plugin_api::{Result, serde_json::json};

use super::{field, go_to, problem, room_number};
use crate::home::{Home, not_started};
use crate::model::{House, Lamp};

pub(super) async fn show(home: &Home, params: &BTreeMap<String, String>) -> Result<ManageReply> {
    let house = home.visit().await?.ok_or_else(not_started)?;
    let room = match params.get("room").map(|_| room_number(params)).transpose() {
        Ok(room) => room,
        Err(sentence) => return Ok(problem(sentence)),
    };
    let title = match room.map(|id| (id, house.room(id))) {
        None => "Lamps".to_owned(),
        Some((_, Some(room))) => format!("Lamps: {}", room.name),
        Some((id, None)) => return Ok(problem(format!("There is no room {id}."))),
    };
    let lamps: Vec<&Lamp> = house.lamps.iter().filter(|lamp| room.is_none_or(|room| room == lamp.room)).collect();
    match params.get("format").map(String::as_str) {
        None | Some("html") => Ok(page(&house, &lamps, &title, room)),
        Some("csv") => Ok(ManageReply::File {
            name: "lamps.csv".to_owned(),
            media_type: "text/csv".to_owned(),
            bytes: csv(&house, &lamps).into_bytes(),
        }),
        Some(other) => Ok(problem(format!("There is no format {other}: the formats are html and csv."))),
    }
}

pub(super) async fn change(home: &Home, form: &BTreeMap<String, String>) -> Result<ManageReply> {
    let done = match field(form, "action") {
        "add" => match room_number(form) {
            Ok(room) => home.furnish(|house| house.add_lamp(room, field(form, "name")).map(drop)).await?,
            Err(sentence) => Err(sentence),
        },
        "rename" => home.furnish(|house| house.rename_lamp(field(form, "lamp"), field(form, "name"))).await?,
        _ => Err("Say what to do with the lamps: action=add or action=rename.".to_owned()),
    };
    Ok(done.map_or_else(problem, |()| go_to([("page", "lamps")])))
}

fn room_name<'a>(house: &'a House, lamp: &Lamp) -> &'a str {
    house.room(lamp.room).map_or("", |room| room.name.as_str())
}

fn page(house: &House, lamps: &[&Lamp], title: &str, room: Option<u32>) -> ManageReply {
    let lamps: Vec<_> = lamps
        .iter()
        .map(|lamp| {
            json!({
                "entity": lamp.entity,
                "name": lamp.name,
                "room": room_name(house, lamp),
                "power": if lamp.on { "on" } else { "off" },
                "brightness": lamp.brightness.to_string(),
                "colour": lamp.colour,
            })
        })
        .collect();
    let rooms: Vec<_> = house.rooms.iter().map(|room| json!({ "id": room.id, "name": room.name })).collect();
    ManageReply::Template {
        name: "panes/lamps.html".to_owned(),
        context: json!({ "title": title, "lamps": lamps, "rooms": rooms, "room": room }),
    }
}

/// RFC 4180: a header, CRLF, and quotes around what needs them.
fn csv(house: &House, lamps: &[&Lamp]) -> String {
    let mut text = String::from("entity,name,room,power,brightness,colour\r\n");
    for lamp in lamps {
        let power = if lamp.on { "on" } else { "off" };
        let brightness = lamp.brightness.to_string();
        let row = [&lamp.entity, &lamp.name, room_name(house, lamp), power, &brightness, &lamp.colour];
        text.push_str(&row.map(quoted).join(","));
        text.push_str("\r\n");
    }
    text
}

fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}
