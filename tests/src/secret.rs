//! A secret, and every place where it must not be.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use crate::build;

/// A secret in all the forms that a careless program would write it in.
#[derive(Debug)]
pub struct Secret {
    text: &'static str,
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Secret {
    /// The secret with this text, long enough not to be found by chance.
    pub fn new(text: &'static str) -> Self {
        let bytes = text.as_bytes();
        let decimals = |between: &str| bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(between);
        let mut forms = vec![
            ("itself", bytes.to_vec()),
            ("hex", hex::encode(bytes).into_bytes()),
            ("upper-case hex", hex::encode_upper(bytes).into_bytes()),
            ("a list of bytes", decimals(", ").into_bytes()),
            ("a dense list of bytes", decimals(",").into_bytes()),
        ];
        for engine in [&STANDARD, &URL_SAFE] {
            forms.extend((0..3).map(|offset| ("base64", inner_base64(engine, bytes, offset))));
        }
        Self { text, forms }
    }

    /// The text, to give it away.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// Checks bytes that came from somewhere.
    ///
    /// # Panics
    /// When the secret is in them.
    #[track_caller]
    pub fn assert_not_in(&self, place: &str, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        for (form, needle) in &self.forms {
            let found = bytes.windows(needle.len()).position(|window| window == needle.as_slice());
            assert!(found.is_none(), "{place} has the secret as {form} at byte {}", found.unwrap_or_default());
        }
    }

    /// Checks every file below a folder; returns how many there were. A whole copy of the virtual house's file is as it
    /// was built, which was before there was a secret.
    ///
    /// # Panics
    /// When the secret is in one of them.
    #[track_caller]
    pub fn assert_not_below(&self, folder: &Path) -> usize {
        let plugin = fs::read(build::plugin_file("virtual_house")).expect("built");
        self.assert_not_below_except(folder, &plugin)
    }

    #[track_caller]
    fn assert_not_below_except(&self, folder: &Path, harmless: &[u8]) -> usize {
        let mut files = 0;
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            let kind = entry.file_type().expect("its type");
            if kind.is_dir() {
                files += self.assert_not_below_except(&entry.path(), harmless);
            } else if kind.is_file() {
                // One that was there a moment ago may be gone: the database's own files come and go.
                if let Ok(bytes) = fs::read(entry.path()) {
                    if bytes != harmless {
                        self.assert_not_in(&entry.path().display().to_string(), bytes);
                    }
                    files += 1;
                }
            }
        }
        files
    }
}

/// The characters of a base64 text that stand for these bytes alone when `offset` bytes stand before them.
fn inner_base64(engine: &impl Engine, bytes: &[u8], offset: usize) -> Vec<u8> {
    let padded = [vec![0; offset], bytes.to_vec()].concat();
    let text = engine.encode(&padded).into_bytes();
    text[(offset * 8).div_ceil(6)..padded.len() * 8 / 6].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_found_wherever_it_stands() {
        let secret = Secret::new("sesame-open");
        secret.assert_not_in("nowhere", "sesame-closed");
        let after_a_letter = STANDARD.encode("x: sesame-open, and more");
        let listed = format!("{:?}", secret.text().as_bytes());
        for text in
            ["a sesame-open!", "736573616D652D6F70656E", &after_a_letter, &STANDARD.encode("sesame-open"), &listed]
        {
            assert!(std::panic::catch_unwind(|| secret.assert_not_in("there", text)).is_err(), "{text}");
        }
    }
}
