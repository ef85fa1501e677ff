//! Addresses below `/v2/`, read from their end.

use std::str::FromStr;

use crate::domain::{AnyDigest, RepositoryName};
use crate::http::error::ApiError;

/// How a manifest is referred to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// By a tag, not checked yet.
    Tag(String),
    /// By its digest.
    Digest(AnyDigest),
}

/// What an address stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// `R/blobs/D`
    Blob(RepositoryName, AnyDigest),
    /// `R/blobs/uploads/`
    Uploads(RepositoryName),
    /// `R/blobs/uploads/ID`
    Upload(RepositoryName, String),
    /// `R/manifests/T` or `R/manifests/D`
    Manifest(RepositoryName, Reference),
    /// `R/tags/list`
    Tags(RepositoryName),
    /// `R/referrers/D`
    Referrers(RepositoryName, AnyDigest),
}

impl Address {
    /// The repository that it is in.
    pub(super) fn into_repository(self) -> RepositoryName {
        match self {
            Self::Blob(repository, _)
            | Self::Uploads(repository)
            | Self::Upload(repository, _)
            | Self::Manifest(repository, _)
            | Self::Tags(repository)
            | Self::Referrers(repository, _) => repository,
        }
    }
}

impl FromStr for Address {
    type Err = ApiError;

    /// Reads what follows `/v2/`.
    fn from_str(path: &str) -> Result<Self, ApiError> {
        let (before, last) = path.rsplit_once('/').ok_or_else(ApiError::no_route)?;
        let (front, kind) = before.rsplit_once('/').ok_or_else(ApiError::no_route)?;
        match (kind, last) {
            ("manifests", reference) => Ok(Self::Manifest(front.parse()?, Reference::read(reference)?)),
            ("referrers", digest) => Ok(Self::Referrers(front.parse()?, digest.parse()?)),
            ("tags", "list") => Ok(Self::Tags(front.parse()?)),
            ("blobs", "uploads") => Ok(Self::Uploads(front.parse()?)),
            ("uploads", id) if front.ends_with("/blobs") => {
                let repository = front.strip_suffix("/blobs").unwrap_or(front).parse()?;
                Ok(if id.is_empty() { Self::Uploads(repository) } else { Self::Upload(repository, id.to_owned()) })
            }
            ("blobs", digest) => Ok(Self::Blob(front.parse()?, digest.parse()?)),
            _ => Err(ApiError::no_route()),
        }
    }
}

impl Reference {
    fn read(text: &str) -> Result<Self, ApiError> {
        // Tags have no colon.
        if text.contains(':') { Ok(Self::Digest(text.parse()?)) } else { Ok(Self::Tag(text.to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_may_be_called_like_parts_of_addresses() {
        let digest = AnyDigest::from(crate::domain::Digest::of(b"x"));
        let repository: RepositoryName = "blobs/uploads/manifests".parse().unwrap();
        let read = |rest: &str| format!("{repository}/{rest}").parse::<Address>().unwrap();
        assert_eq!(read("tags/list"), Address::Tags(repository.clone()));
        assert_eq!(read("blobs/uploads/"), Address::Uploads(repository.clone()));
        assert_eq!(read("blobs/uploads"), Address::Uploads(repository.clone()));
        assert_eq!(read("blobs/uploads/x"), Address::Upload(repository.clone(), "x".to_owned()));
        assert_eq!(read(&format!("blobs/{digest}")), Address::Blob(repository.clone(), digest));
        assert_eq!(read(&format!("referrers/{digest}")), Address::Referrers(repository.clone(), digest));
        let manifest = |reference| Address::Manifest(repository.clone(), reference);
        let sha512 = AnyDigest::Sha512(crate::domain::Sha512::of(b"x"));
        assert_eq!(read(&format!("blobs/{sha512}")), Address::Blob(repository.clone(), sha512));
        assert_eq!(read("manifests/tags"), manifest(Reference::Tag("tags".to_owned())));
        assert_eq!(read(&format!("manifests/{digest}")), manifest(Reference::Digest(digest)));
        assert_eq!(read(&format!("manifests/{sha512}")), manifest(Reference::Digest(sha512)));
        for bad in
            ["", "x", "manifests/x", "a/b/c", "a/manifests/sha256:x", "A/manifests/x", "a/tags/lists", "a/blobs/x"]
        {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
