//! The ELF file itself: is it a shared library for this machine, and what does it hold, export and need.
//!
//! Numbers and names are those of the System V ABI, chapters 4 and 5, and of the LSB's symbol versioning.

use std::ops::Range;

use gatehouse_abi::HEADER_SYMBOL;
use gatehouse_plugin_api::manifest;
use object::Endianness;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _, SectionHeader as _, SectionTable, Sym as _};
use object::read::{ReadRef, SectionIndex};

use crate::plugin::trust::{SIGNATURE_MOST_BYTES, SIGNATURE_SECTION};
use crate::reason::{Reason, ReasonCode};

/// More sections, dynamic entries or version requirements than any real library has.
const MOST_ENTRIES: usize = 16 * 1024;
/// More names of libraries, folders and versions together than any real library has: entries may all point at the same
/// long text, which is copied for each of them.
const MOST_TEXT_BYTES: usize = 512 * 1024;
/// More needed libraries, and folders to look for them in, than any real library has: each of the one is looked for in
/// each of the other.
const MOST_LIBRARIES: usize = 512;
const MOST_FOLDERS: usize = 64;
/// The bytes of an ELF header that tell class, byte order, type and machine.
const IDENTITY_BYTES: u64 = 20;
/// The header that every 64-bit ELF file begins with.
const HEADER_BYTES: u64 = 64;

/// The machine this program was built for, as an ELF file names it.
const RUNNING_MACHINE: elf::Machine = if cfg!(target_arch = "x86_64") {
    elf::EM_X86_64
} else if cfg!(target_arch = "aarch64") {
    elf::EM_AARCH64
} else if cfg!(target_arch = "riscv64") {
    elf::EM_RISCV
} else {
    elf::EM_NONE
};

/// What inspection needs of a library.
#[derive(Debug, Default)]
pub(super) struct Library {
    /// The content of the manifest's section.
    pub(super) manifest_section: Vec<u8>,
    /// Where in the file the section for a signature lies, if there is one.
    pub(super) signature: Option<Range<u64>>,
    /// Whether the symbol is exported by which the host finds the plugin's module.
    pub(super) exports_header: bool,
    /// The libraries it needs, by the names that the dynamic linker looks for.
    pub(super) needed: Vec<String>,
    /// Where it says they are (`DT_RUNPATH`, else `DT_RPATH`).
    pub(super) search_path: Vec<String>,
    /// The symbol versions it needs.
    pub(super) versions: Vec<String>,
}

/// Reads a library's tables.
///
/// # Errors
/// `not_elf`, `truncated`, `damaged_file`, `other_cpu`, `not_a_library`, `no_manifest` or `damaged_manifest`.
pub(super) fn read<'data, R: ReadRef<'data>>(file_name: &str, data: R) -> Result<Library, Reason> {
    check_identity(file_name, data)?;
    let damaged = |error| tables_unreadable(file_name, error);
    let cut = |_: object::read::Error| truncated(file_name);
    let header = FileHeader64::<Endianness>::parse(data).map_err(cut)?;
    let endian = header.endian().map_err(damaged)?;
    check_length(file_name, header, endian, data)?;
    let segments = header.program_headers(endian, data).map_err(damaged)?;
    check_segments(file_name, segments, endian, data.len().unwrap_or(0))?;
    let sections = header.sections(endian, data).map_err(damaged)?;
    if sections.len() > MOST_ENTRIES {
        return Err(too_many(file_name, MOST_ENTRIES, "sections"));
    }
    let table = header.e_shoff(endian);
    let section_table = (table, table.saturating_add(sections.len() as u64 * u64::from(header.e_shentsize(endian))));
    let reader = Reader { file_name, data, endian, sections, section_table };
    reader.check_type(header)?;
    let mut library = Library { manifest_section: reader.manifest_section()?, ..Library::default() };
    library.signature = reader.signature_section(segments)?;
    reader.dynamic(&mut library)?;
    reader.exports(&mut library).map_err(damaged)?;
    reader.versions(&mut library)?;
    Ok(library)
}

/// Whether the module header can be found once the library is open.
///
/// # Errors
/// `not_a_library`.
pub(super) fn check_entry(file_name: &str, exports_header: bool) -> Result<(), Reason> {
    if exports_header {
        return Ok(());
    }
    Err(Reason::new(
        ReasonCode::NotALibrary,
        format!(
            "{file_name} does not export the symbol {} by which a plugin's code is found",
            HEADER_SYMBOL.trim_end_matches('\0')
        ),
    ))
}

