//! An error with its causes as one line, for whoever reads a sentence and not a chain.

use std::error::Error;

/// The error's words and those of each cause behind it; a cause that stands in the text already is not said again.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Told {
        words: &'static str,
        #[source]
        cause: Option<Box<Told>>,
    }

    #[test]
    fn every_cause_is_said_once() {
        let told = |words, cause: Option<Told>| Told { words, cause: cause.map(Box::new) };
        let full = told("no space", Some(told("error 28", None)));
        let error = told("the row cannot be written: no space", Some(full));
        assert_eq!(with_causes(&error), "the row cannot be written: no space: error 28");
        assert_eq!(with_causes(&told("alone", None)), "alone");
    }
}
