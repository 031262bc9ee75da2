//! Documentation comments as what a person reads: the first line is the label, the rest is the help.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// Words that are written in capitals when a label is made from a name.
const CAPITALS: [&str; 12] = ["api", "url", "id", "ip", "http", "https", "tls", "ssl", "mqtt", "udp", "tcp", "cpu"];

/// The label and the help from documentation comments; the name, humanised, where there are none.
pub(crate) fn label_and_help(attributes: &[Attribute], name: &str) -> (String, String) {
    let lines: Vec<String> = attributes.iter().filter_map(doc_line).collect();
    let text = lines.join("\n");
    let mut paragraphs = text.trim().splitn(2, '\n');
    let label = paragraphs.next().unwrap_or_default().trim();
    let label = label.strip_suffix('.').unwrap_or(label);
    let label = if label.is_empty() { humanise(name) } else { label.to_owned() };
    (label, reflow(paragraphs.next().unwrap_or_default()))
}

fn doc_line(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

/// Joins wrapped lines; an empty line keeps paragraphs apart.
fn reflow(text: &str) -> String {
    let mut paragraphs = vec![String::new()];
    for line in text.lines().map(str::trim) {
        let last = paragraphs.last_mut().expect("begins with one paragraph and never loses any");
        if line.is_empty() {
            if !last.is_empty() {
                paragraphs.push(String::new());
            }
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(line);
        }
    }
    paragraphs.join("\n").trim().to_owned()
}

/// `api_base_url` becomes `API base URL`.
pub(crate) fn humanise(name: &str) -> String {
    let words: Vec<String> = name
        .split('_')
        .filter(|word| !word.is_empty())
        .enumerate()
        .map(|(at, word)| match word {
            word if CAPITALS.contains(&word) => word.to_uppercase(),
            word if at == 0 => word[..1].to_uppercase() + &word[1..],
            word => word.to_owned(),
        })
        .collect();
    words.join(" ")
}

/// `VeryFast` becomes `very_fast`, `UseTLS` becomes `use_tls`.
pub(crate) fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    let mut before = '_';
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let starts_word = letter.is_uppercase()
            && (before.is_lowercase()
                || before.is_ascii_digit()
                || letters.peek().is_some_and(|next| next.is_lowercase()));
        if starts_word && before != '_' {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
        before = letter;
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_labels() {
        for (name, label) in [("api_base_url", "API base URL"), ("poll_every", "Poll every"), ("x", "X")] {
            assert_eq!(humanise(name), label);
        }
    }

    #[test]
    fn variants_become_values() {
        for (name, value) in [("VeryFast", "very_fast"), ("UseTLS", "use_tls"), ("Http2Only", "http2_only"), ("A", "a")]
        {
            assert_eq!(snake_case(name), value);
        }
    }

    #[test]
    fn wrapped_help_is_joined_and_paragraphs_stay() {
        assert_eq!(reflow("\n one\n two\n\n\n three\n"), "one two\nthree");
    }
}
