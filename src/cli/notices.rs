//! Warnings that a server gives with a version. One place for all commands that read one.

use super::output;
use super::table::text;
use crate::client::PublishedManifest;
use crate::domain::ManifestName;

/// Prints what the server warns of, on stderr. The exit code stays: whoever asks for an exact version gets it.
pub(super) fn print(name: &ManifestName, published: &PublishedManifest) {
    let Some(yank) = &published.yanked else { return };
    let version = published.version.map(|number| format!("@{number}")).unwrap_or_default();
    let instead = yank.instead.map(|number| format!("; use {name}@{number} instead")).unwrap_or_default();
    output::note(format_args!("warning: {name}{version} is yanked: {}{instead}", text(Some(&yank.reason))));
}
