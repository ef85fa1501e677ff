//! What a name still answers when its active version lacks the file: files of earlier versions, and files by their
//! digests.

use axum::response::Response;
use tokio::time::Instant;

use super::{FileRequest, redirect};
use crate::domain::manifest::Artifact;
use crate::domain::{Digest, FileName, ManifestName};
use crate::http::error::ApiError;
use crate::http::serving::rendering::render;
use crate::protocol::{AsOf, LoadedManifest};
use crate::service::{EarlierFile, LastChange, ResolveError, Resolved};

/// The answer where the version that is asked for gives none, by what this server knew of the name. Where the policy of the
/// name answers for earlier files, nothing negative is said without a look at the name that is newer than the request:
/// another server may have published what is asked for since.
pub(super) async fn answer(
    asked: &FileRequest<'_>,
    missing: ResolveError,
    arrived: Instant,
) -> Result<Response, ApiError> {
    let Some(name) = name(asked).filter(|_| !matches!(missing, ResolveError::NoSuchName(_))) else {
        return Err(missing.into());
    };
    let (fresh, earlier) = (AsOf::After(arrived), &asked.state.earlier);
    loop {
        let before = earlier.generation(name, fresh).await?;
        let missing = match asked.answer(fresh).await? {
            Ok(response) => return Ok(response),
            Err(missing) => missing,
        };
        let mut found = earlier.find(name, asked.file, fresh).await?;
        if let (None, Some((directory, digest))) = (&found, parse(asked.file)) {
            found = earlier.find_content(name, directory, digest, fresh).await?;
        }
        let Some(EarlierFile { row, artifact, generation, valid_for }) = found else {
            // A version that has the file may have become active again, so that it is no earlier one any more.
            if earlier.generation(name, fresh).await? == before {
                return Err(missing.into());
            }
            continue;
        };
        let changed = LastChange::Unknown;
        let found = Resolved { row, generation, changed, is_fixed: false, floor: None };
        return redirect(asked.state, asked.reading, (&found, &artifact), true, Some(valid_for));
    }
}

/// The name whose earlier files count for this request.
fn name<'a>(asked: &FileRequest<'a>) -> Option<&'a ManifestName> {
    asked.reading.active_of().filter(|name| asked.state.earlier.is_on(name))
}

/// The file of the active version that `DIRECTORY/by-hash/SHA256/HEX` stands for. Clients of Debian's repositories ask for
/// indexes in this way (`Acquire-By-Hash`), so that what they read of one publish fits together.
pub(super) async fn by_hash(asked: &FileRequest<'_>, loaded: &LoadedManifest) -> Result<Option<Artifact>, ApiError> {
    let Some((directory, digest)) = parse(asked.file).filter(|_| name(asked).is_some()) else { return Ok(None) };
    let files = &loaded.manifest()?.files;
    let is_it = |file: &&Artifact| file.blob.digest == digest && is_in(directory, &file.name);
    render(asked.state, asked.caller, loaded.weight(), || files.iter().find(is_it).cloned()).await
}

/// Directory and digest of such an address.
fn parse(file: &FileName) -> Option<(&str, Digest)> {
    let (path, hex) = file.as_str().rsplit_once('/')?;
    let directory = match path.strip_suffix("by-hash/SHA256")? {
        "" => "",
        directory => directory.strip_suffix('/')?,
    };
    Some((directory, format!("sha256:{hex}").parse().ok()?))
}

fn is_in(directory: &str, file: &FileName) -> bool {
    file.as_str().rsplit_once('/').map_or("", |(parent, _)| parent) == directory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_looked_for_in_the_directory_above() {
        let hex = Digest::of(b"x").hex();
        let parsed = |path: &str| {
            let file = path.parse().unwrap();
            parse(&file).map(|(directory, digest)| (directory.to_owned(), digest))
        };
        for (path, directory) in [
            (format!("dists/stable/main/binary-amd64/by-hash/SHA256/{hex}"), "dists/stable/main/binary-amd64"),
            (format!("by-hash/SHA256/{hex}"), ""),
            (format!("a/by-hash/SHA256/by-hash/SHA256/{hex}"), "a/by-hash/SHA256"),
        ] {
            assert_eq!(parsed(&path), Some((directory.to_owned(), Digest::of(b"x"))), "{path}");
        }
        for path in [
            hex.clone(),
            format!("SHA256/{hex}"),
            format!("xby-hash/SHA256/{hex}"),
            format!("a/by-hash/MD5Sum/{hex}"),
            format!("a/by-hash/SHA256/{}", &hex[1..]),
            format!("a/by-hash/SHA256/{hex}/b"),
        ] {
            assert_eq!(parsed(&path), None, "{path}");
        }
        assert!(is_in("a/b", &"a/b/c".parse().unwrap()) && is_in("", &"c".parse().unwrap()));
        assert!(!is_in("a/b", &"a/b/c/d".parse().unwrap()) && !is_in("a", &"a/b/c".parse().unwrap()));
    }
}
