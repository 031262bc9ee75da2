//! The house as entities: what is declared, and the values that its states have now.

use gatehouse_plugin_api::{Entity, State, Value};

use crate::camera;
use crate::model::{COLOURS, House, Lamp, MODES};

/// The names of the fixed entities.
pub(crate) const THERMOSTAT: &str = "thermostat";
pub(crate) const DOOR: &str = "door";
pub(crate) const MOTION: &str = "motion";
pub(crate) const METER: &str = "meter";
pub(crate) const HOUSE: &str = "house";
/// Has images.
pub(crate) const DOOR_CAMERA: &str = "door-camera";
/// There only when it has a code.
pub(crate) const ALARM: &str = "alarm";

/// What the bell and the sensor say.
pub(crate) const RING: &str = "ring";
pub(crate) const MOVED: &str = "motion";

/// One entity for each lamp.
pub(crate) fn lamp(house: &House, lamp: &Lamp) -> Entity {
    let room = house.room(lamp.room).map_or("", |room| room.name.as_str());
    let label = if lamp.name.to_lowercase().contains(&room.to_lowercase()) {
        lamp.name.clone()
    } else {
        format!("{} ({room})", lamp.name)
    };
    Entity::new(&lamp.entity)
        .label(label)
        .entity_type("light")
        .state(State::on_off("power").label("Power").controllable())
        .state(State::number("brightness", "%").label("Brightness").range(0.0, 100.0).controllable())
        .state(State::choice("colour", COLOURS).label("Colour").controllable())
}

/// Everything in the house.
pub(crate) fn all(house: &House, name: &str) -> Vec<Entity> {
    let mut entities = vec![
        Entity::new(HOUSE)
            .label(name)
            .entity_type("building")
            .state(State::text("status").label("Status"))
            .state(State::text("note").label("Note on the door").controllable()),
        Entity::new(THERMOSTAT)
            .label("Thermostat")
            .entity_type("thermostat")
            .state(State::number("temperature", "°C").label("Temperature"))
            .state(State::number("target", "°C").label("Wanted").range(5.0, 30.0).controllable())
            .state(State::choice("mode", MODES).label("Mode").controllable()),
        Entity::new(DOOR)
            .label("Front door")
            .entity_type("door")
            .state(State::on_off("open").label("Open"))
            .state(State::event("bell", [RING]).label("Bell").controllable())
            .state(State::timestamp("last-ring").label("Last ring")),
        Entity::new(DOOR_CAMERA)
            .label("Camera at the front door")
            .entity_type("camera")
            .state(State::text("sees").label("Sees")),
        Entity::new(MOTION)
            .label("Motion in the hall")
            .entity_type("motion_sensor")
            .state(State::event("motion", [MOVED]).label("Motion")),
        Entity::new(METER)
            .label("Electricity meter")
            .entity_type("meter")
            .state(State::number("power", "W").label("Power"))
            .state(State::number("energy", "kWh").label("Energy")),
    ];
    if house.armed.is_some() {
        let alarm = Entity::new(ALARM).label("Alarm").entity_type("alarm");
        let alarm = alarm.state(State::on_off("armed").label("Armed"));
        entities.push(alarm.state(State::text("code").label("Code, to arm or disarm").control_only()));
    }
    entities.extend(house.lamps.iter().map(|known| lamp(house, known)));
    entities
}

/// The value of every state that has one all the time; events happen instead.
pub(crate) fn values(house: &House) -> Vec<(String, &'static str, Value)> {
    let fixed = |entity: &str, state, value| (entity.to_owned(), state, value);
    let mut values = vec![
        fixed(HOUSE, "status", Value::Text(house.status())),
        fixed(HOUSE, "note", Value::Text(house.note.clone())),
        fixed(THERMOSTAT, "temperature", Value::Number(rounded(house.celsius, 1))),
        fixed(THERMOSTAT, "target", Value::Number(house.target_celsius)),
        fixed(THERMOSTAT, "mode", Value::Choice(house.mode.clone())),
        fixed(DOOR, "open", Value::OnOff(house.door_open)),
        fixed(DOOR_CAMERA, "sees", Value::Text(camera::caption(house, house.lived_until_ms).to_owned())),
        fixed(METER, "power", Value::Number(house.watts)),
        fixed(METER, "energy", Value::Number(rounded(house.watt_hours / 1000.0, 3))),
    ];
    values.extend(house.last_ring_ms.map(|ms| fixed(DOOR, "last-ring", Value::TimestampMs(ms))));
    values.extend(house.armed.map(|armed| fixed(ALARM, "armed", Value::OnOff(armed))));
    for lamp in &house.lamps {
        values.push((lamp.entity.clone(), "power", Value::OnOff(lamp.on)));
        values.push((lamp.entity.clone(), "brightness", Value::Number(lamp.brightness)));
        values.push((lamp.entity.clone(), "colour", Value::Choice(lamp.colour.clone())));
    }
    values
}

fn rounded(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (number * scale).round() / scale
}
