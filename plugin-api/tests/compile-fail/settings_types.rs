//! Types that a person cannot fill in.
use std::collections::HashMap;

use gatehouse_plugin_api::{Secret, Settings};

#[derive(Settings)]
struct House {
    rooms: Vec<String>,
    name: &'static str,
    position: (f64, f64),
    tokens: HashMap<String, String>,
    serial: u128,
    pin: Secret<u32>,
    floor: Option<Option<u8>>,
    #[allow(non_snake_case)]
    Address: String,
}

fn main() {}
