//! Secret keys: reading, making, and signing with them. The only place that knows secret keys.

use std::ops::Range;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign::{KeyPair, SecretKey, SecretKeyBox};
use ring::signature::Ed25519KeyPair;

use super::{CliError, Exit};
use crate::domain::attestation::PublicKey;

/// Largest file with a key or a password, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// Where the password of a secret key comes from: never from an argument, which `ps` would show.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PasswordArgs {
    /// File with the password of the secret key in its first line (default: asked for on the terminal)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordArgs {
    /// Whether it is said where the password is.
    pub(super) fn is_given(&self) -> bool {
        self.password_file.is_some()
    }

    fn password(&self, prompt: &str) -> Result<String, CliError> {
        match &self.password_file {
            Some(file) => Ok(text_of(file)?.lines().next().unwrap_or_default().to_owned()),
            None => rpassword::prompt_password(prompt)
                .map_err(|error| CliError::io("ask for the password; give --password-file FILE", &error)),
        }
    }

    /// The password for a new key, which is asked for twice.
    pub(super) fn new_password(&self) -> Result<String, CliError> {
        let password = self.password("Password for the new key: ")?;
        if password.is_empty() {
            return Err(CliError::usage("The password is empty; --no-password makes a key without one."));
        }
        if self.password_file.is_none() && self.password("The same again: ")? != password {
            return Err(CliError::usage("The two passwords differ."));
        }
        Ok(password)
    }
}

/// The content of a small text file.
pub(super) fn text_of(path: &Path) -> Result<String, CliError> {
    let read = || {
        let size = path.metadata()?.len();
        if size > MAX_FILE { Err(std::io::Error::other("it is too large")) } else { std::fs::read_to_string(path) }
    };
    read().map_err(|error| CliError::io(format_args!("read {}", path.display()), &error))
}

/// Makes a key: the content of the file for the secret one, and the public one.
pub(super) fn generate(password: Option<String>) -> Result<(String, PublicKey), CliError> {
    let pair = match password {
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password)),
        None => KeyPair::generate_unencrypted_keypair(),
    };
    let pair = pair.map_err(|error| failed(&error))?;
    let secret = pair.sk.to_box(None).map_err(|error| failed(&error))?.into_string();
    Ok((secret, public(&pair.pk)?))
}

fn public(key: &minisign::PublicKey) -> Result<PublicKey, CliError> {
    key.to_base64().parse().map_err(|error| CliError::new(Exit::Failure, "KEY", format!("{error}.")))
}

fn failed(error: &minisign::PError) -> CliError {
    CliError::new(Exit::Failure, "KEY", format!("The key cannot be used: {error}."))
}

/// Where the algorithm that derives a key from the password stands in a secret key, and the checksum: minisign 0.11 leaves
/// the latter out of keys without a password.
const DERIVATION: Range<usize> = 2..4;
const CHECKSUM: Range<usize> = 126..158;

/// The secret key in the content of a file, decrypted.
fn secret(text: &str, password: impl FnOnce() -> Result<String, CliError>) -> Result<SecretKey, CliError> {
    let none = || CliError::usage("This is no secret key of minisign.");
    let line = text.lines().nth(1).ok_or_else(none)?;
    let bytes = STANDARD.decode(line.trim()).ok().filter(|bytes| bytes.len() == CHECKSUM.end).ok_or_else(none)?;
    let is_zero = |range: Range<usize>| bytes[range].iter().all(|byte| *byte == 0);
    let boxed = || SecretKeyBox::from_string(text);
    let secret = match (is_zero(DERIVATION), is_zero(CHECKSUM)) {
        (true, true) => SecretKey::from_bytes(&bytes),
        (true, false) => boxed().and_then(SecretKeyBox::into_unencrypted_secret_key),
        (false, _) => {
            let password = password()?;
            boxed().and_then(|boxed| boxed.into_secret_key(Some(password)))
        }
    };
    secret.map_err(|error| failed(&error))
}

/// A secret key that is ready for use.
pub(super) struct SigningKey {
    secret: SecretKey,
    own: minisign::PublicKey,
    public: PublicKey,
}

impl SigningKey {
    /// Reads a secret key; asks for its password if it has one.
    pub(super) fn read(path: &Path, password: &PasswordArgs) -> Result<Self, CliError> {
        let text = text_of(path)?;
        if text.parse::<PublicKey>().is_ok() {
            let path = path.display();
            return Err(CliError::usage(format!("{path} is a public key; signing takes the secret one.")));
        }
        let secret = secret(&text, || password.password(&format!("Password of {}: ", path.display())))?;
        let own = minisign::PublicKey::from_secret_key(&secret).map_err(|error| failed(&error))?;
        let public = public(&own)?;
        Ok(Self { secret, own, public })
    }

    /// The public key.
    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The Ed25519 signature of `message` itself, as documents of TUF have it.
    pub(super) fn sign_raw(&self, message: &[u8]) -> Result<Vec<u8>, CliError> {
        // Where minisign's form of a secret key has the seed and the public key, 32 bytes each.
        let bytes = self.secret.to_bytes();
        let pair = Ed25519KeyPair::from_seed_and_public_key(&bytes[62..94], &bytes[94..126]);
        let unusable = |error| CliError::new(Exit::Failure, "KEY", format!("The key cannot be used: {error}."));
        Ok(pair.map_err(unusable)?.sign(message).as_ref().to_vec())
    }

    /// A signature of `bytes` and of `comment`, as minisign writes it. Offers the public key in its first line.
    pub(super) fn sign(&self, bytes: &[u8], comment: &str) -> Result<String, CliError> {
        let untrusted = format!("larder {}", self.public);
        let signature = minisign::sign(Some(&self.own), &self.secret, bytes, Some(comment), Some(&untrusted));
        Ok(signature.map_err(|error| failed(&error))?.into_string())
    }
}
