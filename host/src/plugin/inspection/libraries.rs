//! What a plugin needs of the system: shared libraries that are installed, a C library that is new enough.
//!
//! Libraries are looked for where the dynamic linker will look (ld.so(8)): the plugin's own search path, the
//! linker's cache, the standard folders. Nothing is executed, unlike `ldd`, which runs the file's loader.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::gateway::sys;
use crate::reason::{Reason, ReasonCode};

const CACHE: &str = "/etc/ld.so.cache";
/// glibc's `dl-cache.h`: the header of the cache format in use since glibc 2.2, alone or after the older one.
const CACHE_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const CACHE_HEADER_BYTES: usize = 48;
const CACHE_ENTRY_BYTES: usize = 24;
/// A version whose name holds no number: relative relocations in packed form came with this release.
const PACKED_RELOCATIONS: (&str, (u32, u32)) = ("GLIBC_ABI_DT_RELR", (2, 36));

/// Whether the running C library has every version of its symbols that the plugin needs.
///
/// # Errors
/// `newer_glibc`, with the newest that is needed.
pub(super) fn check_versions(file_name: &str, versions: &[String]) -> Result<(), Reason> {
    let Some(running) = sys::glibc_version() else { return Ok(()) };
    match newest_glibc(versions) {
        Some(needed) if needed > running => Err(Reason::new(
            ReasonCode::NewerGlibc,
            format!("{file_name} needs glibc {}.{}; this system has {}.{}", needed.0, needed.1, running.0, running.1),
        )),
        _ => Ok(()),
    }
}

fn newest_glibc(versions: &[String]) -> Option<(u32, u32)> {
    versions.iter().filter_map(|version| glibc_number(version)).max()
}

