//! How names are compared: lower-cased, without an allocation for those that are lower-case already.

use std::borrow::Cow;

/// What a name of an entity or state is compared by.
pub(crate) fn name_key(name: &str) -> Cow<'_, str> {
    // Most upstreams spell names in lower-case ASCII: one pass over the bytes decides.
    if name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_lower_cased_in_every_script() {
        for (name, key) in [("lamp.1", "lamp.1"), ("Lamp", "lamp"), ("KÜCHE/Öl", "küche/öl"), ("", "")] {
            assert_eq!(name_key(name), key);
        }
        assert!(matches!(name_key("light.kitchen"), Cow::Borrowed(_)));
    }
}
