//! `larder catalog import`

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::adoption::{Listed, place};
use super::tree::{self, FileProblem, FoundModule};
use crate::cli::catalog::author::{Author, AuthorArgs, Draft, now, public};
use crate::cli::catalog::init::{VALID, root};
use crate::cli::catalog::signer::Signer;
use crate::cli::publish::local_files::LocalFiles;
use crate::cli::publish::parse;
use crate::cli::publish::remarks::Remarks;
use crate::cli::publish::session::Publication;
use crate::cli::publish::text::Text;
use crate::cli::remote::Remote;
use crate::cli::{CliError, Context, Exit, output, values};
use crate::client::{Client, Content as _, ImportOrigin};
use crate::domain::catalog::{CatalogName, Document, Problems};
use crate::domain::timeless::LineageRelease;
use crate::domain::{Digest, Expect, ManifestName, PinOwner, Selector, Target};

/// The only file of a release that was imported.
const RELEASE_FILE: &str = "release.tl";
/// Most problems that are listed.
const LISTED: usize = 50;

/// Arguments of `larder catalog import`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "larder catalog import [OPTIONS] --timeless <DIR> -k <FILE> [CATALOG]...",
    after_help = "Reads each lineage.tl and mirrors.tl, strictly, and makes catalogs that say the same: `larder catalog export` writes \
the lineages as they were. Catalogs that are not there are founded as by `larder catalog init`. The wares are claims; \
each new release is published with the lineage entry as its only file. Everything that is wrong is said before \
anything is published.

Examples:
  larder catalog import --timeless . -k author.key
  larder catalog import --timeless workspace example.org/tool -k author.key
  larder catalog import --timeless . -k author.key --dry-run"
)]
pub(in crate::cli::catalog) struct Args {
    /// Only these catalogs (default: all that are there)
    #[arg(value_name = "CATALOG")]
    catalogs: Vec<CatalogName>,

    /// Directory with a .timeless/catalog, or the catalogs themselves: MODULE/lineage.tl
    #[arg(long, value_name = "DIR", required = true)]
    timeless: PathBuf,

    /// How many of the keys have to sign, for catalogs that are founded
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::positive)]
    threshold: NonZeroUsize,

    /// Show what would be imported, and change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    author: AuthorArgs,

    #[command(flatten)]
    remote: Remote,
}

/// A catalog that is to say what a lineage says.
struct Plan {
    module: FoundModule,
    /// The document that is published, or the first one.
    before: Document,
    /// The root of a catalog that is to be founded.
    root: Option<Bytes>,
}

impl Args {
    pub(in crate::cli::catalog) fn subject(&self) -> (&Remote, Vec<&CatalogName>) {
        (&self.remote, self.catalogs.iter().collect())
    }

    fn author<'a>(
        &'a self,
        client: &'a Client,
        name: &'a CatalogName,
        signers: &'a [Signer],
        context: &'a Context,
    ) -> Author<'a> {
        Author { client, name, args: &self.author, signers, own: public(signers), context }
    }
}

pub(in crate::cli::catalog) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let signers = args.author.signer.load()?;
    let (modules, mut problems) = tree::read(&args.timeless, &args.catalogs)?;
    if modules.is_empty() && problems.is_empty() {
        let detail = format!("There is no lineage.tl below {}.", args.timeless.display());
        return Err(CliError::new(Exit::NotFound, "LINEAGE_MISSING", detail));
    }
    let client = args.remote.writer(context).await?;
    let mut plans = Vec::with_capacity(modules.len());
    for module in modules {
        let author = args.author(&client, &module.name, &signers, context);
        let (before, root) = prepare(&args, &author).await?;
        let found = module.problems(&before).listed().to_vec();
        problems.extend(found.into_iter().map(|problem| FileProblem { path: module.path.clone(), problem }));
        plans.push(Plan { module, before, root });
    }
    refuse(&problems)?;
    let mut results = Vec::with_capacity(plans.len());
    for plan in plans {
        plan.say();
        let author = args.author(&client, &plan.module.name, &signers, context);
        let result =
            if args.dry_run { plan.outcome(&plan.before, false) } else { Box::pin(carry_out(&author, &plan)).await? };
        if !context.json {
            output::line(result["text"].as_str().unwrap_or_default())?;
        }
        results.push(result);
    }
    if !context.json {
        return Ok(());
    }
    for result in &mut results {
        result.as_object_mut().map(|members| members.remove("text"));
    }
    output::json(&json!({"catalogs": results, "dry_run": args.dry_run}))
}

/// The document that there is, or the first one and its root.
async fn prepare(args: &Args, author: &Author<'_>) -> Result<(Document, Option<Bytes>), CliError> {
    match author.document().await {
        Ok(document) => Ok((document, None)),
        Err(error) if error.exit() == Exit::NotFound => {
            let root: Bytes = root(1, (author.signers, args.threshold.get()), &[], &BTreeSet::new(), None)?.into();
            let Draft { document, .. } = author.first(root.clone(), VALID)?;
            Ok((document, Some(root)))
        }
        Err(error) => Err(error),
    }
}

