//! Damage to a plugin file, in place and mended afterwards: a real plugin has tens of megabytes.

use std::fmt;
use std::ops::Range;

use gatehouse_plugin_api::manifest::{HEADER_BYTES, SECTION, checksum};
use object::Endianness;
use object::elf::{FileHeader64, SectionHeader64};
use object::read::elf::{FileHeader as _, SectionHeader as _};

/// Numbers from a seed: SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(u64);

impl Random {
    /// The numbers of one copy of a run.
    pub(crate) fn of(seed: u64, copy: u64) -> Self {
        let mut random = Self(seed ^ copy.wrapping_mul(0xd134_2543_de82_ef95));
        random.next();
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn within(&mut self, range: &Range<usize>) -> usize {
        range.start + self.below(range.len().max(1))
    }
}

/// What was done to a copy.
#[derive(Debug)]
pub(crate) struct Damage {
    what: Vec<String>,
    /// Whether the checksum was made to fit a changed manifest.
    pub(crate) makes_a_new_manifest: bool,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what.join(", then "))
    }
}

/// One section's header and content, by their places in the file.
#[derive(Debug, Clone)]
struct Section {
    name: String,
    header: Range<usize>,
    content: Range<usize>,
}

/// A sound plugin file, and what was changed in it.
pub(crate) struct Original {
    pub(crate) name: String,
    bytes: Vec<u8>,
    length: usize,
    sections: Vec<Section>,
    /// Headers and tables: where damage matters most.
    tables: Vec<Range<usize>>,
    before: Vec<(usize, Vec<u8>)>,
}

impl Original {
    pub(crate) fn new(name: &str, bytes: Vec<u8>) -> Self {
        let header = FileHeader64::<Endianness>::parse(&*bytes).unwrap();
        let endian = header.endian().unwrap();
        let table = header.sections(endian, &*bytes).unwrap();
        let at = usize::try_from(header.e_shoff(endian)).unwrap();
        let each = size_of::<SectionHeader64<Endianness>>();
        let sections: Vec<_> = table
            .iter()
            .enumerate()
            .map(|(index, section)| {
                let (offset, size) = section.file_range(endian).unwrap_or((0, 0));
                let (offset, size) = (usize::try_from(offset).unwrap(), usize::try_from(size).unwrap());
                Section {
                    name: String::from_utf8_lossy(table.section_name(endian, section).unwrap_or_default()).into_owned(),
                    header: at + index * each..at + (index + 1) * each,
                    content: offset..offset + size,
                }
            })
            .collect();
        let segments = usize::try_from(header.e_phoff(endian)).unwrap();
        let segments = segments..segments + usize::from(header.e_phnum(endian)) * 56;
        let read = [".dynamic", ".dynsym", ".dynstr", ".gnu.version_r", ".shstrtab", SECTION];
        let contents = sections.iter().filter(|section| read.contains(&section.name.as_str()));
        let mut tables: Vec<_> = contents.map(|section| section.content.clone()).collect();
        tables.extend([0..64, segments, at..at + sections.len() * each]);
        tables.retain(|range| !range.is_empty());
        Self { name: name.to_owned(), length: bytes.len(), sections, tables, before: Vec::new(), bytes }
    }

