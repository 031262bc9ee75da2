//! `trust list|add|revoke`: which plugins are let in, and which are not any more.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::args;
use super::daemon::Daemon;
use super::failure::Failure;
use super::output::{Output, Tone};
use super::table::{Table, Toned};
use crate::api::types::{Trust, TrustEntry, TrustRequest};
use crate::config::TrustPolicy;
use crate::plugin::trust::Item;

pub(super) async fn run(daemon: &Daemon, command: args::Trust, output: &Output) -> Result<(), Failure> {
    match command {
        args::Trust::List => {
            let trust = daemon.trust().await?;
            if output.json { output.json(&trust) } else { output.line(listed(&trust, output)) }
        }
        args::Trust::Add { what, note } => {
            let request = TrustRequest { item: meant(&what)?, note: note.unwrap_or_default() };
            let trust = daemon.trust_add(&request).await?;
            if output.json { output.json(&trust) } else { output.line(format!("{} is trusted", request.item)) }
        }
        args::Trust::Revoke { what, note } => {
            let request = TrustRequest { item: meant(&what)?, note: note.unwrap_or_default() };
            let trust = daemon.trust_revoke(&request).await?;
            if output.json {
                return output.json(&trust);
            }
            output.line(format!("{} is revoked: what runs of it is stopped", request.item))
        }
    }
}

/// What a person means: a key, an id or a hash as they stand; else a file: that of a public key, or a plugin by its
/// content.
fn meant(text: &str) -> Result<String, Failure> {
    if text.parse::<Item>().is_ok() {
        return Ok(text.to_owned());
    }
    let path = Path::new(text);
    if !path.is_file() {
        return Err(Failure::usage(format!(
            "{text:?} is neither a minisign public key, nor a key's id, nor a SHA-256, nor a file"
        )));
    }
    let bytes = fs::read(path).map_err(|error| Failure::io(format!("{text} cannot be read"), &error))?;
    let key = std::str::from_utf8(&bytes).ok().and_then(|text| text.lines().map(str::trim).find(|line| is_key(line)));
    Ok(key.map_or_else(|| hex::encode(Sha256::digest(&bytes)), str::to_owned))
}

fn is_key(line: &str) -> bool {
    matches!(line.parse(), Ok(Item::Key { .. }))
}

fn listed(trust: &Trust, output: &Output) -> String {
    let policy = match trust.policy {
        TrustPolicy::Any => "any: every plugin is let in that is not revoked",
        TrustPolicy::Signed => "signed: plugins signed with a trusted key, and listed ones, are let in",
        TrustPolicy::Listed => "listed: listed plugins alone are let in",
    };
    let mut text = format!("Policy {policy}");
    let mut table = Table::new(output, &["", "WHAT", "KEY", "FROM", "NOTE"]).left_out_when_narrow(output, &[3]);
    let groups = [
        (&trust.configured, "trusted", Tone::Good, "gatehouse.toml"),
        (&trust.trusted, "trusted", Tone::Good, "trusted.list"),
        (&trust.revoked, "revoked", Tone::Bad, "revoked.list"),
    ];
    let mut is_empty = true;
    for (entries, word, tone, from) in groups {
        for entry in entries {
            is_empty = false;
            table.row([
                Toned(word.to_owned(), tone),
                shown(entry).into(),
                entry.key_id.as_deref().unwrap_or("-").into(),
                from.into(),
                entry.note.as_str().into(),
            ]);
        }
    }
    if !is_empty {
        text.push_str(&format!("\n\n{table}"));
    }
    for problem in &trust.problems {
        text.push_str(&format!("\n{}", output.paint(Tone::Bad, problem)));
    }
    text
}

fn shown(entry: &TrustEntry) -> String {
    match entry.kind.as_str() {
        "hash" => format!("file {}", entry.item),
        "key" => format!("key {}", entry.item),
        _ => "key by its id".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    #[test]
    fn a_key_a_hash_and_files_of_both_kinds_are_understood() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, content: &str| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            path.to_str().unwrap().to_owned()
        };
        assert_eq!(meant(KEY).unwrap(), KEY);
        assert_eq!(meant(&at("minisign.pub", &format!("untrusted comment: mine\n{KEY}\n"))).unwrap(), KEY);
        // The test vector of FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(meant(&at("libabc.so", "abc")).unwrap(), abc);
        assert_eq!(meant(abc).unwrap(), abc);
        let refused = meant("nothing-here.so").unwrap_err();
        assert!(refused.message().unwrap().contains("nothing-here.so"));
    }

    #[test]
    fn the_list_says_what_is_let_in_and_what_is_not() {
        let entry = |item: &str, note: &str| TrustEntry {
            kind: "hash".to_owned(),
            item: item.to_owned(),
            key_id: None,
            note: note.to_owned(),
        };
        let trust = Trust {
            policy: TrustPolicy::Listed,
            configured: vec![entry("aa", "")],
            trusted: Vec::new(),
            revoked: vec![entry("bb", "steals")],
            problems: vec!["revoked.list, line 3: \"x\" is neither".to_owned()],
        };
        let text = listed(&trust, &Output::plain(120));
        assert!(text.starts_with("Policy listed: listed plugins alone"), "{text}");
        for part in ["file aa", "gatehouse.toml", "revoked", "steals", "line 3"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
