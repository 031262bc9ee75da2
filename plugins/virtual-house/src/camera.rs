//! The camera at the front door: what it sees, drawn when somebody looks.
//!
//! Day or night over the door, the door open or closed, who rang a moment ago, and the time, as an SVG image. The house
//! stands at Greenwich: its hours are those of UTC.

use std::fmt::Write as _;

use gatehouse_plugin_api::message::Snapshot;

use crate::day;
use crate::model::House;

const SECOND_MS: i64 = 1_000;
/// For so long somebody who rang is still to be seen.
const VISIT_MS: i64 = 60 * SECOND_MS;

/// The image at this time.
pub(crate) fn snapshot(house: &House, now_ms: i64) -> Snapshot {
    Snapshot { media_type: "image/svg+xml".to_owned(), bytes: draw(house, now_ms).into_bytes() }
}

/// What is to be seen, in words.
pub(crate) fn caption(house: &House, now_ms: i64) -> &'static str {
    match (house.door_open, is_visited(house, now_ms)) {
        (true, true) => "The door is open, somebody is there.",
        (true, false) => "The door is open.",
        (false, true) => "The door is closed, somebody rings.",
        (false, false) => "The door is closed.",
    }
}

fn is_visited(house: &House, now_ms: i64) -> bool {
    house.last_ring_ms.is_some_and(|rang_ms| (0..VISIT_MS).contains(&(now_ms - rang_ms)))
}

fn draw(house: &House, now_ms: i64) -> String {
    let (sky, wall) = if day::is_light(now_ms) { ("#a8d4f0", "#e6d9c3") } else { ("#0d1b33", "#4a4438") };
    let caption = caption(house, now_ms);
    let mut svg = String::from(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 240" role="img">"#);
    let mut add = |element: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = svg.write_fmt(element);
    };
    add(format_args!("<title>{caption}</title>"));
    add(format_args!(r#"<rect width="320" height="240" fill="{sky}"/>"#));
    add(format_args!(r#"<rect y="40" width="320" height="170" fill="{wall}"/>"#));
    add(format_args!(r##"<rect y="210" width="320" height="30" fill="#777770"/>"##));
    if house.door_open {
        // Into the hall, the leaf turned aside.
        add(format_args!(r##"<rect x="120" y="70" width="80" height="140" fill="#241a10"/>"##));
        add(format_args!(r##"<polygon points="120,70 96,84 96,224 120,210" fill="#7c4a21"/>"##));
    } else {
        add(format_args!(r##"<rect x="120" y="70" width="80" height="140" fill="#8f5526"/>"##));
        add(format_args!(r##"<circle cx="188" cy="142" r="4" fill="#d9c060"/>"##));
    }
    if is_visited(house, now_ms) {
        add(format_args!(r##"<circle cx="232" cy="122" r="16" fill="#c98a6a"/>"##));
        add(format_args!(r##"<rect x="214" y="138" width="36" height="76" rx="12" fill="#2f5d8a"/>"##));
    }
    let clock = clock(now_ms);
    let text = r##"font-family="monospace" font-size="12" fill="#ffffff""##;
    add(format_args!(r##"<rect width="320" height="20" fill="#000000" fill-opacity="0.6"/>"##));
    add(format_args!(r#"<text x="6" y="14" {text}>{clock}</text>"#));
    add(format_args!(r#"<text x="314" y="14" text-anchor="end" {text}>{caption}</text>"#));
    svg.push_str("</svg>\n");
    svg
}

/// The time of the day, `HH:MM:SS UTC`.
fn clock(now_ms: i64) -> String {
    let seconds = now_ms.div_euclid(SECOND_MS).rem_euclid(24 * 3600);
    format!("{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::tests::house;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn the_image_shows_the_time_and_the_door() {
        let mut house = house(1);
        house.last_ring_ms = None;
        let closed = draw(&house, 13 * HOUR + 61_000);
        assert!(closed.contains(">13:01:01 UTC<") && closed.contains(">The door is closed.<"), "{closed}");
        house.door_open = true;
        let open = draw(&house, 13 * HOUR + 61_000);
        assert!(open.contains(">The door is open.<"), "{open}");
        assert_ne!(closed.matches("#7c4a21").count(), open.matches("#7c4a21").count(), "the leaf is turned");
        assert_ne!(open, draw(&house, 2 * HOUR), "nights are dark");
    }

    #[test]
    fn who_rang_is_there_for_a_minute() {
        let mut house = house(1);
        house.last_ring_ms = Some(HOUR);
        for (now_ms, there) in [(HOUR - 1, false), (HOUR, true), (HOUR + VISIT_MS - 1, true), (HOUR + VISIT_MS, false)]
        {
            assert_eq!(caption(&house, now_ms).contains("somebody"), there, "{now_ms}");
        }
    }

    #[test]
    fn a_clock_before_1970_is_one_all_the_same() {
        assert_eq!(clock(-1), "23:59:59 UTC");
    }

    /// Every element that is opened is closed, and every quote.
    #[test]
    fn the_image_is_well_formed() {
        let text = draw(&house(1), HOUR);
        let mut open = Vec::new();
        for tag in text.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').expect("closed");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            let name = tag.trim_start_matches('/').split(' ').next().unwrap_or_default();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "{text}");
            } else if !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert_eq!(open, [] as [&str; 0]);
    }
}
