//! How much one line may say: a plugin writes what it likes, and the daemon's own fields quote what it said.

use super::LogLine;

/// The longest message, in bytes.
const MESSAGE_MAX_BYTES: usize = 8 * 1024;
/// The longest value of a field.
const VALUE_MAX_BYTES: usize = 4 * 1024;
/// The longest name of a field, and of a module.
const NAME_MAX_BYTES: usize = 256;
/// All fields together.
const FIELDS_MAX_BYTES: usize = 7 * 1024;
/// Fields of one line.
const FIELDS_MAX: usize = 64;
/// Under which name the number of fields that were left out stands.
const MORE: &str = "…";

/// Cuts what is too long and leaves out fields that are too many, and says so in the line itself. A line is then at
/// most 16 KiB long.
pub(super) fn line(line: &mut LogLine) {
    clip(&mut line.message, MESSAGE_MAX_BYTES);
    clip(&mut line.target, NAME_MAX_BYTES);
    let fits = |name: &str, value: &str| name.len() <= NAME_MAX_BYTES && value.len() <= VALUE_MAX_BYTES;
    let together: usize = line.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    let few = line.fields.len() <= FIELDS_MAX && together <= FIELDS_MAX_BYTES;
    if few && line.fields.iter().all(|(name, value)| fits(name, value)) {
        return;
    }
    let (mut room, mut left_out) = (FIELDS_MAX_BYTES, 0_usize);
    for (mut name, mut value) in std::mem::take(&mut line.fields) {
        clip(&mut name, NAME_MAX_BYTES);
        clip(&mut value, VALUE_MAX_BYTES);
        match room.checked_sub(name.len() + value.len()) {
            Some(rest) if line.fields.len() < FIELDS_MAX => {
                room = rest;
                line.fields.insert(name, value);
            }
            _ => left_out += 1,
        }
    }
    if left_out > 0 {
        line.fields.insert(MORE.to_owned(), format!("{left_out} more fields were too much for one line"));
    }
}

/// Cuts a text at `max` bytes and says how much is missing; gives back the memory as well.
fn clip(text: &mut String, max: usize) {
    if text.len() <= max {
        return;
    }
    let mark_of = |cut: usize| format!("… ({cut} bytes more)");
    let room = max - mark_of(text.len()).len();
    let end = text.floor_char_boundary(room);
    let mark = mark_of(text.len() - end);
    text.truncate(end);
    text.push_str(&mark);
    text.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gatehouse_plugin_api::message::LogLevel;

    use super::*;

    const LINE_MAX_BYTES: usize = 16 * 1024;

    fn saying(message: String, fields: impl IntoIterator<Item = (String, String)>) -> LogLine {
        LogLine {
            sequence: 1,
            at_ms: 0,
            level: LogLevel::Info,
            target: "t".repeat(10_000),
            integration: None,
            message,
            fields: fields.into_iter().collect(),
        }
    }

    fn bytes(line: &LogLine) -> usize {
        let fields: usize = line.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
        line.target.len() + line.message.len() + fields
    }

    #[test]
    fn a_line_of_a_megabyte_is_cut_and_says_so() {
        let field = |n: usize| (format!("{n:03}{}", "n".repeat(1_000)), "v".repeat(100_000));
        let mut cut = saying("ä".repeat(500_000), (0..100).map(field));
        line(&mut cut);
        assert!(bytes(&cut) <= LINE_MAX_BYTES, "{}", bytes(&cut));
        assert!(cut.message.capacity() <= 2 * MESSAGE_MAX_BYTES, "{}", cut.message.capacity());
        let said = cut.message.trim_start_matches('ä');
        let left: usize = said.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("how much is missing");
        assert_eq!(left + (cut.message.len() - said.len()), 1_000_000, "{said}");
        let first = cut.fields.values().next().expect("a field");
        assert!(first.ends_with(" bytes more)"), "{first}");
        assert_eq!(cut.fields.len() + 99, 101, "{:?}", cut.fields.keys());
        assert_eq!(cut.fields[MORE], "99 more fields were too much for one line");
    }

    #[test]
    fn a_line_that_fits_stays_as_it_is() {
        let fields = BTreeMap::from([("lamp".to_owned(), "red".repeat(1_000))]);
        let mut whole = saying("x".repeat(MESSAGE_MAX_BYTES), fields);
        whole.target = "plugin".into();
        let before = whole.clone();
        line(&mut whole);
        assert_eq!(whole, before);
    }
}