fn refuse(problems: &[FileProblem]) -> Result<(), CliError> {
    let Some(first) = problems.first() else { return Ok(()) };
    let shown = problems.iter().take(LISTED);
    let list: Vec<_> = shown.clone().map(|one| format!("\n  - {}: {}", one.path.display(), one.problem)).collect();
    let more = problems.len().saturating_sub(LISTED);
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    let json = |one: &FileProblem| {
        let mut value = serde_json::to_value(&one.problem).unwrap_or_default();
        value["file"] = one.path.display().to_string().into();
        value
    };
    let listed: Vec<Value> = shown.map(json).collect();
    let detail = format!("Nothing was imported, because not all of it can be.{}{more}", list.concat());
    Err(CliError::new(Exit::Failure, first.problem.code.code(), detail).with("problems", listed))
}

impl Plan {
    /// Says what is not taken over.
    fn say(&self) {
        let FoundModule { name, path, is_canonical, .. } = &self.module;
        if !is_canonical {
            output::note(format_args!(
                "{} is not in the canonical form, in which it would be exported",
                path.display()
            ));
        }
        let unsayable = self.module.unsayable();
        if !unsayable.is_empty() {
            let parts = unsayable.join(", ");
            output::note(format_args!("{name}: of the mirrors, catalogs cannot have {parts}, which is left out"));
        }
    }

    /// The releases that the catalog does not list yet, oldest first.
    fn new_releases(&self) -> impl Iterator<Item = &LineageRelease> {
        self.module.releases().iter().rev().filter(|release| self.before.release(&release.name).is_none())
    }

    /// What is told when all is done.
    fn outcome(&self, document: &Document, is_published: bool) -> Value {
        let (name, new, all) = (&self.module.name, self.new_releases().count(), self.module.releases().len());
        let serial = if is_published { format!(" serial {}", document.serial) } else { String::new() };
        let founded = if self.root.is_some() { ", founded" } else { "" };
        json!({
            "catalog": name, "serial": is_published.then_some(document.serial), "releases": all, "new": new,
            "founded": self.root.is_some(), "text": format!("{name}{serial}: {new} of {all} releases are new{founded}"),
        })
    }
}

/// Publishes what is new, and then the document that lists it.
async fn carry_out(author: &Author<'_>, plan: &Plan) -> Result<Value, CliError> {
    let mut listed = BTreeMap::new();
    for release in plan.new_releases() {
        listed.insert(release.name.clone(), publish(author, release).await?);
    }
    if let Some(root) = &plan.root {
        let first = author.first(root.clone(), VALID)?;
        let document = plan.module.adopt(&first.document, &listed);
        let document = author.publish(Draft { document, ..first }, Problems::default()).await?;
        return Ok(plan.outcome(&document, true));
    }
    if plan.module.adopt(&plan.before, &listed) == plan.before {
        output::note(format_args!("{} says the same already", plan.module.name));
        return Ok(plan.outcome(&plan.before, true));
    }
    let document = author.edit(|document| {
        *document = plan.module.adopt(document, &listed);
        Ok(())
    });
    Ok(plan.outcome(&document.await?, true))
}

/// Publishes and pins a release that has nothing but its lineage entry, unless that was done already.
async fn publish(author: &Author<'_>, release: &LineageRelease) -> Result<Listed, CliError> {
    let Author { client, name: catalog, .. } = *author;
    let name = place(catalog, &release.name)
        .ok_or_else(|| CliError::usage(format!("The name {catalog} is too long to publish releases below it.")))?;
    let text = Text::new(release.write());
    let blob = text.blob();
    let artifact =
        json!({"name": RELEASE_FILE, "blob": blob.digest, "size": blob.size, "media_type": "application/json"});
    let bytes = Bytes::from(json!({"version": release.name, "artifacts": [artifact]}).to_string());
    let (manifest, size) = (Digest::of(&bytes), bytes.len() as u64);
    let number = match standing(client, &name, manifest).await {
        Some(number) => number,
        None => send(author, &name, bytes, text).await?,
    };
    let version = Target::numbered(name.clone(), number);
    client.set_pin_of(&version, &PinOwner::Catalog(catalog.clone()), (true, false, None)).await?;
    Ok(Listed { at: name, manifest, size, published: now() })
}

/// The version with this manifest, if there is one that can be listed.
async fn standing(client: &Client, name: &ManifestName, manifest: Digest) -> Option<u64> {
    let target = Target { name: name.clone(), selector: Selector::Manifest(manifest), explicit: true };
    let row = client.row(&target).await.ok()?;
    row.state.is_complete().then_some(row.number)
}

async fn send(author: &Author<'_>, name: &ManifestName, bytes: Bytes, text: Text) -> Result<u64, CliError> {
    let mut files = LocalFiles::default();
    files.add(Arc::new(text));
    let manifest = parse(&bytes)?;
    let publication = Publication {
        client: author.client,
        name,
        remarks: Remarks::default(),
        bytes,
        manifest,
        unchanged: false,
        files,
        activate: true,
        expect: Expect::Anything,
        from: ImportOrigin::default(),
        jobs: 1,
        signer: None,
    };
    Ok(Box::pin(publication.run(author.context)).await?.receipt.version)
}
