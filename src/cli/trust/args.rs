//! The options that say which signatures are required.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ArgGroup;

use super::file::{self, TrustFile};
use crate::cli::{CliError, values};
use crate::domain::attestation::{Identity, PublicKey, TrustedRoot};

/// Which signatures are required of what is fetched.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Verification")]
#[command(group = ArgGroup::new("signers").multiple(true))]
pub(in crate::cli) struct TrustArgs {
    /// Accept only what this key of minisign has signed: the key itself, or a file with it (repeatable)
    #[arg(long, value_name = "KEY", group = "signers", conflicts_with_all = ["trust", "trust_on_first_use"])]
    verify_key: Vec<String>,

    /// Accept only what this identity has signed by sigstore: an issuer, and an address or email address (repeatable)
    ///
    /// `*` in IDENTITY stands for anything but `/`, `**` for anything. Nobody is asked, so --sigstore-root is needed.
    #[arg(long, value_names = ["ISSUER", "IDENTITY"], num_args = 2, group = "signers", requires = "sigstore_root")]
    #[arg(conflicts_with_all = ["trust", "trust_on_first_use"])]
    verify_identity: Vec<String>,

    /// File with the authorities and logs of sigstore that are trusted, as gh attestation trusted-root prints it
    #[arg(long, value_name = "FILE", requires = "verify_identity")]
    sigstore_root: Option<PathBuf>,

    /// How many of the keys and identities must have signed
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::positive, requires = "signers")]
    pub(super) threshold: NonZeroUsize,

    /// Accept only what those in this file have signed, which says for each name which keys and identities count
    #[arg(long, value_name = "FILE")]
    pub(super) trust: Option<PathBuf>,

    /// Trust the key that has signed this, if none is trusted for the name yet, and remember it
    ///
    /// In the file that --trust names, by default ~/.config/larder/trust.toml.
    #[arg(long)]
    pub(super) trust_on_first_use: bool,

    /// Accept a release with a lower serial than one that was accepted before
    #[arg(long)]
    pub(super) allow_rollback: bool,
}

impl TrustArgs {
    /// Whether anything has to be verified.
    pub(in crate::cli) fn is_asked(&self) -> bool {
        self.names_signers() || self.trust.is_some() || self.trust_on_first_use
    }

    /// Whether mirrors may be asked for names: only where signers that are known say what is to be believed.
    pub(in crate::cli) fn is_certain(&self) -> bool {
        self.is_asked() && !self.trust_on_first_use
    }

    /// Whether bundles may count.
    pub(super) fn counts_identities(&self) -> Result<bool, CliError> {
        match &self.trust {
            Some(file) => Ok(TrustFile::read(file.clone(), self.trust_on_first_use)?.has_identities()),
            None => Ok(!self.verify_identity.is_empty()),
        }
    }

    /// Whether the options themselves say which signers count.
    pub(super) fn names_signers(&self) -> bool {
        !self.verify_key.is_empty() || !self.verify_identity.is_empty()
    }

    /// The keys that count.
    pub(super) fn keys(&self) -> Result<Vec<PublicKey>, CliError> {
        self.verify_key.iter().map(|key| file::key(key)).collect()
    }

    /// The identities that count.
    pub(super) fn identities(&self) -> Result<Vec<Identity>, CliError> {
        let identity = |pair: &[String]| {
            let [issuer, identity] = pair else { return Err(CliError::usage("--verify-identity takes two values.")) };
            let identity = identity.parse();
            let identity = identity.map_err(|error| CliError::usage(format!("--verify-identity: {error}.")))?;
            Ok(Identity { issuer: issuer.as_str().into(), identity, repository_id: None })
        };
        self.verify_identity.chunks(2).map(identity).collect()
    }

    /// What bundles are verified with.
    pub(super) fn root(&self) -> Result<Option<TrustedRoot>, CliError> {
        self.sigstore_root.as_deref().map(file::trusted_root).transpose()
    }
}