fn truncated(file_name: &str) -> Reason {
    Reason::new(ReasonCode::Truncated, format!("{file_name} ends before its own tables do: it was cut short"))
}

fn tables_unreadable(file_name: &str, error: object::read::Error) -> Reason {
    Reason::new(ReasonCode::DamagedFile, format!("{file_name} has tables that cannot be read")).caused_by(error)
}

fn too_many(file_name: &str, most: usize, what: &str) -> Reason {
    Reason::new(ReasonCode::DamagedFile, format!("{file_name} says it has more than {most} {what}"))
}

fn check_identity<'data>(file_name: &str, data: impl ReadRef<'data>) -> Result<(), Reason> {
    let length = data.len().unwrap_or(0);
    let start = data.read_bytes_at(0, length.min(IDENTITY_BYTES)).unwrap_or_default();
    let magic = start.get(..elf::ELFMAG.len()).unwrap_or(start);
    if magic.is_empty() || !elf::ELFMAG.starts_with(magic) {
        return Err(Reason::new(ReasonCode::NotElf, format!("{file_name} is not an ELF file{}", looks_like(start))));
    }
    let &[_, _, _, _, class, order, _, _, _, _, _, _, _, _, _, _, _, _, machine_0, machine_1] = start else {
        return Err(truncated(file_name));
    };
    let little = order == elf::ELFDATA2LSB.0;
    let machine = [machine_0, machine_1];
    let machine = elf::Machine(if little { u16::from_le_bytes(machine) } else { u16::from_be_bytes(machine) });
    let (bits, running) = (if class == elf::ELFCLASS64.0 { 64 } else { 32 }, std::env::consts::ARCH);
    if bits != 64 || little != cfg!(target_endian = "little") || machine != RUNNING_MACHINE {
        let order = if little { "" } else { ", big-endian" };
        return Err(Reason::new(
            ReasonCode::OtherCpu,
            format!(
                "{file_name} is built for {} ({bits}-bit{order}); this machine is {running}",
                machine_name(machine)
            ),
        ));
    }
    Ok(())
}

/// A guess for the person who copied the wrong file.
fn looks_like(start: &[u8]) -> &'static str {
    match start {
        [b'M', b'Z', ..] => ": it looks like a Windows library",
        [0xcf, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => ": it looks like a macOS library",
        [b'!', b'<', b'a', b'r', ..] => ": it looks like a static library (.a or .rlib)",
        [b'#', b'!', ..] => ": it looks like a script",
        [0x1f, 0x8b, ..] | [b'P', b'K', ..] | [0xfd, b'7', b'z', ..] => ": it looks like an archive; unpack it first",
        [b'v', b'e', b'r', b's', b'i', b'o', b'n', ..] => ": it looks like a Git LFS pointer",
        _ => "",
    }
}

fn machine_name(machine: elf::Machine) -> String {
    let name = match machine {
        elf::EM_X86_64 => "x86_64",
        elf::EM_AARCH64 => "aarch64",
        elf::EM_ARM => "arm",
        elf::EM_386 => "x86",
        elf::EM_RISCV => "riscv",
        elf::EM_PPC64 => "powerpc64",
        elf::EM_S390 => "s390",
        elf::EM_MIPS => "mips",
        elf::Machine(number) => return format!("processor number {number}"),
    };
    name.to_owned()
}

/// The section headers stand at the end of a file, so a copy that was cut short lacks them.
fn check_length<'data>(
    file_name: &str,
    header: &FileHeader64<Endianness>,
    endian: Endianness,
    data: impl ReadRef<'data>,
) -> Result<(), Reason> {
    let table = u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
    let end = header.e_shoff(endian).checked_add(table);
    if end.is_none_or(|end| end > data.len().unwrap_or(0)) {
        return Err(truncated(file_name));
    }
    Ok(())
}

fn check_segments(
    file_name: &str,
    segments: &[ProgramHeader64<Endianness>],
    endian: Endianness,
    length: u64,
) -> Result<(), Reason> {
    for segment in segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD) {
        let (offset, size) = segment.file_range(endian);
        if offset.checked_add(size).is_none_or(|end| end > length) {
            return Err(truncated(file_name));
        }
    }
    Ok(())
}

struct Reader<'data, 'name, R: ReadRef<'data>> {
    file_name: &'name str,
    data: R,
    endian: Endianness,
    sections: SectionTable<'data, FileHeader64<Endianness>, R>,
    /// Where the section headers begin and end.
    section_table: (u64, u64),
}

