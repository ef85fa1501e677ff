//! Facts derived from a file name: platform, architecture, media type.

use crate::domain::FileName;

const PLATFORMS: [&str; 6] = ["linux", "darwin", "macos", "windows", "freebsd", "openbsd"];
const ARCHITECTURES: [&str; 10] =
    ["amd64", "arm64", "x86_64", "aarch64", "i386", "386", "i686", "armv7", "riscv64", "ppc64le"];

/// The platform in a name such as `foo-linux-amd64.zip`, in lower case but otherwise as spelled there.
pub(in crate::cli) fn platform(name: &FileName) -> Option<&'static str> {
    only_word(name, &PLATFORMS)
}

/// The architecture in a name such as `foo-linux-amd64.zip`, in lower case but otherwise as spelled there.
pub(in crate::cli) fn architecture(name: &FileName) -> Option<&'static str> {
    only_word(name, &ARCHITECTURES)
}

/// The only word of the list that occurs in the name; `None` if two different ones do.
fn only_word(name: &FileName, words: &[&'static str]) -> Option<&'static str> {
    let name = name.base().to_ascii_lowercase();
    let mut found = words.iter().copied().filter(|word| has_word(&name, word));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// Whether `word` occurs in `text` without an adjacent letter or digit. (Splitting at separators would break `x86_64`.)
fn has_word(text: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric();
    text.match_indices(word).any(|(start, _)| {
        let (before, after) = (&text[..start], &text[start + word.len()..]);
        !before.chars().next_back().is_some_and(joins) && !after.chars().next().is_some_and(joins)
    })
}

/// The media type for the extension of a name.
pub(in crate::cli) fn media_type(name: &FileName) -> Option<&'static str> {
    let lower = name.base().to_ascii_lowercase();
    // A compressed file is served as such, never as a content coding of what it contains.
    let known = match lower.rsplit_once('.')?.1 {
        "gz" | "tgz" => "application/gzip",
        "zst" | "tzst" => "application/zstd",
        "xz" | "txz" => "application/x-xz",
        "bz2" | "tbz2" => "application/x-bzip2",
        "br" => "application/x-brotli",
        "sha256" | "sha512" | "sha256sum" | "sha512sum" => "text/plain",
        _ => return mime_guess::from_path(&lower).first_raw(),
    };
    Some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> FileName {
        text.parse().unwrap()
    }

    #[test]
    fn platform_and_architecture_are_read_as_written() {
        for (text, os, arch) in [
            ("foo-linux-amd64.zip", Some("linux"), Some("amd64")),
            ("foo_Darwin_arm64.tar.gz", Some("darwin"), Some("arm64")),
            ("foo-x86_64-unknown-linux-musl.tar.zst", Some("linux"), Some("x86_64")),
            ("foo_linux_aarch64", Some("linux"), Some("aarch64")),
            ("foo.windows.386.exe", Some("windows"), Some("386")),
            ("dist/foo-darwin-arm64", Some("darwin"), Some("arm64")),
            ("linux/notes.txt", None, None),
            ("linuxbrew.txt", None, None),
            ("amd64x.bin", None, None),
            ("foo-linux-darwin.zip", None, None),
            ("foo-amd64-arm64.zip", None, None),
            ("checksums.txt", None, None),
        ] {
            assert_eq!((platform(&name(text)), architecture(&name(text))), (os, arch), "{text}");
        }
    }

    #[test]
    fn compressed_files_are_what_they_are() {
        for (text, wanted) in [
            ("a.tar.gz", Some("application/gzip")),
            ("a.TGZ", Some("application/gzip")),
            ("a.tar.zst", Some("application/zstd")),
            ("a.zip", Some("application/zip")),
            ("index.html", Some("text/html")),
            ("a.json", Some("application/json")),
            ("install.sh", Some("application/x-sh")),
            ("a.sha256", Some("text/plain")),
            ("larder", None),
        ] {
            assert_eq!(media_type(&name(text)), wanted, "{text}");
        }
    }
}
