//! The house itself: rooms, lamps and fittings, as they are kept; and the rules of furnishing it.

use serde::{Deserialize, Serialize};

use crate::options::Options;
use crate::random::Random;

/// The most rooms and the most lamps.
pub(crate) const ROOMS_MAX: usize = 20;
pub(crate) const LAMPS_MAX: usize = 60;
/// The longest name, in characters.
const NAME_CHARS_MAX: usize = 40;
/// The colours of a lamp.
pub(crate) const COLOURS: [&str; 5] = ["warm white", "cool white", "red", "green", "blue"];
/// What the thermostat may do.
pub(crate) const MODES: [&str; 3] = ["off", "eco", "heat"];

const ROOM_NAMES: [&str; 12] = [
    "Living room",
    "Kitchen",
    "Bedroom",
    "Bathroom",
    "Hall",
    "Study",
    "Nursery",
    "Guest room",
    "Dining room",
    "Attic",
    "Cellar",
    "Garage",
];

/// A room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Room {
    pub(crate) id: u32,
    pub(crate) name: String,
}

/// A lamp.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lamp {
    /// The name of its entity: never changes.
    pub(crate) entity: String,
    pub(crate) name: String,
    pub(crate) room: u32,
    pub(crate) on: bool,
    /// 0 to 100 %.
    pub(crate) brightness: f64,
    pub(crate) colour: String,
}

/// The whole house.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct House {
    pub(crate) founded: Founding,
    pub(crate) rooms: Vec<Room>,
    pub(crate) lamps: Vec<Lamp>,
    /// The number of the next lamp; a number is never used twice.
    pub(crate) next_lamp: u32,
    pub(crate) next_room: u32,
    pub(crate) mode: String,
    pub(crate) target_celsius: f64,
    pub(crate) celsius: f64,
    pub(crate) door_open: bool,
    pub(crate) last_ring_ms: Option<i64>,
    pub(crate) note: String,
    /// Whether the alarm is armed; nothing while there is no alarm.
    #[serde(default)]
    pub(crate) armed: Option<bool>,
    pub(crate) watts: f64,
    pub(crate) watt_hours: f64,
    pub(crate) lived_until_ms: i64,
    pub(crate) random: Random,
}

/// What a house was founded with: another founding is another house.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Founding {
    rooms: u8,
    furnished: bool,
    seed: u32,
}

impl From<&Options> for Founding {
    fn from(options: &Options) -> Self {
        Self { rooms: options.rooms, furnished: options.furnished, seed: options.seed }
    }
}

impl House {
    /// A new house; in a furnished one each room has a lamp.
    pub(crate) fn found(options: &Options, now_ms: i64) -> Self {
        let mut house = Self {
            founded: Founding::from(options),
            rooms: Vec::new(),
            lamps: Vec::new(),
            next_lamp: 1,
            next_room: 1,
            mode: "heat".to_owned(),
            target_celsius: 20.0,
            celsius: 18.5,
            door_open: false,
            last_ring_ms: None,
            note: String::new(),
            armed: options.alarm_code.as_ref().map(|_| false),
            watts: 0.0,
            watt_hours: 0.0,
            lived_until_ms: now_ms,
            random: Random::new(u64::from(options.seed)),
        };
        for name in ROOM_NAMES.iter().take(usize::from(options.rooms)) {
            let room = house.put_room((*name).to_owned());
            if options.furnished {
                house.put_lamp(room, format!("{name} lamp"));
            }
        }
        house
    }

    /// Whether these options are those that the house was founded with.
    pub(crate) fn is_of(&self, options: &Options) -> bool {
        self.founded == Founding::from(options)
    }

    /// Puts the alarm in or takes it out, as these options want. Whether one was taken out.
    pub(crate) fn fit_alarm(&mut self, options: &Options) -> bool {
        let before = self.armed;
        self.armed = options.alarm_code.as_ref().map(|_| before.unwrap_or(false));
        before.is_some() && self.armed.is_none()
    }

