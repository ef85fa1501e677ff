//! Names of catalogs, and the coordinates `C:R:I` of what they list.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::ManifestName;

/// Maximum length of a segment other than the first, and of a label of the first, in bytes.
const MAX_LABEL: usize = 63;
/// Maximum length of the first segment, in bytes (RFC 1123, section 2.1).
const MAX_DOMAIN: usize = 253;
/// The last segment of the name that holds a catalog.
const SEGMENT: &str = "_catalog";

/// Text that does not name a catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a catalog's name: write one or more segments separated by '/', the first as a host name, each of at \
     most 63 lower-case letters, digits, '-' and single '.', beginning and ending with a letter or digit"
)]
pub struct CatalogNameError(String);

/// The name of a catalog, such as `example.org/team/tool`.
///
/// It is both the parent of manifest names, of which `C/_catalog` holds the document, and a module name of the Timeless
/// Stack: the first segment is a host name of RFC 1123, every other one `[a-z0-9]([-a-z0-9.]*[a-z0-9])?`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CatalogName(Box<str>);

impl CatalogName {
    /// The name as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The manifest name that holds the document.
    #[must_use]
    pub fn manifest(&self) -> ManifestName {
        format!("{}/{SEGMENT}", self.0).parse().expect("checked when the name was parsed")
    }

    /// The catalog whose document this manifest name holds, if it is such a name.
    #[must_use]
    pub fn of(name: &ManifestName) -> Option<Self> {
        name.as_str().strip_suffix(SEGMENT)?.strip_suffix('/')?.parse().ok()
    }

    /// The usual manifest name of a release. `None` if the release's name cannot be the last segment of one, or is
    /// reserved.
    #[must_use]
    pub fn release(&self, release: &str) -> Option<ManifestName> {
        if release.starts_with('_') || release.contains('/') {
            return None;
        }
        format!("{}/{release}", self.0).parse().ok()
    }
}

impl FromStr for CatalogName {
    type Err = CatalogNameError;

    fn from_str(text: &str) -> Result<Self, CatalogNameError> {
        let refuse = || CatalogNameError(text.chars().take(80).collect());
        let mut segments = text.split('/');
        let domain = segments.next().unwrap_or_default();
        let is_module = domain.len() <= MAX_DOMAIN
            && domain.split('.').all(is_label)
            && segments.all(|segment| segment.len() <= MAX_LABEL && is_module_part(segment));
        // Larder's grammar is narrower in places: `a..b` and `a.-b` are no components of names.
        let is_name = || format!("{text}/{SEGMENT}").parse::<ManifestName>().is_ok();
        if is_module && is_name() { Ok(Self(text.into())) } else { Err(refuse()) }
    }
}

/// Whether `text` is a label of a host name.
fn is_label(text: &str) -> bool {
    text.len() <= MAX_LABEL && is_module_part(text) && !text.contains('.')
}

/// Whether `text` matches `[a-z0-9]([-a-z0-9.]*[a-z0-9])?`.
fn is_module_part(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    word(*first) && word(*last) && bytes.iter().all(|b| word(*b) || matches!(b, b'-' | b'.'))
}

impl fmt::Display for CatalogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CatalogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

impl Serialize for CatalogName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CatalogName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Text that is no coordinate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoordinateError {
    /// The part before the first colon names no catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogNameError),
    /// A part after a colon is empty, or there are too many.
    #[error("write CATALOG, CATALOG:RELEASE or CATALOG:RELEASE:ITEM")]
    Form,
}

/// `C`, `C:R` or `C:R:I`: a catalog, a release in it, an item of that. Neither releases nor items have a colon in their
/// names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coordinate {
    /// The catalog.
    pub catalog: CatalogName,
    /// The release's name, if given.
    pub release: Option<String>,
    /// The item's name, if given.
    pub item: Option<String>,
}

impl FromStr for Coordinate {
    type Err = CoordinateError;

    fn from_str(text: &str) -> Result<Self, CoordinateError> {
        let mut parts = text.split(':');
        let catalog = parts.next().unwrap_or_default().parse()?;
        let (release, item) = (parts.next().map(str::to_owned), parts.next().map(str::to_owned));
        let is_empty = |part: &Option<String>| part.as_deref() == Some("");
        if parts.next().is_some() || is_empty(&release) || is_empty(&item) {
            return Err(CoordinateError::Form);
        }
        Ok(Self { catalog, release, item })
    }
}

impl fmt::Display for Coordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.catalog)?;
        for part in [&self.release, &self.item].into_iter().flatten() {
            write!(f, ":{part}")?;
        }
        Ok(())
    }
}
