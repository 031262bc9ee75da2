//! Plugin files made by hand: the smallest ELF libraries that inspection takes for plugins, and every way to spoil one.
//!
//! Layout by the System V ABI, chapters 4 and 5; version requirements by the LSB, "Symbol Versioning".

use serde_json::{Value, json};

use gatehouse_plugin_api::manifest::{MAGIC, SECTION, checksum};

const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;
const HEADER: usize = 64;
const SECTION_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const SHT_PROGBITS: u32 = 1;
const SHT_STRTAB: u32 = 3;
const SHT_DYNAMIC: u32 = 6;
const SHT_DYNSYM: u32 = 11;
const SHT_GNU_VERNEED: u32 = 0x6fff_fffe;

const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RUNPATH: u64 = 29;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DF_1_PIE: u64 = 0x0800_0000;

/// The machine that the tests run on.
pub(crate) fn machine() -> u16 {
    if cfg!(target_arch = "aarch64") { EM_AARCH64 } else { EM_X86_64 }
}

/// Another machine.
pub(crate) fn other_machine() -> u16 {
    if cfg!(target_arch = "aarch64") { EM_X86_64 } else { EM_AARCH64 }
}

/// A plugin file in the making.
#[derive(Debug, Clone)]
pub(crate) struct PluginFile {
    /// What the manifest says; none for a library without one.
    pub(crate) manifest: Option<Value>,
    /// The section's content instead of a whole manifest.
    pub(crate) section: Option<Vec<u8>>,
    pub(crate) machine: u16,
    /// `e_type`: 3 is a shared object, 2 a program, 1 an object file.
    pub(crate) kind: u16,
    pub(crate) position_independent_program: bool,
    pub(crate) exports_header: bool,
    pub(crate) needed: Vec<String>,
    pub(crate) run_path: Option<String>,
    /// Versions needed of libc.so.6.
    pub(crate) versions: Vec<String>,
    /// The content of a section for a signature, and whether it lies in the part that is loaded.
    pub(crate) signature: Option<(Vec<u8>, bool)>,
    /// Bytes that change the content and nothing else.
    pub(crate) salt: String,
}

impl PluginFile {
    /// A sound plugin.
    pub(crate) fn new(id: &str, version: &str) -> Self {
        let manifest = json!({
            "id": id,
            "label": "A plugin",
            "description": "Made by hand.",
            "version": version,
            "api_version": gatehouse_plugin_api::ops::API_VERSION,
            "abi_epoch": gatehouse_abi::ABI_EPOCH,
            "panic_strategy": "unwind",
            "target": format!("{}-unknown-linux-gnu", std::env::consts::ARCH),
        });
        Self {
            manifest: Some(manifest),
            section: None,
            machine: machine(),
            kind: 3,
            position_independent_program: false,
            exports_header: true,
            needed: vec!["libc.so.6".to_owned()],
            run_path: None,
            versions: vec!["GLIBC_2.2.5".to_owned()],
            signature: None,
            salt: String::new(),
        }
    }

    /// The same with another value in the manifest.
    pub(crate) fn saying(mut self, key: &str, value: Value) -> Self {
        self.manifest.as_mut().expect("has a manifest")[key] = value;
        self
    }

    /// The same with other content.
    pub(crate) fn salted(mut self, salt: &str) -> Self {
        self.salt = salt.to_owned();
        self
    }

    fn section_content(&self) -> Option<Vec<u8>> {
        if let Some(content) = &self.section {
            return Some(content.clone());
        }
        self.manifest.as_ref().map(manifest_section)
    }

    /// The file's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut strings = Strings::new();
        let dynamic = self.dynamic(&mut strings);
        let symbols = self.symbols(&mut strings);
        let versions = self.version_needs(&mut strings);
        strings.add(&self.salt);

        let mut file = Image::new(self);
        file.section(".dynstr", SHT_STRTAB, 0, strings.bytes);
        file.section(".dynsym", SHT_DYNSYM, 1, symbols);
        file.section(".gnu.version_r", SHT_GNU_VERNEED, 1, versions);
        file.section(".dynamic", SHT_DYNAMIC, 1, dynamic);
        if let Some(content) = self.section_content() {
            file.section(SECTION, SHT_PROGBITS, 0, content);
        }
        if let Some((content, is_loaded)) = &self.signature {
            file.loaded = (!is_loaded).then_some(file.bytes.len() as u64);
            file.section(".gatehouse.sig", SHT_PROGBITS, 0, content.clone());
        }
        file.finish()
    }

    fn dynamic(&self, strings: &mut Strings) -> Vec<u8> {
        let mut entries: Vec<(u64, u64)> = Vec::new();
        entries.extend(self.needed.iter().map(|name| (DT_NEEDED, strings.add(name))));
        entries.extend(self.run_path.iter().map(|path| (DT_RUNPATH, strings.add(path))));
        if self.position_independent_program {
            entries.push((DT_FLAGS_1, DF_1_PIE));
        }
        entries.extend([(DT_STRTAB, 0), (0, 0)]);
        entries.iter().flat_map(|(tag, value)| [tag.to_le_bytes(), value.to_le_bytes()].concat()).collect()
    }

    fn symbols(&self, strings: &mut Strings) -> Vec<u8> {
        let mut bytes = vec![0; 24];
        if self.exports_header {
            let name = strings.add(gatehouse_abi::HEADER_SYMBOL.trim_end_matches('\0'));
            bytes.extend(u32::try_from(name).expect("short").to_le_bytes());
            // st_info: global object; st_other; st_shndx: any defined section.
            bytes.extend([0x11, 0]);
            bytes.extend(1_u16.to_le_bytes());
            bytes.extend([0; 16]);
        }
        bytes
    }

    fn version_needs(&self, strings: &mut Strings) -> Vec<u8> {
        let mut bytes = Vec::new();
        let count = u16::try_from(self.versions.len()).expect("few");
        bytes.extend(1_u16.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(u32::try_from(strings.add("libc.so.6")).expect("short").to_le_bytes());
        bytes.extend(16_u32.to_le_bytes());
        bytes.extend(0_u32.to_le_bytes());
        for (index, version) in self.versions.iter().enumerate() {
            let is_last = index + 1 == self.versions.len();
            bytes.extend(0_u32.to_le_bytes());
            bytes.extend(0_u16.to_le_bytes());
            bytes.extend(2_u16.to_le_bytes());
            bytes.extend(u32::try_from(strings.add(version)).expect("short").to_le_bytes());
            bytes.extend(if is_last { 0_u32 } else { 16 }.to_le_bytes());
        }
        bytes
    }
}

