//! What the copy of a catalog says about a name below it.

use std::path::PathBuf;

use super::kept::KeptDirectory;
use crate::clock::{Clock as _, SystemClock};
use crate::domain::catalog::{CatalogName, Document};
use crate::domain::{ManifestName, Target};

/// The nearest catalog above a name of which a copy was verified and kept, if there is one.
#[derive(Debug, Default)]
pub(super) struct Listed {
    document: Option<Document>,
}

impl Listed {
    /// Looks for the copy. One that cannot be read is no reason to fail: it only helps.
    pub(super) fn find(name: &ManifestName) -> Self {
        let set = std::env::var_os("LARDER_STATE").filter(|value| !value.is_empty()).map(PathBuf::from);
        let Some(directory) = KeptDirectory::new(set.as_deref()) else { return Self::default() };
        let ends = name.as_str().rmatch_indices('/').map(|(end, _)| &name.as_str()[..end]);
        let kept = ends.filter_map(|above| directory.load(&above.parse::<CatalogName>().ok()?).ok()?);
        Self { document: kept.map(|kept| kept.known().document).next().flatten() }
    }

    /// The mirrors of the catalog.
    pub(super) fn mirrors(&self) -> &[String] {
        self.document.as_ref().map_or(&[], |document| &document.mirrors)
    }

    /// The release that is published under a name, with its digest. `None` if the catalog does not list it, warns of it, or
    /// has expired.
    pub(super) fn release(&self, name: &ManifestName) -> Option<Target> {
        let document = self.document.as_ref().filter(|document| document.expires > SystemClock.now())?;
        let mut targets = document.releases.iter().map(|release| (release, release.target()));
        let (release, target) =
            targets.find(|(_, target)| target.as_ref().is_some_and(|target| target.name == *name))?;
        target.filter(|_| !release.is_hazardous())
    }
}
