//! Whether the files are published already: then the published manifest's bytes are used again.
//!
//! A generated manifest holds the time of the build, so publishing the same files twice would make two versions, and
//! going back from one to the other would change nothing. Only the client compares contents; the server compares
//! digests, so that signatures and immutable labels keep their meaning.

use serde_json::Value;

use crate::cli::CliError;
use crate::client::{Client, ClientError, ErrorKind, PublishedManifest};
use crate::domain::{Expect, ManifestName, Selector, State, Target};

/// How many of the newest versions are searched for a staged one.
const SEARCHED: usize = 20;

/// The active manifest, or if `staged` is set the newest staged one, if it differs from `manifest` in nothing but the
/// build date and the order of the artifacts. `None` if the precondition does not hold, so that the server refuses it.
///
/// # Errors
/// Only if no server answers. If the caller may not read the name, there is nothing to compare with.
pub(super) async fn find(
    client: &Client,
    name: &ManifestName,
    manifest: &[u8],
    staged: bool,
    expect: &Expect,
) -> Result<Option<PublishedManifest>, CliError> {
    let wanted = essence(manifest);
    let is_same = |found: &PublishedManifest| wanted.is_some() && essence(&found.bytes) == wanted;
    // With the selector, because without one it would be that of another name if this one follows others.
    let active = Target { name: name.clone(), selector: Selector::Active, explicit: true };
    let active = readable(client.get_manifest(&active).await)?;
    if !expect.holds(active.as_ref().map(|active| active.digest)) {
        return Ok(None);
    }
    if !staged || active.as_ref().is_some_and(is_same) {
        return Ok(active.filter(is_same));
    }
    let Some(history) = readable(client.history(name, None, SEARCHED).await)? else { return Ok(None) };
    let Some(row) = history.versions.iter().find(|row| row.state == State::Ready) else { return Ok(None) };
    let at = Target { name: name.clone(), selector: Selector::Number(row.number), explicit: true };
    Ok(readable(client.get_manifest(&at).await)?.filter(is_same))
}

/// A failed comparison must not prevent a publish that would succeed, for instance because it repairs the manifest that
/// cannot be read.
fn readable<T>(result: Result<T, ClientError>) -> Result<Option<T>, CliError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::Unavailable && error.problem().is_none() => Err(error.into()),
        Err(error) => {
            tracing::debug!(%error, "there is no manifest to compare with");
            Ok(None)
        }
    }
}

/// What a manifest says, without its build date and with its artifacts in the order of their names. `None` if it is not
/// a JSON object.
fn essence(manifest: &[u8]) -> Option<Value> {
    let mut document: Value = serde_json::from_slice(manifest).ok()?;
    document.as_object_mut()?.remove("build_date");
    if let Some(artifacts) = document.get_mut("artifacts").and_then(Value::as_array_mut) {
        artifacts.sort_by(|one, other| one["name"].as_str().cmp(&other["name"].as_str()));
    }
    Some(document)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_build_date_and_the_order_of_artifacts_do_not_count() {
        let of = |document: Value| essence(document.to_string().as_bytes());
        let artifacts = json!([{"name": "a", "size": 1}, {"name": "b", "size": 2}]);
        let one = of(json!({"version": "v1", "build_date": "2026-01-01T00:00:00Z", "artifacts": artifacts}));
        assert!(one.is_some());
        let reversed = json!([{"name": "b", "size": 2}, {"name": "a", "size": 1}]);
        assert_eq!(one, of(json!({"artifacts": reversed, "version": "v1"})));
        for other in [
            json!({"version": "v2", "artifacts": artifacts}),
            json!({"artifacts": artifacts}),
            json!({"version": "v1", "commit": "abc", "artifacts": artifacts}),
            json!({"version": "v1", "artifacts": artifacts, "metadata": {"build_date": "2026-01-01T00:00:00Z"}}),
            json!({"version": "v1", "artifacts": [{"name": "a", "size": 1}, {"name": "b", "size": 3}]}),
            json!({"version": "v1", "artifacts": [{"name": "a", "size": 1}]}),
        ] {
            assert_ne!(one, of(other.clone()), "{other}");
        }
        assert_eq!(essence(b"[]"), None);
    }
}
