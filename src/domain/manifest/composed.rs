//! The files of an index: those of the manifests that it lists.
//!
//! A name means the same file to everyone: the first one of that name in the order of the index. Below
//! `OS-ARCH[-VARIANT]/` each file has a name of its own, with which it is listed if manifests differ in what they have
//! under one name.

use std::collections::{HashMap, HashSet};

use super::oci::Platform;
use super::tree::Tree;
use super::{Artifact, Digest};
use crate::domain::FileName;

/// The files of one of the manifests that an index lists.
#[derive(Debug, Clone)]
pub struct PlatformFiles {
    /// The platform that it is for.
    pub platform: Platform,
    /// Its files.
    pub files: Vec<Artifact>,
}

/// The files of an index.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Composed {
    /// Each file once, with unique names, and with the platform that it is for.
    pub files: Vec<Artifact>,
    /// Further names of files, with their positions in `files`. The first of a name counts.
    pub aliases: Vec<(FileName, usize)>,
}

impl Composed {
    /// The files of the manifests of an index, in its order.
    #[must_use]
    pub fn of(manifests: &[PlatformFiles]) -> Self {
        let entries = || manifests.iter().flat_map(|one| one.files.iter().map(move |file| (&one.platform, file)));
        let mut bytes_of: HashMap<&FileName, HashSet<Digest>> = HashMap::new();
        let mut counts: HashMap<&FileName, usize> = HashMap::new();
        for (_, file) in entries() {
            bytes_of.entry(&file.name).or_default().insert(file.blob.digest);
            *counts.entry(&file.name).or_default() += 1;
        }
        let (mut composed, mut tree) = (Self::default(), Tree::default());
        let mut first: HashMap<&FileName, Option<usize>> = HashMap::new();
        for (platform, file) in entries() {
            let below: Vec<FileName> = directories(platform).filter_map(|dir| below(&dir, &file.name)).collect();
            let is_shared = bytes_of[&file.name].len() == 1;
            let before = first.get(&file.name).copied();
            let at = if let Some(at) = before.filter(|_| is_shared) {
                at
            } else {
                // Its bare name leads to the first one, so no other one is listed under it.
                let own = std::iter::once(&file.name).filter(|_| before.is_none());
                let name = below.iter().filter(|_| !is_shared).chain(own).find(|name| tree.add(name));
                let platform = Some(platform).filter(|_| !is_shared || counts[&file.name] == 1);
                name.map(|name| {
                    composed.files.push(for_platform(file, name.clone(), platform));
                    composed.files.len() - 1
                })
            };
            first.entry(&file.name).or_insert(at);
            let names = below.into_iter().chain(Some(file.name.clone()).filter(|_| before.is_none()));
            composed.aliases.extend(names.filter_map(|name| Some((name, at?))));
        }
        composed
    }
}

/// The directories that files for a platform are found in: `linux-arm`, `linux-arm-v7`.
fn directories(platform: &Platform) -> impl Iterator<Item = String> {
    let word = |text: &Option<String>| {
        let is_word = |text: &&String| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        text.as_ref().filter(is_word).cloned()
    };
    let pair = word(&platform.os).zip(word(&platform.architecture)).map(|(os, arch)| format!("{os}-{arch}"));
    let triple = pair.as_ref().zip(word(&platform.variant)).map(|(pair, variant)| format!("{pair}-{variant}"));
    pair.into_iter().chain(triple)
}

fn below(directory: &str, name: &FileName) -> Option<FileName> {
    format!("{directory}/{name}").parse().ok().filter(|name: &FileName| name.check().is_ok())
}

