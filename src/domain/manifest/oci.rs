//! OCI image manifests and indexes, and their Docker predecessors (image-spec `manifest.md`, `image-index.md`).
//!
//! The media type of a document is a pure function of its bytes, see [`media_type_of`]. Unknown members and types are
//! ignored: the stored bytes keep them. A layer that is kept elsewhere by design, because its type is
//! non-distributable or it states `urls`, is not needed. Manifests that an index lists are children; everything else
//! that it lists is a blob (build caches store their layers so).
//!
//! Digests may be stated in SHA-512, too. Whoever reads a document says what they stand for ([`Aliases`]); the result has
//! SHA-256 digests only.

mod check;
mod description;
mod files;
mod statement;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};

pub use check::check;
pub use description::Description;
pub use statement::Statement;

use super::release::text;
use super::{Aliases, Child, Descriptor, Format, Kind, Manifest, ReadError, SiteSettings};
use crate::domain::json::reason;
use crate::domain::{AnyDigest, Sha512};

/// Media type of an image manifest.
pub const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of Docker's image manifest, version 2 schema 2.
pub const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Media type of Docker's manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// All media types of manifests.
const MEDIA_TYPES: &[&str] = &[IMAGE, INDEX, DOCKER_IMAGE, DOCKER_LIST];

/// The format of OCI manifests and indexes.
pub const FORMAT: Format = Format { media_types: MEDIA_TYPES, read, check };

/// Layers that registries need not hold.
const FOREIGN: [&str; 4] = [
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
];

const NO_JSON: &str = "it is not JSON";
const OTHER_JSON: &str = "it does not have the members of an OCI manifest or index";

/// Annotation with the version of what a manifest packages.
const VERSION: &str = "org.opencontainers.image.version";
/// Annotation with the file name of a layer, or the title of what a manifest packages.
pub(super) const TITLE: &str = "org.opencontainers.image.title";

/// Whether a media type is that of a manifest or an index.
#[must_use]
pub fn is_oci(media_type: &str) -> bool {
    MEDIA_TYPES.contains(&media_type)
}

/// Whether a media type is that of an index.
#[must_use]
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, INDEX | DOCKER_LIST)
}

/// The media type of a document: its member `mediaType`; without one, that of an OCI index if it has `manifests`, or
/// of an OCI manifest if it has `config` or `layers`.
///
/// # Errors
/// [`ReadError::Malformed`] if it is none of the four. It may quote the document, so it is for who has sent that.
pub fn media_type_of(bytes: &[u8]) -> Result<&'static str, ReadError> {
    let detailed = |error: serde_json::Error| {
        let reason = reason(&error);
        ReadError::Malformed(if error.is_data() { reason } else { format!("{NO_JSON}: {reason}") })
    };
    serde_json::from_slice::<Document>(bytes).map_err(detailed)?.media_type()
}

/// The media type of a document whose media type nobody stated, if it is an OCI document: one with `schemaVersion` 2
/// that [`media_type_of`] knows. No document in Larder's own format is one.
#[must_use]
pub fn media_type_by_shape(bytes: &[u8]) -> Option<&'static str> {
    #[derive(Deserialize)]
    struct Shape {
        #[serde(rename = "schemaVersion")]
        schema_version: u64,
        #[serde(rename = "artifacts")]
        _artifacts: Option<Foreign>,
    }
    let shape: Shape = serde_json::from_slice(bytes).ok()?;
    let document = Document::parse(bytes).ok().filter(|_| shape.schema_version == 2)?;
    document.media_type().ok()
}

/// What no OCI document has. Most documents that are none have it early: then the rest is not read.
struct Foreign;

impl<'de> Deserialize<'de> for Foreign {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("a member of Larder's own format"))
    }
}

/// One of the manifests that an index lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The manifest.
    pub child: Child,
    /// The platform that it is for, as far as it is stated.
    pub platform: Platform,
}

/// The manifests that an index lists, in its order. Empty for other documents.
///
/// # Errors
/// [`ReadError::Malformed`] or [`ReadError::Unresolved`] if the document cannot be read.
pub fn listed(bytes: &[u8], aliases: &Aliases) -> Result<Vec<Listed>, ReadError> {
    let manifests = Document::parse(bytes)?.manifests.unwrap_or_default();
    let mut listed = Vec::new();
    for manifest in manifests {
        let Some(media_type) = manifest.manifest_type() else { continue };
        let child = Child { blob: manifest.descriptor(aliases)?, media_type: Some(media_type.into()) };
        listed.push(Listed { child, platform: manifest.platform.unwrap_or_default() });
    }
    Ok(listed)
}

