//! Reading a catalog from its server and its mirrors: the newest that is to be believed.
//!
//! A mirror may be frozen in time, dead, or lie, and so may the server. So all are asked, each with a head start before the
//! next; once one has answered what is to be believed, the others have a short time left.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Duration, Instant, sleep_until, timeout};

use super::believed::Believed;
use crate::cli::{CliError, Context, Exit, output};
use crate::client::{CatalogError, Client, ClientError, StoredCatalog};
use crate::domain::catalog::CatalogName;

/// How long a server is asked alone; and how long the others have once one is believed.
const HEAD_START: Duration = Duration::from_secs(2);
/// How long a mirror may take in all.
const LONGEST: Duration = Duration::from_mins(1);

/// Codes of documents that the author's keys have signed beside others that they contradict.
const PROOFS: [&str; 3] = ["CATALOG_FORKED", "RELEASE_CHANGED", "RELEASE_REMOVED"];

/// What a server has answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its place among those that were asked.
    at: usize,
    server: String,
    outcome: Result<Believed, CliError>,
}

/// Asks all servers, and judges what each has. If something is believed `already`, none is waited for long.
pub(super) async fn ask(
    servers: &[Client],
    name: &CatalogName,
    judge: impl Fn(StoredCatalog) -> Result<Believed, CliError>,
    already: bool,
) -> Vec<Answer> {
    let mut waiting = servers.iter().enumerate();
    let mut asked = FuturesUnordered::new();
    let (mut answers, mut next) = (Vec::new(), Instant::now());
    let mut end = already.then(|| next + HEAD_START);
    loop {
        // Everybody at once as soon as there is something to be compared with.
        while end.is_some() || next <= Instant::now() || asked.is_empty() {
            let Some((at, client)) = waiting.next() else { break };
            next = Instant::now() + HEAD_START;
            asked.push(async move { (at, client, one(at, client, name).await) });
        }
        let until = end.unwrap_or(if waiting.len() > 0 { next } else { Instant::now() + LONGEST });
        tokio::select! {
            answer = asked.next() => {
                let Some((at, client, stored)) = answer else { break };
                let outcome = stored.map_err(CliError::from).and_then(&judge);
                if outcome.is_ok() {
                    end.get_or_insert(Instant::now() + HEAD_START);
                }
                answers.push(Answer { at, server: client.base().to_string(), outcome });
                if asked.is_empty() && waiting.len() == 0 {
                    break;
                }
            }
            () = sleep_until(until) => if end.is_some() { break },
        }
    }
    answers.sort_by_key(|answer| answer.at);
    answers
}

async fn one(at: usize, client: &Client, name: &CatalogName) -> Result<StoredCatalog, CatalogError> {
    // The server's own client has retries and limits as for anything else.
    if at == 0 {
        return client.catalog(name).await;
    }
    let server = client.base().to_string();
    let slow = || CatalogError::from(ClientError::Timeout { server, after: LONGEST });
    timeout(LONGEST, client.catalog(name)).await.unwrap_or_else(|_| Err(slow()))
}

/// The newest of those that are believed; of the same, that of the server asked first. Says what is wrong with the others.
pub(super) fn newest(name: &CatalogName, answers: Vec<Answer>, context: &Context) -> Result<Believed, CliError> {
    let (mut best, mut failed): (Option<Believed>, Vec<(String, CliError)>) = (None, Vec::new());
    for Answer { server, outcome, .. } in answers {
        match outcome {
            Ok(believed) if best.as_ref().is_none_or(|best| best.serial() < believed.serial()) => best = Some(believed),
            Ok(_) => {}
            Err(error) => failed.push((server, error)),
        }
    }
    // Signed by the author's keys, and yet not what was signed before: no other source makes up for that.
    if let Some(at) = failed.iter().position(|(_, error)| PROOFS.iter().any(|code| error.is(code))) {
        return Err(failed.swap_remove(at).1);
    }
    let Some(best) = best else { return Err(none(name, failed)) };
    for (server, error) in failed {
        if !context.json {
            output::note(format_args!("{server} was of no use: {}", error.sentence()));
        }
    }
    Ok(best)
}

/// Nobody has a catalog that is to be believed. What the server itself has that is not is told as without mirrors.
fn none(name: &CatalogName, mut failed: Vec<(String, CliError)>) -> CliError {
    if failed.len() == 1 || failed.first().is_some_and(|(_, error)| error.exit() == Exit::Integrity) {
        return failed.swap_remove(0).1;
    }
    let what = format!("the catalog {name}");
    let failures = failed.into_iter().map(|(server, error)| (server, error.sentence().to_owned())).collect();
    ClientError::NoSource { what, failures, is_passing: false }.into()
}
