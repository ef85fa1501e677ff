//! `larder catalog edit`

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::author::{Author, AuthorArgs, public};
use super::refresh::told;
use crate::cli::remote::Remote;
use crate::cli::{CliError, Context, Exit};
use crate::domain::catalog::{CatalogName, Document, MAX_DOCUMENT};

/// Arguments of `larder catalog edit`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Metadata, hazards, replays, mirrors and warehouses may change. Serial, times and predecessor are set by this \
command, whatever the document says.

Examples:
  larder catalog edit example.org/tool -k author.key
  larder catalog edit example.org/tool -k author.key --from changed.json
  larder catalog edit example.org/tool -k author.key --mirror https://eu.example.org/ --mirror https://us.example.org/
  larder catalog edit example.org/tool -k one.key -k two.key"
)]
pub(super) struct Args {
    /// The catalog
    #[arg(value_name = "CATALOG")]
    catalog: CatalogName,

    /// Take this document instead of opening VISUAL or EDITOR; - is stdin
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// A server that has the same names; those given replace all that were listed
    #[arg(long = "mirror", value_name = "URL", conflicts_with = "from")]
    mirrors: Vec<String>,

    /// List no mirrors any more
    #[arg(long, conflicts_with_all = ["from", "mirrors"])]
    no_mirrors: bool,

    #[command(flatten)]
    author: AuthorArgs,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    pub(super) fn subject(&self) -> (&Remote, &CatalogName) {
        (&self.remote, &self.catalog)
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let signers = args.author.signer.load()?;
    let given = args.from.as_deref().map(read).transpose()?;
    let client = args.remote.writer(context).await?;
    let own = public(&signers);
    let author = Author { client: &client, name: &args.catalog, args: &args.author, signers: &signers, own, context };
    let changed = author.edit(|document| {
        if args.no_mirrors || !args.mirrors.is_empty() {
            document.mirrors.clone_from(&args.mirrors);
            return Ok(());
        }
        let edited = match &given {
            Some(bytes) => bytes.clone(),
            None => in_editor(document)?,
        };
        let edited = Document::read(&edited).map_err(|error| {
            CliError::new(Exit::Failure, "CATALOG_DOCUMENT", format!("The document cannot be read: {error}."))
        })?;
        let Document { serial, issued, expires, previous, .. } = *document;
        *document = Document { serial, issued, expires, previous, ..edited };
        Ok(())
    });
    told(&Box::pin(changed).await?, context)
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let failed = |error| CliError::io(format_args!("read {}", path.display()), &error);
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    Ok(bytes)
}

/// Lets a person edit the document.
fn in_editor(document: &Document) -> Result<Vec<u8>, CliError> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let editor = variable("VISUAL").or_else(|| variable("EDITOR"));
    let editor = editor.ok_or_else(|| CliError::usage("Set EDITOR, or give the document with --from FILE."))?;
    let path = std::env::temp_dir().join(format!("larder-catalog-{}.json", std::process::id()));
    let failed = |error| CliError::io(format_args!("write {}", path.display()), &error);
    let text = serde_json::to_vec_pretty(document).map_err(anyhow::Error::from)?;
    let mut file = std::fs::File::create_new(&path).map_err(failed)?;
    std::io::Write::write_all(&mut file, &text).map_err(failed)?;
    // Editors are often stated with arguments.
    let script = [OsString::from("exec "), editor, OsString::from(" \"$1\"")].into_iter().collect::<OsString>();
    let status = Command::new("sh").arg("-c").arg(script).arg("editor").arg(&path).status();
    let edited = std::fs::read(&path);
    // It is gone once it was read, whatever became of it.
    let _ = std::fs::remove_file(&path);
    match status {
        Ok(status) if status.success() => {
            edited.map_err(|error| CliError::io(format_args!("read {}", path.display()), &error))
        }
        Ok(_) => Err(CliError::new(Exit::Failure, "EDITOR_FAILED", "The editor failed; nothing was changed.")),
        Err(error) => Err(CliError::io("start the editor", &error)),
    }
}
