//! The plugin in a house in memory, its time moved by hand.

mod alarm;
mod camera;
mod flows;
mod house;
mod pages;
mod picture;

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::testing::House;
use virtual_house::VirtualHouse;

fn started(values: AttributeValues) -> House {
    let house = House::builder().integration_id("virtual-house").open::<VirtualHouse>();
    house.start(values).expect("starts");
    house
}

fn furnished() -> House {
    started(AttributeValues::default())
}
