//! A release as its source describes it, before anything about it was checked.

use std::fmt;
use std::path::PathBuf;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::{ImportOrigin, Web};
use crate::domain::{Digest, FileName, ManifestName};

/// A release to import.
#[derive(Debug)]
pub(super) struct Release {
    /// What the source calls it, such as a channel or a tag.
    pub(super) shown: String,
    /// The name to publish it under; `None` if its own makes no name, which is one of `troubles`.
    pub(super) name: Option<ManifestName>,
    /// Where it comes from.
    pub(super) from: ImportOrigin,
    /// Whether readers get it; otherwise it is only staged.
    pub(super) activate: bool,
    /// The members of its manifest beside the artifacts.
    pub(super) document: Map<String, Value>,
    /// Its files.
    pub(super) files: Vec<File>,
    /// What is wrong with it as far as it was read.
    pub(super) troubles: Vec<Trouble>,
}

/// A file of a release.
#[derive(Debug)]
pub(super) struct File {
    /// Its name.
    pub(super) name: FileName,
    /// Where its bytes are.
    pub(super) place: Place,
    /// What the source says about its digest. All of it has to agree.
    pub(super) claims: Vec<Claim>,
    /// What the source says about its size, in bytes.
    pub(super) size: Option<u64>,
    /// Further members of its artifact, such as `platform`.
    pub(super) members: Map<String, Value>,
}

/// Where the bytes of a file are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// On this machine.
    Local(PathBuf),
    /// On another server.
    Web {
        /// How to reach it.
        web: Web,
        /// The address.
        url: Url,
        /// The `Accept` that gets the bytes of the file.
        accept: &'static str,
        /// Whether to ask how long the file is, even if the source says so.
        look: bool,
    },
}

/// A statement about the digest of a file.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    /// Who says so.
    pub(super) by: String,
    /// The digest.
    pub(super) digest: Digest,
}

/// An address in a document.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Address(pub(super) Url);

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Url::parse(&text).map(Self).map_err(|error| format!("{text:?} is no address: {error}"))
    }
}

/// Something that is wrong with a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Trouble {
    /// A stable code for programs.
    pub(super) code: &'static str,
    /// The file, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    /// What is wrong, for people.
    pub(super) detail: String,
}

impl Trouble {
    /// Something that is wrong with one file.
    pub(super) fn of(code: &'static str, file: &dyn fmt::Display, detail: impl Into<String>) -> Self {
        Self { code, file: Some(file.to_string()), detail: detail.into() }
    }

    /// Something that is wrong with the release.
    pub(super) fn general(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, file: None, detail: detail.into() }
    }
}

/// A file whose checksum is not that of its bytes, or whose checksums differ.
pub(super) const TORN: &str = "TORN_PAIR";
/// A file or checksum without the other.
pub(super) const MISSING: &str = "FILE_MISSING";
/// A document of the source that cannot be read.
pub(super) const UNREADABLE: &str = "SOURCE_UNREADABLE";
/// A name that cannot be one here.
pub(super) const NAME: &str = "NAME_INVALID";
/// A name that is left as it is.
pub(super) const KEPT: &str = "NAME_KEPT";

/// The name below `base` that a channel or tag gets; a trouble if it makes none.
pub(super) fn name_below(base: &str, own: &str, troubles: &mut Vec<Trouble>) -> Option<ManifestName> {
    let text = if own == "." { base.to_owned() } else { format!("{base}/{own}") };
    text.parse()
        .map_err(|error| troubles.push(Trouble::general(NAME, format!("{text:?} cannot be a name here: {error}"))))
        .ok()
}

/// The name of a file; a trouble if it is none, or has more than one segment.
pub(super) fn file_name(text: &str, troubles: &mut Vec<Trouble>) -> Option<FileName> {
    let why = match text.parse::<FileName>() {
        Ok(name) if !text.contains('/') => return Some(name),
        Ok(_) => "it has a slash".to_owned(),
        Err(error) => error.to_string(),
    };
    let shown: String = text.chars().take(80).collect();
    troubles.push(Trouble::of(NAME, &shown, format!("{shown:?} cannot be the name of a file: {why}")));
    None
}

/// The digest in text such as that of a `.sha256` file: 64 hex digits, alone or as the first word.
pub(super) fn checksum(text: &str) -> Option<Digest> {
    let word = text.split_ascii_whitespace().next()?;
    Digest::from_hex(&word.trim_start_matches('\\').to_ascii_lowercase()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_read_in_the_forms_that_tools_write() {
        let (digest, hex) = (Digest::of(b"x"), Digest::of(b"x").hex());
        for text in
            [hex.clone(), format!("{hex}  x.zip\n"), format!("{hex} *x.zip"), hex.to_uppercase(), format!("\\{hex}  x")]
        {
            assert_eq!(checksum(&text), Some(digest), "{text}");
        }
        for text in ["", "\n", "x.zip", &hex[1..], "<html>"] {
            assert_eq!(checksum(text), None, "{text}");
        }
    }

    #[test]
    fn what_makes_no_name_is_a_trouble() {
        let mut troubles = Vec::new();
        assert_eq!(name_below("miren", "v1.0", &mut troubles), "miren/v1.0".parse().ok());
        assert_eq!(name_below("miren/_root", ".", &mut troubles), "miren/_root".parse().ok());
        assert_eq!(troubles, []);
        assert_eq!(name_below("miren", "v1.0+build", &mut troubles), None);
        for file in ["../x", "a/b", ""] {
            assert_eq!(file_name(file, &mut troubles), None);
        }
        assert_eq!(troubles.len(), 4);
    }
}
