//! The ids of uploads in chunks: what has to be known of an upload before its first chunk stands in its id, under a MAC with
//! a key that only the servers of a store know. So beginning an upload stores nothing.
//!
//! The id of the key (8 bytes), a random number (16), the time in seconds since 1970 (8), and HMAC-SHA256 over these, the
//! repository and the owner (32), together in base64url; then, behind a `.`, the number of chunks, which is only a hint.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::hmac;

use crate::domain::{RepositoryName, Subject, UploadId};
use crate::protocol::key_ring::DerivedKey;
use crate::store::{StoreError, StoreErrorKind};

/// What the keys are derived for.
pub(super) const PURPOSE: &str = "upload in chunks v1";

/// Bytes of the id of a key.
const KEY_ID: usize = 8;
/// Bytes before the MAC.
const SIGNED: usize = KEY_ID + 16 + 8;
/// Bytes of an id.
const WHOLE: usize = SIGNED + 32;

/// What the id of an upload says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ticket {
    /// The random number.
    pub(super) id: UploadId,
    /// When the upload began, in whole seconds.
    pub(super) begun: Timestamp,
    /// The id as text, without the hint.
    pub(super) text: Box<str>,
}

impl Ticket {
    /// A new id for an upload of `owner` to `repository`.
    pub(super) fn seal(
        key: &DerivedKey,
        now: Timestamp,
        repository: &RepositoryName,
        owner: &Subject,
    ) -> Result<Self, StoreError> {
        let internal = |why: &str| StoreError::new(StoreErrorKind::Internal, "the id of an upload", why);
        let mut whole = [0; WHOLE];
        hex::decode_to_slice(&key.id, &mut whole[..KEY_ID]).map_err(|_| internal("a key's id is not 16 hex digits"))?;
        getrandom::fill(&mut whole[KEY_ID..KEY_ID + 16]).map_err(|_| internal("no random numbers"))?;
        whole[KEY_ID + 16..SIGNED].copy_from_slice(&now.as_second().to_be_bytes());
        let mac = hmac::sign(&mac_key(key), &signed(&whole, repository, owner));
        whole[SIGNED..].copy_from_slice(mac.as_ref());
        Self::read(&whole).ok_or_else(|| internal("the time is out of range"))
    }

    /// What an id says, if this key sealed it for this repository and owner. The comparison takes the same time for all
    /// that are wrong.
    pub(super) fn open(text: &str, key: &DerivedKey, repository: &RepositoryName, owner: &Subject) -> Option<Self> {
        let whole = decode(text)?;
        hmac::verify(&mac_key(key), &signed(&whole, repository, owner), &whole[SIGNED..]).ok()?;
        Self::read(&whole)
    }

    fn read(whole: &[u8; WHOLE]) -> Option<Self> {
        let random = whole[KEY_ID..KEY_ID + 16].try_into().ok()?;
        let seconds = i64::from_be_bytes(whole[KEY_ID + 16..SIGNED].try_into().ok()?);
        let begun = Timestamp::from_second(seconds).ok()?;
        Some(Self { id: UploadId(random), begun, text: URL_SAFE_NO_PAD.encode(whole).into() })
    }
}

/// An id and its hint, which is 0 if there is none.
pub(super) fn split(address: &str) -> Option<(&str, u32)> {
    match address.split_once('.') {
        None => Some((address, 0)),
        Some((text, hint)) => Some((text, hint.parse().ok()?)),
    }
}

/// The id of the key that sealed an id, as it claims.
pub(super) fn key_id(text: &str) -> Option<String> {
    decode(text).map(|whole| hex::encode(&whole[..KEY_ID]))
}

fn decode(text: &str) -> Option<[u8; WHOLE]> {
    let mut whole = [0; WHOLE];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut whole).ok()?;
    (length == WHOLE).then_some(whole)
}

fn mac_key(key: &DerivedKey) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &key.secret)
}

/// What the MAC is over. A name has no byte 0, so no two repositories and owners together are the same bytes.
fn signed(whole: &[u8; WHOLE], repository: &RepositoryName, owner: &Subject) -> Vec<u8> {
    [&whole[..SIGNED], repository.as_str().as_bytes(), &[0], owner.to_string().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: u8) -> DerivedKey {
        DerivedKey { id: "00112233445566ff".to_owned(), secret: [secret; 32] }
    }

    fn subject(id: &str) -> Subject {
        Subject::token(id).unwrap()
    }

    #[test]
    fn an_id_is_of_one_repository_and_owner() {
        let (repository, owner, now) = ("team/app".parse().unwrap(), subject("ci"), Timestamp::from_second(5).unwrap());
        let ticket = Ticket::seal(&key(1), now, &repository, &owner).unwrap();
        assert_eq!(key_id(&ticket.text).as_deref(), Some("00112233445566ff"));
        assert_eq!(Ticket::open(&ticket.text, &key(1), &repository, &owner), Some(ticket.clone()));
        assert_eq!(ticket.begun, now);
        assert!(ticket.text.len() <= 100, "with the hint it is at most 128 characters: {}", ticket.text);
        assert_eq!(Ticket::open(&ticket.text, &key(2), &repository, &owner), None);
        assert_eq!(Ticket::open(&ticket.text, &key(1), &"team/ap".parse().unwrap(), &owner), None);
        assert_eq!(Ticket::open(&ticket.text, &key(1), &repository, &subject("c")), None);
    }

    #[test]
    fn no_changed_letter_goes_unnoticed() {
        let (repository, owner) = ("a".parse().unwrap(), subject("ci"));
        let ticket = Ticket::seal(&key(1), Timestamp::UNIX_EPOCH, &repository, &owner).unwrap();
        for at in 0..ticket.text.len() {
            let mut changed = ticket.text.clone().into_string().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(Ticket::open(&changed, &key(1), &repository, &owner), None, "{at}");
        }
        for bad in ["", "AAAA", &format!("{}A", ticket.text), &ticket.text[1..], "ä"] {
            assert_eq!((key_id(bad), Ticket::open(bad, &key(1), &repository, &owner)), (None, None), "{bad}");
        }
    }

    #[test]
    fn a_hint_is_optional() {
        assert_eq!(split("x"), Some(("x", 0)));
        assert_eq!(split("x.17"), Some(("x", 17)));
        for bad in ["x.", "x.-1", "x.a", "x.1.1", "x.99999999999"] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }
}
