//! Tars made by hand, block by block, so that each test knows what is in them.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

const BLOCK: usize = 512;

/// A tar that is being written.
#[derive(Debug, Clone, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

/// What the header of an entry says beside its name.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    pub flag: u8,
    pub mode: u32,
    pub link: &'a str,
    /// The magic and version: those of ustar, of GNU, or none.
    pub magic: &'a [u8],
}

impl Default for Said<'_> {
    fn default() -> Self {
        Self { flag: b'0', mode: 0o644, link: "", magic: b"ustar\x0000" }
    }
}

pub const GNU: &[u8] = b"ustar  \0";

impl Tar {
    /// The header of an entry, and its content.
    pub fn entry(mut self, name: &str, content: &[u8], said: Said) -> Self {
        let block = header(name.as_bytes(), content.len(), said);
        self.bytes.extend_from_slice(&block);
        self.content(content)
    }

    /// A header that the test has changed, and content.
    pub fn raw(mut self, block: &[u8; BLOCK], content: &[u8]) -> Self {
        self.bytes.extend_from_slice(block);
        self.content(content)
    }

    fn content(mut self, content: &[u8]) -> Self {
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        self
    }

    pub fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(name, content, Said::default())
    }

    pub fn program(self, name: &str, content: &[u8]) -> Self {
        self.entry(name, content, Said { mode: 0o755, ..Said::default() })
    }

    pub fn directory(self, name: &str, mode: u32) -> Self {
        self.entry(name, b"", Said { flag: b'5', mode, ..Said::default() })
    }

    /// An entry without content that leads elsewhere.
    pub fn link(self, flag: u8, name: &str, link: &str) -> Self {
        self.entry(name, b"", Said { flag, link, ..Said::default() })
    }

    /// Records for the next entry, or (`g`) for all.
    pub fn pax(self, flag: u8, records: &[(&str, &str)]) -> Self {
        let content: String = records.iter().map(|(key, value)| record(key, value)).collect();
        self.entry("pax", content.as_bytes(), Said { flag, ..Said::default() })
    }

    /// The next entry's name (`L`) or link (`K`), in the way of GNU.
    pub fn long(self, flag: u8, name: &str) -> Self {
        let content = [name.as_bytes(), b"\0"].concat();
        self.entry("././@LongLink", &content, Said { flag, magic: GNU, ..Said::default() })
    }

    /// Without the blocks that mark the end.
    pub fn open(self) -> Vec<u8> {
        self.bytes
    }

    pub fn end(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }
}

/// A header block.
pub fn header(name: &[u8], size: usize, said: Said) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..name.len()].copy_from_slice(name);
    put(&mut block, 100, &format!("{:07o}", said.mode));
    put(&mut block, 108, "0001750");
    put(&mut block, 116, "0000144");
    put(&mut block, 124, &format!("{size:011o}"));
    put(&mut block, 136, "10741004305");
    block[156] = said.flag;
    put(&mut block, 157, said.link);
    block[257..257 + said.magic.len()].copy_from_slice(said.magic);
    summed(block)
}

/// Writes text at an offset of a header.
pub fn put(block: &mut [u8; BLOCK], at: usize, text: &str) {
    block[at..at + text.len()].copy_from_slice(text.as_bytes());
}

/// A header with its sum.
pub fn summed(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut block, 148, &format!("{sum:06o}\0 "));
    block
}

fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while length.to_string().len() + rest.len() != length {
        length += 1;
    }
    format!("{length}{rest}")
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