/// A manifest as the section holds it.
pub(crate) fn manifest_section(manifest: &Value) -> Vec<u8> {
    let body = rmp_serde::to_vec_named(manifest).expect("a manifest can be encoded");
    let mut bytes = MAGIC.to_vec();
    bytes.extend(u32::try_from(body.len()).expect("short").to_le_bytes());
    bytes.extend(checksum(&body).to_le_bytes());
    bytes.extend(body);
    bytes
}

#[derive(Debug)]
struct Strings {
    bytes: Vec<u8>,
}

impl Strings {
    fn new() -> Self {
        Self { bytes: vec![0] }
    }

    fn add(&mut self, text: &str) -> u64 {
        let at = self.bytes.len() as u64;
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
        at
    }
}

/// Headers first, then the sections' contents, then the section headers, as linkers do.
#[derive(Debug)]
struct Image {
    bytes: Vec<u8>,
    headers: Vec<u8>,
    names: Strings,
    dynamic: (u64, u64),
    /// Where the loaded part ends when that is before the end.
    loaded: Option<u64>,
}

impl Image {
    fn new(file: &PluginFile) -> Self {
        let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(file.kind.to_le_bytes());
        bytes.extend(file.machine.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.resize(HEADER + 2 * PROGRAM_HEADER, 0);
        Self { bytes, headers: vec![0; SECTION_HEADER], names: Strings::new(), dynamic: (0, 0), loaded: None }
    }

    fn section(&mut self, name: &str, kind: u32, link: u32, content: Vec<u8>) {
        self.bytes.resize(self.bytes.len().next_multiple_of(16), 0);
        let (offset, size) = (self.bytes.len() as u64, content.len() as u64);
        self.bytes.extend(content);
        let entry_size: u64 = match kind {
            SHT_DYNSYM => 24,
            SHT_DYNAMIC => 16,
            _ => 0,
        };
        if kind == SHT_DYNAMIC {
            self.dynamic = (offset, size);
        }
        let name = u32::try_from(self.names.add(name)).expect("short");
        self.headers.extend(name.to_le_bytes());
        self.headers.extend(kind.to_le_bytes());
        for word in [2, offset, offset, size] {
            self.headers.extend(u64::to_le_bytes(word));
        }
        self.headers.extend(link.to_le_bytes());
        self.headers.extend(1_u32.to_le_bytes());
        for word in [8, entry_size] {
            self.headers.extend(u64::to_le_bytes(word));
        }
    }

    fn finish(mut self) -> Vec<u8> {
        let index = u16::try_from(self.headers.len() / SECTION_HEADER).expect("few");
        self.names.add(".shstrtab");
        let names = self.names.bytes.clone();
        self.section(".shstrtab", SHT_STRTAB, 0, names);
        // The last section's own name was added twice; the first one stands in its content.
        self.bytes.resize(self.bytes.len().next_multiple_of(16), 0);
        let table = self.bytes.len() as u64;
        let count = u16::try_from(self.headers.len() / SECTION_HEADER).expect("few");
        self.bytes.extend(std::mem::take(&mut self.headers));
        let length = self.bytes.len() as u64;
        let loaded = self.loaded.unwrap_or(length);
        let mut put = |at: usize, value: &[u8]| self.bytes[at..at + value.len()].copy_from_slice(value);
        put(32, &(HEADER as u64).to_le_bytes());
        put(40, &table.to_le_bytes());
        put(52, &(HEADER as u16).to_le_bytes());
        put(54, &(PROGRAM_HEADER as u16).to_le_bytes());
        put(56, &2_u16.to_le_bytes());
        put(58, &(SECTION_HEADER as u16).to_le_bytes());
        put(60, &count.to_le_bytes());
        put(62, &index.to_le_bytes());
        let segments = [(PT_LOAD, 0, loaded), (PT_DYNAMIC, self.dynamic.0, self.dynamic.1)];
        for (number, (kind, offset, size)) in segments.into_iter().enumerate() {
            let at = HEADER + number * PROGRAM_HEADER;
            put(at, &u32::to_le_bytes(kind));
            put(at + 4, &4_u32.to_le_bytes());
            for (word, value) in [offset, offset, offset, size, size, 8].into_iter().enumerate() {
                put(at + 8 + word * 8, &u64::to_le_bytes(value));
            }
        }
        self.bytes
    }
}
