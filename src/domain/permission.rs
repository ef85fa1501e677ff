//! Permissions that can be granted, and the requirements of names on readers and writers.

use serde::{Deserialize, Serialize};

/// A permission that a token may be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Read names whose policy requires a token, and blobs if they are not public.
    Read,
    /// Upload blobs, and query which are missing.
    Upload,
    /// Publish and stage versions, and copy to a name. Includes `upload` and `attest`.
    Publish,
    /// Attach signatures and other statements to versions.
    Attest,
    /// Promote versions and roll back.
    Promote,
    /// Pin and unpin versions.
    Pin,
    /// Retire versions and delete names.
    Retire,
    /// Attach a host name to a name.
    Host,
    /// All permissions.
    Admin,
}

impl Permission {
    /// Whether granting this permission also grants `wanted`.
    #[must_use]
    pub fn includes(self, wanted: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Publish => matches!(wanted, Self::Publish | Self::Upload | Self::Attest),
            _ => self == wanted,
        }
    }
}

/// Who may read a name or blobs. The order is that of strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// Everyone, without credentials.
    #[default]
    Public,
    /// Holders of a token that grants `read`.
    Token,
}

/// Whether a change to a name must state a precondition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cas {
    /// `If-Match` and `If-None-Match` are honoured if sent.
    #[default]
    Optional,
    /// A change with neither is refused with status 428.
    Required,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Permission; 9] = [
        Permission::Read,
        Permission::Upload,
        Permission::Publish,
        Permission::Attest,
        Permission::Promote,
        Permission::Pin,
        Permission::Retire,
        Permission::Host,
        Permission::Admin,
    ];

    #[test]
    fn only_publish_and_admin_include_others() {
        for have in ALL {
            let included: Vec<_> = ALL.into_iter().filter(|wanted| have.includes(*wanted)).collect();
            match have {
                Permission::Admin => assert_eq!(included, ALL),
                Permission::Publish => {
                    assert_eq!(included, [Permission::Upload, Permission::Publish, Permission::Attest]);
                }
                _ => assert_eq!(included, [have]),
            }
        }
    }
}
