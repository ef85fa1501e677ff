//! What publishing a static site adds: its settings, rules that are checked before anything is uploaded, and files that
//! clients keep.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use serde_json::{Map, Value, json};

use super::local_files::{Hashed, LocalFiles};
use super::parse;
use super::session::{Publication, Published};
use crate::cli::{CliError, Context, Exit};
use crate::client::Content;
use crate::domain::manifest::{Artifact, Coding, Kind};
use crate::domain::site::{RuleFile, Rules, Site};
use crate::domain::{FileName, Manifest};

/// Maximum size of the file of `--site`, in bytes.
const MAX_SETTINGS: u64 = 1 << 20;

/// The files of rules of a site, in the order of [`RuleFile::ALL`]; `None` where there is none.
pub(super) type RuleTexts = [Option<Bytes>; RuleFile::ALL.len()];

/// How a static site is published and answers.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Static sites (--kind static)")]
pub(super) struct SiteArgs {
    /// The page of an application for every address that nothing else answers
    #[arg(long, value_name = "FILENAME", conflicts_with = "manifest")]
    fallback: Option<FileName>,

    /// JSON file with more settings: `clean_urls`, `trailing_slash`, `immutable`, `revalidate`, `fallback`
    #[arg(long, value_name = "FILE", conflicts_with = "manifest")]
    site: Option<PathBuf>,

    /// Add variants of text files in these codings, br and gzip by default; `none` adds none and takes none
    ///
    /// Files that a build has compressed already (app.js.br, app.js.gz, app.js.zst) are taken as variants if they hold the
    /// same bytes.
    #[arg(long, value_name = "CODING,...", value_delimiter = ',', conflicts_with = "manifest")]
    compress: Vec<CodingArg>,

    /// Publish although files have changed that clients keep for a year; from now on they ask for those each time
    #[arg(long, conflicts_with_all = ["manifest", "part"])]
    pub(super) allow_changed: bool,
}

/// A coding, as it is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum CodingArg {
    Br,
    Gzip,
    Zstd,
    None,
}

impl CodingArg {
    pub(super) fn is(self, coding: Coding) -> bool {
        matches!((self, coding), (Self::Br, Coding::Br) | (Self::Gzip, Coding::Gzip) | (Self::Zstd, Coding::Zstd))
    }
}

impl SiteArgs {
    /// Refuses these arguments for releases of other kinds.
    pub(super) fn check_unused(&self) -> Result<(), CliError> {
        let stated = [
            ("--fallback", self.fallback.is_some()),
            ("--site", self.site.is_some()),
            ("--compress", !self.compress.is_empty()),
            ("--allow-changed", self.allow_changed),
        ];
        match stated.iter().find(|(_, stated)| *stated) {
            Some((argument, _)) => Err(CliError::usage(format!("{argument} is for static sites: use --kind static."))),
            None => Ok(()),
        }
    }

    /// The codings that variants are made in. `None` if files are to stay as they are.
    pub(super) fn codings(&self) -> Option<Vec<Coding>> {
        if self.compress.contains(&CodingArg::None) {
            return None;
        }
        if self.compress.is_empty() {
            return Some(vec![Coding::Br, Coding::Gzip]);
        }
        Some(Coding::ALL.into_iter().filter(|coding| self.compress.iter().any(|arg| arg.is(*coding))).collect())
    }

    /// The member `site` of the manifest, if there is anything to state. Blocks.
    pub(super) fn settings(&self) -> Result<Option<Value>, CliError> {
        let mut settings = match &self.site {
            Some(path) => read_settings(path)?,
            None => Map::new(),
        };
        if let Some(fallback) = &self.fallback {
            settings.insert("fallback".into(), json!(fallback));
        }
        Ok(Some(settings).filter(|settings| !settings.is_empty()).map(Value::Object))
    }
}

fn read_settings(path: &Path) -> Result<Map<String, Value>, CliError> {
    let failed = |error: io::Error| CliError::io(format_args!("read the settings {}", path.display()), &error);
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_SETTINGS).read_to_end(&mut bytes).map_err(failed)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        CliError::usage(format!("{} is no JSON object such as {{\"clean_urls\": true}}: {error}.", path.display()))
    })
}

/// The files of rules of a site. Larger ones than may be published are left to the server, which refuses them.
pub(super) async fn rule_texts(files: &[Hashed]) -> Result<RuleTexts, CliError> {
    let mut found = RuleTexts::default();
    for (bytes, rules) in found.iter_mut().zip(RuleFile::ALL) {
        let is_it = |file: &&Hashed| file.name.as_str() == rules.name() && file.blob.size <= rules.max_size() as u64;
        if let Some(file) = files.iter().find(is_it) {
            *bytes = Some(read_rules(&*file.content, rules).await?);
        }
    }
    Ok(found)
}

