//! What an import did, or would do: a line for each release, or one JSON document for all.

use serde::Serialize;
use serde_json::json;

use super::release::Trouble;
use crate::cli::{CliError, Exit, output, table};
use crate::client::ImportOrigin;
use crate::domain::manifest::Descriptor;
use crate::domain::{Digest, ManifestName, State};

/// What became of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    /// It was published.
    Imported,
    /// It would be published.
    WouldImport,
    /// It was there already.
    Present,
    /// The name was left as it is.
    Kept,
    /// Nothing of it can be imported.
    Failed,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::WouldImport => "would import",
            Self::Present => "present",
            Self::Kept => "kept",
            Self::Failed => "failed",
        }
    }
}

/// The result for one release.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    /// What the source calls it.
    source: String,
    /// The name here.
    pub(super) name: Option<ManifestName>,
    pub(super) action: Action,
    pub(super) version: Option<u64>,
    pub(super) state: Option<State>,
    pub(super) manifest: Option<Digest>,
    /// Number of files that are imported or there.
    pub(super) files: usize,
    /// Their size in bytes.
    pub(super) bytes: u64,
    /// Size in bytes of what was transferred.
    uploaded: u64,
    url: Option<String>,
    published_at: Option<jiff::Timestamp>,
    pub(super) troubles: Vec<Trouble>,
}

impl Done {
    /// Nothing was done yet.
    pub(super) fn new(source: String, name: Option<ManifestName>, from: ImportOrigin) -> Self {
        let ImportOrigin { url, published_at } = from;
        let (action, version, state, manifest) = (Action::Failed, None, None, None);
        let (files, bytes, uploaded, troubles) = (0, 0, 0, Vec::new());
        Self { source, name, action, version, state, manifest, files, bytes, uploaded, url, published_at, troubles }
    }

    /// Counts a blob that was transferred.
    pub(super) fn add_upload(&mut self, blob: Descriptor) {
        self.count_upload(blob.size);
    }

    /// Counts bytes that were transferred.
    pub(super) fn count_upload(&mut self, bytes: u64) {
        self.uploaded += bytes;
    }

    fn line(&self) -> String {
        let name = self.name.as_ref().map_or_else(|| self.source.clone(), ToString::to_string);
        let version = self.version.map(|version| format!("@{version}")).unwrap_or_default();
        let digest = self.manifest.map(|digest| format!(" {digest}")).unwrap_or_default();
        let what = format!("{}, {}", table::files(self.files), table::size(self.bytes));
        format!("{} {name}{version}{digest} ({what})", self.action.word())
    }
}

/// The results of a run.
#[derive(Debug)]
pub(super) struct Report {
    json: bool,
    plan: bool,
    done: Vec<Done>,
    troubles: usize,
}

impl Report {
    /// An empty report of a run, or of a plan.
    pub(super) fn new(json: bool, plan: bool) -> Self {
        Self { json, plan, done: Vec::new(), troubles: 0 }
    }

    /// Adds the result for a release, and prints it.
    pub(super) fn add(&mut self, done: Done) -> Result<(), CliError> {
        self.troubles += done.troubles.len();
        if !self.json {
            for Trouble { code, file, detail } in &done.troubles {
                let of = done.name.as_ref().map_or_else(|| done.source.clone(), ToString::to_string);
                let file = file.as_ref().map(|file| format!("/{file}")).unwrap_or_default();
                output::note(format_args!("{code} {of}{file}: {detail}"));
            }
            output::line(done.line())?;
        }
        self.done.push(done);
        Ok(())
    }

    /// Prints the summary. Fails with [`Exit::Partial`] if anything is wrong with the source.
    pub(super) fn conclude(self) -> Result<(), CliError> {
        let count = |action| self.done.iter().filter(|done| done.action == action).count();
        let uploaded: u64 = self.done.iter().map(|done| done.uploaded).sum();
        let (imported, planned) = (count(Action::Imported), count(Action::WouldImport));
        let (present, kept, failed) = (count(Action::Present), count(Action::Kept), count(Action::Failed));
        if self.json {
            output::json(&json!({
                "dry_run": self.plan,
                "releases": self.done,
                "summary": {
                    "imported": imported, "would_import": planned, "present": present, "kept": kept, "failed": failed,
                    "troubles": self.troubles, "uploaded": uploaded,
                },
            }))?;
        } else {
            let (first, word) = if self.plan { (planned, "would be imported") } else { (imported, "imported") };
            let sent = table::size(uploaded);
            output::note(format_args!(
                "{first} {word}, {present} present, {kept} kept, {failed} failed; {sent} uploaded"
            ));
        }
        if self.troubles == 0 {
            return Ok(());
        }
        let (count, noun) = (self.troubles, if self.troubles == 1 { "problem is" } else { "problems are" });
        let detail = format!(
            "Not everything could be imported; {count} {noun} listed above. Mend the source and run this again: what is \
             here already is not fetched again."
        );
        Err(CliError::new(Exit::Partial, "IMPORT_PARTIAL", detail).with("troubles", self.troubles))
    }
}