/// The file under this name. What the file states itself counts more than what the index states.
fn for_platform(file: &Artifact, name: FileName, platform: Option<&Platform>) -> Artifact {
    let arch = platform.and_then(|platform| {
        let (arch, variant) = (platform.architecture.as_ref()?, platform.variant.as_deref());
        // Only those of 32-bit ARM are architectures of their own to downloads: `armv7`.
        Some(variant.filter(|_| arch == "arm").map_or_else(|| arch.clone(), |variant| format!("arm{variant}")))
    });
    Artifact {
        name,
        platform: file.platform.clone().or_else(|| platform?.os.clone()),
        arch: file.arch.clone().or(arch),
        ..file.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::manifest::{Descriptor, FileIndex};

    fn manifest(platform: &str, files: &[(&str, &str)]) -> PlatformFiles {
        let mut words = platform.split('/').map(|word| Some(word.to_owned()).filter(|word| !word.is_empty()));
        let mut word = || words.next().flatten();
        let platform = Platform { os: word(), architecture: word(), variant: word() };
        let blob = |text: &str| Descriptor { digest: Digest::of(text.as_bytes()), size: text.len() as u64 };
        let file = |(name, text): &(&str, &str)| Artifact::of(name.parse().unwrap(), blob(text));
        PlatformFiles { platform, files: files.iter().map(file).collect() }
    }

    fn listed(manifests: &[PlatformFiles]) -> Vec<String> {
        Composed::of(manifests).files.iter().map(|file| file.name.to_string()).collect()
    }

    /// The bytes that a name leads to.
    fn found(manifests: &[PlatformFiles], name: &str) -> Option<Digest> {
        let composed = Composed::of(manifests);
        let index = FileIndex::new(&composed.files).with_aliases(composed.aliases);
        index.find(&name.parse().unwrap()).map(|at| composed.files[at].blob.digest)
    }

    #[test]
    fn files_of_one_name_are_listed_by_platform_and_the_first_is_found_by_its_name() {
        let manifests = [
            manifest("linux/amd64", &[("tool", "a"), ("only-amd64", "o"), ("LICENSE", "l")]),
            manifest("linux/arm64/v8", &[("tool", "b"), ("LICENSE", "l")]),
            manifest("", &[("tool", "c"), ("LICENSE", "l")]),
        ];
        let names = ["linux-amd64/tool", "only-amd64", "LICENSE", "linux-arm64/tool"];
        assert_eq!(listed(&manifests), names);
        for (name, bytes) in [
            ("tool", Some("a")),
            ("linux-amd64/tool", Some("a")),
            ("linux-arm64/tool", Some("b")),
            ("linux-arm64-v8/tool", Some("b")),
            ("linux-arm64/LICENSE", Some("l")),
            ("linux-amd64/only-amd64", Some("o")),
            ("linux-arm64/only-amd64", None),
            ("none", None),
        ] {
            assert_eq!(found(&manifests, name), bytes.map(|bytes| Digest::of(bytes.as_bytes())), "{name}");
        }
        let files = Composed::of(&manifests).files;
        let platform = |at: usize| (files[at].platform.as_deref(), files[at].arch.as_deref());
        assert_eq!(platform(0), (Some("linux"), Some("amd64")));
        assert_eq!(platform(2), (None, None), "for all of them");
        assert_eq!(platform(3), (Some("linux"), Some("arm64")));
        assert_eq!(listed(&manifests[1..]), ["linux-arm64/tool", "LICENSE"]);
        assert_eq!(listed(&manifests[2..]), ["tool", "LICENSE"]);
    }

    #[test]
    fn variants_are_told_apart() {
        let manifests = [manifest("linux/arm/v6", &[("tool", "a")]), manifest("linux/arm/v7", &[("tool", "b")])];
        assert_eq!(listed(&manifests), ["linux-arm/tool", "linux-arm-v7/tool"]);
        assert_eq!(found(&manifests, "linux-arm-v6/tool"), Some(Digest::of(b"a")));
        assert_eq!(Composed::of(&manifests).files[1].arch.as_deref(), Some("armv7"));
    }

    #[test]
    fn names_stay_unique_and_safe_whatever_an_index_states() {
        let manifests = [
            manifest("linux/amd64", &[("tool", "a"), ("linux-arm64", "file")]),
            manifest("linux/amd64", &[("tool", "b")]),
            manifest("linux/arm64", &[("tool", "c")]),
            PlatformFiles {
                platform: Platform { os: Some("../..".into()), architecture: Some("x".into()), variant: None },
                files: manifest("", &[("tool", "d"), ("dir/x", "x"), ("dir", "y")]).files,
            },
        ];
        assert_eq!(listed(&manifests), ["linux-amd64/tool", "linux-arm64", "dir/x"]);
    }
}
