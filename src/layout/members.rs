//! Keys of the area `members`: which versions hold a manifest, by its digest.
//!
//! `aux/members/<ab>/<hex>/<NAME>@<NUMBER>`, an empty object. The number follows an `@`, because a name may also be the
//! beginning of another one.

use super::{AreaPath, LayoutKey, parse_name, prefix, spell_name};
use crate::domain::{Digest, LogName};
use crate::store::{Key, Prefix};

const AREA: &str = "members";

/// The key that says that a version holds a manifest. `None` if it would be too long for a key.
#[must_use]
pub fn member(manifest: Digest, name: &LogName, number: u64) -> Option<Key> {
    let rest = format!("{}{}@{number}", stem(manifest), spell_name(name));
    AreaPath::new(AREA, &rest).map(|path| LayoutKey::Aux(path).key())
}

/// The prefix of the versions that hold a manifest.
#[must_use]
pub fn members(manifest: Digest) -> Prefix {
    prefix(&format!("aux/{AREA}/{}", stem(manifest)))
}

/// The prefix of the whole area.
#[must_use]
pub fn all_members() -> Prefix {
    prefix(&format!("aux/{AREA}/"))
}

/// A key that sorts before those of all manifests whose digests begin with this byte, and after all with a smaller one.
#[must_use]
pub fn before_members(first_byte: u8) -> Key {
    format!("aux/{AREA}/{first_byte:02x}").parse().expect("digits spell legal keys")
}

/// The manifest, the name and the number in a key of [`member`].
#[must_use]
pub fn parse_member(key: &Key) -> Option<(Digest, LogName, u64)> {
    let rest = key.as_str().strip_prefix("aux/")?.strip_prefix(AREA)?.strip_prefix('/')?;
    let (hex, version) = rest.split_once('/')?.1.split_once('/')?;
    let (name, number) = version.rsplit_once('@')?;
    let found = (Digest::from_hex(hex).ok()?, parse_name(name)?, number.parse().ok()?);
    (member(found.0, &found.1, found.2).as_ref() == Some(key)).then_some(found)
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
        for name in ["main", "a/b.5", "a/MAIN", "a/main/@untagged/0f", &longest] {
            let name: LogName = name.parse().unwrap();
            let key = member(digest, &name, u64::MAX).unwrap();
            assert_eq!(parse_member(&key), Some((digest, name, u64::MAX)), "{key}");
            assert!(key.as_str().starts_with(members(digest).as_str()) && key.as_str().len() <= 400, "{key}");
            assert!(
                key > before_members(digest.bytes()[0]) && key.as_str().starts_with(all_members().as_str()),
                "{key}"
            );
        }
        for bad in ["main@01", "main", "main@", "MAIN@1", "@1"] {
            let key = format!("{}{bad}", members(digest).as_str()).parse::<Key>();
            assert!(key.is_err() || parse_member(&key.unwrap()).is_none(), "{bad}");
        }
    }
}
