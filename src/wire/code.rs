//! Problem codes, by which programs distinguish errors.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Defines the enum and its conversions from and to text.
macro_rules! codes {
    ($($(#[$about:meta])* $name:ident = $text:literal,)*) => {
        /// The stable code of a problem, in upper case. A client preserves codes of newer servers that it does not
        /// know.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$about])* $name,)*
            /// A code that this version does not know. If made by [`Code::from`], never equal to the text of a known
            /// code.
            Other(Box<str>),
        }

        impl Code {
            /// All codes that this version knows.
            pub const KNOWN: &[Self] = &[$(Self::$name),*];

            /// The code as sent in the JSON body.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for Code {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)*
                    text => Self::Other(text.into()),
                }
            }
        }
    };
}

codes! {
    /// What is to be attached is empty, or is not of its media type.
    AttachmentInvalid = "ATTACHMENT_INVALID",
    /// The version has no such attachment.
    AttachmentUnknown = "ATTACHMENT_UNKNOWN",
    /// The version has as many attachments as it can have.
    AttachmentsFull = "ATTACHMENTS_FULL",
    /// The blob does not exist.
    BlobUnknown = "BLOB_UNKNOWN",
    /// The document of a catalog is malformed.
    CatalogDocument = "CATALOG_DOCUMENT",
    /// The document is that of another catalog, or its name is none of a catalog.
    CatalogName = "CATALOG_NAME",
    /// A catalog never goes back to an older document.
    CatalogRollsForward = "CATALOG_ROLLS_FORWARD",
    /// The serial, predecessor or times of a catalog do not follow from the active document.
    CatalogSerial = "CATALOG_SERIAL",
    /// Too few keys of the newest root sign the catalog, or a root is not signed as the one before it requires.
    CatalogSignatures = "CATALOG_SIGNATURES",
    /// The targets of a catalog for clients of TUF do not state what its document states.
    CatalogTargets = "CATALOG_TARGETS",
    /// The server's clock differs too much from the store's, so it refuses changes; or it is behind what is stored, so it
    /// signs no time.
    ClockSkew = "CLOCK_SKEW",
    /// The token lacks the required permission.
    Denied = "DENIED",
    /// A digest is malformed, or does not match the bytes.
    DigestInvalid = "DIGEST_INVALID",
    /// The version has no such file.
    FileUnknown = "FILE_UNKNOWN",
    /// The text is no domain that could be attached.
    HostInvalid = "HOST_INVALID",
    /// As many hosts are attached as can be.
    HostLimit = "HOST_LIMIT",
    /// The host belongs to the configuration, or to another name.
    HostTaken = "HOST_TAKEN",
    /// Nothing is known of the host.
    HostUnknown = "HOST_UNKNOWN",
    /// Files that clients keep for a year have other bytes than in another version.
    ImmutableChanged = "IMMUTABLE_CHANGED",
    /// The server failed unexpectedly.
    Internal = "INTERNAL",
    /// A release of a catalog is not stored as listed, not pinned, or lacks the file of an item.
    ItemFile = "ITEM_FILE",
    /// The name of an item of a catalog is malformed.
    ItemName = "ITEM_NAME",
    /// The release has no such item.
    ItemUnknown = "ITEM_UNKNOWN",
    /// The name allows each label only once, and another version has this one.
    LabelTaken = "LABEL_TAKEN",
    /// A version that a catalog lists is kept.
    ListedInCatalog = "LISTED_IN_CATALOG",
    /// Blobs that the manifest refers to are missing, or have another size.
    ManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN",
    /// The name was deleted.
    ManifestDeleted = "MANIFEST_DELETED",
    /// The manifest violates the rules for publishing.
    ManifestInvalid = "MANIFEST_INVALID",
    /// The name does not exist.
    ManifestUnknown = "MANIFEST_UNKNOWN",
    /// Metadata or hazards of a catalog are malformed.
    Metadata = "METADATA",
    /// The address exists, but does not support this method.
    MethodNotAllowed = "METHOD_NOT_ALLOWED",
    /// The host of the request is none of this server's.
    Misdirected = "MISDIRECTED",
    /// A name is malformed.
    NameInvalid = "NAME_INVALID",
    /// The repository does not exist.
    NameUnknown = "NAME_UNKNOWN",
    /// The address does not exist.
    NotFound = "NOT_FOUND",
    /// The release has no part of this name.
    PartUnknown = "PART_UNKNOWN",
    /// Parts of a release contradict each other, or what it was begun with.
    PartsConflict = "PARTS_CONFLICT",
    /// Parts of the release have not been sent yet.
    PartsMissing = "PARTS_MISSING",
    /// A stated precondition does not hold.
    PreconditionFailed = "PRECONDITION_FAILED",
    /// A stated precondition cannot be read.
    PreconditionInvalid = "PRECONDITION_INVALID",
    /// The policy of the name requires a precondition.
    PreconditionRequired = "PRECONDITION_REQUIRED",
    /// A query parameter is invalid.
    QueryInvalid = "QUERY_INVALID",
    /// A range cannot be satisfied or is not supported.
    RangeInvalid = "RANGE_INVALID",
    /// A release that a catalog lists never changes.
    ReleaseChanged = "RELEASE_CHANGED",
    /// The name of a release of a catalog is malformed, or there twice.
    ReleaseName = "RELEASE_NAME",
    /// A release that a catalog lists stays listed, in its place.
    ReleaseRemoved = "RELEASE_REMOVED",
    /// The catalog lists no such release.
    ReleaseUnknown = "RELEASE_UNKNOWN",
    /// The head of the request, or what its body asks for, is malformed or ambiguous.
    RequestInvalid = "REQUEST_INVALID",
    /// The run of the collector does not exist.
    RunUnknown = "RUN_UNKNOWN",
    /// A selector is malformed.
    SelectorInvalid = "SELECTOR_INVALID",
    /// The version is signed with a lower serial than the active one.
    SerialBehind = "SERIAL_BEHIND",
    /// The version lacks signatures that the policy of the name requires.
    SignaturesMissing = "SIGNATURES_MISSING",
    /// A body is too long, too short or differs from the announced length.
    SizeInvalid = "SIZE_INVALID",
    /// The store holds damaged data.
    StoreCorrupt = "STORE_CORRUPT",
    /// The store denies access to the server.
    StoreDenied = "STORE_DENIED",
    /// The store is full.
    StoreFull = "STORE_FULL",
    /// The server may only read its store at present.
    StoreReadOnly = "STORE_READ_ONLY",
    /// The store was written by a newer version than this server.
    StoreTooNew = "STORE_TOO_NEW",
    /// The name is immutable and leads to other content.
    TagImmutable = "TAG_IMMUTABLE",
    /// A body was sent too slowly or paused for too long.
    Timeout = "TIMEOUT",
    /// The catalog has no such file of TUF, or is not shown to clients of TUF.
    TufUnknown = "TUF_UNKNOWN",
    /// A token is required, or the one that was sent is not known.
    Unauthorized = "UNAUTHORIZED",
    /// Temporarily unavailable: retry shortly.
    Unavailable = "UNAVAILABLE",
    /// A content coding or media type that is not supported.
    Unsupported = "UNSUPPORTED",
    /// The upload is already complete.
    UploadComplete = "UPLOAD_COMPLETE",
    /// A header field required for uploads is missing or malformed.
    UploadInvalid = "UPLOAD_INVALID",
    /// The offset does not match the bytes received so far.
    UploadOffset = "UPLOAD_OFFSET",
    /// The upload does not exist.
    UploadUnknown = "UPLOAD_UNKNOWN",
    /// A pinned version cannot be retired.
    VersionPinned = "VERSION_PINNED",
    /// The version was retired.
    VersionRetired = "VERSION_RETIRED",
    /// The state of the version does not allow this.
    VersionState = "VERSION_STATE",
    /// The version or session does not exist.
    VersionUnknown = "VERSION_UNKNOWN",
    /// The version is yanked.
    VersionYanked = "VERSION_YANKED",
    /// A ware of a catalog is malformed.
    WareId = "WARE_ID",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(Cow::<str>::deserialize(deserializer)?.as_ref()))
    }
}

impl JsonSchema for Code {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Code".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let known: Vec<&str> = Self::KNOWN.iter().map(Self::as_str).collect();
        json_schema!({ "type": "string", "enum": known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_text_and_unknown_ones_are_kept() {
        for code in Code::KNOWN {
            assert_eq!(Code::from(code.as_str()), *code);
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{code}");
        }
        let unknown: Code = serde_json::from_str("\"FROM_THE_FUTURE\"").unwrap();
        assert_eq!(unknown, Code::Other("FROM_THE_FUTURE".into()));
        assert_eq!(serde_json::to_string(&unknown).unwrap(), "\"FROM_THE_FUTURE\"");
    }
}
