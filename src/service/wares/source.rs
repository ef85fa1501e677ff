//! The bytes of an archive: decompressed, and within limits.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

use super::limits::{ScanError, ScanLimits};

/// What may be decompressed in any case, in bytes, so that short archives are not judged by their ratio.
const SLACK: u64 = 1 << 20;
/// Other compressions, by their first bytes.
const OTHERS: [(&[u8], &str); 4] =
    [(b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x1f\x9d", "compress")];
/// Number of bytes that tell how the archive is compressed.
const MAGIC: usize = 6;

/// The bytes of an archive.
pub(super) struct Source<'a> {
    reader: Box<dyn Read + 'a>,
    /// Bytes that were read before decompression.
    raw: Rc<Cell<u64>>,
    /// Bytes that were read after it.
    read: u64,
    limits: ScanLimits,
}

impl<'a> Source<'a> {
    /// Recognises the compression by the first bytes.
    pub(super) fn open(reader: impl Read + 'a, limits: ScanLimits) -> Result<Self, ScanError> {
        let raw = Rc::new(Cell::new(0));
        let mut reader = Counted { reader, count: Rc::clone(&raw) };
        let mut magic = [0; MAGIC];
        let length = fill(&mut reader, &mut magic).map_err(failed)?;
        let magic = &magic[..length];
        if let Some((_, name)) = OTHERS.iter().find(|(begin, _)| magic.starts_with(begin)) {
            return Err(ScanError::Compression(name));
        }
        let is_gzip = magic.starts_with(b"\x1f\x8b");
        let whole = io::Cursor::new(magic.to_vec()).chain(reader);
        let reader: Box<dyn Read + 'a> = if is_gzip { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
        Ok(Self { reader, raw, read: 0, limits })
    }

    /// Reads until the buffer is full or the archive ends. Returns how many bytes were read.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ScanError> {
        let count = fill(&mut self.reader, buffer).map_err(failed)?;
        self.read += count as u64;
        let ScanLimits { bytes, ratio, .. } = self.limits;
        if self.read > bytes {
            return Err(ScanError::TooLarge(format!("{bytes} bytes once it is decompressed")));
        }
        if self.read > self.raw.get().saturating_mul(ratio).saturating_add(SLACK) {
            return Err(ScanError::TooLarge(format!("{ratio} bytes for each byte that is compressed")));
        }
        Ok(count)
    }

    /// Number of bytes that were read, decompressed.
    pub(super) fn bytes(&self) -> u64 {
        self.read
    }
}

/// A reader whose bytes are counted.
struct Counted<R> {
    reader: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Tells damage that the decoder found from a failure to read.
fn failed(error: io::Error) -> ScanError {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            ScanError::invalid(format!("its compression is damaged ({error})"))
        }
        _ => ScanError::Read(error),
    }
}
