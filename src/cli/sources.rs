//! Reading by a name, which has no digest, from several servers.
//!
//! A server may be frozen in time, dead, or lie. So all are asked in their order, each with a head start before the next.
//! Where signatures say which answer is the newest, the others have a short time left once one is to be believed; else the
//! first one that answers is taken. What has a digest is read by [`Servers::reader`], from any of them.

use std::future::Future;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Duration, Instant, sleep_until, timeout};

use super::{CliError, Context, Exit, output};
use crate::client::{Client, ClientError};

/// How long a server is asked alone; and how long the others have once one is believed.
const HEAD_START: Duration = Duration::from_secs(2);
/// How long a server other than the first one may take in all.
const LONGEST: Duration = Duration::from_mins(1);

/// The servers that a command reads from, at least one.
#[derive(Debug, Clone)]
pub(super) struct Servers {
    /// Those that are asked for names, in their order.
    pub(super) named: Vec<Client>,
    /// The first one, which reads from any of them what has a digest.
    pub(super) reader: Client,
}

impl Servers {
    /// These servers, in the order in which they are asked.
    pub(super) fn new(first: &Client, others: Vec<Client>) -> Self {
        let reader = first.with_sources(others.clone());
        Self { named: std::iter::once(first.clone()).chain(others).collect(), reader }
    }

    /// The addresses of the servers.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.named.iter().map(|client| client.base().to_string()).collect()
    }

    /// What the first server has that has it.
    pub(super) async fn first<'a, T, F>(
        &'a self,
        what: &str,
        context: &Context,
        read: impl Fn(&'a Client) -> F,
    ) -> Result<T, CliError>
    where
        F: Future<Output = Result<T, CliError>>,
    {
        let answers = ask(&self.named, read, |_, answer| Ok(answer), Until::First).await;
        best(what, answers, |_| (), context)
    }
}

/// When no further answers are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// As soon as one is to be believed.
    First,
    /// A short time after that.
    Newest,
    /// A short time from now: something is believed already.
    Soon,
}

/// What a server has answered.
#[derive(Debug)]
pub(super) struct Answer<T> {
    /// Its place among those that were asked.
    at: usize,
    /// Its address.
    pub(super) server: String,
    /// What it has, if that is to be believed.
    pub(super) outcome: Result<T, CliError>,
}

/// Asks all servers, and judges what each has.
pub(super) async fn ask<'a, R, T, F>(
    servers: &'a [Client],
    read: impl Fn(&'a Client) -> F,
    judge: impl Fn(&Client, R) -> Result<T, CliError>,
    until: Until,
) -> Vec<Answer<T>>
where
    F: Future<Output = Result<R, CliError>>,
{
    let mut waiting = servers.iter().enumerate();
    let mut asked = FuturesUnordered::new();
    let (mut answers, mut next) = (Vec::new(), Instant::now());
    let mut end = (until == Until::Soon).then(|| next + HEAD_START);
    loop {
        // Everybody at once as soon as there is something to be compared with.
        while end.is_some() || next <= Instant::now() || asked.is_empty() {
            let Some((at, client)) = waiting.next() else { break };
            next = Instant::now() + HEAD_START;
            let reading = read(client);
            asked.push(async move { (at, client, within(at, client, reading).await) });
        }
        let alarm = end.unwrap_or(if waiting.len() > 0 { next } else { Instant::now() + LONGEST });
        tokio::select! {
            answer = asked.next() => {
                let Some((at, client, read)) = answer else { break };
                let outcome = read.and_then(|read| judge(client, read));
                if outcome.is_ok() {
                    end.get_or_insert(Instant::now() + HEAD_START);
                }
                let is_last = outcome.is_ok() && until == Until::First;
                answers.push(Answer { at, server: client.base().to_string(), outcome });
                if is_last || asked.is_empty() && waiting.len() == 0 {
                    break;
                }
            }
            () = sleep_until(alarm) => if end.is_some() { break },
        }
    }
    answers.sort_by_key(|answer| answer.at);
    answers
}

/// The first server has as long as anything else; the others would keep a command waiting that they need not help.
async fn within<R>(
    at: usize,
    client: &Client,
    reading: impl Future<Output = Result<R, CliError>>,
) -> Result<R, CliError> {
    if at == 0 {
        return reading.await;
    }
    let server = client.base().to_string();
    let slow = || ClientError::Timeout { server, after: LONGEST }.into();
    timeout(LONGEST, reading).await.unwrap_or_else(|_| Err(slow()))
}

/// The answer that ranks highest; of equal ones, that of the server asked first. Says what is wrong with the others.
pub(super) fn best<T, K: Ord>(
    what: &str,
    answers: Vec<Answer<T>>,
    rank: impl Fn(&T) -> K,
    context: &Context,
) -> Result<T, CliError> {
    let (mut best, mut failed): (Option<T>, Vec<(String, CliError)>) = (None, Vec::new());
    for Answer { server, outcome, .. } in answers {
        match outcome {
            Ok(answer) if best.as_ref().is_none_or(|best| rank(best) < rank(&answer)) => best = Some(answer),
            Ok(_) => {}
            Err(error) => failed.push((server, error)),
        }
    }
    let Some(best) = best else { return Err(none(what, failed)) };
    for (server, error) in failed {
        if !context.json {
            output::note(format_args!("{server} was of no use: {}", error.sentence()));
        }
    }
    Ok(best)
}

/// Nobody has what is to be believed. What the first server has that is not is told as if it were the only one; so is that
/// there is no such thing, if all say so.
fn none(what: &str, mut failed: Vec<(String, CliError)>) -> CliError {
    let is_absent = failed.iter().all(|(_, error)| error.exit() == Exit::NotFound);
    let is_wrong = failed.first().is_some_and(|(_, error)| error.exit() == Exit::Integrity);
    if failed.len() == 1 || !failed.is_empty() && (is_absent || is_wrong) {
        return failed.swap_remove(0).1;
    }
    let failures = failed.into_iter().map(|(server, error)| (server, error.sentence().to_owned())).collect();
    ClientError::NoSource { what: what.to_owned(), failures, is_passing: false }.into()
}
