//! Repositories: the names that container clients know, each with the tags below it.

use std::fmt;
use std::str::FromStr;

use super::{Digest, LogName, ManifestName, NameError};

/// Kind of the hidden logs that hold the manifests of a repository that have no tag.
const UNTAGGED: &str = "untagged";

/// An OCI repository: everything before the last segment of a manifest name. The tag `R:T` of a container client is the
/// name `R/T`.
///
/// Every segment is a repository component of the OCI distribution specification. A name of one segment belongs to no
/// repository.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(Box<str>);

impl RepositoryName {
    /// The name as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a tag of the repository.
    ///
    /// # Errors
    /// A [`NameError`] if the tag is not legal, or both together are too long.
    pub fn tag(&self, tag: &str) -> Result<ManifestName, NameError> {
        if tag.contains('/') {
            return Err(NameError::no_tag(tag));
        }
        format!("{}/{tag}", self.0).parse()
    }

    /// The hidden log in which a manifest of the repository is kept that was pushed by its digest.
    #[must_use]
    pub fn untagged(&self, manifest: Digest) -> LogName {
        let name = format!("{}/@{UNTAGGED}/{:02x}", self.0, manifest.bytes()[0]);
        name.parse().expect("a repository name is a manifest name, and the rest is a legal hidden part")
    }

    /// The repository that a log belongs to, whether it is a tag or keeps untagged manifests. `None` for names of one
    /// segment, and for hidden logs of other kinds.
    #[must_use]
    pub fn of(log: &LogName) -> Option<Self> {
        let text = match log.split_hidden() {
            Some((parent, hidden)) => {
                hidden.strip_prefix("/@")?.split_once('/').filter(|(kind, _)| *kind == UNTAGGED).map(|_| parent)?
            }
            None => log.as_str().rsplit_once('/')?.0,
        };
        text.parse().ok()
    }

    /// The tag, if a log is one of this repository.
    #[must_use]
    pub fn tag_of<'a>(&self, log: &'a LogName) -> Option<&'a str> {
        let tag = log.as_str().strip_prefix(&*self.0)?.strip_prefix('/')?;
        (!tag.contains('/')).then_some(tag)
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // With a tag behind it, every segment is checked as a component.
        format!("{text}/x").parse::<ManifestName>()?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_name_below_its_repository() {
        let repository: RepositoryName = "team/app".parse().unwrap();
        assert_eq!(repository.tag("v1").unwrap().as_str(), "team/app/v1");
        for bad in ["", "a/b", "@x", ".v", "v:1", &"x".repeat(129)] {
            assert!(repository.tag(bad).is_err(), "{bad}");
        }
        for bad in ["", "/", "Team", "team/", "team//app", "team/@untagged", "a:b", ".."] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad}");
        }
        let longest = "a".repeat(250);
        assert!(longest.parse::<RepositoryName>().unwrap().tag("1234").is_ok());
        assert!(longest.parse::<RepositoryName>().unwrap().tag("12345").is_err());
        let longest: RepositoryName = longest.parse().unwrap();
        assert_eq!(RepositoryName::of(&longest.untagged(Digest::of(b"x"))), Some(longest));
    }

    #[test]
    fn a_log_belongs_to_one_repository() {
        let of = |log: &str| RepositoryName::of(&log.parse().unwrap()).map(|found| found.to_string());
        assert_eq!(of("team/app/v1").as_deref(), Some("team/app"));
        assert_eq!(of("main"), None);
        assert_eq!(of("team/app/@other/00"), None);
        let repository: RepositoryName = "team/app".parse().unwrap();
        let digest = Digest::of(b"x");
        let hidden = repository.untagged(digest);
        assert_eq!(hidden.as_str(), format!("team/app/@untagged/{}", &digest.hex()[..2]));
        assert_eq!(RepositoryName::of(&hidden), Some(repository.clone()));
        assert_eq!(repository.tag_of(&"team/app/v1".parse().unwrap()), Some("v1"));
        for other in ["team/app/x/v1", "team/apps/v1", "team/app", hidden.as_str()] {
            assert_eq!(repository.tag_of(&other.parse().unwrap()), None, "{other}");
        }
    }
}
