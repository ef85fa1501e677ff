//! The secret keys of a catalog's author.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use minisign::{SecretKey, SecretKeyBox};
use ring::signature::Ed25519KeyPair;

use crate::cli::{CliError, Exit};
use crate::domain::attestation::{KeyId, Statement};
use crate::domain::catalog::{Document, NewRoot, PublicKey, SIGNATURE, signature_file};
use crate::domain::{Digest, NamePattern};

/// Where minisign's form of a secret key has the seed and the public key, 32 bytes each.
const SEED: std::ops::Range<usize> = 62..94;
const PUBLIC: std::ops::Range<usize> = 94..126;

/// The keys that sign.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Signing")]
pub(super) struct SignerArgs {
    /// File with a secret key of minisign that signs; as often as keys have to
    #[arg(short, long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,

    /// File with the password of the keys that have one
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// A secret key.
pub(super) struct Signer {
    secret: SecretKey,
    pair: Ed25519KeyPair,
    pub(super) public: PublicKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Signer").field(&self.public).finish()
    }
}

impl SignerArgs {
    /// Reads the keys.
    pub(super) fn load(&self) -> Result<Vec<Signer>, CliError> {
        load(&self.keys, self.password_file.as_deref())
    }

    /// The file with the password.
    pub(super) fn password_file(&self) -> Option<&Path> {
        self.password_file.as_deref()
    }
}

/// Reads secret keys. Each counts once.
pub(super) fn load(paths: &[PathBuf], password_file: Option<&Path>) -> Result<Vec<Signer>, CliError> {
    let mut signers: Vec<Signer> = Vec::with_capacity(paths.len());
    for path in paths {
        let signer = Signer::load(path, password_file)?;
        if signers.iter().all(|other| other.public != signer.public) {
            signers.push(signer);
        }
    }
    Ok(signers)
}

impl Signer {
    fn load(path: &Path, password_file: Option<&Path>) -> Result<Self, CliError> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|error| CliError::io(format_args!("read {}", path.display()), &error))
        };
        let text = read(path)?;
        let boxed = || SecretKeyBox::from(text.clone());
        let secret = match (boxed().into_unencrypted_secret_key(), password_file) {
            (Ok(secret), _) => secret,
            (Err(_), Some(file)) => {
                let password = read(file)?.trim_end_matches(['\r', '\n']).to_owned();
                boxed().into_secret_key(Some(password)).map_err(|error| unusable(path, &error))?
            }
            (Err(error), None) => {
                let error = unusable(path, &error);
                return Err(error.with_hint("If it has a password, give --password-file with it.".into()));
            }
        };
        Self::new(secret).ok_or_else(|| unusable(path, &"it is no Ed25519 key"))
    }

    fn new(secret: SecretKey) -> Option<Self> {
        let bytes = secret.to_bytes();
        let pair = Ed25519KeyPair::from_seed_and_public_key(bytes.get(SEED)?, bytes.get(PUBLIC)?).ok()?;
        let public = PublicKey(bytes.get(PUBLIC)?.try_into().ok()?);
        Some(Self { secret, pair, public })
    }

    /// The id of the key.
    fn id(&self) -> Option<KeyId> {
        let id = <[u8; 8]>::try_from(self.secret.keynum()).ok()?;
        format!("{:016X}", u64::from_le_bytes(id)).parse().ok()
    }

    /// Signs a root.
    pub(super) fn sign_root(&self, root: &mut NewRoot) {
        let signature = self.pair.sign(root.message());
        root.add(self.public, signature.as_ref());
    }

    /// The signature of a document, stating what it holds for.
    fn sign(&self, document: &Document, bytes: &[u8]) -> Result<Vec<u8>, CliError> {
        let scope = format!("{}/**", document.name).parse::<NamePattern>().map_err(anyhow::Error::msg)?;
        let (serial, manifest) = (document.serial, Digest::of(bytes));
        let comment = Statement { scope, label: None, serial, manifest, expires: None }.to_string();
        let signature = minisign::sign(None, &self.secret, Cursor::new(bytes), Some(&comment), None);
        Ok(signature.map_err(anyhow::Error::from)?.into_string().into_bytes())
    }
}

/// The files with the signatures of a document, by their names.
pub(super) fn sign_all(
    signers: &[Signer],
    document: &Document,
    bytes: &[u8],
) -> Result<Vec<(String, Vec<u8>)>, CliError> {
    let name = |at: usize, signer: &Signer| match signer.id() {
        Some(id) if at > 0 => signature_file(&id.to_string()),
        _ => SIGNATURE.to_owned(),
    };
    signers.iter().enumerate().map(|(at, signer)| Ok((name(at, signer), signer.sign(document, bytes)?))).collect()
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> CliError {
    let detail = format!("{} cannot be used as a secret key: {why}.", path.display());
    CliError::new(Exit::Usage, "KEY_UNUSABLE", detail)
}
