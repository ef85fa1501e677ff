//! HTTP and XML of the model.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use larder::clock::{Clock as _, SystemClock};
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};

use super::bucket::{Bucket, No};
use super::{BUCKET, Conditions, Engine, Fault, Op};

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// A request that was read to its end.
struct Asked {
    op: Op,
    key: String,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    fn metadata(&self) -> Vec<(String, String)> {
        let named = |name: &HeaderName| name.as_str().starts_with("x-amz-meta-");
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        self.headers
            .iter()
            .filter(|(name, _)| named(name))
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect()
    }

    /// The object that `x-amz-copy-source` names.
    fn source(&self) -> Result<String, No> {
        let source = percent_decode_str(self.header("x-amz-copy-source").unwrap_or_default()).decode_utf8_lossy();
        let key = source.trim_start_matches('/').strip_prefix(BUCKET).and_then(|rest| rest.strip_prefix('/'));
        key.map(str::to_owned).ok_or(No(400, "InvalidArgument"))
    }
}

/// One more request that is being answered, as long as this lives.
struct Busy<'a>(&'a Engine, Op);

impl<'a> Busy<'a> {
    fn new(engine: &'a Engine, op: Op) -> Self {
        let mut busy = engine.busy.lock().unwrap();
        let (now, most) = busy.entry(op).or_default();
        *now += 1;
        *most = (*most).max(*now);
        Self(engine, op)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.lock().unwrap().entry(self.1).or_default().0 -= 1;
    }
}

