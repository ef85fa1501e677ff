//! Annexes: what they list, and how much of it.

use jiff::Timestamp;

use super::*;
use crate::domain::{Descriptor, Subject};

fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

fn attachment(text: &str) -> NewAttachment {
    NewAttachment::new(text.as_bytes(), "text/plain", None).unwrap()
}

#[test]
fn attachments_are_bounded() {
    let mut annex = Annex::default();
    let at = Timestamp::UNIX_EPOCH;
    for number in 0..MAX_ATTACHMENTS {
        let by = subject(&format!("token:{}", number / MAX_BY_SUBJECT));
        annex = annex.with(attachment(&number.to_string()), by.clone(), at).unwrap();
        if number % MAX_BY_SUBJECT == MAX_BY_SUBJECT - 1 {
            assert!(annex.clone().with(attachment("one more"), by, at).is_none(), "by one subject");
        }
    }
    assert!(annex.with(attachment("one more"), subject("token:other"), at).is_none(), "in all");
    for (bytes, media_type, error) in [
        (0, "text/plain", AttachmentError::Empty),
        (MAX_ATTACHMENT + 1, "application/x", AttachmentError::TooLarge { limit: MAX_ATTACHMENT }),
        (MAX_SBOM + 1, "application/spdx+json", AttachmentError::TooLarge { limit: MAX_SBOM }),
        (1025, MEDIA_TYPE, AttachmentError::TooLarge { limit: 1024 }),
        (5, MEDIA_TYPE, AttachmentError::Signature(SignatureError::Lines)),
    ] {
        let bytes = vec![b'x'; usize::try_from(bytes).unwrap()];
        assert_eq!(NewAttachment::new(&bytes, media_type, None), Err(error), "{media_type}");
    }
}

#[test]
fn short_ones_are_in_the_annex_and_long_ones_are_needed() {
    let (short, long) = ("x".repeat(INLINE), "y".repeat(INLINE + 1));
    let at = Timestamp::UNIX_EPOCH;
    let annex = Annex::default().with(attachment(&short), subject("token:a"), at).unwrap();
    let annex = annex.with(attachment(&long), subject("token:a"), at).unwrap();
    let blob = Descriptor { digest: Digest::of(long.as_bytes()), size: long.len() as u64 };
    assert_eq!(annex.needs, [blob]);
    assert_eq!(annex.attachments[0].bytes(), Some(short.into_bytes()));
    assert_eq!((annex.attachments[0].blob(), annex.attachments[1].blob()), (None, Some(blob)));
    assert_eq!(annex.attachments[1].bytes(), None);
    assert!(annex.find(&attachment(&long)).is_some() && annex.find(&attachment("z")).is_none());
    let about = NewAttachment::new(long.as_bytes(), "text/plain", Some("a.zip".parse().unwrap())).unwrap();
    assert!(annex.find(&about).is_none(), "about a file it is another one");
}

#[test]
fn what_a_newer_binary_has_added_is_kept() {
    let signer = Signer::new();
    let new = NewAttachment::new(signer.sign(MANIFEST, "x").as_bytes(), MEDIA_TYPE, None).unwrap();
    let annex = Annex::default().with(new, subject("token:a"), Timestamp::UNIX_EPOCH).unwrap();
    let mut json = serde_json::to_value(&annex).unwrap();
    assert_eq!((&json["format"], &json["attachments"][0]["role"]), (&1.into(), &"signature".into()));
    json["views"] = serde_json::json!([1]);
    json["attachments"][0]["seen_by"] = serde_json::json!({"digest": "x"});
    json["attachments"][0]["referrer"] = serde_json::json!({"digest": Digest::of(b"x"), "size": 1});
    json["attachments"][0]["role"] = "oracle".into();
    let read: Annex = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), json);
    assert_eq!(read.attachments[0].signature().unwrap().0, signer.key().id());
}
