//! Reading file names such as `tool-1.2.0-x86_64-unknown-linux-musl.tar.gz`.

use super::words::{architecture, libc, platform};

/// What the name of a file says about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Detected {
    /// Operating system.
    pub platform: Option<&'static str>,
    /// Architecture.
    pub arch: Option<&'static str>,
    /// C library or ABI.
    pub libc: Option<&'static str>,
    /// Format of the file.
    pub format: Option<&'static str>,
    /// How it is used: `installer`, `archive` or `binary`.
    pub kind: Option<&'static str>,
    /// Whether it is about another file: a checksum, a signature, a description. Then nothing else is set.
    pub is_companion: bool,
}

/// What the ends of names stand for; a longer one comes before what it ends with.
const FORMATS: [(&str, &str); 44] = [
    (".pkg.tar.zst", "pkg.tar.zst"),
    (".pkg.tar.xz", "pkg.tar.xz"),
    (".tar.gz", "tar.gz"),
    (".tgz", "tar.gz"),
    (".tar.xz", "tar.xz"),
    (".txz", "tar.xz"),
    (".tar.zst", "tar.zst"),
    (".tar.zstd", "tar.zst"),
    (".tzst", "tar.zst"),
    (".tar.bz2", "tar.bz2"),
    (".tbz2", "tar.bz2"),
    (".tbz", "tar.bz2"),
    (".tar.lz4", "tar.lz4"),
    (".tar.br", "tar.br"),
    (".app.zip", "app.zip"),
    (".tar", "tar"),
    (".zip", "zip"),
    (".7z", "7z"),
    (".gz", "gz"),
    (".xz", "xz"),
    (".zst", "zst"),
    (".bz2", "bz2"),
    (".br", "br"),
    (".deb", "deb"),
    (".rpm", "rpm"),
    (".apk", "apk"),
    (".ipk", "ipk"),
    (".snap", "snap"),
    (".flatpak", "flatpak"),
    (".appimage", "appimage"),
    (".msi", "msi"),
    (".msix", "msix"),
    (".msixbundle", "msixbundle"),
    (".appx", "appx"),
    (".exe", "exe"),
    (".dmg", "dmg"),
    (".pkg", "pkg"),
    (".jar", "jar"),
    (".whl", "whl"),
    (".vsix", "vsix"),
    (".nupkg", "nupkg"),
    (".wasm", "wasm"),
    (".iso", "iso"),
    (".img", "img"),
];

/// Ends of names of files that are about other files.
const COMPANIONS: [&str; 46] = [
    ".sha256",
    ".sha512",
    ".sha1",
    ".sha384",
    ".sha224",
    ".md5",
    ".b2",
    ".b3",
    ".blake3",
    ".sha256sum",
    ".sha512sum",
    ".sha256sums",
    ".sum",
    ".sums",
    ".sig",
    ".asc",
    ".gpg",
    ".minisig",
    ".sigstore",
    ".cosign",
    ".bundle",
    ".pem",
    ".crt",
    ".cert",
    ".pub",
    ".sbom",
    ".spdx",
    ".att",
    ".intoto",
    ".jsonl",
    ".json",
    ".xml",
    ".yml",
    ".yaml",
    ".toml",
    ".txt",
    ".md",
    ".html",
    ".blockmap",
    ".zsync",
    ".torrent",
    ".pdb",
    ".debug",
    ".dwp",
    ".map",
    ".dsym.zip",
];

/// Beginnings of names of files with checksums.
const CHECKSUMS: [&str; 8] =
    ["sha256sum", "sha512sum", "shasum", "sha1sum", "checksum", "md5sum", "sha2-256", "sha256_"];

/// The format that a text such as `tgz` stands for.
pub(super) fn format(text: &str) -> Option<&'static str> {
    let text = text.strip_prefix('.').unwrap_or(text);
    FORMATS.iter().find(|(end, _)| &end[1..] == text).map(|(_, format)| *format)
}

/// Reads the last segment of a file name. What it does not say, or says in two ways, stays unset.
#[must_use]
pub fn detect(name: &str) -> Detected {
    let lower = name.to_ascii_lowercase();
    if CHECKSUMS.iter().any(|start| lower.starts_with(start)) || COMPANIONS.iter().any(|end| lower.ends_with(end)) {
        return Detected { is_companion: true, ..Detected::default() };
    }
    let found = FORMATS.iter().find_map(|(end, format)| Some((lower.strip_suffix(end)?, *format)));
    let (stem, format) = found.map_or((&*lower, None), |(stem, format)| (stem, Some(format)));
    let words = Words::of(stem);
    let implied = format.and_then(implied);
    let platform = words.platform.get().or(implied.filter(|_| words.platform.is_unset()));
    let arch = words.arch.get().or(words.weak_arch.get().filter(|_| words.arch.is_unset()));
    let arch = arch.or_else(|| (words.is_for_all && platform == Some("darwin")).then_some("universal"));
    let format = format.or_else(|| (platform.is_some() || arch.is_some()).then_some("binary"));
    let installs = words.is_installer && matches!(format, Some("exe" | "zip" | "binary"));
    let kind = if installs { Some("installer") } else { format.and_then(kind) };
    Detected { platform, arch, libc: words.libc.get(), format, kind, is_companion: false }
}

