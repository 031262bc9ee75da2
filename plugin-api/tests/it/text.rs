//! What people type, whatever it is: read or refused with a sentence, never a panic.

use gatehouse_plugin_api::attribute::{AttributeSpec, ChoiceOption, ValueType};
use gatehouse_plugin_api::duration::{format_ms, parse_ms};
use proptest::prelude::*;

fn value_type() -> impl Strategy<Value = ValueType> {
    let bound = || proptest::option::of(any::<f64>());
    prop_oneof![
        Just(ValueType::Text),
        Just(ValueType::Switch),
        Just(ValueType::Url),
        Just(ValueType::FilePath),
        Just(ValueType::Secret),
        Just(ValueType::Unknown),
        (bound(), bound(), any::<bool>()).prop_map(|(min, max, integer)| ValueType::Number { min, max, integer }),
        (any::<Option<u64>>(), any::<Option<u64>>())
            .prop_map(|(min_ms, max_ms)| ValueType::Duration { min_ms, max_ms }),
        Just(ValueType::Choice { options: vec![ChoiceOption { value: "a".into(), label: "A".into() }] }),
    ]
}

/// Anything, and what looks like something.
fn typed() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "-?[0-9]{1,22}(\\.[0-9]{1,5})?",
        "([0-9]{1,20}(ms|[smhd])){1,3}",
        "[a-z]{1,8}://[a-z0-9.:/]{0,20}",
        Just("a".to_owned()),
    ]
}

proptest! {
    #[test]
    fn what_is_read_passes_the_check(value_type in value_type(), required: bool, text in typed()) {
        let secret = value_type == ValueType::Secret;
        let spec = AttributeSpec {
            key: "key".into(), label: String::new(), help: String::new(), value_type, required, editable: true,
            default: None,
        };
        match spec.parse_text(&text) {
            Ok(value) => prop_assert_eq!(spec.check(&value), Ok(())),
            // Of a secret nothing is repeated.
            Err(sentence) if secret => prop_assert_eq!(sentence, "must not be empty"),
            Err(sentence) => prop_assert!(!sentence.is_empty()),
        }
    }

    #[test]
    fn a_duration_reads_back_as_it_was_written(ms in 0..=i64::MAX as u64) {
        prop_assert_eq!(parse_ms(&format_ms(ms)), Some(ms));
    }
}
