//! The secret keys of a catalog's author.

use std::path::PathBuf;

use crate::cli::CliError;
use crate::cli::signing::{PasswordArgs, SigningKey};
use crate::domain::attestation::Statement;
use crate::domain::catalog::{Document, NewMetadata, PublicKey, SIGNATURE, signature_file};
use crate::domain::{Digest, NamePattern};

/// The keys that sign.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Signing")]
pub(super) struct SignerArgs {
    /// File with a secret key of minisign that signs; as often as keys have to
    #[arg(short, long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,

    #[command(flatten)]
    password: PasswordArgs,
}

/// A secret key.
pub(super) struct Signer {
    key: SigningKey,
    pub(super) public: PublicKey,
}

impl SignerArgs {
    /// Reads the keys.
    pub(super) fn load(&self) -> Result<Vec<Signer>, CliError> {
        self.load_also(&self.keys)
    }

    /// Reads other keys, with the same password if they have one. Each counts once.
    pub(super) fn load_also(&self, paths: &[PathBuf]) -> Result<Vec<Signer>, CliError> {
        let mut signers: Vec<Signer> = Vec::with_capacity(paths.len());
        for path in paths {
            let key = SigningKey::read(path, &self.password)?;
            let public = PublicKey(*key.public().raw());
            if signers.iter().all(|other| other.public != public) {
                signers.push(Signer { key, public });
            }
        }
        Ok(signers)
    }
}

impl Signer {
    /// Signs metadata of TUF as the key that is known by this id.
    pub(super) fn sign_metadata(&self, metadata: &mut NewMetadata, id: &str) -> Result<(), CliError> {
        let signature = self.key.sign_raw(metadata.message())?;
        metadata.add(id, &signature);
        Ok(())
    }

    /// The signature of a document, stating what it holds for.
    fn sign(&self, document: &Document, bytes: &[u8]) -> Result<Vec<u8>, CliError> {
        let scope = format!("{}/**", document.name).parse::<NamePattern>().map_err(anyhow::Error::msg)?;
        let (serial, manifest) = (document.serial, Digest::of(bytes));
        let comment = Statement { scope, label: None, serial, manifest, expires: None }.to_string();
        Ok(self.key.sign(bytes, &comment)?.into_bytes())
    }
}

/// The files with the signatures of a document, by their names.
pub(super) fn sign_all(
    signers: &[Signer],
    document: &Document,
    bytes: &[u8],
) -> Result<Vec<(String, Vec<u8>)>, CliError> {
    let name = |at: usize, signer: &Signer| match at {
        0 => SIGNATURE.to_owned(),
        _ => signature_file(&signer.key.public().id().to_string()),
    };
    signers.iter().enumerate().map(|(at, signer)| Ok((name(at, signer), signer.sign(document, bytes)?))).collect()
}