/// The platform that a format exists for.
fn implied(format: &str) -> Option<&'static str> {
    Some(match format {
        "deb" | "rpm" | "snap" | "flatpak" | "appimage" | "pkg.tar.zst" | "pkg.tar.xz" | "ipk" => "linux",
        "msi" | "msix" | "msixbundle" | "appx" | "exe" => "windows",
        "dmg" | "pkg" | "app.zip" => "darwin",
        _ => return None,
    })
}

fn kind(format: &str) -> Option<&'static str> {
    Some(match format {
        "deb" | "rpm" | "apk" | "ipk" | "snap" | "flatpak" | "msi" | "msix" | "msixbundle" | "appx" | "dmg" | "pkg"
        | "pkg.tar.zst" | "pkg.tar.xz" => "installer",
        "binary" | "exe" | "appimage" | "gz" | "xz" | "zst" | "bz2" | "br" | "wasm" | "jar" => "binary",
        "tar.gz" | "tar.xz" | "tar.zst" | "tar.bz2" | "tar.lz4" | "tar.br" | "tar" | "zip" | "7z" | "app.zip" => {
            "archive"
        }
        _ => return None,
    })
}

/// A trait that is unset, set, or said in two ways.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    value: Option<&'static str>,
    is_contradicted: bool,
}

impl Said {
    fn say(&mut self, value: &'static str) {
        match self.value {
            Some(other) if other != value => self.is_contradicted = true,
            _ => self.value = Some(value),
        }
    }

    fn get(self) -> Option<&'static str> {
        self.value.filter(|_| !self.is_contradicted)
    }

    fn is_unset(self) -> bool {
        self.value.is_none()
    }
}

/// What the words of a name say.
#[derive(Debug, Default)]
struct Words {
    platform: Said,
    arch: Said,
    /// Architectures that count only where no other is named, such as that of `linux64`.
    weak_arch: Said,
    libc: Said,
    is_installer: bool,
    is_for_all: bool,
}

impl Words {
    fn of(stem: &str) -> Self {
        let mut words = Self::default();
        let whole = joined(stem);
        let (mut rest, mut follows_number) = (&*whole, false);
        while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
            let before = &rest[..start];
            let word = &rest[start..];
            let end = word.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(word.len());
            let (word, after) = word.split_at(end);
            // Numbers beside dots are parts of versions.
            let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
            let continues =
                after.strip_prefix('.').is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit()));
            if !(is_number && (continues || before == "." && follows_number)) {
                words.add(word);
            }
            follows_number = is_number || word.strip_prefix('v').is_some_and(|v| v.bytes().all(|b| b.is_ascii_digit()));
            rest = after;
        }
        // The kernel below Android is no platform of its own.
        if whole.contains("android") {
            words.platform = Said { value: Some("android"), is_contradicted: false };
        }
        words
    }

    fn add(&mut self, word: &str) {
        match word {
            "setup" | "installer" | "install" => self.is_installer = true,
            "all" => self.is_for_all = true,
            "win64" | "linux64" | "mac64" | "macos64" | "osx64" | "darwin64" => self.weak_arch.say("amd64"),
            "linux32" => self.weak_arch.say("386"),
            "64bit" => return self.weak_arch.say("amd64"),
            "32bit" => return self.weak_arch.say("386"),
            _ => {}
        }
        if let Some(libc) = libc(word) {
            self.libc.say(libc);
        }
        if let Some(arch) = architecture(word) {
            return self.arch.say(arch);
        }
        let unnumbered = word.trim_end_matches(|c: char| c.is_ascii_digit());
        if let Some(platform) = platform(word).or_else(|| platform(unnumbered)) {
            return self.platform.say(platform);
        }
        for start in ["linux", "darwin", "macos", "osx", "mac", "windows", "win", "freebsd"] {
            let Some(rest) = word.strip_prefix(start) else { continue };
            let (arch, libc) = (architecture(rest), libc(rest));
            if let (Some(platform), true) = (platform(start), arch.is_some() || libc.is_some()) {
                self.platform.say(platform);
                if let Some(arch) = arch {
                    self.arch.say(arch);
                }
                if let Some(libc) = libc {
                    self.libc.say(libc);
                }
                return;
            }
        }
    }
}

/// The text with the names of architectures that hold a separator in one word.
fn joined(stem: &str) -> String {
    const JOINED: [(&str, &str); 9] = [
        ("x86_64", "amd64"),
        ("x86-64", "amd64"),
        ("x86_32", "386"),
        ("aarch_64", "arm64"),
        ("ppcle_64", "ppc64le"),
        ("64-bit", "64bit"),
        ("32-bit", "32bit"),
        ("universal_binary", "universal"),
        ("win32-x64", "win-x64"),
    ];
    JOINED.iter().fold(
        stem.to_owned(),
        |text, (spelled, word)| {
            if text.contains(spelled) { text.replace(spelled, word) } else { text }
        },
    )
}
