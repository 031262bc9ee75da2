//! Which states are meant: addresses, entities, integrations, or patterns with `*` and `?`.

use std::fmt;

use super::failure::Failure;
use crate::nearest::nearest;

/// What a person typed to choose states; nothing typed means all.
#[derive(Debug, Clone)]
pub(super) struct Patterns(Vec<String>);

impl Patterns {
    /// As typed.
    pub(super) fn new(typed: Vec<String>) -> Self {
        Self(typed)
    }

    /// Whether every state is meant.
    pub(super) fn all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a state is meant.
    pub(super) fn matches(&self, address: &str) -> bool {
        self.all() || self.0.iter().any(|pattern| matches(pattern, address))
    }

    /// Every pattern without `*` must name something: a mistyped name is told, with the nearest one.
    ///
    /// # Errors
    /// Names the first that means nothing.
    pub(super) fn check<'a>(&self, addresses: impl Iterator<Item = &'a str> + Clone) -> Result<(), Failure> {
        for pattern in &self.0 {
            if pattern.contains(['*', '?']) || addresses.clone().any(|address| matches(pattern, address)) {
                continue;
            }
            let names: Vec<&str> = addresses
                .clone()
                .flat_map(|address| {
                    let integration = address.split(':').next().unwrap_or(address);
                    let entity = address.rsplit_once('/').map_or(address, |(entity, _)| entity);
                    [integration, entity, address]
                })
                .collect();
            let failure = Failure::failed(format!("no state is called {pattern:?}"));
            return Err(match nearest(pattern, names.iter().copied()) {
                Some(name) => failure.advise(format!("did you mean {name:?}?")),
                None => failure.advise("`gatehouse state get` without a name lists them all"),
            });
        }
        Ok(())
    }
}

impl fmt::Display for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" or "))
    }
}

/// Letter case does not count, as in addresses.
fn matches(pattern: &str, address: &str) -> bool {
    let (pattern, address) = (pattern.to_lowercase(), address.to_lowercase());
    if pattern.contains(['*', '?']) {
        return glob(&pattern.chars().collect::<Vec<_>>(), &address.chars().collect::<Vec<_>>());
    }
    match address.strip_prefix(pattern.as_str()) {
        Some("") => true,
        // A whole integration (followed by ':') or a whole entity (followed by '/', the last one).
        Some(rest) => {
            (rest.starts_with(':') && !pattern.contains(':')) || (pattern.contains(':') && rest.starts_with('/'))
        }
        None => false,
    }
}

fn glob(pattern: &[char], text: &[char]) -> bool {
    // The position to go back to: after the last star, and how much of the text it had taken.
    let (mut p, mut t, mut back) = (0, 0, None);
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            back = Some((p + 1, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((after_star, taken)) = back {
            back = Some((after_star, taken + 1));
            (p, t) = (after_star, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns_choose_states() {
        for (pattern, address, hit) in [
            ("virtual-house", "virtual-house:lamp/power", true),
            ("virtual", "virtual-house:lamp/power", false),
            ("virtual-house:lamp", "virtual-house:lamp/power", true),
            ("virtual-house:la", "virtual-house:lamp/power", false),
            ("virtual-house:lamp/power", "virtual-house:lamp/power", true),
            ("virtual-house:lamp/pow", "virtual-house:lamp/power", false),
            ("*/power", "virtual-house:lamp/power", true),
            ("*:lamp/*", "virtual-house:lamp/power", true),
            ("*lamp?/power", "virtual-house:lamp2/power", true),
            ("*a*b*c", "xaxbxbxc", true),
            ("*a*b*c", "xaxbxbxcx", false),
            ("HASS:Light.Kitchen", "hass:light.kitchen/power", true),
        ] {
            assert_eq!(matches(pattern, address), hit, "{pattern} {address}");
        }
    }

    #[test]
    fn a_mistyped_name_is_told_with_the_nearest() {
        let states = ["virtual-house:lamp/power", "system-monitor:cpu/usage"];
        let check = |pattern: &str| Patterns::new(vec![pattern.to_owned()]).check(states.into_iter());
        assert!(check("virtual-house").is_ok());
        assert!(check("nothing*").is_ok());
        let Err(Failure::Told { advice, .. }) = check("virtual-hous:lamp") else { panic!("accepted") };
        assert_eq!(advice, "did you mean \"virtual-house:lamp\"?");
    }
}
