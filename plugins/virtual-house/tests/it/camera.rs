//! The camera at the front door.

use std::time::Duration;

use gatehouse_plugin_api::Value;
use gatehouse_plugin_api::ids::EntityName;
use gatehouse_plugin_api::message::{EntityRef, Snapshot};
use gatehouse_plugin_api::ops;
use gatehouse_plugin_api::testing::House;

use crate::furnished;

fn image(house: &House) -> String {
    let entity = EntityName::new("Door-Camera").expect("a name");
    let Snapshot { media_type, bytes } = house.call(&ops::SNAPSHOT, &EntityRef { entity }).expect("an image");
    assert_eq!(media_type, "image/svg+xml");
    String::from_utf8(bytes).expect("text")
}

#[test]
fn the_camera_shows_the_time_and_who_rings() {
    let house = furnished();
    let before = image(&house);
    assert!(before.contains("The door is closed.") && before.contains(" UTC<"), "{before}");
    house.control("door", "bell", Value::Event("ring".into())).expect("rings");
    let ringing = image(&house);
    assert!(ringing.contains("somebody rings"), "{ringing}");
    house.advance(Duration::from_secs(1));
    assert_ne!(image(&house), ringing, "time goes by");
    assert_eq!(house.state("door-camera", "sees"), Some(Value::Text("The door is closed, somebody rings.".into())));
}
