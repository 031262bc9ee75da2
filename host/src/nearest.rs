//! The nearest known name to a mistyped one, for "did you mean".

/// The candidate that a person most likely meant; `None` when nothing is near.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (score(&typed, &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score >= 0.7)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// `: did you mean "x"?`, or nothing: the end of a sentence about an unknown name.
pub fn did_you_mean<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(typed, candidates).map(|name| format!(": did you mean {name:?}?")).unwrap_or_default()
}

/// Similarity from 0 to 1. Letters swapped or left out count little; a part of a long name counts as near.
fn score(typed: &str, candidate: &str) -> f64 {
    let similar =
        strsim::normalized_damerau_levenshtein(typed, candidate).max(strsim::jaro_winkler(typed, candidate) - 0.12);
    let part = typed.len() >= 3 && candidate.contains(typed);
    if part { similar.max(0.75) } else { similar }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_what_was_meant() {
        let names = ["virtual-house", "system-monitor", "hass", "hass-cabin"];
        for (typed, meant) in [
            ("virtual-hosue", Some("virtual-house")),
            ("sytem-monitor", Some("system-monitor")),
            ("monitor", Some("system-monitor")),
            ("Hass", Some("hass")),
            ("hass-cabn", Some("hass-cabin")),
            ("zigbee", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, names), meant, "{typed}");
        }
    }
}
