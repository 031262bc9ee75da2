//! What a day is like, hour by hour, without chance: load of the house, stir in it, and the air outside.
//!
//! The house stands at Greenwich: its hours are those of UTC.

use crate::options::Season;

const DAY_MS: i64 = 24 * 3_600_000;

/// Watts that a household takes apart from its lamps and its heating, on the hour: asleep, breakfast, noon, evening.
const LOAD_WATTS: [f64; 24] = [
    140.0, 125.0, 120.0, 118.0, 120.0, 135.0, 240.0, 420.0, 390.0, 260.0, 230.0, 280.0, 430.0, 350.0, 250.0, 240.0,
    290.0, 440.0, 690.0, 740.0, 620.0, 480.0, 320.0, 200.0,
];

/// How often someone moves past the sensor, times an hour.
const STIR: [f64; 24] = [
    0.5, 0.3, 0.2, 0.2, 0.3, 1.0, 8.0, 20.0, 14.0, 6.0, 5.0, 8.0, 16.0, 12.0, 6.0, 6.0, 10.0, 20.0, 28.0, 26.0, 22.0,
    16.0, 8.0, 2.0,
];

/// Of the 24 hours of `table`, the value at this time, between two hours in proportion.
fn at(table: &[f64; 24], now_ms: i64) -> f64 {
    let hours = now_ms.rem_euclid(DAY_MS) as f64 / 3_600_000.0;
    let hour = hours as usize % 24;
    let share = hours.fract();
    table[hour] * (1.0 - share) + table[(hour + 1) % 24] * share
}

/// Watts of the household at this time.
pub(crate) fn load_watts(now_ms: i64) -> f64 {
    at(&LOAD_WATTS, now_ms)
}

/// How often someone moves, times an hour.
pub(crate) fn stir_per_hour(now_ms: i64) -> f64 {
    at(&STIR, now_ms)
}

/// Whether it is light outside.
pub(crate) fn is_light(now_ms: i64) -> bool {
    let hour = now_ms.rem_euclid(DAY_MS) / 3_600_000;
    (6..20).contains(&hour)
}

/// Degrees of the air outside: coldest at five, warmest at five in the afternoon.
pub(crate) fn outside_celsius(season: Season, now_ms: i64) -> f64 {
    let (mean, swing) = match season {
        Season::Spring => (9.0, 5.0),
        Season::Summer => (18.0, 6.0),
        Season::Autumn => (10.0, 4.0),
        Season::Winter => (1.0, 3.0),
    };
    let hours = now_ms.rem_euclid(DAY_MS) as f64 / 3_600_000.0;
    mean - swing * ((hours - 5.0) / 24.0 * std::f64::consts::TAU).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn evenings_take_more_than_nights_and_days_join_smoothly() {
        assert!(load_watts(19 * HOUR) > 4.0 * load_watts(3 * HOUR));
        assert!((load_watts(24 * HOUR - 1) - load_watts(0)).abs() < 0.1);
        assert_eq!(load_watts(7 * HOUR / 2), (LOAD_WATTS[3] + LOAD_WATTS[4]) / 2.0);
    }

    #[test]
    fn afternoons_are_warmer_than_mornings_and_summer_than_winter() {
        use Season::{Autumn, Spring, Summer, Winter};
        for season in [Spring, Summer, Autumn, Winter] {
            assert!(outside_celsius(season, 17 * HOUR) > outside_celsius(season, 5 * HOUR) + 5.0, "{season:?}");
        }
        for hour in 0..24 {
            let degrees = [Winter, Spring, Summer].map(|season| outside_celsius(season, hour * HOUR));
            assert!(degrees.is_sorted(), "{degrees:?}");
        }
    }

    #[test]
    fn a_household_takes_a_plausible_amount_a_day() {
        let watt_hours: f64 = (0..24).map(|hour| load_watts(hour * HOUR)).sum();
        assert!((5_000.0..12_000.0).contains(&watt_hours), "{watt_hours} Wh");
    }
}
