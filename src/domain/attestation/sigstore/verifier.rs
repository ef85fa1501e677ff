//! Verification of bundles with the library of the sigstore project.

use std::collections::HashSet;

use serde::Deserialize;
use sigstore_verify::trust_root::TrustedRoot as RootDocument;
use sigstore_verify::types::bundle::VerificationMaterialContent;
use sigstore_verify::types::{Artifact, Bundle, Sha256Hash, SignatureContent};
use sigstore_verify::{Error, VerificationPolicy, VerificationResult, Verifier};

use super::{BundleError, Proven, Signable, TrustedRootError, crypto};
use crate::domain::Digest;
use crate::domain::text::Escaped;

/// Maximum number of trusted roots in a file. `gh attestation trusted-root` writes two.
const MAX_ROOTS: usize = 4;
/// Maximum number of certificates, of log entries and of timestamps in a bundle. Real ones have one or two.
const MAX_EVIDENCE: usize = 8;
/// Maximum number of characters of a reason.
const MAX_WHY: usize = 300;
/// Maximum number of bytes of an issuer, an identity or an id in a certificate.
const MAX_CLAIM: usize = 2048;
/// The types of in-toto statements.
const STATEMENTS: [&str; 2] = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];
/// What the types of predicates begin with that say that the subjects were built, published or signed by somebody. Others
/// may well say the opposite: a failed test is attested in the same way.
const PREDICATES: [&str; 6] = [
    "https://slsa.dev/provenance/",
    "https://in-toto.io/attestation/release/",
    "https://sigstore.dev/cosign/sign/",
    "https://docs.pypi.org/attestations/publish/",
    "https://github.com/npm/attestation/tree/main/specs/publish/",
    "https://schemas.conda.org/attestations-publish-",
];

/// What verifies the bundles of one trusted root.
struct Authority {
    verifier: Verifier,
    policy: VerificationPolicy,
}

/// What verifies bundles.
pub(super) struct Verifiers(Vec<Authority>);

impl Authority {
    fn new(root: &RootDocument) -> Result<Self, Error> {
        // What a root lists is required. That of GitHub's own instance has neither kind of log, and timestamps instead, of
        // which one is required in any case.
        let mut policy = VerificationPolicy::any_identity();
        if root.tlogs.is_empty() {
            policy = policy.skip_tlog_unsafe();
        }
        if root.ctlogs.is_empty() {
            policy = policy.skip_sct();
        }
        Ok(Self { verifier: Verifier::new(root)?, policy })
    }
}

impl Verifiers {
    pub(super) fn new(text: &str) -> Result<Self, TrustedRootError> {
        crypto::install();
        let malformed = |why: String| TrustedRootError::Malformed(reason(&why));
        let documents = serde_json::Deserializer::from_str(text).into_iter::<RootDocument>().take(MAX_ROOTS + 1);
        let documents: Vec<RootDocument> =
            documents.collect::<Result<_, _>>().map_err(|error| malformed(error.to_string()))?;
        if !(1..=MAX_ROOTS).contains(&documents.len()) {
            return Err(TrustedRootError::Count(documents.len(), MAX_ROOTS));
        }
        if documents.iter().any(|root| root.certificate_authorities.is_empty()) {
            return Err(malformed("it has no certificate authority".to_owned()));
        }
        let authorities = documents.iter().map(Authority::new).collect::<Result<_, _>>();
        authorities.map(Self).map_err(|error| malformed(error.to_string()))
    }

    pub(super) fn verify(&self, bytes: &[u8], subject: Signable<'_>) -> Result<Proven, BundleError> {
        let malformed = |why: &dyn ToString| BundleError::Malformed(reason(&why.to_string()));
        let text = std::str::from_utf8(bytes).map_err(|error| malformed(&error))?;
        let bundle = Bundle::from_json(text).map_err(|error| malformed(&error))?;
        check_size(&bundle)?;
        let artifact = artifact(&bundle, subject)?;
        let mut refusal = None;
        for authority in &self.0 {
            let verified = crypto::with_message(artifact.message(), || {
                authority.verifier.verify(artifact.to_verify(), &bundle, &authority.policy)
            });
            match verified {
                Ok(result) => return proven(&result),
                // Another root has the certificate authority. What its own root says of a bundle is of use.
                Err(Error::Certificate(_)) if refusal.is_some() => {}
                Err(error) => refusal = Some(error),
            }
        }
        let why = refusal.map(|error| error.to_string()).unwrap_or_default();
        Err(BundleError::Refused(reason(&why)))
    }
}

