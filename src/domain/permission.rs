//! What may be granted, and what a name asks of those who read or change it.

use serde::{Deserialize, Serialize};

/// What a token may be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Read names whose policy asks for a token, and blobs if they are not public.
    Read,
    /// Upload blobs, and ask which are missing.
    Upload,
    /// Publish and stage versions, copy to a name. Includes `upload`.
    Publish,
    /// Promote and roll back.
    Promote,
    /// Pin and unpin.
    Pin,
    /// Retire versions and delete names.
    Retire,
    /// Everything.
    Admin,
}

/// Who may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// Everybody.
    #[default]
    Public,
    /// Holders of a token that grants `read`.
    Token,
}

/// Whether a change to a name must state what it expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cas {
    /// `If-Match` and `If-None-Match` are honoured where sent.
    #[default]
    Optional,
    /// A change without either is answered 428.
    Required,
}
