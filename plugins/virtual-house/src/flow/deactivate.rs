//! Deactivation: says what is lost, and asks.

use gatehouse_plugin_api::Result;
use gatehouse_plugin_api::flow::{FlowDone, FlowReply, FlowRequest, FlowStep, StepKind};

use crate::home::Home;

const CONFIRM: &str = "confirm";

pub(crate) async fn deactivate(home: &Home, request: FlowRequest) -> Result<FlowReply> {
    if request.answer.is_some_and(|answer| answer.step_id == CONFIRM) {
        let info_message = "Nothing moves in the house while it is off.".to_owned();
        return Ok(FlowReply::Done(FlowDone { info_message, ..FlowDone::default() }));
    }
    let description = match home.visit().await? {
        None => "There is no house yet: nothing is lost.".to_owned(),
        Some(house) => format!(
            "Nothing happens in the house any more. When its data is deleted too, these are lost: {} rooms and {} lamps \
             with the names you gave them, and a meter that stands at {:.3} kWh.",
            house.rooms.len(),
            house.lamps.len(),
            house.watt_hours / 1000.0
        ),
    };
    Ok(FlowReply::Step(FlowStep {
        step_id: CONFIRM.to_owned(),
        title: "Give up this house?".to_owned(),
        description,
        kind: StepKind::Confirm,
    }))
}
