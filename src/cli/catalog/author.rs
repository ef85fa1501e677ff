//! Changing a catalog: read it, change it, sign it here, publish it if nobody else did meanwhile; else again.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::believed::Believed;
use super::signer::{self, Signer, SignerArgs};
use super::trust::{KeyArgs, TrustArgs, verified_read};
use crate::cli::publish::local_files::LocalFiles;
use crate::cli::publish::parse;
use crate::cli::publish::remarks::Remarks;
use crate::cli::publish::session::{Publication, Published};
use crate::cli::publish::text::Text;
use crate::cli::{CliError, Context, Exit, output};
use crate::client::{Client, Content as _, ImportOrigin, StoredCatalog};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Duration;
use crate::domain::catalog::{
    Anchor, CatalogName, DOCUMENT, Document, Known, Problems, PublicKey, Root, Rule, TYPE, check, check_times, follows,
    root_file,
};
use crate::domain::{Carried, Digest, Expect};

/// How often a change is made again after somebody else's.
const ATTEMPTS: usize = 8;
/// How many files are sent at once.
const JOBS: usize = 4;

/// Arguments of all commands that change a catalog.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct AuthorArgs {
    #[command(flatten)]
    pub(super) signer: SignerArgs,

    /// Until when readers may believe the catalog: a time, or how long from now on, such as 90d [default: as long as
    /// before]
    #[arg(long, value_name = "TIME|DURATION")]
    expires: Option<End>,

    #[command(flatten)]
    keys: KeyArgs,
}

impl AuthorArgs {
    /// Whom an author believes beside the own keys.
    fn trust(&self) -> TrustArgs {
        self.keys.clone().into()
    }
}

/// When something ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    At(Timestamp),
    After(Duration),
}

impl FromStr for End {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self::At).or_else(|_| text.parse().map(Self::After))
    }
}

impl End {
    /// The time at which it ends, in whole seconds.
    pub(super) fn from(self, now: Timestamp) -> Result<Timestamp, CliError> {
        let after = |duration: Duration| now.checked_add(SignedDuration::try_from(duration.std()).ok()?).ok();
        let end = match self {
            Self::At(time) => Some(time),
            Self::After(duration) => after(duration),
        };
        let too_far = || CliError::usage("The end is too far away: a catalog is valid for at most 400 days.");
        whole_seconds(end.ok_or_else(too_far)?)
    }
}

/// Somebody who changes a catalog.
pub(super) struct Author<'a> {
    pub(super) client: &'a Client,
    pub(super) name: &'a CatalogName,
    pub(super) args: &'a AuthorArgs,
    /// The keys that sign documents.
    pub(super) signers: &'a [Signer],
    /// The keys whose catalog the author believes.
    pub(super) own: BTreeSet<PublicKey>,
    pub(super) context: &'a Context,
}

/// A catalog to be published.
pub(super) struct Draft {
    pub(super) document: Document,
    pub(super) roots: Vec<Bytes>,
    /// What is published of it, if it is.
    pub(super) before: Option<StoredCatalog>,
    /// The manifest that has to be active.
    pub(super) expect: Expect,
    /// What a reader who has seen that believes, and knows.
    pub(super) trusted: Option<(Anchor, Known)>,
}

impl Draft {
    /// The newest root.
    pub(super) fn root(&self) -> Option<Root> {
        Root::read(self.roots.last()?).ok()
    }
}

/// The public parts of keys.
pub(super) fn public(signers: &[Signer]) -> BTreeSet<PublicKey> {
    signers.iter().map(|signer| signer.public).collect()
}

/// The present time, in whole seconds.
pub(super) fn now() -> Timestamp {
    let now = SystemClock.now();
    whole_seconds(now).unwrap_or(now)
}

fn whole_seconds(time: Timestamp) -> Result<Timestamp, CliError> {
    Ok(Timestamp::from_second(time.as_second()).map_err(anyhow::Error::from)?)
}

