//! Whom a reader of a catalog trusts, and reading it accordingly.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use jiff::SignedDuration;

use super::believed::Believed;
use super::newest::{is_proof, newest};
use crate::cli::kept::{Kept, KeptDirectory};
use crate::cli::sources::{Servers, Until, ask};
use crate::cli::{CliError, Context, Exit, output, trust, values};
use crate::client::{CatalogError, Client, StoredCatalog};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::attestation;
use crate::domain::catalog::{Anchor, CatalogName, Document, Known, PublicKey, Refusal, Root, Verified};

/// Codes of catalogs that contradict the copy that was kept of them.
const CONTRADICTIONS: [&str; 5] =
    ["ROOT_WENT_BACK", "SERIAL_WENT_BACK", "CATALOG_FORKED", "RELEASE_CHANGED", "RELEASE_REMOVED"];

/// Keys that are trusted, and where copies are kept.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Trust")]
pub(super) struct KeyArgs {
    /// Public key of minisign that has to sign: the key itself, or its file
    ///
    /// It is needed only once: after that, a copy of the catalog is kept, and later documents and keys are believed if
    /// they follow from it.
    #[arg(long = "verify-key", value_name = "KEY|FILE")]
    verify_keys: Vec<String>,

    /// File that says for each name which keys count; the catalog is the name CATALOG/_catalog
    #[arg(long, value_name = "FILE", conflicts_with = "verify_keys")]
    trust: Option<PathBuf>,

    /// Directory with the copies of catalogs [default: ~/.local/state/larder]
    #[arg(long, value_name = "DIR", env = "LARDER_STATE", hide_env_values = true)]
    state: Option<PathBuf>,
}

/// How a reader comes to trust a catalog.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Trust")]
pub(super) struct TrustArgs {
    #[command(flatten)]
    keys: KeyArgs,

    /// How many of the keys have to sign
    #[arg(long, value_name = "N", requires = "verify_keys", value_parser = values::positive)]
    threshold: Option<NonZeroUsize>,

    /// Believe the keys that the server shows if nothing is known of the catalog yet, and remember them
    #[arg(long, conflicts_with = "verify_keys")]
    trust_on_first_use: bool,

    /// The keys that a server has shown at the first use, which the next one cannot replace.
    #[arg(skip)]
    anchor: Option<Anchor>,
}

impl From<KeyArgs> for TrustArgs {
    fn from(keys: KeyArgs) -> Self {
        Self { keys, ..Self::default() }
    }
}

impl TrustArgs {
    /// Where copies are kept.
    pub(super) fn directory(&self) -> Option<KeptDirectory> {
        KeptDirectory::new(self.keys.state.as_deref())
    }

    /// The keys that were given for this catalog.
    fn given(&self, name: &CatalogName, servers: &[String]) -> Result<Anchor, CliError> {
        let raw = |keys: &[attestation::PublicKey]| keys.iter().map(|key| PublicKey(*key.raw())).collect();
        if let Some(file) = &self.keys.trust {
            let (keys, threshold) = trust::keys_in(file, &name.manifest(), servers)?.ok_or_else(|| {
                let detail = format!("{} does not say which keys may sign {}.", file.display(), name.manifest());
                CliError::new(Exit::Integrity, "KEY_NEEDED", detail)
            })?;
            return Ok(Anchor { keys: raw(&keys), threshold });
        }
        let keys: Result<Vec<_>, CliError> = self.keys.verify_keys.iter().map(|key| trust::key(key)).collect();
        let keys: BTreeSet<PublicKey> = raw(&keys?);
        let threshold = self.threshold.map_or(1, NonZeroUsize::get);
        if threshold > keys.len().max(1) {
            let count = keys.len();
            return Err(CliError::usage(format!("{threshold} keys have to sign, but only {count} are given.")));
        }
        Ok(Anchor { keys, threshold })
    }

