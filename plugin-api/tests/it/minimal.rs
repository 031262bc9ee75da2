//! The whole plugin of the readme: it does what it says, and the readme shows it as it is.

use std::net::TcpListener;

use gatehouse_plugin_api::Value;
use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::testing::House;

#[allow(unreachable_pub, reason = "public in the plugin that it is")]
#[path = "../../examples/minimal.rs"]
mod example;

#[test]
fn the_minimal_plugin_tells_a_service_that_answers_from_one_that_does_not() {
    let service = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = service.local_addr().expect("bound").port();
    let house = House::open::<example::Reachable>();
    house.start(AttributeValues::default().with("address", format!("http://127.0.0.1:{port}"))).expect("starts");
    house.wait_for("it is up", |house| house.state("service", "up") == Some(Value::OnOff(true)));
    assert!(house.number("service", "delay").is_some_and(|delay| delay > 0.0));
    drop(service);
    house.poll().expect("a service that is away is a reading, not a failure");
    house.wait_for("it is down", |house| house.state("service", "up") == Some(Value::OnOff(false)));
    house.stop().expect("stops");
}

#[test]
fn the_readme_shows_the_minimal_plugin_as_it_is() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(folder.join("../README.md")).expect("the readme is there");
    assert!(readme.contains(include_str!("../../examples/minimal.rs")), "copy plugin-api/examples/minimal.rs there");
}
