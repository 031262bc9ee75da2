//! Time going by in the house: warmth, load, and what happens by chance.

use crate::day;
use crate::model::House;
use crate::options::Season;

/// The longest stretch lived at once: who comes back after a week does not get its whole consumption in one step.
const STRETCH_MAX_MS: i64 = 3_600_000;
/// How slowly the house takes the temperature it is given, in seconds.
const WARMTH_SECONDS: f64 = 2400.0;
/// What eco mode saves, in degrees.
const ECO_CELSIUS: f64 = 3.0;
/// What the heating takes for each degree between outside and inside.
const WATTS_PER_DEGREE: f64 = 45.0;
/// What a lamp takes at full brightness.
const LAMP_WATTS: f64 = 9.0;

/// What happened, beside the values that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    Motion,
    Ring,
}

/// Lives until `now_ms`, in this season.
pub(crate) fn live(house: &mut House, season: Season, now_ms: i64) -> Vec<Happening> {
    let elapsed_ms = (now_ms - house.lived_until_ms).clamp(0, STRETCH_MAX_MS);
    house.lived_until_ms = now_ms;
    let seconds = elapsed_ms as f64 / 1000.0;
    let outside = day::outside_celsius(season, now_ms);
    let wanted = match house.mode.as_str() {
        "heat" => house.target_celsius,
        "eco" => house.target_celsius - ECO_CELSIUS,
        _ => outside,
    };
    let goal = wanted.max(outside);
    house.celsius += (goal - house.celsius) * (1.0 - (-seconds / WARMTH_SECONDS).exp());

    let heating = if house.mode == "off" { 0.0 } else { (goal - outside).max(0.0) * WATTS_PER_DEGREE };
    let lamps: f64 = house.lamps.iter().filter(|lamp| lamp.on).map(|lamp| LAMP_WATTS * lamp.brightness / 100.0).sum();
    let household = day::load_watts(now_ms) * (1.0 + 0.08 * house.random.noise());
    house.watts = (household + heating + lamps).round();
    house.watt_hours += house.watts * seconds / 3600.0;

    let stir = day::stir_per_hour(now_ms);
    let mut happenings = Vec::new();
    if house.random.happens(stir, seconds) {
        happenings.push(Happening::Motion);
    }
    if house.random.happens(stir / 20.0, seconds) {
        happenings.push(Happening::Ring);
        house.last_ring_ms = Some(now_ms);
    }
    // An open door is closed after half a minute or so.
    let turns = if house.door_open { 120.0 } else { stir / 8.0 };
    if house.random.happens(turns, seconds) {
        house.door_open = !house.door_open;
    }
    happenings
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::options::Options;
    use crate::options::Season::{Spring, Winter};

    const MINUTE: i64 = 60_000;

    pub(crate) fn house(seed: u32) -> House {
        let pace = Duration::from_secs(1);
        let options = Options {
            name: "Test".into(),
            rooms: 3,
            furnished: true,
            season: Spring,
            pace,
            website: None,
            picture: None,
            alarm_code: None,
            seed,
        };
        House::found(&options, 0)
    }

    #[test]
    fn a_day_is_plausible_and_the_counter_only_grows() {
        let mut house = house(1);
        let (mut before, mut motions) = (0.0, 0);
        let (mut night, mut evening) = (0.0, 0.0);
        for minute in 1..=24 * 60 {
            let happenings = live(&mut house, Spring, minute * MINUTE);
            motions += happenings.iter().filter(|what| **what == Happening::Motion).count();
            assert!(house.watt_hours >= before);
            before = house.watt_hours;
            assert!((5.0..30.0).contains(&house.celsius), "{} degrees", house.celsius);
            match minute / 60 {
                2..4 => night += house.watts,
                18..20 => evening += house.watts,
                _ => {}
            }
        }
        assert!((10_000.0..30_000.0).contains(&house.watt_hours), "{} Wh", house.watt_hours);
        assert!(evening > night, "{evening} in the evening, {night} at night");
        assert!((60..400).contains(&motions), "{motions} motions");
        assert!(house.last_ring_ms.is_some());
    }

    #[test]
    fn the_same_seed_lives_the_same_day() {
        let day = |seed| {
            let mut house = house(seed);
            (1..600).flat_map(|minute| live(&mut house, Spring, minute * MINUTE)).collect::<Vec<_>>()
        };
        assert_eq!(day(3), day(3));
        assert_ne!(day(3), day(4));
    }

    #[test]
    fn a_clock_that_goes_back_takes_nothing_from_the_meter() {
        let mut house = house(1);
        live(&mut house, Spring, 60 * MINUTE);
        let before = house.watt_hours;
        live(&mut house, Spring, MINUTE);
        assert_eq!(house.watt_hours, before);
    }

    #[test]
    fn the_thermostat_warms_and_cools() {
        let mut house = house(1);
        house.target_celsius = 24.0;
        (1..=240).for_each(|minute| drop(live(&mut house, Spring, minute * MINUTE)));
        assert!((house.celsius - 24.0).abs() < 0.5, "{}", house.celsius);
        house.mode = "off".into();
        (241..=480).for_each(|minute| drop(live(&mut house, Spring, minute * MINUTE)));
        assert!(house.celsius < 15.0, "{}", house.celsius);
    }

    #[test]
    fn winter_takes_more_heating_than_spring() {
        let day = |season| {
            let mut house = house(1);
            (1..=24 * 60).for_each(|minute| drop(live(&mut house, season, minute * MINUTE)));
            house.watt_hours
        };
        assert!(day(Winter) > day(Spring) + 5_000.0);
    }
}