/// The files of rules that a ready manifest lists, as far as they are at hand. Others are left to the server.
pub(super) async fn rule_texts_of(manifest: &Manifest, files: &LocalFiles) -> Result<RuleTexts, CliError> {
    let mut found = RuleTexts::default();
    if manifest.kind != Kind::Static {
        return Ok(found);
    }
    for (bytes, rules) in found.iter_mut().zip(RuleFile::ALL) {
        let is_it = |file: &&Artifact| file.name.as_str() == rules.name() && file.blob.size <= rules.max_size() as u64;
        if let Some(file) = manifest.files.iter().find(is_it)
            && let Ok(content) = files.find(file.blob.digest, manifest).await
        {
            *bytes = Some(read_rules(&*content, rules).await?);
        }
    }
    Ok(found)
}

async fn read_rules(content: &dyn Content, rules: RuleFile) -> Result<Bytes, CliError> {
    let failed = |error| CliError::io(format_args!("read {}", rules.name()), &error);
    let chunks: Vec<Bytes> = content.open(0).await?.try_collect().await.map_err(failed)?;
    Ok(chunks.concat().into())
}

/// Checks the rules against the files of the manifest. Returns what the publisher should know of rules that are taken.
pub(super) fn check_rules([redirects, headers]: RuleTexts, manifest: &Manifest) -> Result<Vec<String>, CliError> {
    if redirects.is_none() && headers.is_none() {
        return Ok(Vec::new());
    }
    let rules = Rules::parse(redirects.as_deref(), headers.as_deref(), manifest).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let detail = format!("The rules of the site cannot work.\n  - {}", problems.join("\n  - "));
        CliError::new(Exit::Failure, "MANIFEST_INVALID", detail).with("problems", problems)
    })?;
    Ok(Site::compile(manifest, rules).remarks().iter().map(ToString::to_string).collect())
}

/// Publishes. If files that clients keep have changed, and that is allowed, demotes them and publishes that.
pub(super) async fn publish(
    publication: &mut Publication<'_>,
    allow_changed: bool,
    context: &Context,
) -> Result<Published, CliError> {
    loop {
        let refused = match publication.run(context).await {
            Err(error) if allow_changed && error.is("IMMUTABLE_CHANGED") => error,
            published => return published,
        };
        let bytes = demote(&publication.bytes, &refused.names("files"))?;
        if bytes == publication.bytes {
            return Err(refused);
        }
        publication.manifest = parse(&bytes)?;
        publication.bytes = bytes;
        publication.reuse_unchanged().await?;
    }
}

/// Demotes files in a manifest, so that clients no longer keep them without asking.
fn demote(manifest: &[u8], names: &[String]) -> Result<Bytes, CliError> {
    let mut document: Value = serde_json::from_slice(manifest).map_err(anyhow::Error::from)?;
    let listed = &mut document["site"]["revalidate"];
    let mut all: Vec<String> = serde_json::from_value(listed.take()).unwrap_or_default();
    all.extend_from_slice(names);
    all.sort();
    all.dedup();
    *listed = json!(all);
    let mut bytes = serde_json::to_vec_pretty(&document).map_err(anyhow::Error::from)?;
    bytes.push(b'\n');
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_demoted_in_addition_to_those_that_are() {
        let names = ["b".to_owned(), "a".to_owned()];
        let demoted = |manifest: &str| -> Value {
            serde_json::from_slice(&demote(manifest.as_bytes(), &names).unwrap()).unwrap()
        };
        assert_eq!(demoted(r#"{"x":1}"#), json!({"x": 1, "site": {"revalidate": ["a", "b"]}}));
        let site = json!({"fallback": "i", "revalidate": ["c", "a"]});
        let wanted = json!({"site": {"fallback": "i", "revalidate": ["a", "b", "c"]}});
        assert_eq!(demoted(&json!({ "site": site }).to_string()), wanted);
    }

    #[test]
    fn codings_are_br_and_gzip_unless_it_is_said() {
        let of = |compress: &[CodingArg]| SiteArgs { compress: compress.to_vec(), ..SiteArgs::default() }.codings();
        assert_eq!(of(&[]), Some(vec![Coding::Br, Coding::Gzip]));
        assert_eq!(of(&[CodingArg::Gzip]), Some(vec![Coding::Gzip]));
        assert_eq!(of(&[CodingArg::Zstd, CodingArg::Br]), Some(vec![Coding::Br, Coding::Zstd]));
        assert_eq!(of(&[CodingArg::None]), None);
    }
}