/// Answers a request, or closes its connection.
pub(super) async fn answer(engine: Arc<Engine>, request: Request<Incoming>) -> Result<Answer, io::Error> {
    let mut asked = match read(&engine, request).await? {
        Ok(asked) => asked,
        Err(no) => return Ok(refusal(no)),
    };
    *engine.requests.lock().unwrap().entry(asked.op).or_default() += 1;
    let _busy = Busy::new(&engine, asked.op);
    let fault = engine.script.fault(asked.op);
    match fault {
        Some(Fault::Answer(status, code)) => return Ok(refusal(No(status, code))),
        Some(Fault::Busy(seconds)) => return Ok(busy(&seconds.to_string())),
        Some(Fault::BusyUntil(seconds)) => {
            let date = SystemTime::from(SystemClock.now()) + Duration::from_secs(seconds);
            return Ok(busy(&httpdate::fmt_http_date(date)));
        }
        Some(Fault::Reset) => return Err(io::ErrorKind::ConnectionReset.into()),
        Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
        Some(Fault::Damage) => asked.body = asked.body.iter().map(|byte| !byte).collect(),
        _ => {}
    }
    if let Err(no) = check_body(&asked) {
        return Ok(refusal(no));
    }
    if engine.quirks.lock().unwrap().conditions == Conditions::CheckedBefore && asked.op == Op::PutObject {
        if asked.header("if-none-match").is_some() && engine.bucket.lock().unwrap().get(&asked.key).is_ok() {
            return Ok(refusal(No(412, "PreconditionFailed")));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ahead = engine.quirks.lock().unwrap().ahead;
    let mut answer = check_time(&asked, ahead).and_then(|()| apply(&engine, &asked)).unwrap_or_else(refusal);
    if !ahead.is_zero() {
        let date = httpdate::fmt_http_date(SystemTime::from(SystemClock.now() + ahead));
        answer.headers_mut().insert("date", HeaderValue::from_str(&date).unwrap());
    }
    match fault {
        Some(Fault::LostReply) => Err(io::ErrorKind::ConnectionReset.into()),
        Some(Fault::LateError) => Ok(refusal(No(500, "InternalError"))),
        Some(Fault::Truncate(length)) => cut(answer, length, stream::once(broken()).boxed()).await,
        Some(Fault::Stall(length)) => cut(answer, length, stream::pending().boxed()).await,
        _ => Ok(answer),
    }
}

async fn read(engine: &Engine, request: Request<Incoming>) -> Result<Result<Asked, No>, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let query: BTreeMap<String, String> = head.uri.query().unwrap_or_default().split('&').map(pair).collect();
    let path = percent_decode_str(head.uri.path()).decode_utf8_lossy();
    let (bucket, key) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let key = key.to_owned();
    let Some(op) = op(&head.method, &key, &query, &head.headers) else { return Ok(Err(No(501, "NotImplemented"))) };
    let asked = Asked { op, key, query, headers: head.headers, body };
    let missing = bucket != BUCKET || engine.quirks.lock().unwrap().without_bucket;
    let checked = check(&asked).and(if missing { Err(No(404, "NoSuchBucket")) } else { Ok(()) });
    Ok(checked.map(|()| asked))
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    (decode(name), decode(value))
}

fn op(method: &Method, key: &str, query: &BTreeMap<String, String>, headers: &HeaderMap) -> Option<Op> {
    let (has, copies) = (|name: &str| query.contains_key(name), headers.contains_key("x-amz-copy-source"));
    let first_byte = || headers.get("range").is_some_and(|range| range == "bytes=0-0");
    Some(match (method, key) {
        (&Method::GET, "") if has("uploads") => Op::ListUploads,
        (&Method::GET, "") if has("list-type") => Op::ListObjects,
        (&Method::POST, "") if has("delete") => Op::DeleteObjects,
        (_, "") => return None,
        (&Method::PUT, _) if has("partNumber") && copies => Op::UploadPartCopy,
        (&Method::PUT, _) if has("partNumber") => Op::UploadPart,
        (&Method::PUT, _) if copies => Op::CopyObject,
        (&Method::PUT, _) => Op::PutObject,
        (&Method::GET, _) if has("uploadId") => Op::ListParts,
        (&Method::GET, _) if first_byte() => Op::Look,
        (&Method::GET, _) => Op::GetObject,
        (&Method::HEAD, _) => Op::HeadObject,
        (&Method::POST, _) if has("uploads") => Op::CreateMultipart,
        (&Method::POST, _) if has("uploadId") => Op::CompleteMultipart,
        (&Method::DELETE, _) if has("uploadId") => Op::AbortMultipart,
        (&Method::DELETE, _) => Op::DeleteObject,
        _ => return None,
    })
}

/// What every engine insists on.
fn check(asked: &Asked) -> Result<(), No> {
    let signed =
        asked.header("authorization").is_some_and(|text| text.starts_with("AWS4-HMAC-SHA256 Credential=model/"));
    if !signed && !asked.query.contains_key("X-Amz-Signature") {
        return Err(No(403, "AccessDenied"));
    }
    Ok(())
}

/// The body is the one that was signed, if it was.
fn check_body(asked: &Asked) -> Result<(), No> {
    match asked.header("x-amz-content-sha256") {
        None | Some("UNSIGNED-PAYLOAD") => Ok(()),
        Some(stated) if stated == hex::encode(Sha256::digest(&asked.body)) => Ok(()),
        Some(_) => Err(No(400, "XAmzContentSHA256Mismatch")),
    }
}

/// A signature is good for a quarter of an hour, by the engine's clock.
fn check_time(asked: &Asked, ahead: SignedDuration) -> Result<(), No> {
    let Some(text) = asked.header("x-amz-date") else { return Ok(()) };
    let signed = DateTime::strptime("%Y%m%dT%H%M%SZ", text).and_then(|time| time.to_zoned(TimeZone::UTC));
    let signed = signed.map_err(|_| No(403, "AccessDenied"))?.timestamp();
    let age = (SystemClock.now() + ahead).duration_since(signed);
    if age.abs() > SignedDuration::from_mins(15) { Err(No(403, "RequestTimeTooSkewed")) } else { Ok(()) }
}

fn apply(engine: &Engine, asked: &Asked) -> Result<Answer, No> {
    let quirks = engine.quirks.lock().unwrap().clone();
    let conditional = asked.header("if-none-match") == Some("*");
    if conditional && quirks.conditions == Conditions::Refused {
        return Err(No(501, "NotImplemented"));
    }
    let of_puts = conditional && quirks.conditions == Conditions::OfPuts;
    let mut bucket = engine.bucket.lock().unwrap();
    bucket.ahead = engine.quirks.lock().unwrap().ahead;
    let (key, id) = (asked.key.as_str(), asked.query("uploadId"));
    let number = asked.query("partNumber").parse().unwrap_or(0);
    Ok(match asked.op {
        Op::PutObject => tagged(bucket.put(key, asked.body.clone(), asked.metadata(), of_puts)?),
        Op::GetObject | Op::Look | Op::HeadObject => object(asked, bucket.get(key)?)?,
        Op::CopyObject => {
            let replaced = asked.header("x-amz-metadata-directive") == Some("REPLACE");
            let tag = bucket.copy(&asked.source()?, key, replaced.then(|| asked.metadata()))?;
            xml(&format!("<CopyObjectResult><ETag>{tag}</ETag></CopyObjectResult>"))
        }
        Op::DeleteObject => {
            bucket.delete(key);
            status(204)
        }
        Op::DeleteObjects => {
            drop(bucket);
            delete_all(engine, asked)?
        }
        Op::ListObjects => list(asked, &bucket, quirks.page),
        Op::CreateMultipart => {
            let id = bucket.begin(key, asked.metadata());
            xml(&format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"))
        }
        Op::UploadPart => tagged(bucket.put_part(key, id, number, asked.body.clone())?),
        Op::UploadPartCopy => copied_part(asked, &mut bucket, number)?,
        Op::CompleteMultipart => {
            let tag = bucket.complete(key, id, &named_parts(asked), quirks.smallest_part)?;
            xml(&format!("<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"))
        }
        Op::AbortMultipart => {
            bucket.abort(key, id)?;
            status(204)
        }
        Op::ListParts => {
            bucket.find(key, id)?;
            xml("<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>")
        }
        Op::ListUploads => list_uploads(asked, &bucket, quirks.page),
    })
}

/// The parts that a request to complete an upload names, with their tags.
fn named_parts(asked: &Asked) -> Vec<(u32, String)> {
    let text = String::from_utf8_lossy(&asked.body);
    let parts = elements(&text, "Part").map(|part| {
        let number = elements(part, "PartNumber").next().and_then(|text| text.parse().ok()).unwrap_or(0);
        (number, elements(part, "ETag").next().unwrap_or_default().replace("&quot;", "\""))
    });
    parts.collect()
}

fn copied_part(asked: &Asked, bucket: &mut Bucket, number: u32) -> Result<Answer, No> {
    let source = bucket.get(&asked.source()?)?.bytes.clone();
    let range = range(asked.header("x-amz-copy-source-range").unwrap_or_default(), source.len());
    let part = source.slice(range.ok_or(No(416, "InvalidRange"))?);
    let tag = bucket.put_part(&asked.key, asked.query("uploadId"), number, part)?;
    Ok(xml(&format!("<CopyPartResult><ETag>{tag}</ETag></CopyPartResult>")))
}

fn object(asked: &Asked, stored: &super::bucket::Stored) -> Result<Answer, No> {
    if asked.header("if-match").is_some_and(|tag| tag != stored.tag) {
        return Err(No(412, "PreconditionFailed"));
    }
    let (length, mut bytes) = (stored.bytes.len(), stored.bytes.clone());
    let mut answer = Response::builder();
    if let Some(wanted) = asked.header("range") {
        let range = range(wanted, length).ok_or(No(416, "InvalidRange"))?;
        bytes = bytes.slice(range.clone());
        answer = answer.status(206);
        answer = answer.header("content-range", format!("bytes {}-{}/{length}", range.start, range.end - 1));
    }
    for name in ["content-type", "content-disposition"] {
        if let Some(value) = asked.query.get(&format!("response-{name}")) {
            answer = answer.header(name, value);
        }
    }
    for (name, value) in &stored.metadata {
        answer = answer.header(name, value);
    }
    let modified = httpdate::fmt_http_date(SystemTime::from(stored.modified));
    let answer = answer.header("etag", &stored.tag).header("last-modified", modified);
    let answer = answer.header("content-length", bytes.len()).header("accept-ranges", "bytes");
    Ok(answer.body(whole(if asked.op == Op::HeadObject { Bytes::new() } else { bytes })).unwrap())
}

/// `bytes=A-B`, `bytes=A-`, cut off at the end; `None` when it begins behind it.
fn range(text: &str, length: usize) -> Option<std::ops::Range<usize>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first: usize = first.parse().ok()?;
    let end = if last.is_empty() { length } else { last.parse::<usize>().ok()?.saturating_add(1).min(length) };
    (first < length).then_some(first..end)
}

fn list(asked: &Asked, bucket: &Bucket, most: usize) -> Answer {
    let most = asked.query("max-keys").parse().unwrap_or(1000).min(most);
    let after = if asked.query.contains_key("continuation-token") { "continuation-token" } else { "start-after" };
    let delimiter = asked.query.get("delimiter").map(String::as_str).filter(|text| !text.is_empty());
    let page = bucket.list(asked.query("prefix"), asked.query(after), delimiter, most);
    let mut text = format!("<ListBucketResult><IsTruncated>{}</IsTruncated>", page.more);
    if let Some(last) = page.last.filter(|_| page.more) {
        let _ = write!(text, "<NextContinuationToken>{last}</NextContinuationToken>");
    }
    for (key, stored) in page.keys {
        let (size, modified, tag) = (stored.bytes.len(), millis(stored.modified), stored.tag);
        let _ = write!(
            text,
            "<Contents><Key>{key}</Key><LastModified>{modified}</LastModified><ETag>{tag}</ETag><Size>{size}</Size></Contents>"
        );
    }
    for group in page.groups {
        let _ = write!(text, "<CommonPrefixes><Prefix>{group}</Prefix></CommonPrefixes>");
    }
    xml(&(text + "</ListBucketResult>"))
}

fn list_uploads(asked: &Asked, bucket: &Bucket, most: usize) -> Answer {
    let after = (asked.query("key-marker").to_owned(), asked.query("upload-id-marker").to_owned());
    let mut found = bucket.uploads(asked.query("prefix"));
    found.retain(|(id, upload)| (upload.key.clone(), id.clone()) > after);
    let more = found.len() > most;
    found.truncate(most);
    let mut text = format!("<ListMultipartUploadsResult><IsTruncated>{more}</IsTruncated>");
    for (id, upload) in &found {
        let (key, begun) = (&upload.key, millis(upload.begun));
        let _ =
            write!(text, "<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>{begun}</Initiated></Upload>");
    }
    if let Some((id, upload)) = found.last().filter(|_| more) {
        let key = &upload.key;
        let _ = write!(text, "<NextKeyMarker>{key}</NextKeyMarker><NextUploadIdMarker>{id}</NextUploadIdMarker>");
    }
    xml(&(text + "</ListMultipartUploadsResult>"))
}

fn delete_all(engine: &Engine, asked: &Asked) -> Result<Answer, No> {
    let mut quirks = engine.quirks.lock().unwrap();
    if quirks.without_batches {
        return Err(No(400, "InvalidRequest"));
    }
    let text = String::from_utf8_lossy(&asked.body);
    let keys: Vec<&str> = elements(&text, "Key").collect();
    if keys.len() > 1000 {
        return Err(No(400, "MalformedXML"));
    }
    let mut said = "<DeleteResult>".to_owned();
    for key in keys {
        match quirks.undeletable.get_mut(key).filter(|(_, times)| *times > 0) {
            Some((code, times)) => {
                *times -= 1;
                let _ = write!(said, "<Error><Key>{key}</Key><Code>{code}</Code><Message>scripted</Message></Error>");
            }
            None => engine.bucket.lock().unwrap().delete(key),
        }
    }
    Ok(xml(&(said + "</DeleteResult>")))
}

/// The texts of the elements of this name.
fn elements<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let pieces: Vec<&str> = text.split(open.as_str()).skip(1).collect();
    pieces.into_iter().filter_map(move |piece| piece.split(close.as_str()).next())
}

