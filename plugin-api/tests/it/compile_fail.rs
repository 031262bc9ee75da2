//! What the compiler says to an author who writes something that cannot be.
//!
//! Messages of the macros are compared word by word. Where the sentence is the SDK's and the frame around it the
//! compiler's, whose wording changes with its version, only the sentence is looked for.

use crate::fixture::Fixture;

#[test]
fn mistakes_are_told_in_words_that_an_author_understands() {
    trybuild::TestCases::new().compile_fail("tests/compile-fail/*.rs");
}

#[test]
fn constants_that_cannot_be_are_refused_while_the_plugin_compiles() {
    let errors = Fixture::from_checkout("refused").check_fails("constants");
    let sentences = [
        "the default is not one of the choices",
        "the greatest value is more than the field's type can hold",
        "a secret takes no default: it would stand in the plugin's file for everyone to read",
        "the default is not a duration: write \"30s\", \"5m\", \"1h30m\" or \"250ms\"",
        "the integration's id must begin with a lower-case letter",
        "the integration's id may hold only lower-case letters, digits, hyphens and underscores",
        "export_integration! needs the integration's name for people: write `label: \"My integration\"`",
        "poll_interval is a duration: write \"30s\", \"5m\", \"1h30m\" or \"250ms\"",
        "a capability names a setting that there is not: {api_base_ulr}",
        "required_ops names operations that the host performs, such as ops::EMIT_DURABLE",
    ];
    for sentence in sentences {
        assert!(errors.contains(sentence), "{sentence:?} is missing in:\n{errors}");
    }
    assert_eq!(errors.lines().filter(|line| line.starts_with("error[")).count(), sentences.len(), "{errors}");
}

#[test]
fn a_type_that_the_sdk_does_not_know_is_refused_with_those_it_does() {
    let errors = Fixture::from_checkout("refused").check_fails("types");
    for part in ["a settings field cannot be a `Colour`", "Settings fields may be String, a whole number"] {
        assert!(errors.contains(part), "{part:?} is missing in:\n{errors}");
    }
}