    /// Reads a catalog and verifies it: the newest of those that the servers and its mirrors have. Of what was verified, a
    /// copy is kept.
    pub(super) async fn read(
        &self,
        servers: &Servers,
        name: &CatalogName,
        context: &Context,
    ) -> Result<Believed, CliError> {
        let own = BTreeSet::new();
        let kept = self.directory().map(|directory| directory.load(name)).transpose()?.flatten();
        let addresses = servers.addresses();
        // The keys that one server shows at the first use have to sign what the others have as well.
        let first = RefCell::new(None);
        let judge = |_: &Client, stored| {
            let trusted = Self { anchor: first.borrow().clone(), ..self.clone() };
            let believed = trusted.judge(name, stored, (&addresses, &own), context)?;
            first.borrow_mut().get_or_insert_with(|| believed.anchor.clone());
            Ok(believed)
        };
        // Mirrors are those of what was believed before: nobody else may say where to ask.
        let known = kept.and_then(|kept| kept.known().document).map(|document| document.mirrors).unwrap_or_default();
        let mut asked = servers.named.clone();
        let is_new = |asked: &[Client], mirror: &Client| asked.iter().all(|server| server.base() != mirror.base());
        let mirrors = servers.reader.mirrors(&known).await;
        asked.extend(mirrors.into_iter().filter(|mirror| is_new(&servers.named, mirror)));
        let read = |client: &Client| stored(client.clone(), name.clone());
        let mut believed = newest(name, ask(&asked, read, judge, Until::Newest).await, context)?;
        let mirrors = servers.reader.mirrors(&believed.verified.document.mirrors).await;
        let new: Vec<Client> = mirrors.into_iter().filter(|mirror| is_new(&asked, mirror)).collect();
        if !new.is_empty() {
            // The catalog was read here for the first time, or names other mirrors than before. They cannot decide which
            // keys are trusted: what they have must follow from what the server has.
            let (anchor, known) = (believed.anchor.clone(), believed.verified.clone().into_known());
            let judge = |_: &Client, stored: StoredCatalog| {
                let verified = verified(name, &stored, &anchor, &known)?;
                Ok(Believed { stored, verified, anchor: anchor.clone(), is_kept: false })
            };
            match newest(name, ask(&new, read, judge, Until::Soon).await, context) {
                Ok(more) if more.serial() > believed.serial() => believed = more,
                Err(error) if is_proof(&error) => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        self.keep(name, &believed)?;
        Ok(believed)
    }

    /// Verifies the copy that was kept.
    pub(super) fn read_kept(&self, name: &CatalogName, context: &Context) -> Result<Believed, CliError> {
        let kept = self.directory().map(|directory| directory.load(name)).transpose()?.flatten();
        let kept = kept.ok_or_else(|| {
            let detail = format!("There is no copy of the catalog {name}; read it once without --offline.");
            CliError::new(Exit::NotFound, "NO_COPY", detail)
        })?;
        self.judge(name, kept.stored, (&[], &BTreeSet::new()), context)
    }

    /// Verifies what is stored of a catalog at these servers. `own` are keys that are trusted as well, such as an author's own.
    pub(super) fn judge(
        &self,
        name: &CatalogName,
        stored: StoredCatalog,
        from: (&[String], &BTreeSet<PublicKey>),
        context: &Context,
    ) -> Result<Believed, CliError> {
        self.judge_by(verified, name, stored, from, context)
    }

    /// The same for its author, who has to be able to issue it again when it has expired.
    pub(super) fn judge_for_author(
        &self,
        name: &CatalogName,
        stored: StoredCatalog,
        from: (&[String], &BTreeSet<PublicKey>),
        context: &Context,
    ) -> Result<Believed, CliError> {
        let judged = self.judge_by(verified_as_of_its_time, name, stored, from, context);
        judged.map_err(|error| if error.is("SERIAL_WENT_BACK") { went_back(name, error) } else { error })
    }

    fn judge_by(
        &self,
        verify: Verify,
        name: &CatalogName,
        stored: StoredCatalog,
        (servers, own): (&[String], &BTreeSet<PublicKey>),
        context: &Context,
    ) -> Result<Believed, CliError> {
        let kept = self.directory().map(|directory| directory.load(name)).transpose()?.flatten();
        let known = kept.as_ref().map(|kept| kept.known_beside(&stored)).unwrap_or_default();
        let anchor = self.anchor(name, &stored, (self.given(name, servers)?, own), kept.as_ref(), context)?;
        let verified = verify(name, &stored, &anchor, &known);
        let verified = verified.map_err(|error| if kept.is_some() { self.explain(name, error) } else { error })?;
        let is_kept = kept.is_some_and(|kept| kept.is_of(&stored, &anchor));
        Ok(Believed { stored, verified, anchor, is_kept })
    }

    /// Says what a catalog contradicts: it may have been founded anew, or somebody may serve another one.
    fn explain(&self, name: &CatalogName, error: CliError) -> CliError {
        match self.directory() {
            Some(directory) if CONTRADICTIONS.iter().any(|code| error.is(code)) => error.with_hint(format!(
                "What it was is kept in {}. Remove that file only if its author says that the catalog was founded anew.",
                directory.path(name).display()
            )),
            _ => error,
        }
    }

    /// Keeps a copy of what was verified.
    pub(super) fn keep(&self, name: &CatalogName, believed: &Believed) -> Result<(), CliError> {
        let Some(directory) = self.directory().filter(|_| !believed.is_kept) else { return Ok(()) };
        let kept = Kept { stored: believed.stored.clone(), anchor: believed.anchor.clone() };
        match directory.save(name, &kept, believed.serial()) {
            Err(error) if self.keys.state.is_none() => {
                output::note(format_args!("{error} An older catalog would not be noticed."));
                Ok(())
            }
            kept => kept,
        }
    }

    fn anchor(
        &self,
        name: &CatalogName,
        stored: &StoredCatalog,
        (mut given, own): (Anchor, &BTreeSet<PublicKey>),
        kept: Option<&Kept>,
        context: &Context,
    ) -> Result<Anchor, CliError> {
        if let (true, Some(first)) = (kept.is_none() && given.keys.is_empty(), &self.anchor) {
            return Ok(first.clone());
        }
        if let (true, Some(kept)) = (given.keys.is_empty(), kept) {
            return Ok(kept.anchor.clone());
        }
        if given.keys.is_empty() && self.trust_on_first_use {
            return first_use(name, stored, context);
        }
        given.keys.extend(own);
        if given.keys.is_empty() {
            let detail = format!(
                "Nothing says which key signs the catalog {name}. Give --verify-key with the key that its author made \
                 known, or --trust-on-first-use to believe this server once."
            );
            return Err(CliError::new(Exit::Integrity, "KEY_NEEDED", detail));
        }
        Ok(given)
    }
}

async fn stored(client: Client, name: CatalogName) -> Result<StoredCatalog, CliError> {
    Ok(client.catalog(&name).await?)
}

/// The keys of the first root: whoever controls the server now could have made it.
fn first_use(name: &CatalogName, stored: &StoredCatalog, context: &Context) -> Result<Anchor, CliError> {
    let first = stored.roots.first().and_then(|root| Root::read(root).ok());
    let first = first.ok_or_else(|| {
        let detail = format!("The catalog {name} has no root that says which keys sign it; give --verify-key.");
        CliError::new(Exit::Integrity, "KEY_NEEDED", detail)
    })?;
    if !context.json {
        let keys: Vec<String> = first.root.keys.iter().map(|key| format!("{key:?}")).collect();
        output::note(format_args!("{name} is believed from now on by the key {}", keys.join(", ")));
    }
    Ok(Anchor { keys: first.root.keys, threshold: first.root.threshold })
}

/// How a catalog is verified.
type Verify = fn(&CatalogName, &StoredCatalog, &Anchor, &Known) -> Result<Verified, CliError>;

/// Verifies with the clock of this machine; what has expired, as of its last second.
fn verified_as_of_its_time(
    name: &CatalogName,
    stored: &StoredCatalog,
    anchor: &Anchor,
    known: &Known,
) -> Result<Verified, CliError> {
    let mut now = SystemClock.now();
    loop {
        match stored.verify(name, anchor, known, now) {
            // Each end that is met lies before the one before it.
            Err(Refusal::Expired(end) | Refusal::RootExpired(end)) if end <= now => {
                output::note(format_args!("{name} expired at {end}"));
                now = end.checked_sub(SignedDuration::from_secs(1)).map_err(anyhow::Error::from)?;
            }
            judged => return judged.map_err(|refusal| refused(name, &refusal)),
        }
    }
}

/// Verifies with the clock of this machine.
pub(super) fn verified(
    name: &CatalogName,
    stored: &StoredCatalog,
    anchor: &Anchor,
    known: &Known,
) -> Result<Verified, CliError> {
    stored.verify(name, anchor, known, SystemClock.now()).map_err(|refusal| refused(name, &refusal))
}

/// The same for whoever has just read the document out of what is stored.
pub(super) fn verified_read(
    name: &CatalogName,
    stored: &StoredCatalog,
    read: Document,
    trusted: (&Anchor, &Known),
) -> Result<Verified, CliError> {
    stored.verify_read(name, read, trusted, SystemClock.now()).map_err(|refusal| refused(name, &refusal))
}

/// An author may be the one to mend what whoever runs the server has done.
fn went_back(name: &CatalogName, error: CliError) -> CliError {
    let manifest = name.manifest();
    error.with_hint(format!(
        "If the server's operator went back, make the newest version active again: `larder versions {manifest}` lists them, \
         `larder promote {manifest}@N` makes one active."
    ))
}

fn refused(name: &CatalogName, refusal: &Refusal) -> CliError {
    CliError::new(Exit::Integrity, refusal.code(), format!("The catalog {name} is not to be believed: {refusal}."))
}

impl From<CatalogError> for CliError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Client(error) => error.into(),
            invalid @ CatalogError::Invalid { .. } => {
                Self::new(Exit::Integrity, "CATALOG_DOCUMENT", invalid.to_string())
            }
        }
    }
}
