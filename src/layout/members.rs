//! Keys of indexes from manifests to versions: which versions hold a manifest (`aux/members/…`), and which describe one
//! (`aux/referrers/…`).
//!
//! `aux/AREA/<ab>/<hex>/<NAME>@<NUMBER>`, an empty object. The number follows an `@`, because a name may also be the
//! beginning of another one.

use super::{AreaPath, LayoutKey, parse_name, prefix, spell_name};
use crate::domain::{Digest, LogName, RepositoryName};
use crate::store::{Key, Prefix};

/// Versions that hold a manifest: as their own, as one that it names, or as its rendering.
pub const MEMBERS: VersionIndex = VersionIndex("members");

/// Versions whose manifest describes another one (`subject` of the OCI image specification), by that other one.
pub const REFERRERS: VersionIndex = VersionIndex("referrers");

/// An index from manifests to versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionIndex(&'static str);

impl VersionIndex {
    /// The key of an entry. `None` if it would be too long for a key.
    #[must_use]
    pub fn key(self, manifest: Digest, name: &LogName, number: u64) -> Option<Key> {
        let rest = format!("{}{}@{number}", stem(manifest), spell_name(name));
        AreaPath::new(self.0, &rest).map(|path| LayoutKey::Aux(path).key())
    }

    /// The prefix of the entries of a manifest.
    #[must_use]
    pub fn of(self, manifest: Digest) -> Prefix {
        prefix(&format!("aux/{}/{}", self.0, stem(manifest)))
    }

    /// The prefix of the entries of a manifest whose versions are below a repository, or in repositories below it.
    #[must_use]
    pub fn below(self, manifest: Digest, repository: &RepositoryName) -> Prefix {
        prefix(&format!("aux/{}/{}{repository}/", self.0, stem(manifest)))
    }

    /// The prefix of the whole index.
    #[must_use]
    pub fn all(self) -> Prefix {
        prefix(&format!("aux/{}/", self.0))
    }

    /// A key that sorts before those of all manifests whose digests begin with this byte, and after all with a smaller
    /// one.
    #[must_use]
    pub fn before(self, first_byte: u8) -> Key {
        format!("aux/{}/{first_byte:02x}", self.0).parse().expect("digits spell legal keys")
    }

    /// The manifest, the name and the number in a key.
    #[must_use]
    pub fn parse(self, key: &Key) -> Option<(Digest, LogName, u64)> {
        let rest = key.as_str().strip_prefix("aux/")?.strip_prefix(self.0)?.strip_prefix('/')?;
        let (hex, version) = rest.split_once('/')?.1.split_once('/')?;
        let (name, number) = version.rsplit_once('@')?;
        let found = (Digest::from_hex(hex).ok()?, parse_name(name)?, number.parse().ok()?);
        (self.key(found.0, &found.1, found.2).as_ref() == Some(key)).then_some(found)
    }
}

fn stem(manifest: Digest) -> String {
    let hex = manifest.hex();
    format!("{}/{hex}/", &hex[..2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_a_version_of_a_manifest() {
        let digest = Digest::of(b"x");
        let longest = format!("{}/{}", "a".repeat(126), "B".repeat(128));
        let hidden = format!("{}/@untagged/0f", "a".repeat(250));
        for (index, name) in [MEMBERS, REFERRERS].into_iter().flat_map(|index| {
            ["main", "a/b.5", "a/MAIN", "a/main/@untagged/0f", &longest, &hidden].map(|name| (index, name.to_owned()))
        }) {
            let name: LogName = name.parse().unwrap();
            let key = index.key(digest, &name, u64::MAX).unwrap();
            assert_eq!(index.parse(&key), Some((digest, name.clone(), u64::MAX)), "{key}");
            assert!(key.as_str().starts_with(index.of(digest).as_str()) && key.as_str().len() <= 400, "{key}");
            assert!(key > index.before(digest.bytes()[0]) && key.as_str().starts_with(index.all().as_str()), "{key}");
            if let Some(repository) = RepositoryName::of(&name) {
                assert!(key.as_str().starts_with(index.below(digest, &repository).as_str()), "{key}");
            }
        }
        for bad in ["main@01", "main", "main@", "MAIN@1", "@1"] {
            let key = format!("{}{bad}", MEMBERS.of(digest).as_str()).parse::<Key>();
            assert!(key.is_err() || MEMBERS.parse(&key.unwrap()).is_none(), "{bad}");
        }
        assert_eq!(REFERRERS.parse(&MEMBERS.key(digest, &"a/b".parse().unwrap(), 1).unwrap()), None);
    }
}
