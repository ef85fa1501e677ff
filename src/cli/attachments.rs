//! `larder attachments`

use std::path::{Path, PathBuf};

use clap_complete::ArgValueCompleter;

use super::remote::Remote;
use super::table::{Column, Table, moment, size};
use super::{CliError, Context, complete, output};
use crate::client::Client;
use crate::domain::attestation::{MEDIA_TYPE, Role};
use crate::domain::{ManifestName, Target};
use crate::wire::{Attachment, AttachmentList};

/// Arguments of `larder attachments`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Nothing that is listed has been verified: `larder fetch --verify-key` does that. --output saves what \
`minisign -V` takes beside the manifest, which `larder get` writes.

Examples:
  larder attachments miren/main
  larder attachments miren/main@17 --json
  larder attachments miren/main@17 --output signatures"
)]
pub struct Args {
    /// The version (without a selector: the active one)
    #[arg(value_name = "NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// Save them in this directory, each under its number; made if it is not there
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![&self.target.name])
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = args.remote.client()?;
    let list = client.attachments(&args.target).await?;
    if let Some(directory) = &args.output {
        save(&client, &list, directory).await?;
    }
    if context.json {
        return output::json(&list);
    }
    let columns = [
        Column::whole("ROLE"),
        Column::text("ABOUT", 8),
        Column::whole("KEY"),
        Column::number("SIZE"),
        Column::text("BY", 8).optional(2),
        Column::time("ATTACHED (UTC)"),
        Column::text("TYPE", 8).optional(1),
    ];
    let mut table = Table::new(&columns);
    for one in &list.attachments {
        table.add([
            one.role.map(|role| role.to_string()).unwrap_or_default(),
            one.file.as_ref().map_or_else(|| "manifest".to_owned(), ToString::to_string),
            one.key.clone().unwrap_or_default(),
            size(one.size),
            one.by.as_ref().map(ToString::to_string).unwrap_or_default(),
            moment(one.at),
            one.media_type.clone(),
        ]);
    }
    output::line(table.render())
}

/// Saves the attachments, each as `NUMBER.ENDING`: what publishers call things must not choose paths here.
async fn save(client: &Client, list: &AttachmentList, directory: &Path) -> Result<(), CliError> {
    let failed = |path: &Path, error| CliError::io(format_args!("write {}", path.display()), &error);
    std::fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    let target = Target::numbered(list.name.clone(), list.version);
    for (number, attachment) in (1..).zip(&list.attachments) {
        let bytes = client.attachment(&target, attachment.digest).await?;
        let path = directory.join(format!("{number}.{}", ending(attachment)));
        std::fs::write(&path, bytes).map_err(|error| failed(&path, error))?;
        output::note(format_args!("saved {}", path.display()));
    }
    Ok(())
}

fn ending(attachment: &Attachment) -> &'static str {
    match (attachment.role, &*attachment.media_type) {
        (_, MEDIA_TYPE) => "minisig",
        (Some(Role::Notes), _) => "txt",
        (_, media_type) if media_type.ends_with("json") => "json",
        _ => "bin",
    }
}