fn glibc_number(version: &str) -> Option<(u32, u32)> {
    if version == PACKED_RELOCATIONS.0 {
        return Some(PACKED_RELOCATIONS.1);
    }
    let mut numbers = version.strip_prefix("GLIBC_")?.split('.').map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Whether every needed library is somewhere the dynamic linker will find it. `origin` is the folder from which the
/// library will be opened.
///
/// # Errors
/// `library_missing`, with every one that is.
pub(super) fn check_present(
    file_name: &str,
    needed: &[String],
    search_path: &[String],
    origin: &Path,
) -> Result<(), Reason> {
    let needed: BTreeSet<&str> = needed.iter().map(String::as_str).collect();
    let cache = std::fs::read(CACHE).map(|bytes| cached_names(&bytes)).unwrap_or_default();
    let own: Vec<PathBuf> = search_path
        .iter()
        .flat_map(|path| path.split(':'))
        .filter(|path| !path.is_empty())
        .map(|path| expand_origin(path, origin))
        .collect();
    let missing: Vec<&str> = needed.into_iter().filter(|name| !is_present(name, &own, &cache)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let (noun, verb) = if missing.len() == 1 { ("library", "is") } else { ("libraries", "are") };
    Err(Reason::new(
        ReasonCode::LibraryMissing,
        format!("{file_name} needs the {noun} {}, which {verb} not installed", missing.join(", ")),
    ))
}

fn is_present(name: &str, own: &[PathBuf], cache: &BTreeSet<String>) -> bool {
    if name.contains('/') {
        return Path::new(name).is_file();
    }
    own.iter().any(|folder| folder.join(name).is_file())
        || cache.contains(name)
        || standard_folders().iter().any(|folder| folder.join(name).is_file())
}

fn expand_origin(path: &str, origin: &Path) -> PathBuf {
    let origin = origin.to_string_lossy();
    PathBuf::from(path.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin))
}

fn standard_folders() -> Vec<PathBuf> {
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    ["/lib", "/usr/lib"]
        .iter()
        .flat_map(|base| [PathBuf::from(base).join(&triplet), PathBuf::from(base), PathBuf::from(format!("{base}64"))])
        .collect()
}

/// The names in the linker's cache that are for this machine's 64-bit libraries; damaged parts are left out.
fn cached_names(cache: &[u8]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let Some(start) = cache.windows(CACHE_MAGIC.len()).position(|window| window == CACHE_MAGIC) else { return names };
    let cache = cache.get(start..).unwrap_or_default();
    let number = |at: usize| {
        let bytes = cache.get(at..at.checked_add(4)?)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let count = number(CACHE_MAGIC.len()).unwrap_or(0) as usize;
    for index in 0..count.min(cache.len() / CACHE_ENTRY_BYTES) {
        let entry = CACHE_HEADER_BYTES + index * CACHE_ENTRY_BYTES;
        let (Some(flags), Some(name)) = (number(entry), number(entry + 4)) else { break };
        if flags & CACHE_MACHINE_MASK == CACHE_MACHINE {
            names.extend(text_at(cache, name as usize));
        }
    }
    names
}

/// glibc's `ldconfig.h`: the part of an entry's flags that tells the machine.
const CACHE_MACHINE_MASK: u32 = 0xff00;
const CACHE_MACHINE: u32 = if cfg!(target_arch = "x86_64") {
    0x0300
} else if cfg!(target_arch = "aarch64") {
    0x0a00
} else {
    0
};

fn text_at(bytes: &[u8], offset: usize) -> Option<String> {
    let rest = bytes.get(offset..)?;
    let end = rest.iter().take(256).position(|byte| *byte == 0)?;
    std::str::from_utf8(rest.get(..end)?).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn versions(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_newest_needed_glibc_decides() {
        for (names, expect) in [
            (&["GLIBC_2.2.5", "GLIBC_2.34", "GLIBC_2.9", "GLIBC_PRIVATE"][..], Some((2, 34))),
            (&["GCC_3.0", "OPENSSL_3.0.0"], None),
            (&["GLIBC_2.17", "GLIBC_ABI_DT_RELR"], Some((2, 36))),
            (&[], None),
        ] {
            assert_eq!(newest_glibc(&versions(names)), expect, "{names:?}");
        }
    }

    #[test]
    fn a_newer_glibc_is_named_with_the_running_one() {
        let reason = check_versions("a.so", &versions(&["GLIBC_2.4", "GLIBC_9.99"])).unwrap_err();
        assert_eq!(reason.code, ReasonCode::NewerGlibc);
        assert!(reason.sentence.starts_with("a.so needs glibc 9.99; this system has 2."), "{reason}");
    }

    #[test]
    fn the_c_library_is_found_and_an_invented_one_is_not() {
        let needed = ["libc.so.6", "libnot-there.so.7"].map(str::to_owned);
        let reason = check_present("a.so", &needed, &[], Path::new("/")).unwrap_err();
        assert_eq!(reason.code, ReasonCode::LibraryMissing);
        assert_eq!(reason.sentence, "a.so needs the library libnot-there.so.7, which is not installed");
    }

    #[test]
    fn a_library_beside_the_staged_copy_is_found_by_origin() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("libmine.so.1"), b"").unwrap();
        let needed = ["libmine.so.1".to_owned()];
        for path in ["$ORIGIN", "/nowhere:${ORIGIN}/."] {
            assert_eq!(check_present("a.so", &needed, &[path.to_owned()], folder.path()), Ok(()), "{path}");
        }
        assert!(check_present("a.so", &needed, &["/nowhere".to_owned()], folder.path()).is_err());
    }

    #[test]
    fn a_damaged_cache_gives_the_names_that_can_be_read() {
        let mut cache = CACHE_MAGIC.to_vec();
        cache.extend(3_u32.to_ne_bytes());
        cache.resize(CACHE_HEADER_BYTES, 0);
        let strings = CACHE_HEADER_BYTES + 3 * CACHE_ENTRY_BYTES;
        for (machine, name) in
            [(CACHE_MACHINE | 3, strings), (CACHE_MACHINE | 3, usize::from(u16::MAX)), (0x0500, strings)]
        {
            let entry = cache.len();
            cache.extend(machine.to_ne_bytes());
            cache.extend(u32::try_from(name).unwrap().to_ne_bytes());
            cache.resize(entry + CACHE_ENTRY_BYTES, 0);
        }
        cache.extend(b"libx.so.1\0");
        assert_eq!(cached_names(&cache), BTreeSet::from(["libx.so.1".to_owned()]));
        for cut in 0..cache.len() {
            let _ = cached_names(&cache[..cut]);
        }
    }
}