/// A blob that a manifest refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The blob.
    pub blob: Descriptor,
    /// Its media type, if stated.
    pub media_type: Option<String>,
}

/// The layers of a manifest, in its order, each as often as it is stated. Without those of which no digest in
/// SHA-256 is known, which only layers kept elsewhere may be.
///
/// # Errors
/// [`ReadError::Malformed`] if the document cannot be read.
pub fn layers(bytes: &[u8], aliases: &Aliases) -> Result<Vec<Described>, ReadError> {
    let layers = Document::parse(bytes)?.layers.unwrap_or_default().into_iter();
    let described =
        |layer: Stated| Some(Described { blob: layer.descriptor(aliases).ok()?, media_type: layer.media_type });
    Ok(layers.filter_map(described).collect())
}

/// The manifest that a document describes, as it states it. `None` also if the document cannot be read.
#[must_use]
pub fn subject(bytes: &[u8]) -> Option<AnyDigest> {
    Document::parse(bytes).ok()?.subject?.digest.parse().ok()
}

/// The configuration of a manifest, if it has this media type, is stated by SHA-256 and can be read.
pub(super) fn config_of_type(bytes: &[u8], media_type: &str) -> Option<Descriptor> {
    let config = Document::parse(bytes).ok()?.config?;
    (config.media_type.as_deref() == Some(media_type)).then(|| config.descriptor(&Aliases::default()).ok())?
}

/// A manifest or an index, as far as Larder looks at it. Members that are `null` count as absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
struct Document {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default, deserialize_with = "text")]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<Stated>,
    #[serde(default)]
    layers: Option<Vec<Stated>>,
    #[serde(default)]
    manifests: Option<Vec<Stated>>,
    #[serde(default)]
    subject: Option<Stated>,
    #[serde(default)]
    annotations: Option<Annotations>,
}

/// A descriptor as a document states it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a descriptor")]
struct Stated {
    #[serde(default, deserialize_with = "text")]
    media_type: Option<String>,
    digest: String,
    size: u64,
    #[serde(default)]
    urls: Option<Vec<IgnoredAny>>,
    #[serde(default)]
    annotations: Option<Annotations>,
    #[serde(default)]
    platform: Option<Platform>,
}

/// The platform of a manifest (image-spec `image-index.md`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(expecting = "an object")]
pub struct Platform {
    /// Operating system (`linux`), if stated.
    #[serde(default, deserialize_with = "text")]
    pub os: Option<String>,
    /// Architecture (`arm64`), if stated.
    #[serde(default, deserialize_with = "text")]
    pub architecture: Option<String>,
    /// Variant of the architecture (`v8`), if stated.
    #[serde(default, deserialize_with = "text")]
    pub variant: Option<String>,
}

impl Platform {
    /// Whether it marks a manifest that describes another one of the index, such as the attestations of builders,
    /// rather than being one of those to choose from.
    #[must_use]
    pub fn is_attestation(&self) -> bool {
        let unknown = |text: &Option<String>| text.as_deref() == Some("unknown");
        unknown(&self.os) && unknown(&self.architecture)
    }
}

/// Annotations by name. A value that is not a text counts as absent.
type Annotations = BTreeMap<String, Annotation>;

struct Annotation(Option<String>);

impl<'de> Deserialize<'de> for Annotation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer).map(Self)
    }
}

/// The annotation of this name, if it is a text that is not empty.
fn annotation<'a>(annotations: Option<&'a Annotations>, name: &str) -> Option<&'a str> {
    annotations?.get(name)?.0.as_deref().filter(|text| !text.is_empty())
}

impl Document {
    /// Parses what is stored. The error quotes nothing of it: what another document names may be anybody's.
    fn parse(bytes: &[u8]) -> Result<Self, ReadError> {
        let neutral = |error: serde_json::Error| if error.is_data() { OTHER_JSON } else { NO_JSON };
        serde_json::from_slice(bytes).map_err(|error| ReadError::Malformed(neutral(error).to_owned()))
    }

