//! The import of one release: check, compare with the target, transfer, publish.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::release::{KEPT, Release, TORN, Trouble};
use super::report::{Action, Done};
use super::settle::{self, Checked, Whole, source_trouble};
use super::standing::{self, Standing};
use super::{Common, interruptible};
use crate::cli::publish::local_files::LocalFiles;
use crate::cli::publish::parse;
use crate::cli::publish::remarks::Remarks;
use crate::cli::publish::session::Publication;
use crate::cli::{CliError, Context, Exit, progress::Progress};
use crate::client::{Client, ClientError, ErrorKind, ImportOrigin};
use crate::domain::{Digest, Manifest, ManifestName, State};

/// Imports releases into one server.
#[derive(Debug)]
pub(super) struct Importer<'a> {
    pub(super) client: &'a Client,
    pub(super) common: &'a Common,
    pub(super) context: &'a Context,
}

/// A release whose files were checked.
struct Candidate {
    name: ManifestName,
    from: ImportOrigin,
    activate: bool,
    document: serde_json::Map<String, serde_json::Value>,
    whole: Vec<Whole>,
}

impl Importer<'_> {
    /// Imports a release.
    ///
    /// # Errors
    /// The target fails or refuses, or the source does not answer any more. What is wrong with the release is in the
    /// result.
    pub(super) async fn import(&self, release: Release) -> Result<Done, CliError> {
        let Release { shown, name, from, activate, document, files, mut troubles } = release;
        let mut done = Done::new(shown, name.clone(), from.clone());
        let (jobs, plan) = (self.common.jobs.get(), self.common.dry_run);
        let Checked { whole, unknown } = interruptible(settle::check(files, jobs, plan, &mut troubles)).await?;
        done.files = whole.len() + unknown;
        done.bytes = whole.iter().map(|file| file.blob.size).sum();
        if let (Some(name), true) = (name, unknown == 0 && !whole.is_empty()) {
            let candidate = Candidate { name, from, activate, document, whole };
            self.compare_and_publish(candidate, &mut done, &mut troubles).await?;
        } else if unknown > 0 && done.name.is_some() {
            done.action = Action::WouldImport;
        }
        if done.files == 0 && troubles.is_empty() {
            troubles.push(Trouble::general(super::release::MISSING, "it has no files"));
        }
        done.troubles = troubles;
        Ok(done)
    }

    async fn compare_and_publish(
        &self,
        mut candidate: Candidate,
        done: &mut Done,
        troubles: &mut Vec<Trouble>,
    ) -> Result<(), CliError> {
        // Files that turn out to be torn while they are transferred are left out, which makes another manifest.
        while !candidate.whole.is_empty() {
            let bytes = Bytes::from(settle::manifest(&candidate.document, &candidate.whole)?);
            let manifest = match parse(&bytes) {
                Ok(manifest) => manifest,
                Err(error) => {
                    troubles.push(Trouble::general("MANIFEST_INVALID", error.to_string()));
                    return Ok(());
                }
            };
            let digest = Digest::of(&bytes);
            done.manifest = Some(digest);
            done.files = candidate.whole.len();
            done.bytes = candidate.whole.iter().map(|file| file.blob.size).sum();
            let standing = interruptible(standing::find(self.client, &candidate.name, digest, &manifest)).await?;
            if self.stays(&standing, candidate.activate, done, troubles) {
                return Ok(());
            }
            let torn = interruptible(self.transfer(&candidate.whole, done)).await?;
            if torn.is_empty() {
                // Judged last: without its torn files, the release may be there already.
                if keeps_whole(&standing, done, troubles) {
                    return Ok(());
                }
                return self.publish(candidate, bytes, manifest, &standing, done, troubles).await;
            }
            candidate.whole.retain(|file| torn.iter().all(|torn| torn.file.as_deref() != Some(file.name.as_str())));
            troubles.extend(torn);
        }
        Ok(())
    }

    /// Whether the name stays as it is, whatever the bytes of the files are; says in `done` why.
    fn stays(&self, standing: &Standing, activate: bool, done: &mut Done, troubles: &mut Vec<Trouble>) -> bool {
        match standing {
            Standing::Present { version, state, manifest, active } => {
                let elsewhere = activate && *state != State::Active && Some(*manifest) != *active;
                if elsewhere && self.common.replace {
                    done.action = Action::WouldImport;
                    return self.common.dry_run;
                }
                if elsewhere {
                    let why =
                        format!("it is there as @{version}, but not active; --replace makes it the active version");
                    troubles.push(Trouble::general(KEPT, why));
                }
                done.action = Action::Present;
                done.version = Some(*version);
                done.state = Some(*state);
                done.manifest = Some(*manifest);
                true
            }
            Standing::Published(_) if !self.common.replace => {
                let why = "other files were published under this name; --replace makes these the active version";
                troubles.push(Trouble::general(KEPT, why));
                done.action = Action::Kept;
                true
            }
            _ if self.common.dry_run => {
                done.action = Action::WouldImport;
                keeps_whole(standing, done, troubles);
                true
            }
            Standing::Free | Standing::Imported(_) | Standing::Published(_) => false,
        }
    }

    /// Transfers files of other servers that the target lacks. Returns those that are torn.
    async fn transfer(&self, files: &[Whole], done: &mut Done) -> Result<Vec<Trouble>, CliError> {
        let digests: Vec<Digest> = files.iter().map(|file| file.blob.digest).collect();
        let missing = self.client.missing(&digests).await?;
        let mut seen = HashSet::new();
        // Local files were hashed, so they are sent when they are wanted: the publish itself asks for them.
        let wanted = files.iter().filter(|file| file.unread && missing.contains(&file.blob.digest));
        let wanted: Vec<&Whole> = wanted.filter(|file| seen.insert(file.blob.digest)).collect();
        let progress = &Progress::new(self.context, "importing", wanted.iter().map(|file| file.blob.size).sum());
        let mut sent = stream::iter(wanted)
            .map(|file| async move { (file, self.client.put_blob(&*file.content, &progress.meter()).await) })
            .buffer_unordered(self.common.jobs.get());
        let mut torn = Vec::new();
        while let Some((file, result)) = sent.next().await {
            match result {
                Ok(_) => done.add_upload(file.blob),
                Err(error) if error.kind() == ErrorKind::Integrity => {
                    torn.push(Trouble::of(
                        TORN,
                        &file.name,
                        format!("its bytes are not what is said about them: {error}"),
                    ));
                }
                Err(error @ ClientError::Unusable { .. }) => torn.push(source_trouble(&file.name, error)?),
                Err(error) => return Err(error.into()),
            }
        }
        // The same bytes under another name are torn, too.
        let bad: Vec<Digest> = files
            .iter()
            .filter(|file| torn.iter().any(|torn| torn.file.as_deref() == Some(file.name.as_str())))
            .map(|file| file.blob.digest)
            .collect();
        let also = files.iter().filter(|file| bad.contains(&file.blob.digest));
        let also = also.filter(|file| torn.iter().all(|torn| torn.file.as_deref() != Some(file.name.as_str())));
        let also: Vec<Trouble> = also
            .map(|file| Trouble::of(TORN, &file.name, "it should be the same as another file that is torn"))
            .collect();
        torn.extend(also);
        Ok(torn)
    }

    async fn publish(
        &self,
        candidate: Candidate,
        bytes: Bytes,
        manifest: Manifest,
        standing: &Standing,
        done: &mut Done,
        troubles: &mut Vec<Trouble>,
    ) -> Result<(), CliError> {
        let mut files = LocalFiles::default();
        for file in candidate.whole {
            files.add(file.content);
        }
        let publication = Publication {
            client: self.client,
            name: &candidate.name,
            bytes,
            manifest,
            remarks: Remarks::default(),
            unchanged: false,
            files,
            activate: candidate.activate,
            expect: standing.expect(),
            from: candidate.from,
            signer: None,
            jobs: self.common.jobs.get(),
        };
        let published = match publication.run(self.context).await {
            Ok(published) => published,
            Err(error) if error.exit() == Exit::Precondition => {
                troubles.push(Trouble::general(KEPT, "somebody published to it meanwhile; run this again"));
                done.action = Action::Kept;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for (_, size) in published.uploaded {
            done.count_upload(size);
        }
        done.action = Action::Imported;
        done.version = Some(published.receipt.version);
        done.state = Some(published.receipt.state);
        Ok(())
    }
}

/// Whether the version that was imported before stays because files of this one are missing; says so in `done`.
fn keeps_whole(standing: &Standing, done: &mut Done, troubles: &mut Vec<Trouble>) -> bool {
    let keeps = matches!(standing, Standing::Imported(_)) && !troubles.is_empty();
    if keeps {
        let why = "the version imported before stays active until the source is whole again";
        troubles.push(Trouble::general(KEPT, why));
        done.action = Action::Kept;
    }
    keeps
}
