//! Names of entities that a person can type, from what the machine calls things.

use std::collections::BTreeSet;

/// `kind-thing` in lower-case letters, digits and hyphens; `root` for what has none of them (the mount point `/`).
/// A name that is taken gets a number.
pub(crate) fn entity_name(kind: &str, thing: &str, taken: &mut BTreeSet<String>) -> String {
    let mut slug = String::with_capacity(thing.len());
    for c in thing.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    let first = format!("{kind}-{}", if slug.is_empty() { "root" } else { slug });
    let mut name = first.clone();
    let mut nth = 2;
    while !taken.insert(name.clone()) {
        name = format!("{first}-{nth}");
        nth += 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_typeable_and_apart() {
        let mut taken = BTreeSet::new();
        let mut name = |thing| entity_name("disk", thing, &mut taken);
        assert_eq!(name("/"), "disk-root");
        assert_eq!(name("/home"), "disk-home");
        assert_eq!(name("/mnt/Big Disk"), "disk-mnt-big-disk");
        assert_eq!(name("/mnt-big/disk"), "disk-mnt-big-disk-2");
    }
}
