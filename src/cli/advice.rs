//! What to do about an error, with the names and the server of the command that failed.

use std::time::Duration;

use super::remote::Remote;
use super::{CliError, Context};
use crate::client::ErrorKind;
use crate::domain::ManifestName;

/// How long to look for similar names.
const WITHIN: Duration = Duration::from_secs(2);
/// Maximum number of similar names.
const MAX_NEAR: usize = 3;

/// What a command is about.
#[derive(Debug)]
pub(super) struct Subject {
    remote: Remote,
    /// First the one that the command changes.
    names: Vec<ManifestName>,
}

impl Subject {
    pub(super) fn new((remote, names): (&Remote, Vec<&ManifestName>)) -> Self {
        Self { remote: remote.clone(), names: names.into_iter().cloned().collect() }
    }

    /// The same error with a hint that can be followed as it stands.
    pub(super) async fn advise(&self, error: CliError, context: &Context) -> CliError {
        if error.is("UNREACHABLE") && self.remote.is_default() {
            return error.with_hint("Say which server is meant: set LARDER_SERVER, or use --server URL.".to_owned());
        }
        if let (Some(401), Some(source)) = (error.member("status"), self.remote.token_source()) {
            return error
                .with_hint(format!("The token came from {source}: is it one of this server, and still valid?"));
        }
        let text = error.to_string();
        let mentioned = |name: &&ManifestName| words(&text).any(|word| word == name.as_str());
        let Some(name) = self.names.iter().find(mentioned).or(self.names.first()) else { return error };
        let server = self.remote.option();
        let versions = format!("`larder versions {name}{server}`");
        let hint = match error.member("status") {
            Some(403) => format!("Use a token whose grants cover this action on {name}."),
            Some(412) => format!("{name} is not, or no longer, as expected: look at {versions}, then decide again."),
            Some(428) => format!(
                "Use --expect with the digest of the active manifest (`larder versions {name}@active{server}` shows it), \
                 `none` to create, or `any` to replace."
            ),
            // The server does not always say which of the two there is not.
            Some(404) if error.is("VERSION_UNKNOWN") && self.is_absent(name, context).await => {
                self.similar(name, context).await
            }
            Some(404) if error.is("VERSION_UNKNOWN") => format!("{versions} lists the versions there are."),
            Some(409) if error.is("VERSION_STATE") => format!("{versions} shows their states."),
            Some(409) if error.is("VERSION_PINNED") => match error.member("version") {
                Some(number) => format!("`larder pin --remove {name}@{number}{server}` takes the pin away."),
                None => format!("{versions} shows what is pinned."),
            },
            Some(409) if error.is("PARTS_CONFLICT") || error.is("PARTS_MISSING") => format!(
                "`larder sessions {name}{server}` shows the parts there are; with --abandon LABEL it gives the release up."
            ),
            Some(409) if error.is("VERSION_YANKED") => match error.member("version") {
                Some(number) => format!("`larder versions {name}@{number}{server}` says who yanked it, and why."),
                None => format!("{versions} shows what is yanked."),
            },
            Some(404) if error.is("MANIFEST_UNKNOWN") => self.similar(name, context).await,
            _ => return error,
        };
        error.with_hint(hint)
    }

    /// Whether the name has never existed. Not asked if nobody would read the answer.
    async fn is_absent(&self, name: &ManifestName, context: &Context) -> bool {
        let Ok(client) = self.remote.without_retries() else { return false };
        if context.json || context.quiet {
            return false;
        }
        let history = tokio::time::timeout(WITHIN, client.history(name, None, 1)).await;
        matches!(history, Ok(Err(error)) if error.kind() == ErrorKind::NotFound)
    }

    /// Names at the server that look like one that is not there.
    async fn similar(&self, name: &ManifestName, context: &Context) -> String {
        // Nobody would read it.
        let asked = !context.json && !context.quiet;
        let near = if asked { tokio::time::timeout(WITHIN, self.near(name)).await.ok().flatten() } else { None };
        match near {
            // As in the address of a file.
            Some(near) if near.first().is_some_and(|near| file_of(name, near).is_some()) => {
                let (near, file) = (&near[0], file_of(name, &near[0]).unwrap_or_default());
                format!("Did you mean {near}, or its file {file}? Then write `{near} {file}`.")
            }
            Some(near) if !near.is_empty() => format!("Did you mean {}?", near.join(" or ")),
            _ => format!("`larder ls{}` lists the names there are.", self.remote.option()),
        }
    }

    /// At most two pages of names are read: of the same directory, else of all.
    async fn near(&self, name: &ManifestName) -> Option<Vec<String>> {
        let client = self.remote.without_retries().ok()?;
        let directory = name.as_str().rfind('/').map_or("", |end| &name.as_str()[..=end]);
        let prefixes = [directory, ""];
        for prefix in if directory.is_empty() { &prefixes[1..] } else { &prefixes[..] } {
            let page = client.names(prefix, None).await.ok()?;
            let names = || page.manifests.iter().map(|entry| entry.name.as_str());
            if let Some(above) = names().filter(|above| file_of(name, above).is_some()).max_by_key(|above| above.len())
            {
                return Some(vec![above.to_owned()]);
            }
            let near = nearest(name.as_str(), names());
            if !near.is_empty() {
                return Some(near);
            }
        }
        None
    }
}

/// The words of a sentence, without its punctuation and selectors.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
        .map(|word| word.trim_end_matches(['.', ':', ',', ';']).split('@').next().unwrap_or_default())
}

/// What follows the other name in the address of a file of it.
fn file_of<'a>(name: &'a ManifestName, other: &str) -> Option<&'a str> {
    name.as_str().strip_prefix(other)?.strip_prefix('/')
}

/// The few names that differ least, if they differ little.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let limit = (name.chars().count() / 3).clamp(1, 3);
    let mut near: Vec<_> = names.map(|other| (distance(name, other, limit), other)).collect();
    near.retain(|(distance, _)| *distance <= limit);
    near.sort_unstable();
    near.into_iter().take(MAX_NEAR).map(|(_, name)| name.to_owned()).collect()
}

/// Number of characters to insert, delete or replace to get from one text to the other; more than `limit` if their
/// lengths differ by more.
fn distance(one: &str, other: &str, limit: usize) -> usize {
    let other: Vec<char> = other.chars().collect();
    let difference = one.chars().count().abs_diff(other.len());
    if difference > limit {
        return difference;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, c) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (at, d) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(c != *d);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_found_and_others_are_not() {
        let names = ["miren/main", "miren/mane", "miren/latest", "other", "miren/mainly"];
        assert_eq!(nearest("miren/mian", names.into_iter()), ["miren/main", "miren/mane"]);
        assert_eq!(nearest("miren/main", names.into_iter())[0], "miren/main");
        assert!(nearest("xyz", names.into_iter()).is_empty());
        for (one, other, wanted) in [("", "ab", 2), ("kitten", "sitting", 3), ("a", "a", 0), ("ab", "ba", 2)] {
            assert_eq!(distance(one, other, 9), wanted, "{one} {other}");
        }
    }
}
