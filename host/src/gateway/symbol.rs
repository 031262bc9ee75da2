//! From an offset in a library's file to what a person can look up: the address that tools count by, and the function.

use std::fs::File;
use std::path::Path;

use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSegment as _, ObjectSymbol as _, ReadCache, SymbolKind};

/// A longer name is cut.
const NAME_CHARS: usize = 200;
/// Symbols that are looked through.
const SYMBOLS: usize = 2_000_000;

/// The address of an offset in a library's file, and the function there if the file names it. Of a file that cannot be
/// read the offset itself. Blocks.
pub(super) fn symbol_at(path: &Path, offset: u64) -> (u64, Option<String>) {
    read(path, offset).unwrap_or((offset, None))
}

fn read(path: &Path, offset: u64) -> Option<(u64, Option<String>)> {
    let data = ReadCache::new(File::open(path).ok()?);
    let file = ElfFile64::<Endianness, _>::parse(&data).ok()?;
    let address = file.segments().find_map(|segment| {
        let (start, size) = segment.file_range();
        let inside = start <= offset && offset - start < size;
        inside.then(|| segment.address().checked_add(offset - start))?
    })?;
    let is_there = |symbol: &object::read::elf::ElfSymbol64<'_, '_, Endianness, _>| {
        let start = symbol.address();
        symbol.kind() == SymbolKind::Text && start <= address && address - start < symbol.size().max(1)
    };
    let found = file.symbols().take(SYMBOLS).find(is_there);
    let found = found.or_else(|| file.dynamic_symbols().take(SYMBOLS).find(is_there));
    let name = found.and_then(|symbol| symbol.name().ok().map(readable));
    Some((address, name.filter(|name| !name.is_empty())))
}

/// A function's name as its author wrote it.
fn readable(name: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(name));
    match name.char_indices().nth(NAME_CHARS) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn a_function_of_this_test() -> u64 {
        std::hint::black_box(7)
    }

    #[test]
    fn a_function_is_found_by_an_address_in_it() {
        let this = std::env::current_exe().expect("there");
        let address = a_function_of_this_test as *const () as u64;
        let maps = std::fs::read_to_string("/proc/self/maps").expect("read");
        let offset = maps.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let (start, end) = words.next()?.split_once('-')?;
            let start = u64::from_str_radix(start, 16).ok()?;
            let end = u64::from_str_radix(end, 16).ok()?;
            let file_offset = u64::from_str_radix(words.nth(1)?, 16).ok()?;
            (start <= address && address < end).then(|| address - start + file_offset)
        });
        let (_, symbol) = symbol_at(&this, offset.expect("mapped"));
        assert_eq!(a_function_of_this_test(), 7);
        assert!(symbol.as_deref().is_some_and(|name| name.ends_with("a_function_of_this_test")), "{symbol:?}");
    }

    #[test]
    fn a_file_that_is_no_library_has_no_functions() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("text.so");
        std::fs::write(&file, "no library").expect("written");
        assert_eq!(symbol_at(&file, 5), (5, None));
        assert_eq!(symbol_at(&folder.path().join("none"), 5), (5, None));
    }
}
