//! `docs/reason-codes.md` has one row for every code, with a meaning and something to do.

use std::collections::BTreeSet;

use gatehouse_host::reason::ReasonCode;

const DOCUMENT: &str = include_str!("../../../docs/reason-codes.md");

/// The cells of every row whose first cell is a code.
fn rows() -> Vec<(String, Vec<&'static str>)> {
    DOCUMENT
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            (cells[0].trim_matches('`').to_owned(), cells)
        })
        .collect()
}

#[test]
fn every_code_has_one_row_and_no_row_is_for_another() {
    let documented: Vec<String> = rows().into_iter().map(|(code, _)| code).collect();
    let unique: BTreeSet<&str> = documented.iter().map(String::as_str).collect();
    let known: BTreeSet<&str> = ReasonCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(unique, known);
    assert_eq!(documented.len(), unique.len(), "no code has two rows");
}

#[test]
fn every_row_says_what_it_means_and_what_to_do() {
    for (code, cells) in rows() {
        assert_eq!(cells.len(), 3, "{code}: {cells:?}");
        assert!(cells.iter().all(|cell| cell.len() > 4), "{code}: {cells:?}");
    }
}

#[test]
fn codes_are_words_that_lead_back_to_themselves() {
    for code in ReasonCode::ALL {
        assert!(code.as_str().chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{code}");
        assert_eq!(ReasonCode::from_word(code.as_str()), Some(*code));
    }
    assert_eq!(ReasonCode::from_word("nothing_of_the_kind"), None);
}