    pub(crate) fn room(&self, id: u32) -> Option<&Room> {
        self.rooms.iter().find(|room| room.id == id)
    }

    pub(crate) fn lamp_mut(&mut self, entity: &str) -> Option<&mut Lamp> {
        self.lamps.iter_mut().find(|lamp| lamp.entity.eq_ignore_ascii_case(entity))
    }

    fn put_room(&mut self, name: String) -> u32 {
        let id = self.next_room;
        self.next_room += 1;
        self.rooms.push(Room { id, name });
        id
    }

    fn put_lamp(&mut self, room: u32, name: String) -> String {
        let nth = self.next_lamp;
        self.next_lamp += 1;
        let entity = if nth == 1 { "lamp".to_owned() } else { format!("lamp-{nth}") };
        let colour = COLOURS[0].to_owned();
        self.lamps.push(Lamp { entity: entity.clone(), name, room, on: false, brightness: 80.0, colour });
        entity
    }

    /// Adds a room.
    ///
    /// # Errors
    /// The sentence to show: the name is no name or taken, or there are as many rooms as there may be.
    pub(crate) fn add_room(&mut self, name: &str) -> Result<u32, String> {
        if self.rooms.len() >= ROOMS_MAX {
            return Err(format!("The house has {ROOMS_MAX} rooms already, which is the most."));
        }
        let name = checked(name, self.rooms.iter().map(|room| room.name.as_str()))?;
        Ok(self.put_room(name))
    }

    /// Names a room anew.
    ///
    /// # Errors
    /// The sentence to show.
    pub(crate) fn rename_room(&mut self, id: u32, name: &str) -> Result<(), String> {
        let others = self.rooms.iter().filter(|room| room.id != id).map(|room| room.name.as_str());
        let name = checked(name, others)?;
        let room = self.rooms.iter_mut().find(|room| room.id == id);
        room.ok_or_else(|| format!("There is no room {id}."))?.name = name;
        Ok(())
    }

    /// Adds a lamp to a room and returns its entity's name.
    ///
    /// # Errors
    /// The sentence to show.
    pub(crate) fn add_lamp(&mut self, room: u32, name: &str) -> Result<String, String> {
        if self.lamps.len() >= LAMPS_MAX {
            return Err(format!("The house has {LAMPS_MAX} lamps already, which is the most."));
        }
        self.room(room).ok_or_else(|| format!("There is no room {room}."))?;
        let name = checked(name, self.lamps.iter().map(|lamp| lamp.name.as_str()))?;
        Ok(self.put_lamp(room, name))
    }

    /// Names a lamp anew; its entity keeps its name.
    ///
    /// # Errors
    /// The sentence to show.
    pub(crate) fn rename_lamp(&mut self, entity: &str, name: &str) -> Result<(), String> {
        let others = self.lamps.iter().filter(|lamp| lamp.entity != entity).map(|lamp| lamp.name.as_str());
        let name = checked(name, others)?;
        self.lamp_mut(entity).ok_or_else(|| format!("There is no lamp {entity}."))?.name = name;
        Ok(())
    }

    /// What is going on, in words.
    pub(crate) fn status(&self) -> String {
        let lit = self.lamps.iter().filter(|lamp| lamp.on).count();
        let door = if self.door_open { "open" } else { "closed" };
        match self.lamps.len() {
            0 => format!("No lamps yet, the door is {door}."),
            all => format!("{lit} of {all} lamps on, the door is {door}."),
        }
    }
}

fn checked<'a>(name: &str, mut taken: impl Iterator<Item = &'a str>) -> Result<String, String> {
    let name = name.trim();
    if name.is_empty() {
        return Err("Give it a name.".to_owned());
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(format!("A name has at most {NAME_CHARS_MAX} characters."));
    }
    if name.chars().any(char::is_control) {
        return Err("A name is one line of text.".to_owned());
    }
    if taken.any(|other| other.to_lowercase() == name.to_lowercase()) {
        return Err(format!("There is one named {name} already: choose another name."));
    }
    Ok(name.to_owned())
}
