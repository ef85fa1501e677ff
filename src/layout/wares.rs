//! Keys of records of wares: what was computed from the bytes with a digest, `aux/wares/<ab>/<hex>`.

use super::{AreaPath, LayoutKey};
use crate::domain::Digest;
use crate::store::Key;

/// The area below `aux/`.
const AREA: &str = "wares";

/// The key of the record of a blob.
#[must_use]
pub fn ware(blob: Digest) -> Key {
    let hex = blob.hex();
    let path = AreaPath::new(AREA, &format!("{}/{hex}", &hex[..2]));
    LayoutKey::Aux(path.expect("hex digits spell a legal path")).key()
}
