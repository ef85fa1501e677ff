//! Keys of aliases: what a SHA-512 digest stands for, `aux/sha512/<ab>/<hex>`.

use super::{AreaPath, LayoutKey};
use crate::domain::Sha512;
use crate::store::Key;

/// The area below `aux/`.
const AREA: &str = "sha512";

/// The key of the alias of a SHA-512 digest.
#[must_use]
pub fn alias(sha512: &Sha512) -> Key {
    let hex = sha512.hex();
    let path = AreaPath::new(AREA, &format!("{}/{hex}", &hex[..2]));
    LayoutKey::Aux(path.expect("hex digits spell a legal path")).key()
}

/// The SHA-512 digest whose alias has this key.
#[must_use]
pub fn aliased(key: &Key) -> Option<Sha512> {
    let (_, hex) = key.as_str().strip_prefix("aux/")?.strip_prefix(AREA)?.strip_prefix('/')?.split_once('/')?;
    Sha512::from_hex(hex).ok().filter(|sha512| alias(sha512) == *key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_a_digest() {
        let sha512 = Sha512::of(b"x");
        let key = alias(&sha512);
        assert_eq!(
            (aliased(&key), LayoutKey::parse(&key).map(|parsed| parsed.key())),
            (Some(sha512), Some(key.clone()))
        );
        let hex = sha512.hex();
        for bad in
            [format!("aux/sha512/00/{hex}"), format!("aux/sha512/{hex}"), format!("tmp/sha512/{}/{hex}", &hex[..2])]
        {
            assert_eq!(aliased(&bad.parse().unwrap()), None, "{bad}");
        }
    }
}
