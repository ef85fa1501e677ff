//! `publish --part`: one job's part of a release that several jobs publish together.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use super::local_files::LocalFiles;
use super::remarks::Remarks;
use super::session::{MAX_ROUNDS, Publication, Published};
use super::{Args, document, summarise};
use crate::cli::promote::word;
use crate::cli::{CliError, Context, output, table};
use crate::client::{Client, ClientError, ImportOrigin, Problem, Session};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::Digest;

/// Where a release of parts stands after this part was sent.
enum Standing {
    /// It is complete.
    Complete(Box<Published>),
    /// Other parts, or their files, have not come yet.
    Waiting(Vec<String>),
}

/// Sends the part, and completes the release if it was the last one. A part stays when this fails: the same command sends
/// it again, and transfers only what is missing.
pub(super) async fn run(args: &Args, part: &str, client: &Client, context: &Context) -> Result<(), CliError> {
    let started = SystemClock.now();
    let (hashed, left, settings) = super::read_files(args, context).await?;
    let bytes = document::write_part(&args.description, &hashed, settings.as_ref())?;
    let manifest = super::parse::parse_part(&bytes)?;
    let mut files = LocalFiles::default();
    for file in hashed {
        files.add(file.content);
    }
    let publication = Publication {
        client,
        name: &args.name,
        remarks: Remarks::new(left, &manifest).with_guesses(&manifest, args.description.detect),
        unchanged: false,
        manifest,
        bytes,
        files,
        activate: !args.stage,
        expect: args.expect.get(),
        from: ImportOrigin::default(),
        signer: None,
        jobs: args.jobs.get(),
    };
    if !context.json {
        publication.remarks.print();
    }
    let label = args.description.label.as_deref().unwrap_or_default();
    let begun = client.begin_parts(&args.name, label, &args.parts).await?;
    let (expect, activate) = (publication.expect.clone(), publication.activate);
    let session = Session { name: args.name.clone(), version: begun.version, activate, expect };
    let mut uploaded = HashMap::new();
    match send(&publication, &session, part, &mut uploaded, context).await? {
        Standing::Complete(published) => {
            let seconds = SystemClock.now().duration_since(started).as_secs_f64();
            if context.json || published.receipt.unchanged {
                return summarise(&publication, &published, seconds, context);
            }
            complete(&published, part, args.parts.len(), seconds)
        }
        Standing::Waiting(waiting) => report(&session, part, &waiting, &uploaded, context),
    }
}

async fn send(
    publication: &Publication<'_>,
    session: &Session,
    part: &str,
    uploaded: &mut HashMap<Digest, u64>,
    context: &Context,
) -> Result<Standing, CliError> {
    let own: HashSet<Digest> = publication.manifest.blobs.iter().map(|blob| blob.digest).collect();
    let client = publication.client;
    let put = client.put_part(&session.name, session.version, part, publication.bytes.clone()).await?;
    let mut missing: Vec<Digest> = put.missing.into_iter().filter(|digest| own.contains(digest)).collect();
    for round in 0..=MAX_ROUNDS {
        uploaded.extend(publication.upload(&missing, context).await?);
        // Tried even if parts were missing before: they may have come during the upload, and found this one incomplete.
        let refused = match client.commit(session).await {
            Ok(receipt) => {
                let published = Published { receipt, uploaded: uploaded.clone(), signature: None };
                return Ok(Standing::Complete(Box::new(published)));
            }
            Err(error) => error,
        };
        let (parts, blobs) = lacks(&refused);
        if !parts.is_empty() {
            return Ok(Standing::Waiting(parts));
        }
        missing = blobs.iter().copied().filter(|digest| own.contains(digest)).collect();
        if missing.is_empty() && !blobs.is_empty() {
            return Ok(Standing::Waiting(Vec::new()));
        }
        if missing.is_empty() || round == MAX_ROUNDS {
            return Err(refused.into());
        }
    }
    Ok(Standing::Waiting(Vec::new()))
}

/// The parts and the blobs that a refused completion is missing.
fn lacks(error: &ClientError) -> (Vec<String>, Vec<Digest>) {
    let Some(problem) = error.problem().filter(|problem| problem.status == 409) else { return Default::default() };
    let parts = problem.members.get("missing_parts").and_then(|parts| parts.as_array());
    let parts = parts.into_iter().flatten().filter_map(|part| Some(part.as_str()?.to_owned()));
    (parts.collect(), Problem::missing(problem))
}

/// What the last part says. What it brought itself is less than the release has.
fn complete(published: &Published, part: &str, parts: usize, seconds: f64) -> Result<(), CliError> {
    let Published { receipt, uploaded, .. } = published;
    output::line(format_args!("{}@{} {}", receipt.name, receipt.version, receipt.manifest))?;
    let (state, sent) = (word(receipt), table::size(uploaded.values().sum()));
    let parts = format!("{parts} {}", if parts == 1 { "part" } else { "parts" });
    output::note(format_args!("{state} with {parts}; {part} was the last: {sent} uploaded, {seconds:.1} s"));
    Ok(())
}

fn report(
    session: &Session,
    part: &str,
    waiting: &[String],
    uploaded: &HashMap<Digest, u64>,
    context: &Context,
) -> Result<(), CliError> {
    let bytes: u64 = uploaded.values().sum();
    let Session { name, version, .. } = session;
    if context.json {
        return output::json(&json!({
            "name": name,
            "version": version,
            "state": "prepared",
            "part": part,
            "waiting": waiting,
            "uploaded": { "blobs": uploaded.len(), "bytes": bytes },
        }));
    }
    let waiting = if waiting.is_empty() { "the files of other parts".to_owned() } else { waiting.join(", ") };
    output::line(format_args!("{name}@{version} waiting for {waiting}"))?;
    output::note(format_args!("part {part} is there: {} uploaded", table::size(bytes)));
    Ok(())
}
