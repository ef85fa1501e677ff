//! Which file of a release is for which platform: spellings of platforms, and the choice among files.
//!
//! What a manifest states of a file counts. What it does not state is read from the file's name, see [`detect()`].

mod detect;
mod words;

use std::borrow::Cow;
use std::fmt;

pub use detect::{Detected, detect};

use super::manifest::Artifact;
use super::text::Escaped;
use words::{architecture, libc, platform};

/// What is known of a file, or asked for, each in one spelling. `None`: not known, or any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traits<'a> {
    /// Operating system: `linux`, `darwin`, `windows`, `freebsd` and so on.
    pub platform: Option<Cow<'a, str>>,
    /// Architecture: `amd64`, `arm64`, `386`, `armv7`, `universal` and so on.
    pub arch: Option<Cow<'a, str>>,
    /// C library or ABI: `gnu`, `musl`, `static`; for Windows `msvc` or `gnu`.
    pub libc: Option<Cow<'a, str>>,
    /// File format, by its extension: `tar.gz`, `zip`, `deb`, `exe`; `binary` for a program without an extension.
    pub format: Option<Cow<'a, str>>,
    /// How it is used: `installer`, `archive`, `binary`, or what a manifest states.
    pub kind: Option<Cow<'a, str>>,
}

/// The files that suit a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice<'a> {
    /// In the manifest's order. Empty if none suits.
    pub files: Vec<&'a Artifact>,
    /// What was taken because nothing was there of what was asked for, such as `arch=universal`.
    pub fallback: Option<&'static str>,
}

/// What replaces a trait that no file has.
type Fallback = (&'static str, fn(&Traits<'_>) -> Traits<'static>);

impl<'a> Traits<'a> {
    /// What is known of a file of a release. `None` for checksums, signatures and other companions of files, unless the
    /// manifest states their kind.
    #[must_use]
    pub fn of(file: &'a Artifact) -> Option<Self> {
        let detected = detect(file.name.base());
        if detected.is_companion && file.kind.is_none() {
            return None;
        }
        let of = |stated: Option<&'a str>, spelling: Spelling, detected: Option<&'static str>| match stated {
            Some(stated) => Some(one_spelling(stated, spelling)),
            None => detected.map(Cow::Borrowed),
        };
        Some(Self {
            platform: of(file.platform.as_deref(), platform, detected.platform),
            arch: of(file.arch.as_deref(), architecture, detected.arch),
            libc: of(file.libc.as_deref(), libc, detected.libc),
            format: of(file.format.as_deref(), detect::format, detected.format),
            kind: of(file.kind.as_deref(), |_| None, detected.kind),
        })
    }

    /// What is asked for. `target` is a target triple such as `x86_64-unknown-linux-musl`, or a pair such as
    /// `linux/arm64`; the other arguments take precedence over it. Any of the usual spellings will do.
    #[must_use]
    pub fn wanted(stated: &'a Stated) -> Self {
        let target = stated.target.as_deref().map(detect).unwrap_or_default();
        let of = |stated: &'a Option<String>, spelling: Spelling, detected: Option<&'static str>| match stated {
            Some(stated) if !stated.is_empty() => Some(one_spelling(stated, spelling)),
            _ => detected.map(Cow::Borrowed),
        };
        Self {
            platform: of(&stated.os, platform, target.platform),
            arch: of(&stated.arch, architecture, target.arch),
            libc: of(&stated.libc, libc, target.libc),
            format: of(&stated.format, detect::format, None),
            kind: of(&stated.kind, |_| None, None),
        }
    }

    /// Whether a file with these traits is what `wanted` asks for.
    fn suits(&self, wanted: &Traits<'_>) -> bool {
        let same = |has: &Option<Cow<'_, str>>, wanted: &Option<Cow<'_, str>>| {
            wanted.as_ref().is_none_or(|wanted| match has {
                Some(has) => has == wanted,
                None => wanted == UNSTATED,
            })
        };
        same(&self.platform, &wanted.platform)
            && same(&self.arch, &wanted.arch)
            && same(&self.libc, &wanted.libc)
            && same(&self.format, &wanted.format)
            && same(&self.kind, &wanted.kind)
    }

