//! What a server says about a version that is read, beside its content. One place for all commands that read one.

use super::output;
use super::table::text;
use crate::client::PublishedManifest;
use crate::domain::ManifestName;

/// Prints on stderr what the server warns of, and which version was taken where a name follows another. The exit code stays:
/// whoever asks for an exact version gets it.
pub(super) fn print(name: &ManifestName, published: &PublishedManifest) {
    let found = published.found(name);
    let other = found.as_ref().filter(|found| found.name != *name);
    if let Some(other) = other {
        output::note(format_args!("{name} follows {}, and is now {other}", other.name));
    }
    let Some(yank) = &published.yanked else { return };
    let of = other.map_or(name, |other| &other.name);
    let version = found.as_ref().map_or_else(|| name.to_string(), ToString::to_string);
    let instead = yank.instead.map(|number| format!("; use {of}@{number} instead")).unwrap_or_default();
    output::note(format_args!("warning: {version} is yanked: {}{instead}", text(Some(&yank.reason))));
}