    fn media_type(&self) -> Result<&'static str, ReadError> {
        let Some(stated) = &self.media_type else {
            let is_image = self.config.is_some() || self.layers.is_some();
            return match (&self.manifests, is_image) {
                (Some(_), _) => Ok(INDEX),
                (None, true) => Ok(IMAGE),
                (None, false) => {
                    Err(ReadError::Malformed("it has neither `config` and `layers` nor `manifests`".into()))
                }
            };
        };
        MEDIA_TYPES.iter().copied().find(|known| known == stated).ok_or_else(|| {
            let stated: String = stated.chars().take(100).collect();
            ReadError::Malformed(format!("mediaType: {stated:?} is not one of {}", MEDIA_TYPES.join(", ")))
        })
    }

    /// All descriptors with their place in the document, but not `subject`.
    fn descriptors(&self) -> impl Iterator<Item = (&'static str, usize, &Stated)> {
        let config = self.config.iter().map(|config| ("config", 0, config));
        let layers = self.layers.iter().flatten().enumerate().map(|(at, layer)| ("layers", at, layer));
        let manifests = self.manifests.iter().flatten().enumerate().map(|(at, child)| ("manifests", at, child));
        config.chain(layers).chain(manifests)
    }
}

impl Stated {
    /// Whether a registry need not hold it.
    fn is_elsewhere(&self) -> bool {
        let is_foreign = self.media_type.as_deref().is_some_and(|stated| FOREIGN.contains(&stated));
        is_foreign || self.urls.as_ref().is_some_and(|urls| !urls.is_empty())
    }

    fn descriptor(&self, aliases: &Aliases) -> Result<Descriptor, ReadError> {
        let stated = self.digest.parse().map_err(|error| ReadError::Malformed(format!("digest: {error}")))?;
        let digest = match stated {
            AnyDigest::Sha256(digest) => digest,
            AnyDigest::Sha512(sha512) => aliases.get(&sha512).ok_or_else(|| ReadError::Unresolved(vec![sha512]))?,
        };
        Ok(Descriptor { digest, size: self.size })
    }

    /// The media type, if it is one of manifests. In an index, others are plain blobs.
    fn manifest_type(&self) -> Option<&str> {
        self.media_type.as_deref().filter(|stated| is_oci(stated))
    }
}

/// Reads a published manifest or index.
///
/// # Errors
/// [`ReadError::Malformed`] or [`ReadError::Unresolved`] if the needed blobs cannot be determined.
fn read(bytes: &[u8], aliases: &Aliases) -> Result<Manifest, ReadError> {
    let document = Document::parse(bytes)?;
    let media_type = document.media_type()?;
    let (mut blobs, mut children) = (Vec::new(), Vec::new());
    let mut unresolved: BTreeSet<Sha512> = BTreeSet::new();
    for (list, _, stated) in document.descriptors() {
        if list == "layers" && stated.is_elsewhere() {
            continue;
        }
        match (stated.descriptor(aliases), stated.manifest_type().filter(|_| list == "manifests")) {
            (Ok(blob), Some(media_type)) => children.push(Child { blob, media_type: Some(media_type.into()) }),
            (Ok(blob), None) => blobs.push(blob),
            (Err(ReadError::Unresolved(digests)), _) => unresolved.extend(digests),
            (Err(error), _) => return Err(error),
        }
    }
    if !unresolved.is_empty() {
        return Err(ReadError::Unresolved(unresolved.into_iter().collect()));
    }
    let mut seen = HashSet::new();
    children.retain(|child| seen.insert(child.clone()));
    // One that is stated with two sizes is needed with both, which publishing refuses.
    let mut seen = HashSet::with_capacity(blobs.len());
    blobs.retain(|blob| seen.insert(*blob));
    Ok(Manifest {
        media_type: Cow::Borrowed(media_type),
        label: annotation(document.annotations.as_ref(), VERSION).map(ToOwned::to_owned),
        kind: Kind::Oci,
        entrypoint: None,
        site: SiteSettings::default(),
        files: files::of(&document, aliases),
        source: None,
        blobs,
        children,
        subject: document.subject.and_then(|subject| subject.digest.parse().ok()),
        aliases: aliases.clone(),
    })
}

#[cfg(test)]
mod tests;