impl<'data, R: ReadRef<'data>> Reader<'data, '_, R> {
    fn section(&self, kind: elf::SectionType) -> Option<&'data SectionHeader64<Endianness>> {
        self.sections.iter().find(|section| section.sh_type(self.endian) == kind)
    }

    /// The string table that a section's names are in, whole: names are looked up by the thousand.
    fn linked_strings(&self, section: &SectionHeader64<Endianness>) -> object::read::Result<&'data [u8]> {
        let index = SectionIndex(section.sh_link(self.endian) as usize);
        self.sections.section(index)?.data(self.endian, self.data)
    }

    fn check_type(&self, header: &FileHeader64<Endianness>) -> Result<(), Reason> {
        let kind = header.e_type(self.endian);
        let what = match kind {
            elf::ET_DYN if self.is_program() => "a program",
            elf::ET_DYN => return Ok(()),
            elf::ET_EXEC => "a program",
            elf::ET_REL => "an object file",
            elf::ET_CORE => "a core dump",
            _ => "of an unknown kind",
        };
        Err(Reason::new(ReasonCode::NotALibrary, format!("{} is {what}, not a shared library", self.file_name)))
    }

    /// A position-independent program is of the same ELF type as a library; a flag tells them apart.
    fn is_program(&self) -> bool {
        let entries = self.entries().unwrap_or_default();
        entries
            .iter()
            .any(|entry| entry.tag(self.endian) == elf::DT_FLAGS_1 && entry.val(self.endian) & elf::DF_1_PIE.0 != 0)
    }

    fn entries(&self) -> object::read::Result<&'data [elf::Dyn64<Endianness>]> {
        let Some(section) = self.section(elf::SHT_DYNAMIC) else { return Ok(&[]) };
        let entries: &[elf::Dyn64<Endianness>] = section.data_as_array(self.endian, self.data)?;
        let end = entries.iter().position(|entry| entry.tag(self.endian) == elf::DT_NULL);
        Ok(entries.get(..end.unwrap_or(entries.len()).min(MOST_ENTRIES)).unwrap_or_default())
    }

    fn manifest_section(&self) -> Result<Vec<u8>, Reason> {
        let found = self.sections.section_by_name(self.endian, manifest::SECTION.as_bytes());
        let Some((_, section)) = found else {
            return Err(Reason::new(
                ReasonCode::NoManifest,
                format!("{} is a library without a Gatehouse manifest (section {})", self.file_name, manifest::SECTION),
            ));
        };
        let damaged = |problem: &str| {
            Reason::new(ReasonCode::DamagedManifest, format!("{}: the manifest section {problem}", self.file_name))
        };
        if section.file_range(self.endian).is_some_and(|(_, size)| size > 2 * manifest::MAX_BYTES as u64) {
            return Err(damaged("is larger than any manifest"));
        }
        let content =
            section.data(self.endian, self.data).map_err(|error| damaged("lies outside the file").caused_by(error))?;
        Ok(content.to_vec())
    }

    /// Refused when it is loaded or too large: what stands in it is not signed.
    fn signature_section(&self, segments: &[ProgramHeader64<Endianness>]) -> Result<Option<Range<u64>>, Reason> {
        let Some((_, section)) = self.sections.section_by_name(self.endian, SIGNATURE_SECTION.as_bytes()) else {
            return Ok(None);
        };
        let damaged = |problem: &str| {
            let sentence = format!("{}: the section {SIGNATURE_SECTION} {problem}", self.file_name);
            Reason::new(ReasonCode::DamagedFile, sentence)
        };
        let (offset, size) = section.file_range(self.endian).ok_or_else(|| damaged("has no place in the file"))?;
        let length = self.data.len().unwrap_or(0);
        let Some(end) = offset.checked_add(size).filter(|end| *end <= length) else {
            return Err(damaged("lies outside the file"));
        };
        if size > SIGNATURE_MOST_BYTES as u64 {
            return Err(damaged("is larger than any signature"));
        }
        let touches = |segment: &ProgramHeader64<Endianness>| {
            let (start, size) = segment.file_range(self.endian);
            size > 0 && start < end && offset < start.saturating_add(size)
        };
        if segments.iter().any(touches) {
            return Err(damaged("lies in a part of the file that is loaded"));
        }
        // The section headers are what says where the signature is, so they are never a part of it.
        let (table, table_end) = self.section_table;
        let in_tables = offset < HEADER_BYTES || (table < end && offset < table_end);
        if in_tables || self.sections.iter().any(|other| self.shares_bytes(section, other, offset..end)) {
            return Err(damaged("shares bytes with another part of the file"));
        }
        Ok(Some(offset..end))
    }

    fn shares_bytes(
        &self,
        section: &SectionHeader64<Endianness>,
        other: &SectionHeader64<Endianness>,
        range: Range<u64>,
    ) -> bool {
        let Some((start, size)) = other.file_range(self.endian) else { return false };
        !std::ptr::eq(section, other) && size > 0 && start < range.end && range.start < start.saturating_add(size)
    }

    fn dynamic(&self, library: &mut Library) -> Result<(), Reason> {
        let damaged = |error| tables_unreadable(self.file_name, error);
        let Some(section) = self.section(elf::SHT_DYNAMIC) else { return Ok(()) };
        let strings = self.linked_strings(section).map_err(damaged)?;
        let (mut rpath, mut bytes) = (Vec::new(), 0);
        for entry in self.entries().map_err(damaged)? {
            let list = match entry.tag(self.endian) {
                elf::DT_NEEDED => &mut library.needed,
                elf::DT_RUNPATH => &mut library.search_path,
                elf::DT_RPATH => &mut rpath,
                _ => continue,
            };
            let text = string_at(strings, entry.val(self.endian));
            bytes += text.as_ref().map_or(0, String::len);
            list.extend(text);
            if bytes > MOST_TEXT_BYTES {
                return Err(too_many(self.file_name, MOST_TEXT_BYTES, "bytes of names of libraries"));
            }
        }
        // The dynamic linker ignores DT_RPATH when there is a DT_RUNPATH (ld.so(8)).
        if library.search_path.is_empty() {
            library.search_path = rpath;
        }
        if library.needed.len() > MOST_LIBRARIES {
            return Err(too_many(self.file_name, MOST_LIBRARIES, "needed libraries"));
        }
        let folders = library.search_path.iter().flat_map(|path| path.split(':'));
        if folders.take(MOST_FOLDERS + 1).count() > MOST_FOLDERS {
            return Err(too_many(self.file_name, MOST_FOLDERS, "folders to look for libraries in"));
        }
        Ok(())
    }

    fn exports(&self, library: &mut Library) -> object::read::Result<()> {
        let Some(section) = self.section(elf::SHT_DYNSYM) else { return Ok(()) };
        let strings = self.linked_strings(section)?;
        let symbols: &[elf::Sym64<Endianness>] = section.data_as_array(self.endian, self.data)?;
        let wanted = HEADER_SYMBOL.as_bytes();
        library.exports_header = symbols.iter().any(|symbol| {
            !symbol.is_undefined(self.endian)
                && !symbol.is_local()
                && strings.get(symbol.st_name(self.endian) as usize..).is_some_and(|name| name.starts_with(wanted))
        });
        Ok(())
    }

    fn versions(&self, library: &mut Library) -> Result<(), Reason> {
        let damaged = |error: object::read::Error| {
            let sentence = format!("{} has a version table that cannot be read", self.file_name);
            Reason::new(ReasonCode::DamagedFile, sentence).caused_by(error)
        };
        let Some(section) = self.section(elf::SHT_GNU_VERNEED) else { return Ok(()) };
        let strings = self.linked_strings(section).map_err(damaged)?;
        let Some((mut needs, _)) = section.gnu_verneed(self.endian, self.data).map_err(damaged)? else {
            return Ok(());
        };
        // Entries may point back at the same bytes, so they are counted rather than trusted to end.
        let (mut seen, mut bytes) = (0, 0);
        while let Some((_, mut versions)) = needs.next().map_err(damaged)? {
            seen += 1;
            if seen > MOST_ENTRIES {
                return Err(too_many(self.file_name, MOST_ENTRIES, "version requirements"));
            }
            while let Some(version) = versions.next().map_err(damaged)? {
                seen += 1;
                if seen > MOST_ENTRIES {
                    return Err(too_many(self.file_name, MOST_ENTRIES, "version requirements"));
                }
                let Some(name) = string_at(strings, version.vna_name.get(self.endian).into()) else { continue };
                bytes += name.len();
                if bytes > MOST_TEXT_BYTES {
                    return Err(too_many(self.file_name, MOST_TEXT_BYTES, "bytes of version names"));
                }
                library.versions.push(name);
            }
        }
        Ok(())
    }
}

/// The NUL-terminated text at an offset; one that is no text of reasonable length is none.
fn string_at(strings: &[u8], offset: u64) -> Option<String> {
    let rest = strings.get(usize::try_from(offset).ok()?..)?;
    let end = rest.iter().take(4096).position(|byte| *byte == 0)?;
    std::str::from_utf8(rest.get(..end)?).ok().map(str::to_owned)
}