    /// What may be taken instead, the best first: universal programs on a Mac, static ones where another C library is
    /// wanted, and for the GNU C library those that state none, as is usual for them.
    fn fallbacks(&self) -> Vec<Fallback> {
        let is = |has: &Option<Cow<'_, str>>, one: &str| has.as_deref() == Some(one);
        let mut fallbacks: Vec<Fallback> = Vec::new();
        if is(&self.platform, "darwin") && (is(&self.arch, "arm64") || is(&self.arch, "amd64")) {
            fallbacks.push(("arch=universal", |wanted| wanted.with_arch("universal")));
        }
        if is(&self.libc, "gnu") {
            fallbacks.push(("libc=unstated", |wanted| wanted.with_libc(UNSTATED)));
        }
        if is(&self.libc, "gnu") || is(&self.libc, "musl") {
            fallbacks.push(("libc=static", |wanted| wanted.with_libc("static")));
        }
        fallbacks
    }

    fn with_arch(&self, arch: &'static str) -> Traits<'static> {
        Traits { arch: Some(arch.into()), ..self.clone().into_owned() }
    }

    fn with_libc(&self, libc: &'static str) -> Traits<'static> {
        Traits { libc: Some(libc.into()), ..self.clone().into_owned() }
    }

    fn into_owned(self) -> Traits<'static> {
        let owned = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        Traits {
            platform: owned(self.platform),
            arch: owned(self.arch),
            libc: owned(self.libc),
            format: owned(self.format),
            kind: owned(self.kind),
        }
    }
}

/// `for linux, amd64`: what is asked for, in a sentence.
impl fmt::Display for Traits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stated = [&self.platform, &self.arch, &self.libc, &self.format, &self.kind];
        let stated: Vec<_> = stated.into_iter().flatten().map(|text| Escaped::new(text).to_string()).collect();
        write!(f, "for {}", stated.join(", "))
    }
}

/// What a request says of the file it wants, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stated {
    /// Operating system.
    pub os: Option<String>,
    /// Architecture.
    pub arch: Option<String>,
    /// C library or ABI.
    pub libc: Option<String>,
    /// File format.
    pub format: Option<String>,
    /// Kind of file.
    pub kind: Option<String>,
    /// Target triple, or another text with several of these.
    pub target: Option<String>,
}

/// Equal to a trait that is not known. No spelling of a trait has a colon.
const UNSTATED: &str = ":";

/// The one spelling of a word, if it is known.
type Spelling = fn(&str) -> Option<&'static str>;

fn one_spelling(text: &str, spelling: Spelling) -> Cow<'_, str> {
    let lower: Cow<'_, str> =
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) { text.to_ascii_lowercase().into() } else { text.into() };
    spelling(&lower).map_or(lower, Cow::Borrowed)
}

/// The files that suit what is wanted. Files that cannot be told to suit are left out.
#[must_use]
pub fn choose<'a>(files: &'a [Artifact], wanted: &Traits<'_>) -> Choice<'a> {
    let known: Vec<_> = files.iter().filter_map(|file| Some((file, Traits::of(file)?))).collect();
    let suiting = |wanted: &Traits<'_>| {
        let suiting = known.iter().filter(|(_, traits)| traits.suits(wanted));
        suiting.map(|(file, _)| *file).collect::<Vec<_>>()
    };
    let files = suiting(wanted);
    if files.is_empty() {
        for (fallback, replace) in wanted.fallbacks() {
            let files = suiting(&replace(wanted));
            if !files.is_empty() {
                return Choice { files, fallback: Some(fallback) };
            }
        }
    }
    Choice { files, fallback: None }
}

#[cfg(test)]
mod tests;
