//! Signing what is published, in the same step.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::Value;

use crate::cli::sign::stated::{self, StatedArgs};
use crate::cli::signing::{PasswordArgs, SigningKey};
use crate::cli::{CliError, output};
use crate::client::Client;
use crate::domain::attestation::{KeyId, Statement};
use crate::domain::{Digest, ManifestName, NamePattern};

/// Which key signs, and what it states.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Signing")]
pub(super) struct SigningArgs {
    /// Sign the manifest with this secret key of minisign
    ///
    /// The signature is there before the version is complete, so that a policy of the name can count it. It states the label
    /// of the release. What is unchanged and signed already is not signed again.
    #[arg(short, long, value_name = "FILE", conflicts_with = "part")]
    key: Option<PathBuf>,

    #[command(flatten)]
    stated: StatedArgs,

    #[command(flatten)]
    password: PasswordArgs,
}

impl SigningArgs {
    /// Reads the key before anything is sent; asks for its password if it has one.
    pub(super) fn signer(&self, name: &ManifestName) -> Result<Option<Signer>, CliError> {
        let Some(key) = &self.key else {
            let needless = self.password.is_given();
            return if needless { Err(CliError::usage("--password-file needs --key.")) } else { Ok(None) };
        };
        let scope = self.stated.scope(name)?;
        Ok(Some(Signer { key: SigningKey::read(key, &self.password)?, stated: self.stated.clone(), scope }))
    }
}

/// Signs manifests.
pub(in crate::cli) struct Signer {
    key: SigningKey,
    stated: StatedArgs,
    scope: NamePattern,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("key", &self.id()).finish_non_exhaustive()
    }
}

impl Signer {
    fn id(&self) -> KeyId {
        self.key.public().id()
    }

    /// Says what would be signed.
    pub(super) fn announce(&self) {
        output::note(format_args!("would sign with the key {}, for {}", self.id(), self.scope));
    }

    /// The signature of a manifest.
    pub(super) async fn sign(
        &self,
        client: &Client,
        name: &ManifestName,
        manifest: &[u8],
    ) -> Result<NewSignature, CliError> {
        let own = stated::for_publish(client, name, manifest, (&self.stated, &self.key)).await?;
        let mut shown = stated::to_json(&own.statement, &self.key);
        shown["digest"] = Digest::of(&own.bytes).to_string().into();
        shown["added"] = (!own.is_known).into();
        let is_known = own.is_known;
        Ok(NewSignature { bytes: own.bytes.into(), statement: own.statement, is_known, shown, key: self.id() })
    }
}

/// A signature that goes along with a publish.
#[derive(Debug)]
pub(in crate::cli) struct NewSignature {
    pub(super) bytes: Bytes,
    /// What `--json` prints.
    pub(super) shown: Value,
    statement: Statement,
    /// Whether these bytes had it before.
    is_known: bool,
    key: KeyId,
}

impl NewSignature {
    pub(super) fn report(&self) {
        let Statement { serial, scope, .. } = &self.statement;
        let done = if self.is_known { "was signed before" } else { "signed" };
        output::note(format_args!("{done} with the key {}, serial {serial}, for {scope}", self.key));
    }
}
