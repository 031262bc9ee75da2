//! What a test measured or did how often, as a line that the soak gathers.

/// Prints a figure to standard error.
#[expect(clippy::print_stderr, reason = "a run tells what it did")]
pub fn figure(text: &str) {
    eprintln!("figure: {text}");
}
