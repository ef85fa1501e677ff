//! Lists of digests as `sha256sum` writes and checks them, made of a manifest.

use std::str::FromStr;

use serde::Serialize;

use super::FileName;
use super::manifest::Descriptor;

/// The file that lists the digests of all others.
pub const SUMS_FILE: &str = "SHA256SUMS";
/// What the name of a file with the digest of another one ends with.
pub const SUM_SUFFIX: &str = ".sha256";

/// How digests are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SumFormat {
    /// `HEX  NAME`, as `sha256sum` writes them.
    #[default]
    Gnu,
    /// `SHA256 (NAME) = HEX`, as `shasum --tag` and the BSDs write them.
    Bsd,
    /// `HEX` alone, for programs that want the digest of one file.
    Hex,
    /// One JSON object with `files`, each with `name`, `sha256` and `size`.
    Json,
}

/// The reason why a text is not the name of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("digests are written as gnu, bsd, hex or json")]
pub struct UnknownSumFormat;

impl FromStr for SumFormat {
    type Err = UnknownSumFormat;

    fn from_str(text: &str) -> Result<Self, UnknownSumFormat> {
        match text {
            "gnu" => Ok(Self::Gnu),
            "bsd" => Ok(Self::Bsd),
            "hex" => Ok(Self::Hex),
            "json" => Ok(Self::Json),
            _ => Err(UnknownSumFormat),
        }
    }
}

impl SumFormat {
    /// The media type of a list in this format.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Gnu | Self::Bsd | Self::Hex => "text/plain; charset=utf-8",
            Self::Json => "application/json",
        }
    }
}

#[derive(Serialize)]
struct Sums<'a> {
    files: Vec<Sum<'a>>,
}

#[derive(Serialize)]
struct Sum<'a> {
    name: &'a str,
    sha256: String,
    size: u64,
}

/// The digests of these files, sorted by name. Every line ends with a line feed.
#[must_use]
pub fn sums<'a>(files: impl IntoIterator<Item = (&'a FileName, Descriptor)>, format: SumFormat) -> String {
    let mut files: Vec<_> = files.into_iter().map(|(name, blob)| (name.as_str(), blob)).collect();
    files.sort_unstable_by_key(|(name, _)| *name);
    let lines =
        |line: fn(&str, &str) -> String| files.iter().map(|(name, blob)| line(name, &blob.digest.hex())).collect();
    match format {
        SumFormat::Gnu => lines(gnu),
        SumFormat::Bsd => lines(bsd),
        SumFormat::Hex => lines(|_, hex| format!("{hex}\n")),
        SumFormat::Json => {
            let sum = |(name, blob): &(&'a str, Descriptor)| Sum { name, sha256: blob.digest.hex(), size: blob.size };
            let sums = Sums { files: files.iter().map(sum).collect() };
            serde_json::to_string(&sums).expect("names and numbers can be serialised") + "\n"
        }
    }
}

fn gnu(name: &str, hex: &str) -> String {
    match escaped(name) {
        Some(name) => format!("\\{hex}  {name}\n"),
        None => format!("{hex}  {name}\n"),
    }
}

fn bsd(name: &str, hex: &str) -> String {
    match escaped(name) {
        Some(name) => format!("\\SHA256 ({name}) = {hex}\n"),
        None => format!("SHA256 ({name}) = {hex}\n"),
    }
}

/// The name as coreutils escapes it, in a line that begins with a backslash; `None` if it needs no escaping.
fn escaped(name: &str) -> Option<String> {
    let needed = name.contains(['\\', '\n', '\r']);
    needed.then(|| name.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::manifest::release;

    #[test]
    fn lines_are_sorted_and_as_the_tools_write_them() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let artifact = |name: &str| format!(r#"{{"name":"{name}","blob":"sha256:{hex}","size":0}}"#);
        let text = format!(r#"{{"artifacts":[{},{},{}]}}"#, artifact("b c"), artifact("dir/x"), artifact("a"));
        let manifest = release::read(text.as_bytes()).unwrap();
        let written =
            |format: &str| sums(manifest.files.iter().map(|file| (&file.name, file.blob)), format.parse().unwrap());
        assert_eq!(written("gnu"), format!("{hex}  a\n{hex}  b c\n{hex}  dir/x\n"));
        assert_eq!(written("bsd"), format!("SHA256 (a) = {hex}\nSHA256 (b c) = {hex}\nSHA256 (dir/x) = {hex}\n"));
        let entry = |name: &str| format!(r#"{{"name":"{name}","sha256":"{hex}","size":0}}"#);
        assert_eq!(written("json"), format!("{{\"files\":[{},{},{}]}}\n", entry("a"), entry("b c"), entry("dir/x")));
        assert_eq!(written("hex"), format!("{hex}\n").repeat(3));
        assert!("md5".parse::<SumFormat>().is_err());
    }

    #[test]
    fn what_would_break_a_line_is_escaped() {
        assert_eq!(gnu("a\\b\nc", "00"), "\\00  a\\\\b\\nc\n");
        assert_eq!(bsd("a\\b", "00"), "\\SHA256 (a\\\\b) = 00\n");
    }
}
