//! What the files of a static site are: their media types, whether they are text, and of what they are variants.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::naming;
use crate::domain::FileName;
use crate::domain::manifest::Coding;
use crate::domain::site::{by_name, with_charset};

/// Bytes that are looked at in one step.
const STEP: usize = 64 << 10;

/// What a file of a static site is, beside its name and bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// Whether it is text in UTF-8.
    pub(super) is_utf8: bool,
    /// The file that it is a variant of, and the coding.
    pub(super) variant: Option<(FileName, Coding)>,
}

/// The media type of a file of a site, for its manifest.
pub(super) fn media_type(name: &FileName, is_utf8: bool) -> Option<Cow<'static, str>> {
    let media_type = by_name(name.as_str()).or_else(|| naming::media_type(name))?;
    Some(with_charset(media_type, is_utf8))
}

/// Whether a file is text that says nothing of its charset itself, so that it is worth looking at its bytes.
pub(super) fn may_have_charset(name: &FileName) -> bool {
    media_type(name, true) != media_type(name, false)
}

/// Whether a file is UTF-8. Blocks.
pub(super) fn is_utf8(path: &Path) -> io::Result<bool> {
    let (mut file, mut buffer, mut kept) = (File::open(path)?, vec![0; STEP], 0);
    loop {
        let count = file.read(&mut buffer[kept..])?;
        if count == 0 {
            return Ok(kept == 0);
        }
        let filled = kept + count;
        kept = match std::str::from_utf8(&buffer[..filled]) {
            Ok(_) => 0,
            // The last character goes on in the next step.
            Err(error) if error.error_len().is_none() => {
                buffer.copy_within(error.valid_up_to()..filled, 0);
                filled - error.valid_up_to()
            }
            Err(_) => return Ok(false),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_recognised_across_the_borders_of_steps() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let is_utf8 = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            is_utf8(&path).unwrap()
        };
        let across = "x".repeat(STEP - 1) + "\u{e9}\u{1f600}";
        for text in ["", "a", "\u{e9}", &across, &"\u{20ac}".repeat(STEP)] {
            assert!(is_utf8(text.as_bytes()));
        }
        for bytes in [&b"\xe9"[..], b"a\xff", &across.as_bytes()[..across.len() - 1]] {
            assert!(!is_utf8(bytes));
        }
    }
}