/// Bounds the work that a bundle can cause.
fn check_size(bundle: &Bundle) -> Result<(), BundleError> {
    let material = &bundle.verification_material;
    let certificates = match &material.content {
        VerificationMaterialContent::X509CertificateChain { certificates } => certificates.len(),
        _ => 1,
    };
    let timestamps = material.timestamp_verification_data.rfc3161_timestamps.len();
    let is_bounded = [certificates, material.tlog_entries.len(), timestamps].iter().all(|count| *count <= MAX_EVIDENCE);
    if is_bounded { Ok(()) } else { Err(BundleError::TooMuch(MAX_EVIDENCE)) }
}

/// What the signature of a bundle has to cover.
enum Signed<'a> {
    Message(&'a [u8]),
    Digest(Digest),
}

impl<'a> Signed<'a> {
    fn message(&self) -> &'a [u8] {
        match self {
            Self::Message(message) => message,
            Self::Digest(_) => &[],
        }
    }

    fn to_verify(&self) -> Artifact<'a> {
        match self {
            Self::Message(message) => Artifact::Blob(message),
            Self::Digest(digest) => Sha256Hash::new(*digest.bytes()).into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
    subject: Vec<StatementSubject>,
}

#[derive(Deserialize)]
struct StatementSubject {
    digest: SubjectDigest,
}

#[derive(Deserialize)]
struct SubjectDigest {
    sha256: Option<String>,
}

/// What of the subject a bundle is about: the manifest, or by the first of them all files.
fn artifact<'a>(bundle: &Bundle, subject: Signable<'a>) -> Result<Signed<'a>, BundleError> {
    let envelope = match &bundle.content {
        SignatureContent::MessageSignature(_) => return Ok(Signed::Message(subject.manifest)),
        SignatureContent::DsseEnvelope(envelope) => envelope,
        _ => return Err(BundleError::Malformed("it has neither a signature nor a statement".into())),
    };
    let statement: Statement = serde_json::from_slice(envelope.payload.as_bytes())
        .map_err(|error| BundleError::Malformed(reason(&error.to_string())))?;
    if !STATEMENTS.contains(&&*statement.kind) {
        return Err(BundleError::OtherStatement(reason(&statement.kind)));
    }
    if !PREDICATES.iter().any(|predicate| statement.predicate_type.starts_with(predicate)) {
        return Err(BundleError::OtherStatement(reason(&statement.predicate_type)));
    }
    let digests =
        statement.subject.iter().filter_map(|subject| Digest::from_hex(subject.digest.sha256.as_deref()?).ok());
    let stated: HashSet<Digest> = digests.collect();
    let manifest = Digest::of(subject.manifest);
    match subject.files {
        _ if stated.contains(&manifest) => Ok(Signed::Digest(manifest)),
        [first, ..] if subject.files.iter().all(|file| stated.contains(file)) => Ok(Signed::Digest(*first)),
        _ => Err(BundleError::OtherSubject),
    }
}

fn proven(result: &VerificationResult) -> Result<Proven, BundleError> {
    let certificate = result.certificate().filter(|_| result.certificate_verified()).ok_or(BundleError::Nobody)?;
    let issuer = certificate.issuer.as_deref().ok_or(BundleError::Nobody)?;
    let identity = certificate.identity.as_ref().ok_or(BundleError::Nobody)?.as_str();
    let repository = certificate.ci_claims.source_repository_identifier.as_deref();
    if [issuer, identity, repository.unwrap_or("x")].iter().any(|claim| !(1..=MAX_CLAIM).contains(&claim.len())) {
        return Err(BundleError::Nobody);
    }
    let at = result.verified_timestamps().iter().min().ok_or(BundleError::Nobody)?;
    Ok(Proven { issuer: issuer.into(), identity: identity.into(), repository_id: repository.map(Into::into), at: *at })
}

/// A reason in the words of others, which may repeat what a publisher wrote.
fn reason(text: &str) -> Box<str> {
    let short: String = text.trim().trim_end_matches('.').chars().take(MAX_WHY).collect();
    Escaped::new(&short).to_string().into()
}
