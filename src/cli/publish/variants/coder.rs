//! Compressing and decompressing in streams. The same bytes give the same bytes, on every machine.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::client::hash_all;
use crate::domain::manifest::{Coding, Descriptor};
use crate::domain::{Digest, Hasher};

/// Bytes per read and write.
const STEP: usize = 64 << 10;
/// Level of Brotli, its highest.
const BROTLI_LEVEL: i32 = 11;
/// Limits of the window of Brotli, in powers of two: what small files need, and what every client must have (RFC 7932).
const BROTLI_WINDOW: (u32, u32) = (16, 22);
/// Level of gzip, its highest.
const GZIP_LEVEL: u32 = 9;
/// Level of Zstandard, the highest whose window is no larger than what every client must have.
const ZSTD_LEVEL: i32 = 19;
/// Limit of the window of Zstandard, in powers of two (RFC 9659).
const ZSTD_WINDOW: u32 = 23;

/// Passes bytes on and hashes them.
struct Hashing<T> {
    inner: T,
    hasher: Hasher,
    size: u64,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Self { inner, hasher: Hasher::new(), size: 0 }
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
    }

    fn finish(self) -> (T, Descriptor) {
        (self.inner, Descriptor { digest: self.hasher.finish(), size: self.size })
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.pass(&buffer[..count]);
        Ok(count)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.pass(&buffer[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Compresses a file with these bytes into another one, which must be empty. Returns what was written. Blocks.
///
/// # Errors
/// When the file cannot be read, has other bytes by now, or the other one cannot be written.
pub(super) fn compress(path: &Path, plain: Descriptor, coding: Coding, into: &File) -> io::Result<Descriptor> {
    let mut input = Hashing::new(File::open(path)?);
    let mut output = Hashing::new(BufWriter::with_capacity(STEP, into));
    match coding {
        Coding::Br => {
            let (least, most) = BROTLI_WINDOW;
            let window = (plain.size + 16).next_power_of_two().trailing_zeros().clamp(least, most);
            let lgwin = i32::try_from(window).unwrap_or_default();
            let size_hint = usize::try_from(plain.size).unwrap_or(usize::MAX);
            let params =
                BrotliEncoderParams { quality: BROTLI_LEVEL, lgwin, size_hint, ..BrotliEncoderParams::default() };
            brotli::BrotliCompress(&mut input, &mut output, &params)?;
        }
        Coding::Gzip => {
            // Without a name and a time, which would make other bytes of the same file.
            let mut encoder = GzEncoder::new(&mut output, Compression::new(GZIP_LEVEL));
            io::copy(&mut input, &mut encoder)?;
            encoder.finish()?;
        }
        Coding::Zstd => {
            let mut encoder = zstd::Encoder::new(&mut output, ZSTD_LEVEL)?;
            // Small files get a small window by it, and say how large they are.
            encoder.set_pledged_src_size(Some(plain.size))?;
            io::copy(&mut input, &mut encoder)?;
            encoder.finish()?;
        }
    }
    let (writer, written) = output.finish();
    writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    if input.finish().1 != plain {
        return Err(io::Error::other("it changed while it was being read"));
    }
    Ok(written)
}

/// Whether a file decodes to these bytes. Reads no more than those. Blocks.
pub(super) fn decodes_to(path: &Path, coding: Coding, plain: Descriptor) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let file = BufReader::with_capacity(STEP, file);
    let decoded: io::Result<(Digest, u64)> = match coding {
        Coding::Br => hash(brotli::Decompressor::new(file, STEP), plain.size),
        Coding::Gzip => hash(MultiGzDecoder::new(file), plain.size),
        Coding::Zstd => zstd::Decoder::with_buffer(file).and_then(|mut decoder| {
            decoder.window_log_max(ZSTD_WINDOW)?;
            hash(decoder, plain.size)
        }),
    };
    decoded.is_ok_and(|(digest, size)| digest == plain.digest && size == plain.size)
}

fn hash(decoder: impl Read, limit: u64) -> io::Result<(Digest, u64)> {
    let (hasher, size) = hash_all(&mut decoder.take(limit.saturating_add(1)))?;
    Ok((hasher.finish(), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If this fails because an encoder was updated, other bytes come out of it: then `ENCODERS` of the cache goes up.
    #[test]
    fn the_same_bytes_give_the_same_bytes_and_decode_to_what_they_were() {
        let directory = tempfile::tempdir().unwrap();
        let lines: Vec<_> = (0..400).map(|line| format!("line {line} of {}\n", line * 7919)).collect();
        let text = lines.concat();
        let (path, coded) = (directory.path().join("f"), directory.path().join("f.x"));
        std::fs::write(&path, &text).unwrap();
        let plain = Descriptor { digest: Digest::of(text.as_bytes()), size: text.len() as u64 };
        let mut digests = Vec::new();
        for coding in Coding::ALL {
            let written = compress(&path, plain, coding, &File::create(&coded).unwrap()).unwrap();
            let bytes = std::fs::read(&coded).unwrap();
            assert_eq!(written, Descriptor { digest: Digest::of(&bytes), size: bytes.len() as u64 });
            assert!(written.size * 2 < plain.size, "{coding}: {} of {}", written.size, plain.size);
            assert!(decodes_to(&coded, coding, plain));
            let other = Descriptor { size: plain.size - 1, ..plain };
            assert!(!decodes_to(&coded, coding, other) && !decodes_to(&path, coding, plain));
            std::fs::write(&coded, &bytes[..bytes.len() - 1]).unwrap();
            assert!(!decodes_to(&coded, coding, plain), "{coding}: cut off");
            digests.push(written.digest.hex()[..16].to_owned());
        }
        assert_eq!(digests, ["f4581030cfb78eb4", "cc0b7a4ec92e45a9", "bff3b1d81eafcaec"]);
        let changed = Descriptor { digest: Digest::of(b"x"), ..plain };
        assert!(compress(&path, changed, Coding::Gzip, &File::create(&coded).unwrap()).is_err());
    }
}
