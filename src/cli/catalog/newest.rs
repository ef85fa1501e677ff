//! The newest catalog of those that a server and others have.

use super::believed::Believed;
use crate::cli::sources::{Answer, best};
use crate::cli::{CliError, Context, Exit};
use crate::domain::catalog::CatalogName;

/// Codes of documents that the author's keys have signed beside others that they contradict.
const PROOFS: [&str; 3] = ["CATALOG_FORKED", "RELEASE_CHANGED", "RELEASE_REMOVED"];

/// Whether an error proves that the author's keys signed what contradicts itself: no other source makes up for that.
pub(super) fn is_proof(error: &CliError) -> bool {
    PROOFS.iter().any(|code| error.is(code))
}

/// The newest of those that are believed; of the same, that of the server asked first. Says what is wrong with the others.
///
/// # Errors
/// What proves that the author's keys signed what contradicts itself; or that there is none to be believed.
pub(super) fn newest(
    name: &CatalogName,
    mut answers: Vec<Answer<Believed>>,
    context: &Context,
) -> Result<Believed, CliError> {
    if let Some(at) = answers.iter().position(|answer| answer.outcome.as_ref().is_err_and(is_proof))
        && let Err(proof) = answers.swap_remove(at).outcome
    {
        return Err(proof);
    }
    let believed = || answers.iter().filter_map(|answer| Some((&answer.server, answer.outcome.as_ref().ok()?)));
    for (at, one) in believed().enumerate() {
        believed().skip(at + 1).try_for_each(|other| compare(name, one, other))?;
    }
    // Keys that newer roots have taken away may still sign documents, with any serial.
    let rank = |believed: &Believed| (believed.verified.roots.len(), believed.serial());
    best(&format!("the catalog {name}"), answers, rank, context)
}

/// Fails if two servers have different documents with one serial, or different roots with one number, and both are to be
/// believed.
fn compare(
    name: &CatalogName,
    (server, one): (&String, &Believed),
    (elsewhere, other): (&String, &Believed),
) -> Result<(), CliError> {
    let mut roots = one.verified.roots.iter().zip(&other.verified.roots);
    let what = if let Some((root, _)) = roots.find(|(one, other)| one.digest != other.digest) {
        format!("roots with the number {}", root.version)
    } else if one.verified.roots.len() == other.verified.roots.len()
        && one.serial() == other.serial()
        && one.verified.digest != other.verified.digest
    {
        format!("documents with the serial {}", one.serial())
    } else {
        return Ok(());
    };
    let detail = format!(
        "The catalog {name} is not to be believed: its keys have signed two {what}, and {server} has one of them, {elsewhere} \
         the other."
    );
    Err(CliError::new(Exit::Integrity, "CATALOG_FORKED", detail))
}
