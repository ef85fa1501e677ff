//! Problem codes: what programs decide by.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The enum with its texts, and the way back.
macro_rules! codes {
    ($($(#[$about:meta])* $name:ident = $text:literal,)*) => {
        /// The stable code of a problem, as text in capitals. A client keeps codes of newer servers as they are.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$about])* $name,)*
            /// One that this version does not know. Never one of the others' texts, if it was made by [`Code::from`].
            Other(Box<str>),
        }

        impl Code {
            /// All that this version knows.
            pub const KNOWN: &[Self] = &[$(Self::$name),*];

            /// The code as it travels.
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
    /// There is no such blob.
    BlobUnknown = "BLOB_UNKNOWN",
    /// The server's clock differs too much from the store's, so it changes nothing.
    ClockSkew = "CLOCK_SKEW",
    /// The token does not grant this.
    Denied = "DENIED",
    /// A digest is malformed, or is not that of the bytes.
    DigestInvalid = "DIGEST_INVALID",
    /// The version has no such file.
    FileUnknown = "FILE_UNKNOWN",
    /// The server failed.
    Internal = "INTERNAL",
    /// Blobs that a manifest names are missing, or have another size.
    ManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN",
    /// The name was deleted.
    ManifestDeleted = "MANIFEST_DELETED",
    /// The manifest breaks the rules.
    ManifestInvalid = "MANIFEST_INVALID",
    /// There is no such name.
    ManifestUnknown = "MANIFEST_UNKNOWN",
    /// The address exists, but not with this method.
    MethodNotAllowed = "METHOD_NOT_ALLOWED",
    /// A name is malformed.
    NameInvalid = "NAME_INVALID",
    /// There is nothing at this address.
    NotFound = "NOT_FOUND",
    /// A stated precondition does not hold.
    PreconditionFailed = "PRECONDITION_FAILED",
    /// A stated precondition cannot be read.
    PreconditionInvalid = "PRECONDITION_INVALID",
    /// The policy of the name wants a precondition.
    PreconditionRequired = "PRECONDITION_REQUIRED",
    /// A query parameter is wrong.
    QueryInvalid = "QUERY_INVALID",
    /// A range cannot be answered or is not supported.
    RangeInvalid = "RANGE_INVALID",
    /// There is no such run of the collector.
    RunUnknown = "RUN_UNKNOWN",
    /// A selector is malformed.
    SelectorInvalid = "SELECTOR_INVALID",
    /// A body is too long, too short or of another length than announced.
    SizeInvalid = "SIZE_INVALID",
    /// The store holds damaged data.
    StoreCorrupt = "STORE_CORRUPT",
    /// The store refuses the server's access.
    StoreDenied = "STORE_DENIED",
    /// The store is full.
    StoreFull = "STORE_FULL",
    /// The server may only read its store at present.
    StoreReadOnly = "STORE_READ_ONLY",
    /// The store was written by a newer version than this server.
    StoreTooNew = "STORE_TOO_NEW",
    /// A body paused or trickled for too long.
    Timeout = "TIMEOUT",
    /// A token is needed, or the one sent is not known.
    Unauthorized = "UNAUTHORIZED",
    /// Try again shortly.
    Unavailable = "UNAVAILABLE",
    /// A content coding or media type that is not supported.
    Unsupported = "UNSUPPORTED",
    /// The upload is complete.
    UploadComplete = "UPLOAD_COMPLETE",
    /// A header that uploads need is missing or malformed.
    UploadInvalid = "UPLOAD_INVALID",
    /// The upload has another number of bytes.
    UploadOffset = "UPLOAD_OFFSET",
    /// There is no such upload.
    UploadUnknown = "UPLOAD_UNKNOWN",
    /// A pinned version cannot be retired.
    VersionPinned = "VERSION_PINNED",
    /// The version was retired.
    VersionRetired = "VERSION_RETIRED",
    /// The state of the version does not allow this.
    VersionState = "VERSION_STATE",
    /// There is no such version or session.
    VersionUnknown = "VERSION_UNKNOWN",
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