    /// The file as it is now.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// As it was.
    pub(crate) fn mend(&mut self) {
        self.length = self.bytes.len();
        for (at, bytes) in self.before.drain(..).rev() {
            self.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        let at = at.min(self.bytes.len());
        let length = bytes.len().min(self.bytes.len() - at);
        let place = at..at + length;
        self.before.push((at, self.bytes[place.clone()].to_vec()));
        self.bytes[place].copy_from_slice(&bytes[..length]);
    }

    /// Does one to three kinds of damage.
    pub(crate) fn damage(&mut self, random: &mut Random) -> Damage {
        let mut damage = Damage { what: Vec::new(), makes_a_new_manifest: false };
        for _ in 0..=random.below(6).saturating_sub(3) {
            let what = match random.below(10) {
                0 => self.flip(random, &(0..self.bytes.len())),
                1 => self.flip_table(random),
                2 | 3 => self.number(random),
                4 => self.overlap(random),
                5 => self.outside(random),
                6 => self.fill(random),
                7 => self.copy(random),
                8 => self.cut(random),
                _ => {
                    damage.makes_a_new_manifest = true;
                    self.manifest(random)
                }
            };
            damage.what.push(what);
        }
        damage
    }

    fn flip(&mut self, random: &mut Random, within: &Range<usize>) -> String {
        let count = 1 + random.below(8);
        for _ in 0..count {
            let at = random.within(within);
            let flipped = self.bytes[at] ^ (1 << random.below(8));
            self.write(at, &[flipped]);
        }
        format!("{count} bits flipped within {within:?}")
    }

    fn flip_table(&mut self, random: &mut Random) -> String {
        let table = self.tables[random.below(self.tables.len())].clone();
        self.flip(random, &table)
    }

    /// A number near a limit.
    fn edge(&self, random: &mut Random) -> u64 {
        let length = self.bytes.len() as u64;
        let near = random.pick(&[
            0,
            1,
            u64::from(u16::MAX),
            u64::from(u32::MAX),
            1 << 31,
            u64::MAX,
            u64::MAX - 7,
            u64::MAX - 63,
            1 << 63,
            (1 << 63) - 1,
            length,
            u64::MAX - length,
            1 << 40,
        ]);
        match random.below(4) {
            0 => near.wrapping_add(1),
            1 => near.wrapping_sub(1),
            2 => random.next() % length,
            _ => near,
        }
    }

    fn number(&mut self, random: &mut Random) -> String {
        let table = self.tables[random.below(self.tables.len())].clone();
        let width = random.pick(&[2, 4, 8]);
        let at = table.start + random.below(table.len()) / width * width;
        let value = self.edge(random);
        self.write(at, &value.to_le_bytes()[..width]);
        format!("{value:#x} in {width} bytes at {at}")
    }

    /// Writes a section's offset and size. Fields by the System V ABI, figure 4-8.
    fn place(&mut self, section: &Section, offset: u64, size: u64) {
        self.write(section.header.start + 24, &offset.to_le_bytes());
        self.write(section.header.start + 32, &size.to_le_bytes());
    }

    fn overlap(&mut self, random: &mut Random) -> String {
        let one = self.sections[random.below(self.sections.len())].clone();
        let other = self.sections[random.below(self.sections.len())].clone();
        let offset = other.content.start + random.below(other.content.len() + 1);
        let size =
            random.pick(&[one.content.len(), other.content.len(), self.bytes.len() - offset.min(self.bytes.len())]);
        self.place(&one, offset as u64, size as u64);
        format!("section {} over {} at {offset} with {size} bytes", one.name, other.name)
    }

    fn outside(&mut self, random: &mut Random) -> String {
        let section = self.sections[random.below(self.sections.len())].clone();
        let (offset, size) = (self.edge(random), self.edge(random));
        self.place(&section, offset, size);
        format!("section {} at {offset:#x} with {size:#x} bytes", section.name)
    }

    fn fill(&mut self, random: &mut Random) -> String {
        let table = self.tables[random.below(self.tables.len())].clone();
        let at = random.within(&table);
        let length = 1 + random.below((table.end - at).clamp(1, 64 * 1024));
        let byte = random.pick(&[0, 0xff, 0x41, 0x7f]);
        self.write(at, &vec![byte; length]);
        format!("{length} bytes of {byte:#x} at {at}")
    }

    fn copy(&mut self, random: &mut Random) -> String {
        let from = self.tables[random.below(self.tables.len())].clone();
        let to = self.tables[random.below(self.tables.len())].clone();
        let (from, to) = (random.within(&from), random.within(&to));
        let length = 1 + random.below(256.min(self.bytes.len() - from));
        let bytes = self.bytes[from..from + length].to_vec();
        self.write(to, &bytes);
        format!("{length} bytes copied from {from} to {to}")
    }

    fn cut(&mut self, random: &mut Random) -> String {
        self.length = match random.below(3) {
            0 => random.below(4096.min(self.bytes.len())),
            1 => self.bytes.len() - 1 - random.below(4096.min(self.bytes.len() - 1)),
            _ => random.below(self.bytes.len()),
        };
        format!("cut to {} bytes", self.length)
    }

    /// Damages the manifest and makes its checksum fit, so that what reads it meets the damage.
    fn manifest(&mut self, random: &mut Random) -> String {
        let section = self.sections.iter().find(|section| section.name == SECTION).unwrap().content.clone();
        let length = u32::from_le_bytes(self.bytes[section.start + 12..section.start + 16].try_into().unwrap());
        let content = section.start + HEADER_BYTES..(section.start + HEADER_BYTES + length as usize).min(section.end);
        let what = if random.below(2) == 0 {
            self.flip(random, &content)
        } else {
            // The formats of MessagePack that announce most: lists, maps, texts, bytes of 4 GiB.
            let at = random.within(&content);
            let format = random.pick(&[0xdd, 0xdf, 0xdb, 0xc6, 0xc9, 0x9f, 0x8f, 0xc1, 0xcb]);
            self.write(at, &[format, 0xff, 0xff, 0xff, 0xff]);
            format!("a value of format {format:#x} at {at}")
        };
        let sum = checksum(&self.bytes[content]);
        self.write(section.start + 16, &sum.to_le_bytes());
        format!("manifest with {what} and a checksum that fits")
    }
}
