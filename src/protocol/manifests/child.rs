//! Reading a manifest that another one names.

use super::{Manifests, unreadable};
use crate::domain::manifest::{Child, MAX_CHILD, ReadError};
use crate::domain::{Manifest, Sha512};
use crate::store::StoreError;

/// A manifest that another one names.
pub(super) enum ReadChild {
    /// It has no bytes.
    Absent,
    /// Its bytes are not what is stated; holds the reason, which quotes nothing of them.
    Malformed(String),
    /// It has these SHA-512 digests, which have no alias.
    Unresolved(Vec<Sha512>),
    /// It can be read.
    Manifest(Box<Manifest>),
}

impl Manifests {
    /// Reads a manifest that another one names. Unless the version is complete, its bytes may be anybody's, and nothing that
    /// the other one states of them has been checked: that is no reason to fail, which would end a collector's run.
    pub(super) async fn read_child(&self, child: &Child) -> Result<ReadChild, StoreError> {
        if child.blob.size > MAX_CHILD {
            return Ok(ReadChild::Malformed(format!("it has more than {MAX_CHILD} bytes")));
        }
        let Some(object) = self.open(child.blob.digest).await? else { return Ok(ReadChild::Absent) };
        if object.meta.size != child.blob.size {
            return Ok(ReadChild::Malformed(format!("it does not have {} bytes", child.blob.size)));
        }
        let (_, contents) = self.read_object(object, child.blob, child.media_type.as_deref()).await?;
        match contents.read {
            Ok(manifest) if Some(&*manifest.media_type) == child.media_type.as_deref() => {
                Ok(ReadChild::Manifest(Box::new(manifest)))
            }
            Ok(manifest) => Ok(ReadChild::Malformed(format!("it is of the type {}", manifest.media_type))),
            Err(ReadError::Malformed(why)) => Ok(ReadChild::Malformed(why)),
            Err(ReadError::Unresolved(digests)) => Ok(ReadChild::Unresolved(digests)),
            // A newer binary may know it.
            Err(error @ ReadError::UnknownFormat(_)) => Err(unreadable(child.blob.digest, error)),
        }
    }
}