impl Author<'_> {
    /// Changes the document. `change` may be called again with another one. Returns the document that is published.
    pub(super) async fn edit(
        &self,
        change: impl Fn(&mut Document) -> Result<(), CliError>,
    ) -> Result<Document, CliError> {
        self.attempt(|draft| change(&mut draft.document)).await
    }

    /// Changes the document or the roots.
    pub(super) async fn attempt(
        &self,
        change: impl Fn(&mut Draft) -> Result<(), CliError>,
    ) -> Result<Document, CliError> {
        let mut attempt = 1;
        loop {
            let Believed { stored, verified, anchor, .. } = self.read().await?;
            let mut draft = self.successor(&stored, &verified.document)?;
            change(&mut draft)?;
            let problems = follows(Some((&verified.document, verified.digest)), &draft.document);
            draft.trusted = Some((anchor, verified.into_known()));
            match self.publish(draft, problems).await {
                Err(error) if error.is("PRECONDITION_FAILED") && attempt < ATTEMPTS => {
                    attempt += 1;
                    output::note(
                        "somebody else changed the catalog meanwhile; the change is made again on top of that",
                    );
                }
                published => return published,
            }
        }
    }

    /// The document that is active.
    pub(super) async fn document(&self) -> Result<Document, CliError> {
        Ok(self.read().await?.verified.document)
    }

    /// Reads the catalog, which has to be one that its author would believe.
    async fn read(&self) -> Result<Believed, CliError> {
        let stored = self.client.catalog(self.name).await?;
        let servers = [self.client.base().to_string()];
        let from = (&servers[..], &self.own);
        let believed = self.args.trust().judge_for_author(self.name, stored, from, self.context)?;
        self.args.trust().keep(self.name, &believed)?;
        Ok(believed)
    }

    fn successor(&self, stored: &StoredCatalog, before: &Document) -> Result<Draft, CliError> {
        let (issued, serial) = (now(), before.serial + 1);
        let usual = before.expires.duration_since(before.issued);
        let expires = self.args.expires.map_or(Ok(issued + usual), |end| end.from(issued))?;
        let previous = Some(Digest::of(&stored.document));
        let document = Document { serial, issued, expires, previous, ..before.clone() };
        let expect = Expect::OneOf(stored.manifest.into_iter().collect());
        Ok(Draft { document, roots: stored.roots.clone(), before: Some(stored.clone()), expect, trusted: None })
    }

    /// The first document.
    pub(super) fn first(&self, root: Bytes, usual: SignedDuration) -> Result<Draft, CliError> {
        let issued = now();
        let document = Document {
            kind: TYPE.into(),
            name: self.name.clone(),
            serial: 1,
            issued,
            expires: self.args.expires.map_or(Ok(issued + usual), |end| end.from(issued))?,
            previous: None,
            mirrors: Vec::new(),
            warehouses: BTreeMap::new(),
            other: Carried::default(),
            releases: Vec::new(),
        };
        Ok(Draft { document, roots: vec![root], before: None, expect: Expect::Nothing, trusted: None })
    }

    /// Signs and publishes, unless it is known to be wrong already.
    pub(super) async fn publish(&self, draft: Draft, mut problems: Problems) -> Result<Document, CliError> {
        let bytes = draft.document.write();
        let (read, own) = check(&bytes, self.name);
        problems.extend(own);
        problems.extend(check_times(&draft.document, SystemClock.now()));
        problems.into_result().map_err(|problems| invalid(&problems))?;
        let targets = self.targets(&draft).await?;
        let Draft { document, roots, expect, trusted, .. } = draft;
        // What has no problems was read.
        let read = read.unwrap_or(document);
        let signatures = signer::sign_all(self.signers, &read, &bytes)?;
        let stored = StoredCatalog {
            document: bytes.into(),
            signatures: signatures.iter().map(|(_, bytes)| bytes.clone().into()).collect(),
            roots,
            ..StoredCatalog::default()
        };
        // What readers would refuse is not published.
        let believed = if let Some((anchor, known)) = trusted {
            let verified = verified_read(self.name, &stored, read, (&anchor, &known))?;
            Believed { stored, verified, anchor, is_kept: false }
        } else {
            let servers = [self.client.base().to_string()];
            self.args.trust().judge(self.name, stored, (&servers, &self.own), self.context)?
        };
        let names: Vec<String> = signatures.into_iter().map(|(name, _)| name).collect();
        self.send(&believed.stored, &names, targets.as_ref(), expect).await?;
        self.args.trust().keep(self.name, &believed)?;
        Ok(believed.verified.document)
    }

    async fn send(
        &self,
        stored: &StoredCatalog,
        names: &[String],
        targets: Option<&(String, Bytes)>,
        expect: Expect,
    ) -> Result<Published, CliError> {
        let roots = (1..).map(root_file).zip(&stored.roots);
        let signatures = names.iter().cloned().zip(&stored.signatures);
        let targets = targets.map(|(name, bytes)| (name.clone(), bytes));
        let files =
            std::iter::once((DOCUMENT.to_owned(), &stored.document)).chain(signatures).chain(roots).chain(targets);
        let (mut artifacts, mut local) = (Vec::new(), LocalFiles::default());
        for (name, bytes) in files {
            let text = Text::new(bytes.clone());
            let media_type = if name.ends_with(".minisig") { "text/x-minisign" } else { "application/json" };
            let blob = text.blob();
            artifacts.push(json!({"name": name, "blob": blob.digest, "size": blob.size, "media_type": media_type}));
            local.add(Arc::new(text));
        }
        let bytes = Bytes::from(json!({ "artifacts": artifacts }).to_string());
        let manifest = parse(&bytes)?;
        let name = self.name.manifest();
        let publication = Publication {
            client: self.client,
            name: &name,
            remarks: Remarks::default(),
            bytes,
            manifest,
            unchanged: false,
            files: local,
            activate: true,
            expect,
            from: ImportOrigin::default(),
            signer: None,
            jobs: JOBS,
        };
        Box::pin(publication.run(self.context)).await
    }
}

/// A document that its own author must not publish.
pub(super) fn invalid(problems: &Problems) -> CliError {
    let code = problems.rule().map_or("CATALOG_DOCUMENT", Rule::code);
    let list: Vec<String> = problems.listed().iter().map(|problem| format!("\n  - {problem}")).collect();
    let more = if problems.more() > 0 { format!("\n  and {} more", problems.more()) } else { String::new() };
    let detail = format!("The catalog would not be valid.{}{more}", list.concat());
    let listed = serde_json::to_value(problems.listed()).unwrap_or_default();
    CliError::new(Exit::Failure, code, detail).with("problems", listed)
}
