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
    /// Publish and stage versions, copy to a name. Includes `upload` and `attest`.
    Publish,
    /// Attach signatures and other statements to versions.
    Attest,
    /// Promote and roll back.
    Promote,
    /// Pin and unpin.
    Pin,
    /// Retire versions and delete names.
    Retire,
    /// Attach a host name to a name.
    Host,
    /// Everything.
    Admin,
}

impl Permission {
    /// Whether a grant of this allows `wanted`.
    #[must_use]
    pub fn includes(self, wanted: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Publish => matches!(wanted, Self::Publish | Self::Upload | Self::Attest),
            _ => self == wanted,
        }
    }
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
