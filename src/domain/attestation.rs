//! Attestations: signatures and other statements about a version that are attached to it after it was made.
//!
//! What is signed is always the bytes of the manifest as they are stored. A signature states in its trusted comment for
//! which names it holds, and its place in the order of releases ([`Statement`]), because a signature over bytes alone
//! would also authenticate an old release as the newest one. A sigstore bundle ([`TrustedRoot`]) states neither: the names
//! are those for which its identity is trusted, and its serial is the second in which a log has recorded it.

mod attachment;
mod judgement;
mod minisign;
mod requirement;
mod sigstore;
mod statement;

pub use attachment::{
    Annex, Attachment, AttachmentError, BUNDLES, INLINE, MAX_ATTACHMENT, MAX_ATTACHMENTS, MAX_BY_SUBJECT, MAX_SBOM,
    NewAttachment, Role,
};
pub use judgement::{Judged, Proof, Refusal, Refused, Signed, SignedRelease, Signer, Standing};
pub use minisign::{KeyError, KeyId, MEDIA_TYPE, PublicKey, Signature, SignatureError};
pub use requirement::{Requirement, RequirementError};
pub use sigstore::{BundleError, Identity, MAX_TRUSTED_ROOT, Proven, Signable, TrustedRoot, TrustedRootError};
pub use statement::{MAX_SERIAL, Statement, StatementError};

#[cfg(test)]
mod tests;
