//! Signatures of identity tokens: `jsonwebtoken` does the format, the one cryptography library of this program the rest.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::signature as of_ring;

use crate::config::SignatureAlgorithm;

static PROVIDER: CryptoProvider =
    CryptoProvider { signer_factory: signer, verifier_factory: verifier, key_utils: KeyUtils::new_unimplemented() };

/// Makes `jsonwebtoken` use `ring`. Does nothing if it was done before.
pub(super) fn install() {
    // Fails only if a provider is installed already, and there is no other.
    let _ = PROVIDER.install_default();
}

/// The library's name for an algorithm.
pub(super) fn algorithm(configured: SignatureAlgorithm) -> Algorithm {
    match configured {
        SignatureAlgorithm::RS256 => Algorithm::RS256,
        SignatureAlgorithm::RS384 => Algorithm::RS384,
        SignatureAlgorithm::RS512 => Algorithm::RS512,
        SignatureAlgorithm::PS256 => Algorithm::PS256,
        SignatureAlgorithm::PS384 => Algorithm::PS384,
        SignatureAlgorithm::PS512 => Algorithm::PS512,
        SignatureAlgorithm::ES256 => Algorithm::ES256,
        SignatureAlgorithm::ES384 => Algorithm::ES384,
        SignatureAlgorithm::EdDSA => Algorithm::EdDSA,
    }
}

/// This server signs nothing for others.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the library calls it so")]
fn signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

/// Checks signatures of one algorithm with one public key.
struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the library calls it so")]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    // The family of the key decides, never the header of the token alone.
    if algorithm.family() != key.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() }))
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        let checked = match (rsa(self.algorithm), curve(self.algorithm), self.key.kind()) {
            (Some(parameters), _, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                of_ring::RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            (None, Some(curve), DecodingKeyKind::SecretOrDer(point)) => {
                of_ring::UnparsedPublicKey::new(curve, point).verify(message, signature)
            }
            _ => Err(ring::error::Unspecified),
        };
        checked.map_err(|_| signature::Error::new())
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static of_ring::RsaParameters> {
    match algorithm {
        Algorithm::RS256 => Some(&of_ring::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Some(&of_ring::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Some(&of_ring::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Some(&of_ring::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Some(&of_ring::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Some(&of_ring::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

fn curve(algorithm: Algorithm) -> Option<&'static dyn of_ring::VerificationAlgorithm> {
    match algorithm {
        Algorithm::ES256 => Some(&of_ring::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Some(&of_ring::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Some(&of_ring::ED25519),
        _ => None,
    }
}
