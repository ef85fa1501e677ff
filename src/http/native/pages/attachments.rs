//! What is attached to a version: signatures with the ids of their keys, provenance, bills of materials.

use maud::{Markup, html};

use super::text;
use crate::domain::ManifestName;
use crate::domain::attestation::{Attachment, Role};
use crate::http::state::BaseUrl;

/// The section about attachments; nothing if there are none.
pub(super) fn list(base: &BaseUrl, (name, number): (&ManifestName, u64), attachments: &[Attachment]) -> Markup {
    let address = |one: &Attachment| format!("{base}/versions/{name}@{number}/attachments/{}", one.digest);
    html! {
        @if !attachments.is_empty() {
            section aria-labelledby="attachments" {
                h2 #attachments { "Signatures and statements" }
                ul.plain-list {
                    @for one in attachments {
                        li {
                            a href=(address(one)) title=(one.digest) { (called(one)) }
                            @if let Some(file) = &one.file { " of " (file) }
                            @if let Some((key, comment)) = one.signature() {
                                " by the key " code { (key) }
                                @if !comment.is_empty() { details { summary { "What it states" } p { code { (text::escaped(&comment)) } } } }
                            }
                            div.small.soft {
                                @if let Some(by) = &one.by { "attached by " (text::escaped(by.as_str())) ", " }
                                @if let Some(at) = one.at { (text::time(at)) ", " }
                                (text::size(one.size))
                            }
                        }
                    }
                }
                p.small.soft { "Not verified here: whoever attaches something may write anything. Verify with a key that you know." }
            }
        }
    }
}

fn called(one: &Attachment) -> Markup {
    html! {
        @match one.role {
            Some(Role::Signature) => { "Signature" }
            Some(Role::Provenance) => { "Provenance" }
            Some(Role::Sbom) => { "Bill of materials" }
            Some(Role::Notes) => { "Notes" }
            Some(Role::Unknown(_)) | None => { (text::escaped(&one.media_type)) }
        }
    }
}