fn millis(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn whole(bytes: Bytes) -> UnsyncBoxBody<Bytes, io::Error> {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn status(status: u16) -> Answer {
    Response::builder().status(status).body(whole(Bytes::new())).unwrap()
}

fn tagged(tag: String) -> Answer {
    Response::builder().header("etag", tag).body(whole(Bytes::new())).unwrap()
}

fn xml(text: &str) -> Answer {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}");
    Response::builder().header("content-type", "application/xml").body(whole(text.into())).unwrap()
}

fn refusal(No(status, code): No) -> Answer {
    let mut answer = xml(&format!("<Error><Code>{code}</Code><Message>scripted or modelled</Message></Error>"));
    *answer.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
    answer
}

fn busy(retry_after: &str) -> Answer {
    let mut answer = refusal(No(503, "SlowDown"));
    answer.headers_mut().insert("retry-after", HeaderValue::from_str(retry_after).unwrap());
    answer
}

/// The end of a connection, once what was said before has left.
async fn broken() -> Result<Frame<Bytes>, io::Error> {
    tokio::time::sleep(Duration::from_millis(30)).await;
    Err(io::ErrorKind::ConnectionReset.into())
}

/// The answer, whose body goes on with something else after so many bytes. One that is shorter stays whole.
async fn cut(
    answer: Answer,
    length: usize,
    rest: BoxStream<'static, Result<Frame<Bytes>, io::Error>>,
) -> Result<Answer, io::Error> {
    let (mut head, body) = answer.into_parts();
    let bytes = body.collect().await?.to_bytes();
    head.headers.insert("content-length", bytes.len().into());
    if bytes.len() <= length {
        return Ok(Response::from_parts(head, whole(bytes)));
    }
    let begins = stream::iter([Ok(Frame::data(bytes.slice(..length)))]);
    Ok(Response::from_parts(head, UnsyncBoxBody::new(StreamBody::new(begins.chain(rest)))))
}
