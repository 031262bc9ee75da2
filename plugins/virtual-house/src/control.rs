//! Setting a state: what a control changes in the house.

use gatehouse_plugin_api::message::Control;
use gatehouse_plugin_api::{Error, Result, Secret, Value};

use crate::entities::{ALARM, DOOR, HOUSE, THERMOSTAT};
use crate::model::House;

/// Applies one control and returns the value that the state has now; the code of the alarm never has one.
///
/// The host has checked that the state is there and takes the value. `code` is that of the alarm, if there is one.
pub(crate) fn apply(
    house: &mut House,
    code: Option<&Secret<String>>,
    control: &Control,
    now_ms: i64,
) -> Result<Option<Value>> {
    let unknown = || Error::not_found(format!("the house has no {}/{} that can be set", control.entity, control.state));
    let state = control.state.as_str().to_lowercase();
    let entity = control.entity.as_str().to_lowercase();
    match (entity.as_str(), state.as_str(), &control.value) {
        (HOUSE, "note", Value::Text(note)) => house.note.clone_from(note),
        (THERMOSTAT, "target", Value::Number(celsius)) => house.target_celsius = *celsius,
        (THERMOSTAT, "mode", Value::Choice(mode)) => house.mode.clone_from(mode),
        (DOOR, "bell", Value::Event(_)) => house.last_ring_ms = Some(now_ms),
        (ALARM, "code", Value::Text(typed)) => {
            let (code, armed) = code.zip(house.armed.as_mut()).ok_or_else(unknown)?;
            if code.expose() != typed {
                // Neither what was typed nor the code: a slip of one key would give it away.
                return Err(Error::refused("that is not the code of the alarm: it stays as it is"));
            }
            *armed = !*armed;
            return Ok(None);
        }
        (entity, state, value) => {
            let lamp = house.lamp_mut(entity).ok_or_else(unknown)?;
            match (state, value) {
                ("power", Value::OnOff(on)) => lamp.on = *on,
                ("brightness", Value::Number(percent)) => {
                    // As a dimmer does: what is turned up is on, what is turned down to nothing is off.
                    lamp.brightness = *percent;
                    lamp.on = *percent > 0.0;
                }
                ("colour", Value::Choice(colour)) => lamp.colour.clone_from(colour),
                _ => return Err(unknown()),
            }
        }
    }
    Ok(Some(control.value.clone()))
}
