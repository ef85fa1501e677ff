//! The entries of a tar, one after the other, without keeping any of it.

use sha2::{Digest as _, Sha384};

use super::header::{BLOCK, Header, text};
use super::limits::{MAX_PATH, ScanError, quote};
use super::pax::{Attributes, Pax};
use super::source::Source;
use crate::domain::ware::HASH;

/// Maximum size of a PAX header or a long name, in bytes.
const MAX_SPECIAL: u64 = 1 << 20;
/// Bytes of content that are hashed at once.
const BUFFER: usize = 64 << 10;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    /// A link, a device or a FIFO.
    Uncovered,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Its path, cleaned; empty for the directory that holds all.
    pub(super) path: Vec<u8>,
    pub(super) permissions: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The link's target. Files and directories may have a text there as well.
    pub(super) link: Vec<u8>,
    /// Modification time, in seconds since 1970 and nanoseconds.
    pub(super) modified: (i64, u32),
    pub(super) attributes: Attributes,
}

/// A tar that is read once.
pub(super) struct Archive<'a> {
    source: Source<'a>,
    /// Bytes of the entry's content that were not read yet.
    left: u64,
    /// Bytes that fill up its last block.
    padding: usize,
    buffer: Vec<u8>,
}

/// What headers before an entry say about it.
#[derive(Default)]
struct Before {
    pax: Pax,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<'a> Archive<'a> {
    pub(super) fn new(source: Source<'a>) -> Self {
        Self { source, left: 0, padding: 0, buffer: vec![0; BUFFER] }
    }

    /// Number of bytes that were read.
    pub(super) fn bytes(&self) -> u64 {
        self.source.bytes()
    }

    /// The next entry; `None` at the end.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, ScanError> {
        let mut before = Before::default();
        loop {
            self.content(|_| ())?;
            self.pad()?;
            let Some(header) = self.header()? else { return Ok(None) };
            match header.flag {
                b'x' => before.pax = Pax::read(&self.special(&header)?)?,
                // Holds for all later entries, but only notes are ever there, such as of a commit.
                b'g' => {
                    Pax::read(&self.special(&header)?)?;
                    before = Before::default();
                }
                b'L' => before.name = Some(text(&self.special(&header)?).to_vec()),
                b'K' => before.link = Some(text(&self.special(&header)?).to_vec()),
                _ => return self.entry(header, before).map(Some),
            }
        }
    }

    /// Hashes the content of the entry that was read last.
    pub(super) fn hash_content(&mut self) -> Result<[u8; HASH], ScanError> {
        let mut hasher = Sha384::new();
        self.content(|bytes| hasher.update(bytes))?;
        Ok(hasher.finalize().into())
    }

    /// Reads the rest of an entry's content.
    fn content(&mut self, mut each: impl FnMut(&[u8])) -> Result<(), ScanError> {
        while self.left > 0 {
            let length = usize::try_from(self.left).unwrap_or(BUFFER).min(BUFFER);
            if self.source.fill(&mut self.buffer[..length])? < length {
                return Err(ScanError::invalid("it ends in the middle of a file"));
            }
            each(&self.buffer[..length]);
            self.left -= length as u64;
        }
        Ok(())
    }

    /// Reads to the end of the block. Nothing need follow the last file.
    fn pad(&mut self) -> Result<(), ScanError> {
        let padding = std::mem::take(&mut self.padding);
        self.source.fill(&mut self.buffer[..padding]).map(drop)
    }

    /// Reads the next header; `None` at the end: two blocks of zeros, or one, or none if there is nothing else.
    fn header(&mut self) -> Result<Option<Header>, ScanError> {
        let Some(block) = self.block()? else { return Ok(None) };
        if block == [0; BLOCK] {
            return match self.block()? {
                Some(second) if second != [0; BLOCK] => Err(ScanError::invalid("something follows a block of zeros")),
                _ => Ok(None),
            };
        }
        Header::read(&block).map(Some)
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, ScanError> {
        let mut block = [0; BLOCK];
        match self.source.fill(&mut block)? {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            _ => Err(ScanError::invalid("it ends in the middle of a header")),
        }
    }

    /// Reads the content of an entry that only describes the next one.
    fn special(&mut self, header: &Header) -> Result<Vec<u8>, ScanError> {
        self.begin(header.size)?;
        if self.left > MAX_SPECIAL {
            return Err(ScanError::TooLarge(format!("{MAX_SPECIAL} bytes of names and attributes for one entry")));
        }
        let mut content = Vec::new();
        self.content(|bytes| content.extend_from_slice(bytes))?;
        Ok(content)
    }

    fn begin(&mut self, size: i64) -> Result<(), ScanError> {
        self.left = u64::try_from(size).map_err(|_| ScanError::invalid("a size is negative"))?;
        self.padding = usize::try_from(self.left.wrapping_neg() % BLOCK as u64).unwrap_or_default();
        Ok(())
    }

    fn entry(&mut self, mut header: Header, before: Before) -> Result<Entry, ScanError> {
        let (nanoseconds, attributes) = before.pax.apply(&mut header)?;
        let name = before.name.filter(|name| !name.is_empty()).unwrap_or(header.name);
        let link = before.link.filter(|link| !link.is_empty()).unwrap_or(header.link);
        let kind = match header.flag {
            0 if name.ends_with(b"/") => Kind::Directory,
            0 | b'0' => Kind::File,
            b'5' => Kind::Directory,
            b'1'..=b'4' | b'6' => Kind::Uncovered,
            b'S' => return Err(ScanError::Sparse(quote(&name))),
            flag => {
                let flag = char::from(flag);
                return Err(ScanError::invalid(format!("{:?} is of an unknown type, {flag:?}", quote(&name))));
            }
        };
        // Of the others, the size says something else, if anything.
        let has_content = kind == Kind::File || header.flag == 0;
        self.begin(if has_content { header.size } else { 0 })?;
        let low = |number: i64| u32::try_from(number & 0xffff_ffff).unwrap_or_default();
        Ok(Entry {
            kind,
            path: clean(&name)?,
            permissions: u16::try_from(header.mode & 0o7777).unwrap_or_default(),
            uid: low(header.uid),
            gid: low(header.gid),
            link,
            modified: (header.seconds, nanoseconds),
            attributes,
        })
    }
}

/// A path without needless parts. It must not lead out of the archive.
fn clean(path: &[u8]) -> Result<Vec<u8>, ScanError> {
    let out = || ScanError::invalid(format!("the path {:?} leads out of it", quote(path)));
    if path.len() > MAX_PATH {
        return Err(ScanError::TooLarge(format!("{MAX_PATH} bytes of path, in {:?}", quote(path))));
    }
    if path.starts_with(b"/") {
        return Err(out());
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop().ok_or_else(out)?),
            part => parts.push(part),
        }
    }
    Ok(parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_and_stay_inside() {
        for (path, wanted) in [
            ("", Some("")),
            (".", Some("")),
            ("./", Some("")),
            ("./a//b/", Some("a/b")),
            ("a/../b", Some("b")),
            ("a/..", Some("")),
            ("..a/b..", Some("..a/b..")),
            ("/a", None),
            ("..", None),
            ("a/../../b", None),
            ("./../a", None),
        ] {
            let cleaned = clean(path.as_bytes()).ok().map(|path| String::from_utf8(path).unwrap());
            assert_eq!(cleaned.as_deref(), wanted, "{path:?}");
        }
        assert!(clean(&[b'a'; MAX_PATH + 1]).is_err());
    }
}
